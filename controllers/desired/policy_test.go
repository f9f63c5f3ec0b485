package desired_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	networking "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/marketstream/marketstream/controllers/desired"
)

// Nothing in the tests' clusters enforces policies, so they are read here as the API defines them.

// end is one end of a flow: a pod with labels in a namespace, or an address outside.
type end struct {
	namespace string
	labels    labels.Set
	ip        string
}

func (e end) String() string {
	if e.ip != "" {
		return e.ip
	}
	return fmt.Sprintf("%s/%v", e.namespace, e.labels)
}

func pod(namespace, stream, component string) end {
	return end{namespace: namespace, labels: labels.Set(desired.Labels(stream, component))}
}

// flow is a connection, by the pod that a policy is for and who is at the other end.
type flow struct {
	out      bool // from the pod; else to it
	pod, far end
	protocol string
	port     int
}

// allowed reads policies: what none selects is open, else one of them must have a rule for it.
func allowed(t *testing.T, policies []networking.NetworkPolicy, f flow) bool {
	t.Helper()
	selected := false
	for i := range policies {
		p := &policies[i]
		if p.Namespace != f.pod.namespace || !selects(t, &p.Spec.PodSelector, f.pod.labels) {
			continue
		}
		if f.out && slices.Contains(p.Spec.PolicyTypes, networking.PolicyTypeEgress) {
			selected = true
			for _, r := range p.Spec.Egress {
				if hasPort(r.Ports, f) && hasPeer(t, p.Namespace, r.To, f.far) {
					return true
				}
			}
		}
		if !f.out && slices.Contains(p.Spec.PolicyTypes, networking.PolicyTypeIngress) {
			selected = true
			for _, r := range p.Spec.Ingress {
				if hasPort(r.Ports, f) && hasPeer(t, p.Namespace, r.From, f.far) {
					return true
				}
			}
		}
	}
	return !selected
}

func hasPort(ports []networking.NetworkPolicyPort, f flow) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(p networking.NetworkPolicyPort) bool {
		return string(*p.Protocol) == f.protocol && p.Port.IntValue() == f.port
	})
}

func hasPeer(t *testing.T, own string, peers []networking.NetworkPolicyPeer, e end) bool {
	t.Helper()
	if len(peers) == 0 {
		return true
	}
	for _, p := range peers {
		switch {
		case p.IPBlock != nil:
			if e.ip != "" && inBlock(t, p.IPBlock, net.ParseIP(e.ip)) {
				return true
			}
		case e.ip != "":
		case p.NamespaceSelector != nil:
			names := labels.Set{"kubernetes.io/metadata.name": e.namespace}
			if selects(t, p.NamespaceSelector, names) && (p.PodSelector == nil || selects(t, p.PodSelector, e.labels)) {
				return true
			}
		case e.namespace == own && selects(t, p.PodSelector, e.labels):
			return true
		}
	}
	return false
}

func inBlock(t *testing.T, b *networking.IPBlock, ip net.IP) bool {
	t.Helper()
	_, block, err := net.ParseCIDR(b.CIDR)
	if err != nil {
		t.Fatal(err)
	}
	in := block.Contains(ip)
	for _, e := range b.Except {
		_, except, err := net.ParseCIDR(e)
		if err != nil || except.String() != e || !block.Contains(except.IP) { // an API server refuses it
			t.Fatalf("except %s of %s: not a part of it, or not in its canonical form: %v", e, b.CIDR, err)
		}
		in = in && !except.Contains(ip)
	}
	return in
}

func selects(t *testing.T, s *metav1.LabelSelector, l labels.Set) bool {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return selector.Matches(l)
}

