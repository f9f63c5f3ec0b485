//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"
)

// reload: what can be reloaded reaches a connected browser, and neither a pod nor a stream ends for it.
func reload(t *testing.T, s *suite) {
	ns, k := s.namespace(t, "reload"), s.kube
	k.apply(t, ns, stream("reload", "stream: {ticks: Disabled}"))
	k.ready(t, ns, "reload")
	p := s.browser.open(t, "reload.e2e.example.test", "/stream/market?symbols=SPY,QQQ&timeframe=1m&events=bar,tick")
	p.first("bar", "SPY", 0)
	pods, before := identities(k.pods(t, ns, streamers)), p.state()
	patch := func(spec string) time.Time {
		k.do(t, "patch", "marketstream/reload", "-n", ns, "--type=merge", "-p", `{"spec": `+spec+`}`)
		return time.Now()
	}

	at := patch(`{"stream": {"ticks": "Enabled"}}`)
	tick := p.first("tick", "SPY", 0)
	s.report.figure(t, "seconds from ticks Enabled to a tick in the browser (within 10)", "%.1f", since(at, tick))
	within(t, since(at, tick))

	at = patch(`{"symbols": ["SPY", "QQQ", "AAPL", "NVDA"]}`)
	carried := eventually(t, hangs, func() string {
		if !evaluate[bool](p, `fetch("/api/symbols").then(r => r.json()).then(j => { window.carried = JSON.stringify(j) }), (window.carried || "").includes("NVDA")`) {
			return "the page does not see NVDA"
		}
		return ""
	})
	s.report.figure(t, "seconds from a symbol's name to /api/symbols in the browser (within 10)", "%.1f", carried.Seconds())
	within(t, carried.Seconds())
	q := s.browser.open(t, "reload.e2e.example.test", "/stream/market?symbols=NVDA&timeframe=1m&events=bar")
	bar := q.first("bar", "NVDA", 0)
	s.report.figure(t, "seconds from a symbol's name to its first bar", "%.1f", since(at, bar))

	at = patch(`{"stream": {"bufferCapacity": 500}}`)
	k.ready(t, ns, "reload")
	s.report.figure(t, "seconds from a cap to Ready at its generation (within 10)", "%.1f", time.Since(at).Seconds())
	within(t, time.Since(at).Seconds())

	if got := identities(k.pods(t, ns, streamers)); got != pods {
		t.Errorf("pods before:\n%s\nand after:\n%s", pods, got)
	}
	p.unbroken(before)
	s.report.figure(t, "pods restarted, streams closed, bars of the browser", "0, 0, %d", p.kept())
}

// within fails past ten times the ten seconds that a reload may take: a guard, since machines are shared.
func within(t *testing.T, seconds float64) {
	t.Helper()
	if seconds > 100 {
		t.Error(fmt.Sprintf("%.1f s: far more than 10", seconds))
	}
}
