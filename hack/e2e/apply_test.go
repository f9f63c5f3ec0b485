//go:build e2e

package e2e

import (
	"testing"
	"time"
)

// firstApply: how long from kubectl apply to the first bar in a browser behind the ingress.
func firstApply(t *testing.T, s *suite) {
	ns := s.namespace(t, "first")
	p := s.browser.open(t, "first.e2e.example.test", "/stream/market?symbols=SPY,QQQ&timeframe=1m,5m&events=bar,microbar")
	began := time.Now()
	s.kube.apply(t, ns, stream("first", ""))
	applied := time.Now()
	bar := p.first("bar", `"symbol":"SPY"`, 0)
	s.report.figure(t, "seconds from kubectl apply to the first bar in the browser (goal: under 5)", "%.1f", since(began, bar))
	s.report.figure(t, "seconds of these in kubectl", "%.1f", applied.Sub(began).Seconds())
	live := p.first("microbar", "", 0)
	s.report.figure(t, "seconds to the first live event", "%.1f", since(began, live))
	s.kube.ready(t, ns, "first")
	s.report.figure(t, "seconds until Ready", "%.1f", time.Since(began).Seconds())
	before := p.state()
	n := len(p.events("bar", 0))
	eventually(t, hangs, func() string {
		if len(p.events("bar", 0)) < n+10 {
			return "no more bars come"
		}
		return ""
	})
	p.unbroken(before)
	s.report.figure(t, "bars in the browser, none missing, none twice", "%d", p.kept())
}

// gateway: the same by an HTTPRoute.
func gateway(t *testing.T, s *suite) {
	ns := s.namespace(t, "gateway")
	s.kube.apply(t, ns, stream("routed", "gateway: {hostnames: [routed.example.test], parentRefs: [{name: gateway, namespace: traefik}]}"))
	s.kube.do(t, "patch", "marketstream/routed", "-n", ns, "--type=json", `-p=[{"op": "remove", "path": "/spec/ingress"}]`)
	s.kube.ready(t, ns, "routed")
	if got := s.kube.field(t.Context(), ns, "marketstream/routed", `{.status.conditions[?(@.type=="Exposed")].status}`); got != "True" {
		t.Errorf("Exposed is %q", got)
	}
	if got := s.kube.do(t, "get", "ingress", "-n", ns, "-o", "name"); got != "" {
		t.Errorf("an Ingress stayed: %s", got)
	}
	p := s.browser.open(t, "routed.example.test", "/stream/market?symbols=SPY&timeframe=1m")
	p.first("bar", "SPY", 0)
	before := p.state()
	// Past the 15 s after which gateways that know no better cut an answer.
	began := time.Now()
	eventually(t, hangs, func() string {
		if time.Since(began) < 20*time.Second {
			return "waiting"
		}
		return ""
	})
	p.unbroken(before)
	s.report.figure(t, "bars in 20 s by an HTTPRoute, the stream unbroken", "%d", p.kept())
}

func needsGateway(s *suite) string {
	if !s.kube.own {
		return "only hack/cluster's Gateway is known by name"
	}
	return ""
}