// policies of a spec, as they are sent.
func policies(t *testing.T, spec string) (out []networking.NetworkPolicy) {
	t.Helper()
	if !strings.Contains(spec, "feed:") {
		spec = "feed: {synthetic: {}}, " + spec
	}
	in := input(t, []byte("{apiVersion: marketstream.dev/v1alpha1, kind: MarketStream, metadata: {name: us, namespace: md}, spec: {symbols: [SPY], "+spec+"}}"))
	if strings.Contains(spec, "serviceMonitor: Auto") {
		in.Kinds.ServiceMonitor = false // asked for where it can't be
	}
	all, order := bodies(t, in)
	for _, id := range order {
		if all[id]["kind"] != "NetworkPolicy" {
			continue
		}
		var p networking.NetworkPolicy
		if err := yaml.UnmarshalStrict([]byte(text(t, all[id])), &p); err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// TestFlows: what each kind of stream may reach, and who may reach it.
func TestFlows(t *testing.T) {
	const (
		synthetic  = ""
		coinbase   = "feed: {coinbase: {}}"
		endpoint   = `feed: {coinbase: {endpoint: "wss://md.example.com:8443/feed"}}`
		both       = `feed: {coinbase: {endpoint: "ws://[2001:db8::1]/feed", restEndpoint: "http://rest.example.com:8081"}}`
		replay     = "feed: {replay: {path: a.csv}}"
		jwt        = `access: {auth: {jwt: {issuer: a, jwksURL: "https://keys.example.com/jwks"}}}`
		external   = `backbone: {external: {url: "nats://nats.other.svc"}}`
		externals  = `backbone: {external: {url: "tls://a.example.com:4443,tls://b.example.com:4444"}}`
		extra      = "networkPolicy: {extraEgress: [{cidr: 10.9.0.0/16, port: 3128}, {cidr: 192.168.7.7/32}]}"
		scrapeTwo  = "networkPolicy: {scrapeFrom: [prometheus, metrics]}"
		scrapeNone = "networkPolicy: {scrapeFrom: []}"
		noMonitor  = "monitoring: {serviceMonitor: Disabled}"
		noCRD      = "monitoring: {serviceMonitor: Auto}"
		none       = "networkPolicy: {mode: None}"
	)
	streamer, node := pod("md", "us", "streamer"), pod("md", "us", "backbone")
	otherStreamer, otherNode := pod("md", "eu", "streamer"), pod("md", "eu", "backbone")
	elsewhere := pod("other", "us", "streamer") // same labels, another namespace
	operator := end{namespace: "marketstream-system", labels: labels.Set{"app": "operator"}}
	prometheus := end{namespace: "prometheus", labels: labels.Set{"app": "prometheus"}}
	router := end{namespace: "traefik", labels: labels.Set{"app": "traefik"}}
	names := end{namespace: "kube-system", labels: labels.Set{"k8s-app": "kube-dns"}}
	out := func(from, to end, port int) flow { return flow{true, from, to, "TCP", port} }
	in := func(from, to end, port int) flow { return flow{false, to, from, "TCP", port} }
	at := func(ip string) end { return end{ip: ip} }
	for _, c := range []struct {
		spec string
		f    flow
		want bool
	}{
		// Names, asked of whoever answers.
		{synthetic, flow{true, streamer, names, "UDP", 53}, true},
		{synthetic, out(streamer, names, 53), true},
		{synthetic, flow{true, streamer, at("169.254.20.10"), "UDP", 53}, true},
		{synthetic, flow{true, node, names, "UDP", 53}, true},
		{synthetic, flow{true, streamer, names, "UDP", 5353}, false},

		// The backbone.
		{synthetic, out(streamer, node, 4222), true},
		{synthetic, in(streamer, node, 4222), true},
		{synthetic, out(streamer, node, 6222), false},
		{synthetic, in(streamer, node, 6222), false},
		{synthetic, in(streamer, node, 8222), true}, // every namespace may scrape, ours too
		{scrapeNone, in(streamer, node, 8222), false},
		{synthetic, out(streamer, otherNode, 4222), false},
		{synthetic, in(otherStreamer, node, 4222), false},
		{synthetic, in(elsewhere, node, 4222), false},
		{synthetic, in(operator, node, 4222), false},
		{synthetic, in(at("203.0.113.9"), node, 4222), false},
		{synthetic, out(node, node, 6222), true},
		{synthetic, in(node, node, 6222), true},
		{synthetic, in(otherNode, node, 6222), false},
		{synthetic, out(node, otherNode, 6222), false},
		{synthetic, out(node, streamer, 9090), false},
		{coinbase, out(node, at("203.0.113.9"), 443), false}, // nodes know no vendor

		// An invented feed and a recorded one talk to nobody.
		{synthetic, out(streamer, at("203.0.113.9"), 443), false},
		{replay, out(streamer, at("203.0.113.9"), 443), false},
		{synthetic, out(streamer, router, 443), false},

		// A vendor's does, at 443 in public.
		{coinbase, out(streamer, at("203.0.113.9"), 443), true},
		{coinbase, out(streamer, at("2606:4700::1"), 443), true},
		{coinbase, out(streamer, at("203.0.113.9"), 80), false},
		{coinbase, flow{true, streamer, at("203.0.113.9"), "UDP", 443}, false},
		{coinbase, out(streamer, at("10.1.2.3"), 443), false},
		{coinbase, out(streamer, at("172.16.0.1"), 443), false},
		{coinbase, out(streamer, at("172.31.255.255"), 443), false},
		{coinbase, out(streamer, at("172.32.0.1"), 443), true},
		{coinbase, out(streamer, at("192.168.1.1"), 443), false},
		{coinbase, out(streamer, at("169.254.169.254"), 443), false},
		{coinbase, out(streamer, at("127.0.0.1"), 443), false},
		{coinbase, out(streamer, at("100.64.0.1"), 443), false},
		{coinbase, out(streamer, at("100.128.0.1"), 443), true},
		{coinbase, out(streamer, at("0.0.0.0"), 443), false},
		{coinbase, out(streamer, at("224.0.0.1"), 443), false},
		{coinbase, out(streamer, at("255.255.255.255"), 443), false},
		{coinbase, out(streamer, at("::1"), 443), false},
		{coinbase, out(streamer, at("fd00::1"), 443), false},
		{coinbase, out(streamer, at("fe80::1"), 443), false},
		{coinbase, out(streamer, at("ff02::1"), 443), false},
		{coinbase, out(streamer, router, 443), false},

		// A given endpoint: its port anywhere; the vendor's own beside it while one of the two is not given.
		{endpoint, out(streamer, at("10.1.2.3"), 8443), true},
		{endpoint, out(streamer, router, 8443), true},
		{endpoint, out(streamer, at("203.0.113.9"), 443), true},
		{endpoint, out(streamer, at("10.1.2.3"), 443), false},
		{both, out(streamer, at("10.1.2.3"), 80), true},
		{both, out(streamer, at("10.1.2.3"), 8081), true},
		{both, out(streamer, at("203.0.113.9"), 443), false},

		// Keys of an issuer, wherever they are.
		{jwt, out(streamer, at("203.0.113.9"), 443), true},
		{jwt, out(streamer, router, 443), true},
		{jwt, out(node, at("203.0.113.9"), 443), false},

		// Somebody else's NATS.
		{external, out(streamer, end{namespace: "other", labels: labels.Set{"app": "nats"}}, 4222), true},
		{external, out(streamer, at("203.0.113.9"), 4222), true},
		{external, out(streamer, at("203.0.113.9"), 443), false},
		{externals, out(streamer, at("203.0.113.9"), 4443), true},
		{externals, out(streamer, at("203.0.113.9"), 4444), true},
		{externals, out(streamer, at("203.0.113.9"), 4222), false},
		{external, out(node, at("203.0.113.9"), 4222), true}, // nodes are nobody's: no policy of ours selects them

		// What the user adds.
		{extra, out(streamer, at("10.9.1.1"), 3128), true},
		{extra, out(streamer, at("10.9.1.1"), 3129), false},
		{extra, out(streamer, at("10.10.1.1"), 3128), false},
		{extra, out(streamer, at("192.168.7.7"), 1), true},
		{extra, out(streamer, at("192.168.7.8"), 1), false},
		{extra, out(node, at("10.9.1.1"), 3128), false},

		// Browsers come from everywhere.
		{synthetic, in(router, streamer, 8080), true},
		{synthetic, in(at("203.0.113.9"), streamer, 8080), true},
		{synthetic, in(router, streamer, 8081), false},

		// The internal port is for our own pods, the operator and Prometheus.
		{scrapeNone, in(streamer, streamer, 9090), true},
		{scrapeNone, out(streamer, streamer, 9090), true},
		{scrapeNone, out(streamer, otherStreamer, 9090), false},
		{scrapeNone, in(otherStreamer, streamer, 9090), false},
		{scrapeNone, in(elsewhere, streamer, 9090), false},
		{scrapeNone, in(node, streamer, 9090), false},
		{scrapeNone, in(operator, streamer, 9090), true},
		{scrapeNone, in(operator, node, 8222), true},
		{scrapeNone, in(prometheus, streamer, 9090), false},
		{scrapeNone, in(prometheus, node, 8222), false},
		{scrapeTwo, in(prometheus, streamer, 9090), true},
		{scrapeTwo, in(prometheus, node, 8222), true},
		{scrapeTwo, in(router, streamer, 9090), false},
		{synthetic, in(prometheus, streamer, 9090), true},
		{synthetic, in(router, streamer, 9090), true},
		{synthetic, in(at("203.0.113.9"), streamer, 9090), false},
		{noMonitor, in(prometheus, streamer, 9090), false},
		{noMonitor, in(operator, streamer, 9090), true},
		{noCRD, in(prometheus, streamer, 9090), false},

		{none, in(at("203.0.113.9"), node, 4222), true},
	} {
		if got := allowed(t, policies(t, c.spec), c.f); got != c.want {
			way := "to"
			if !c.f.out {
				way = "from"
			}
			t.Errorf("spec {%s}: %s %s %s %s:%d is allowed: %v", c.spec, c.f.pod, way, c.f.far, c.f.protocol, c.f.port, got)
		}
	}
}
