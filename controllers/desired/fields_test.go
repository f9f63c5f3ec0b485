package desired_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/controllers/desired"
)

// touched says what a change of a field touches. The longest path that begins another counts.
var touched = map[string]string{
	"symbols":                           "document",
	"timeframes":                        "document",
	"shards":                            "-", // Workload.Replicas says how many
	"feed":                              "document",
	"feed.alpaca.keySecretRef":          "document streamer", // mounted
	"feed.alpaca.endpoint":              "document policy",
	"feed.alpaca.restEndpoint":          "document policy",
	"bars":                              "document",
	"stream":                            "document",
	"history":                           "document",
	"access":                            "document",
	"access.auth":                       "document streamer",
	"access.auth.pin.secretRef.key":     "document",
	"access.auth.pin.sessionKeyRef.key": "document",
	"access.auth.pin.sessionKeyRef":     "document streamer",
	"access.tlsSecretName":              "document streamer service ingress route",
	"service":                           "service",
	"ingress":                           "ingress",
	"gateway":                           "route",
	"backbone.replicas":                 "-", // BackboneNodes says how many
	"backbone.storage.size":             "backbone claim",
	"backbone.storage.className":        "claim",
	"backbone.storage.whenDeleted":      "", // whichever way it is absent
	"backbone.retention":                "document",
	"backbone.resources":                "backbone",
	"backbone.nodeSelector":             "backbone",
	"backbone.tolerations":              "backbone",
	"backbone.tlsSecretName":            "backbone streamer",
	"networkPolicy":                     "policy",
	"networkPolicy.mode":                "",
	"monitoring":                        "monitoring",
	"monitoring.serviceMonitor":         "",
	"monitoring.rules":                  "",
	"monitoring.symbolLabels":           "document",
	"pod":                               "streamer",
	"pod.image":                         "-", // Workload.Image says which
	"pod.updates":                       "-",
	"pod.imagePullSecrets":              "streamer backbone",
	"overrides":                         "document",
	"feed.alpaca.connections":           "document",
	"access.auth.pin.secretRef.name":    "document streamer",
}

// parts are what an input comes to, each as text.
func parts(t *testing.T, in *desired.Input) map[string]string {
	t.Helper()
	all, _ := bodies(t, in)
	of := func(path []string, ids ...string) string {
		var out strings.Builder
		for _, id := range slices.Sorted(maps.Keys(all)) {
			for _, want := range ids {
				if strings.HasPrefix(id, want) {
					body := all[id]
					delete(at(body, "metadata", "annotations").(map[string]any), desired.AnnotationApplied)
					out.WriteString(text(t, at(body, path...)))
				}
			}
		}
		return out.String()
	}
	document, err := desired.Document(in.Stream)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"document": string(document),
		"streamer": of([]string{"spec", "template"}, "deployment-"), "backbone": of([]string{"spec", "template"}, "statefulset-"),
		"claim":   of([]string{"spec", "volumeClaimTemplates"}, "statefulset-"),
		"service": of(nil, "service-us-equities"), "ingress": of(nil, "ingress-"), "route": of(nil, "httproute-"),
		"policy": of(nil, "networkpolicy-"), "monitoring": of(nil, "servicemonitor-", "prometheusrule-"),
	}
}

// TestEveryField takes away each field of a stream that has them all, one at a time: what is touched is
// what the table says, and pods have another template exactly if they have another shape.
func TestEveryField(t *testing.T) {
	in := load(t, "everything")
	before := parts(t, in)
	spec, err := yaml.Marshal(in.Stream.Spec)
	if err != nil {
		t.Fatal(err)
	}
	looked := make(map[string]bool)
	for _, path := range paths("", parse(t, string(spec))) {
		cut := parse(t, string(spec))
		remove(cut, strings.Split(path, "."))
		if path == "symbols" || path == "feed" || path == "feed.alpaca" || path == "backbone" || path == "backbone.storage" {
			continue // required, or a heap of others
		}
		other := *in
		stream := in.Stream.DeepCopy()
		stream.Spec = v1alpha1.MarketStreamSpec{}
		if err := yaml.UnmarshalStrict([]byte(text(t, cut)), &stream.Spec); err != nil {
			t.Fatal(err)
		}
		other.Stream = stream
		after := parts(t, &other)
		var changed []string
		for _, part := range slices.Sorted(maps.Keys(before)) {
			if before[part] != after[part] {
				changed = append(changed, part)
			}
		}
		field, want := longest(path)
		looked[field] = true
		heap := false // of fields that touch different things
		for f := range touched {
			heap = heap || strings.HasPrefix(f, path+".")
		}
		wanted := strings.Fields(strings.Trim(want, "-"))
		slices.Sort(wanted)
		if !heap && !slices.Equal(wanted, changed) {
			t.Errorf("without %s %q change, want %q", path, changed, wanted)
		}
		if reshaped, anew := desired.StreamerShape(in.Stream) != desired.StreamerShape(stream), slices.Contains(changed, "streamer"); reshaped != anew {
			t.Errorf("without %s streamers have another template: %v, another shape: %v", path, anew, reshaped)
		}
		if reshaped, anew := desired.BackboneShape(in.Stream) != desired.BackboneShape(stream), slices.Contains(changed, "backbone"); reshaped != anew {
			t.Errorf("without %s nodes have another template: %v, another shape: %v", path, anew, reshaped)
		}
	}
	for field := range touched {
		if !looked[field] && field != "symbols" && field != "feed" {
			t.Errorf("%s is in the table and the stream with everything lacks it", field)
		}
	}
}

