//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"
)

// scaleAndSleep: 1 → 3 → 1 pods, none, and again one: the browser comes back by itself and misses nothing.
func scaleAndSleep(t *testing.T, s *suite) {
	ns, k := s.namespace(t, "scale"), s.kube
	k.apply(t, ns, stream("scaled", ""))
	k.ready(t, ns, "scaled")
	p := s.browser.open(t, "scaled.e2e.example.test", "/stream/market?symbols=SPY,QQQ&timeframe=1m&events=bar")
	p.first("bar", "SPY", 0)
	to := func(n int) float64 {
		began := time.Now()
		k.do(t, "scale", "marketstream/scaled", "-n", ns, fmt.Sprintf("--replicas=%d", n))
		eventually(t, 2*hangs, func() string {
			if got := len(k.pods(t, ns, streamers)); got != n {
				return fmt.Sprintf("%d pods, want %d", got, n)
			}
			return ""
		})
		k.ready(t, ns, "scaled")
		return time.Since(began).Seconds()
	}
	s.report.figure(t, "seconds from 1 to 3 pods", "%.0f", to(3))
	s.report.figure(t, "seconds from 3 to 1, which drain one at a time", "%.0f", to(1))
	eventually(t, hangs, func() string {
		if st := p.state(); evaluate[int](p, "es.readyState") != 1 {
			return fmt.Sprintf("the stream of the page is not open: %+v", st)
		}
		return ""
	})
	s.report.figure(t, "bars of the browser over 1, 3, 1 pods; given up", "%d; 0", p.kept())

	s.report.figure(t, "seconds until hibernated", "%.0f", to(0))
	if got := k.field(t.Context(), ns, "marketstream/scaled", `{.status.conditions[?(@.type=="Ready")].reason}`); got != "Hibernated" {
		t.Errorf("hibernated, Ready is %q", got)
	}
	s.report.figure(t, "seconds until awake", "%.0f", to(1))
	q := s.browser.open(t, "scaled.e2e.example.test", "/stream/market?symbols=SPY&timeframe=1m&events=bar&seed=500")
	before := p.events("bar", 0)
	q.first("bar", "SPY", 0)
	if len(before) == 0 {
		t.Fatal("the first page has no bars")
	}
	seq := before[len(before)-1].Data
	s.report.figure(t, "bars of before the sleep in a new page", "%d", len(q.events("bar", 0)))
	t.Log(seq)
}
