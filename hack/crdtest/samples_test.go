package crdtest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/marketstream/marketstream/api/v1alpha1"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

func sample(t *testing.T, file string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v1alpha1.Decode(text); err != nil {
		t.Errorf("%s: %v", file, err)
	}
	var o map[string]any
	if err := yaml.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	return whole(o).(map[string]any)
}

// TestSamples: every sample decodes, and both the CRD and Validate take it.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob("../../config/samples/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatal(len(files), err)
	}
	s := newServer(t)
	for _, f := range files {
		if errs, _ := s.refuse(sample(t, f), nil); len(errs) > 0 {
			t.Errorf("%s: %v", f, errs.ToAggregate())
		}
	}
}

// TestSampleKeepsItsKind: us-equities begins with invented trades and says that it must stay with
// them; the API server says so too, with the reason, and in the other direction.
func TestSampleKeepsItsKind(t *testing.T) {
	const file = "../../config/samples/us-equities.yaml"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "can NOT be changed to a vendor's later") {
		t.Error("the sample does not say that its feed stays")
	}
	s := newServer(t)
	invented, vendors := sample(t, file), sample(t, file)
	vendors["spec"].(map[string]any)["feed"] = map[string]any{"polygon": map[string]any{"apiKeySecretRef": map[string]any{"name": "polygon", "key": "apiKey"}}}
	for name, change := range map[string][2]map[string]any{"to a vendor": {invented, vendors}, "from a vendor": {vendors, invented}} {
		errs, _ := s.refuse(change[1], change[0])
		if len(errs) == 0 || !strings.Contains(errs.ToAggregate().Error(), "make another MarketStream") {
			t.Errorf("%s: %v", name, errs)
		}
	}
}

// TestSizeOfTwentyThousandSymbols reports what the largest stream of usual symbols weighs: above
// 256 KiB a plain `kubectl apply` can't write its annotation, and --server-side is needed.
func TestSizeOfTwentyThousandSymbols(t *testing.T) {
	const annotation, etcd = 256 << 10, 3 << 19 // bytes
	size := func(n, length int) int {
		o := minimal()
		symbols := make([]any, n)
		for i := range symbols {
			symbols[i] = fmt.Sprintf("S%0*d", length-1, i)
		}
		o["spec"].(map[string]any)["symbols"] = symbols
		errs, left := newServer(t).refuse(o, nil)
		if len(errs) > 0 {
			t.Fatalf("%d symbols of %d characters: %v", n, length, errs)
		}
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d symbols of %d characters: %d bytes of JSON, CEL cost %d", n, length, len(text), celconfig.RuntimeCELCostBudget-left)
		return len(text)
	}
	if got := size(20_000, 20); got > etcd {
		t.Errorf("%d bytes: etcd takes %d", got, etcd)
	}
	if got := size(11_000, 20); got > annotation {
		t.Errorf("11,000 symbols are %d bytes: more than a plain kubectl apply takes", got)
	}
}