// paths are those of all fields, through maps.
func paths(under string, m map[string]any) (out []string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		path := strings.TrimPrefix(under+"."+k, ".")
		out = append(out, path)
		if inner, ok := m[k].(map[string]any); ok && !strings.Contains(k, "/") && k != "annotations" && k != "labels" && k != "nodeSelector" {
			out = append(out, paths(path, inner)...)
		}
	}
	return out
}

func remove(m map[string]any, path []string) {
	if len(path) == 1 {
		delete(m, path[0])
		return
	}
	inner, _ := m[path[0]].(map[string]any)
	remove(inner, path[1:])
}

// longest is the entry of the table for a path.
func longest(path string) (field, want string) {
	for at := path; ; {
		if want, ok := touched[at]; ok {
			return at, want
		}
		i := strings.LastIndexByte(at, '.')
		if i < 0 {
			return "", ""
		}
		at = at[:i]
	}
}

// TestNothingChanges: what means the same is the same document and the same shape.
func TestNothingChanges(t *testing.T) {
	const head = "{apiVersion: marketstream.dev/v1alpha1, kind: MarketStream, metadata: {name: us, namespace: md}, spec: {symbols: [SPY], feed: {synthetic: {}}"
	plain := input(t, []byte(head+"}}"))
	want := parts(t, plain)
	for _, spec := range []string{
		"shards: 1", "backbone: {}", "backbone: {replicas: 1}", "backbone: {storage: {size: 10Gi}}", "backbone: {storage: {size: 10240Mi, whenDeleted: Retain}}",
		"pod: {}", "pod: {topologySpread: Zone, updates: Pinned}", "pod: {affinity: {}, tolerations: [], env: []}", "pod: {labels: {}, nodeSelector: {}}",
		"monitoring: {}", "monitoring: {serviceMonitor: Auto, rules: Auto}", "service: {}", "service: {type: ClusterIP}",
		"networkPolicy: {}", "networkPolicy: {mode: Managed, extraEgress: []}",
	} {
		in := input(t, []byte(head+", "+spec+"}}"))
		if d := cmp.Diff(want, parts(t, in)); d != "" {
			t.Errorf("with %s:\n%s", spec, d)
		}
		if desired.StreamerShape(plain.Stream) != desired.StreamerShape(in.Stream) || desired.BackboneShape(plain.Stream) != desired.BackboneShape(in.Stream) {
			t.Errorf("with %s: another shape", spec)
		}
	}
	other := input(t, []byte(head+", pod: {resources: {}}}}"))
	if desired.StreamerShape(plain.Stream) == desired.StreamerShape(other.Stream) {
		t.Error("no resources at all and none said are one shape")
	}
}

// TestShapesStay: operators before this one left these hashes in annotations. Another hash for the same
// spec would roll the pods of everybody who upgrades: mend the shape, not the test.
func TestShapesStay(t *testing.T) {
	for name, want := range map[string][2]string{
		"minimal":           {"44136fa355b3678a1146ad16f7e8649e", "434a8b22de3578d7b41ba805eea99334"},
		"everything":        {"da89345e0c6bd43eac872efe149dcd75", "332dec8b44a3ba6ef049895ad382c0f0"},
		"external-backbone": {"bd6c06804f9bcef7eb0fa07c30d81bf3", "434a8b22de3578d7b41ba805eea99334"},
		"replay-volume":     {"6ef8c4ac2604cadcb26d1bcfb48ce2b0", "434a8b22de3578d7b41ba805eea99334"},
		"replay-configmap":  {"f96d56f77b89207fd6e91472fd40016d", "434a8b22de3578d7b41ba805eea99334"},
		"polygon":           {"b8bf1d02542353c0e28bc74f887faf4e", "434a8b22de3578d7b41ba805eea99334"},
	} {
		s := load(t, name).Stream
		if got := [2]string{desired.StreamerShape(s), desired.BackboneShape(s)}; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
