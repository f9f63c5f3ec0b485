package conditions

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/marketstream/marketstream/api/podreport"
	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/controllers/observed"
	"github.com/marketstream/marketstream/controllers/rollout"
)

var rewrite = flag.Bool("rewrite", false, "write the golden anew")

// well is a stream of two streamers and a node, all of which are well, changed by fn.
func well(fn func(*Input)) *Input {
	two := int32(2)
	in := &Input{
		Stream: &v1alpha1.MarketStream{Spec: v1alpha1.MarketStreamSpec{Shards: &two, Feed: v1alpha1.Feed{Coinbase: &v1alpha1.CoinbaseFeed{}},
			Ingress: &v1alpha1.Ingress{Host: "md.example.com"}}},
		Kinds: observed.Kinds{HTTPRoute: true, ServiceMonitor: true, PrometheusRule: true},
		Seen: &observed.Stream{
			Streamers: observed.Workload{Exists: true, Settled: true, Replicas: 2, Current: "r"},
			Nodes:     observed.Workload{Exists: true, Settled: true, Replicas: 1, Current: "n", Pods: []observed.Pod{{Name: "us-backbone-0", Revision: "n", Ready: true, Running: true, Node: &podreport.Node{Ready: true, Replicas: 1}}}},
			Exposure:  observed.Exposure{Ingress: true, Monitor: true, Rules: true}},
		Document: rollout.DocumentDecision{Revision: "d2", Generation: 2}, Streamers: rollout.Decision{Image: "img:2"},
		Backbone: &rollout.BackboneDecision{Nodes: 1},
	}
	for _, name := range []string{"us-a", "us-b"} {
		in.Seen.Streamers.Pods = append(in.Seen.Streamers.Pods, observed.Pod{Name: name, Revision: "r", Ready: true, Running: true,
			Report: &podreport.Report{ConfigRevision: "d2", Feed: podreport.Feed{State: "connected"}}})
	}
	fn(in)
	return in
}

