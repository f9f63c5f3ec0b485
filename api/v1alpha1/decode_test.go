package v1alpha1_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"sigs.k8s.io/yaml"
)

const head = "apiVersion: marketstream.dev/v1alpha1\nkind: MarketStream\nmetadata: {name: demo}\n"
const good = head + "spec: {symbols: [SPY], feed: {synthetic: {}}}\n"

// TestDecodeSays: each error names the path, the value, and what would be right.
func TestDecodeSays(t *testing.T) {
	for _, c := range []struct {
		name, doc string
		want      []string
	}{
		{"good", good, nil},
		{"comments and an end", "# a\n---\n" + good + "...\n", nil},
		{"misspelled", head + "spec: {symbols: [A], feed: {synthetic: {}}, stream: {bufferCap: 5}}", []string{"spec.stream.bufferCap", "5", "did you mean \"bufferCapacity\""}},
		{"at the top", good + "sepc: {}\n", []string{"sepc", `"spec"`}},
		{"number for text", head + "spec: {symbols: [A], feed: {synthetic: {speed: 1}}}", []string{"spec.feed.synthetic.speed", `"1"`, "quotes"}},
		{"text for number", head + "spec: {symbols: [A], feed: {synthetic: {}}, stream: {bufferCapacity: many}}", []string{"spec.stream.bufferCapacity", "many", "whole number"}},
		{"fraction", head + "spec: {symbols: [A], feed: {synthetic: {}}, shards: 1.5}", []string{"spec.shards", "1.5", "whole number"}},
		{"a symbol that YAML reads as true", head + "spec: {symbols: [SPY, ON], feed: {synthetic: {}}}", []string{"spec.symbols[1]", "true", "quotes"}},
		{"text for a list", head + "spec: {symbols: SPY, feed: {synthetic: {}}}", []string{"spec.symbols", "SPY", "list"}},
		{"null in a list", head + "spec: {symbols: [null], feed: {synthetic: {}}}", []string{"spec.symbols[0]", "null"}},
		{"two at once", head + "spec: {symbols: SPY, feed: {sintetic: {}}}", []string{"spec.symbols", "spec.feed.sintetic", "\n", "synthetic"}},
		{"twice", head + "spec: {symbols: [A], symbols: [B], feed: {synthetic: {}}}", []string{"symbols"}},
		{"two documents", good + "---\n" + good, []string{"one YAML document", "2"}},
		{"none", "", []string{"one YAML document", "0"}},
		{"another kind", strings.Replace(good, "MarketStream", "Deployment", 1), []string{"Deployment", "MarketStream"}},
		{"another version", strings.Replace(good, "v1alpha1", "v1", 1), []string{"v1alpha1"}},
		{"not YAML", "a: [", []string{"YAML"}},
		{"a list", "[1]", []string{"mapping"}},
		{"bad quantity", head + "spec: {symbols: [A], feed: {synthetic: {}}, backbone: {storage: {size: big}}}", []string{"spec.backbone.storage.size", "big", "want a quantity, as"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := v1alpha1.Decode([]byte(c.doc))
			if c.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q lacks %q", err, w)
				}
			}
		})
	}
}

func TestSamples(t *testing.T) {
	files, err := filepath.Glob("../../config/samples/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		ms, err := v1alpha1.Decode(data)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if errs := v1alpha1.Validate(ms); len(errs) > 0 {
			t.Errorf("%s: %v", f, errs.ToAggregate())
		}
		_, err = v1alpha1.CheckRunnable(ms)
		if vendor := ms.Spec.Feed.Polygon != nil; vendor != (err != nil) {
			t.Errorf("%s: run says %v", f, err)
		}
	}
}

// FuzzDecode: no panic, and what is accepted means what kubectl's decoder makes of it.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", good, "{}", "[]", "---\n---\n", head + "spec: {symbols: [ON, 1e3, ~]}", "a: &a [*a]", "\xff", head + "spec: {backbone: {storage: {size: -1}}}"} {
		f.Add([]byte(s))
	}
	files, _ := filepath.Glob("../../config/samples/*.yaml")
	for _, name := range files {
		if data, err := os.ReadFile(name); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ms, err := v1alpha1.Decode(data)
		if err != nil {
			if ms != nil || err.Error() == "" {
				t.Fatalf("%v with %v", ms, err)
			}
			return
		}
		v1alpha1.Validate(ms)
		_, _ = v1alpha1.CheckRunnable(ms)
		ms.Resolve()
		var theirs v1alpha1.MarketStream
		if err := yaml.UnmarshalStrict(data, &theirs); err != nil {
			t.Fatalf("kubectl would refuse it: %v", err)
		}
		if !reflect.DeepEqual(ms, &theirs) {
			t.Fatalf("kubectl would read %+v, not %+v", theirs, ms)
		}
	})
}
