package operatortest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/controllers/marketstream"
)

// TestMany: many streams settle with one write per object and at most four of status each, and then cost nothing.
func TestMany(t *testing.T) {
	const n = 50
	ns := plane.Namespace(t)
	before := reconciles(t)
	op := start(t, ns, func(o *marketstream.Options) { o.Least = 0 })
	began := time.Now()
	for i := range n {
		apply(t, ns, fmt.Sprintf("us-%d", i), "{symbols: [A, B, C, D, E], feed: {synthetic: {}}}")
	}
	allReady(t, ns, n)
	took := time.Since(began)
	op.calls.mu.Lock()
	reads := op.calls.read
	op.calls.mu.Unlock()
	objects, status, touches := op.calls.writes(ns)
	per := func(k int) string { return strconv.FormatFloat(float64(k)/float64(n), 'f', 1, 64) }
	t.Logf("%d streams are ready after %s; for each: %s reconciles, %s reads, %s writes of objects, %s of status",
		n, took.Round(time.Second), per(int(reconciles(t)-before)), per(reads), per(len(objects)), per(len(status)))
	const each = 13 // the ConfigMap, 2 accounts, 4 Services, 2 policies, 2 budgets, StatefulSet, Deployment; and the Secret
	if got := len(distinct(objects)); len(objects) != n*(each+1) && got != n*each+1 || len(touches) > 0 {
		t.Errorf("%d writes of objects (%d of them distinct) and %d touches for %d streams, want %d each:\n%s", len(objects), got, len(touches), n, each+1,
			strings.Join(objects[:min(len(objects), 40)], "\n"))
	}
	if len(status) > 4*n {
		t.Errorf("%d writes of status for %d streams, want 4 each at most", len(status), n)
	}
}

// allReady waits until n streams of a namespace are.
func allReady(t *testing.T, ns string, n int) {
	t.Helper()
	deadline := time.After(hangs + time.Duration(n)*2*time.Second)
	look := time.NewTicker(500 * time.Millisecond)
	defer look.Stop()
	for settled := -1; settled < n; {
		select {
		case <-deadline:
			t.Fatalf("%d of %d are ready", settled, n)
		case <-look.C:
		}
		var list v1alpha1.MarketStreamList
		if err := admin.List(t.Context(), &list, client.InNamespace(ns)); err != nil {
			t.Fatal(err)
		}
		settled = 0
		for i := range list.Items {
			if c := find(&list.Items[i], v1alpha1.ConditionReady); c.Status == "True" {
				settled++
			}
		}
	}
}