func TestConditions(t *testing.T) {
	zero := int32(0)
	a := func(in *Input) *observed.Pod { return &in.Seen.Streamers.Pods[0] }
	node := func(in *Input) *observed.Pod { return &in.Seen.Nodes.Pods[0] }
	var b strings.Builder
	for _, c := range []struct {
		name string
		fn   func(*Input)
	}{
		{"all is well", func(*Input) {}},
		{"just made", func(in *Input) {
			*in.Seen = observed.Stream{}
			in.Wrote, in.Streamers.Why = true, []string{"made: template 1, image img:2"}
		}},
		{"a streamer starts", func(in *Input) { a(in).Ready, a(in).Report = false, nil }},
		{"no node takes a streamer", func(in *Input) {
			a(in).Ready, a(in).Running, a(in).Report, a(in).Unscheduled = false, false, nil, "0/3 nodes are available: insufficient memory"
		}},
		{"a bad image", func(in *Input) { a(in).Ready, a(in).Stuck = false, "ImagePullBackOff: the image x cannot be pulled" }},
		{"the pod of a bad image that is rolled back", func(in *Input) {
			a(in).Ready, a(in).Stuck, a(in).Revision = false, "ImagePullBackOff: the image x cannot be pulled", "old"
		}},
		{"a document is read", func(in *Input) { a(in).Report.ConfigRevision = "d1" }},
		{"a document is refused", func(in *Input) {
			a(in).Report.ConfigRevision, a(in).Report.ConfigReason, a(in).Report.ConfigError = "d1", "NotAvailable", "spec.access.auth: not available yet"
		}},
		{"the log has another kind of data", func(in *Input) {
			a(in).Report.ConfigReason, a(in).Report.ConfigError = "DataOfAnotherFeed", "the log has invented data"
		}},
		{"a change that only a new pod takes", func(in *Input) {
			a(in).Report.ConfigRevision, a(in).Report.ConfigReason, a(in).Report.ConfigError, a(in).Revision = "d1", "NeedsRestart", "spec.feed: start again", "old"
		}},
		{"a field that the image does not know", func(in *Input) { in.Document.Held, in.Document.Why = true, []string{"held: it needs level 2"} }},
		{"a key is missing from the start", func(in *Input) {
			for i := range in.Seen.Streamers.Pods {
				p := &in.Seen.Streamers.Pods[i]
				p.Ready, p.Report.Ready, p.Report.Feed.State = false, false, ""
				p.Report.Secrets = []podreport.Secret{{Name: "polygon", State: "bad", Reason: "it has no key apiKey"}}
			}
		}},
		{"a key that was loaded is missing", func(in *Input) {
			a(in).Report.Secrets = []podreport.Secret{{Name: "polygon", State: "missing"}}
			in.Seen.Streamers.Pods[1].Report.Secrets = a(in).Report.Secrets
		}},
		{"the vendor is away", func(in *Input) { a(in).Report.Feed = podreport.Feed{State: "disconnected", Reason: "dial: refused"} }},
		{"the recording is over", func(in *Input) {
			a(in).Report.Feed.State, in.Seen.Streamers.Pods[1].Report.Feed.State = "ended", "ended"
		}},
		{"a key of one connection is shared", func(in *Input) { in.Shares = []string{"ns/other"} }},
		{"the only node is away", func(in *Input) { node(in).Ready, node(in).Silent = false, "it does not answer" }},
		{"one node of three is away", func(in *Input) {
			in.Backbone.Nodes, in.Seen.Nodes.Replicas = 3, 3
			in.Seen.Nodes.Pods = append(in.Seen.Nodes.Pods, *node(in), *node(in))
			in.Seen.Nodes.Pods[2].Ready = false
		}},
		{"the backbone moves", func(in *Input) { in.Backbone.Nodes, in.Backbone.Moving, node(in).Ready = 3, "1 → 3: copying", false }},
		{"an external backbone", func(in *Input) {
			in.Backbone, in.Stream.Spec.Backbone = nil, &v1alpha1.Backbone{External: &v1alpha1.ExternalBackbone{URL: "nats://theirs:4222"}}
		}},
		{"hibernated", func(in *Input) {
			in.Stream.Spec.Shards, in.Seen.Streamers.Replicas, in.Seen.Streamers.Pods = &zero, 0, nil
		}},
		{"scaling in", func(in *Input) {
			one := int32(1)
			in.Stream.Spec.Shards, in.Streamers.Why = &one, []string{"scales in from 2 to 1, one at a time"}
		}},
		{"paused", func(in *Input) { in.Stream.Annotations = map[string]string{v1alpha1.AnnotationPaused: "true"} }},
		{"paused in the middle", func(in *Input) {
			in.Stream.Annotations = map[string]string{v1alpha1.AnnotationPaused: "true"}
			a(in).Report.ConfigRevision = "d1"
		}},
		{"somebody else's object", func(in *Input) { in.Conflicts = []string{"Service us"} }},
		{"somebody else's objects", func(in *Input) { in.Conflicts = []string{"Service us", "ConfigMap us-config"} }},
		{"a quota", func(in *Input) {
			in.Seen.Streamers.Failure, in.Seen.Streamers.Pods = `pods "us" is forbidden: exceeded quota: q`, in.Seen.Streamers.Pods[:1]
		}},
		{"the namespace goes", func(in *Input) {
			in.FailureReason, in.Failure = "NamespaceTerminating", "the namespace is being deleted"
		}},
		{"a route without its kind", func(in *Input) { in.Stream.Spec.Gateway, in.Kinds.HTTPRoute = &v1alpha1.Gateway{}, false }},
		{"a route that nobody accepts", func(in *Input) {
			in.Stream.Spec.Gateway, in.Seen.Exposure.Route, in.Seen.Exposure.RouteSays = &v1alpha1.Gateway{}, true, "NoMatchingParent: no such listener"
		}},
		{"a route that is accepted", func(in *Input) {
			in.Stream.Spec.Gateway, in.Seen.Exposure.Route, in.Seen.Exposure.RouteAccepted = &v1alpha1.Gateway{}, true, true
		}},
		{"no exposure", func(in *Input) { in.Stream.Spec.Ingress = nil }},
		{"no Prometheus operator", func(in *Input) {
			in.Kinds, in.Seen.Exposure.Monitor, in.Seen.Exposure.Rules = observed.Kinds{}, false, false
		}},
		{"no Prometheus operator, and asked for", func(in *Input) {
			in.Kinds, in.Seen.Exposure.Monitor = observed.Kinds{}, false
			in.Stream.Spec.Monitoring = &v1alpha1.Monitoring{ServiceMonitor: v1alpha1.SwitchEnabled}
		}},
		{"no monitoring", func(in *Input) {
			in.Seen.Exposure.Monitor, in.Seen.Exposure.Rules = false, false
			in.Stream.Spec.Monitoring = &v1alpha1.Monitoring{ServiceMonitor: v1alpha1.SwitchDisabled, Rules: v1alpha1.SwitchDisabled}
		}},
	} {
		fmt.Fprintf(&b, "%s\n", c.name)
		for _, k := range Of(well(c.fn)) {
			fmt.Fprintf(&b, "  %-14s %-8s %s%s\n", k.Type, k.Status, k.Reason, message(k.Message))
		}
	}
	file := filepath.Join("testdata", "conditions.txt")
	if *rewrite {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != b.String() {
		t.Errorf("%s is another (-rewrite writes it anew; read the difference):\n%s", file, b.String())
	}
}

func message(m string) string {
	if m == "" {
		return ""
	}
	return ": " + m
}
