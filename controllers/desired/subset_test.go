package desired_test

import (
	"encoding/json"
	"strings"
	"testing"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/marketstream/marketstream/controllers/desired"
)

// parse reads YAML as a client does: integers are int64.
func parse(t *testing.T, document string) map[string]any {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]any)
	if err := utiljson.Unmarshal(asJSON, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSubset: path is the first that differs; empty: nothing does.
func TestSubset(t *testing.T) {
	containers := func(inner string) string { return "spec: {template: {spec: {containers: [" + inner + "]}}}" }
	for _, c := range []struct{ name, want, live, path string }{
		{"nothing wanted", "{}", "a: 1", ""},
		{"others add", "a: {b: 1}", "{a: {b: 1, c: 2}, d: 3}", ""},
		{"another value", "a: {b: 1}", "a: {b: 2}", "a.b"},
		{"missing", "a: {b: 1}", "a: {c: 1}", "a.b"},
		{"the first by name", "{b: 1, a: {z: 1, k: 1}}", "{b: 2, a: {}}", "a.k"},
		{"a key with dots", "{metadata: {labels: {example.com/a: x}}}", "metadata: {labels: {example.com/a: z}}", "metadata.labels[example.com/a]"},
		{"another type", "a: {b: 1}", "a: [1]", "a"},
		{"another type of list", "a: [1]", "a: 1", "a"},
		{"text is no number", `a: "1"`, "a: 1", "a"},
		{"number is no text", "a: 1", `a: "1"`, "a"},
		{"bool", "a: true", "a: false", "a"},
		{"bool is no text", "a: true", `a: "true"`, "a"},
		{"whole and broken numbers", "a: 1", "a: 1.0", ""},
		{"broken numbers", "a: 1.5", "a: 1.25", "a"},
		{"large numbers", "a: 9007199254740993", "a: 9007199254740992", "a"},

		{"atomic list", "a: [x, z]", "a: [x, z]", ""},
		{"atomic list in another order", "a: [x, z]", "a: [z, x]", "a[0]"},
		{"atomic list with more", "a: [x]", "a: [x, z]", "a"},
		{"atomic list with less", "a: [x, z]", "a: [x]", "a"},
		{"atomic list with filled-in fields", "a: [{b: 1}, {b: 2}]", "a: [{b: 1, c: 9}, {b: 2, c: 9}]", ""},
		{"in an atomic list", "a: [{b: 1}, {b: 2}]", "a: [{b: 1}, {b: 3}]", "a[1].b"},
		{"args are atomic", containers("{name: x, args: [a]}"), containers("{name: x, args: [a, b]}"), "spec.template.spec.containers[name=x].args"},

		{"containers by name", containers("{name: x, image: i}"), containers("{name: sidecar, image: s}, {name: x, image: i, imagePullPolicy: Always}"), ""},
		{"another image", containers("{name: x, image: i}"), containers("{name: sidecar, image: i}, {name: x, image: k}"), "spec.template.spec.containers[name=x].image"},
		{"container missing", containers("{name: x}"), containers("{name: w}"), "spec.template.spec.containers[name=x]"},
		{"env by name", containers("{name: x, env: [{name: A, value: b}]}"), containers("{name: x, env: [{name: C}, {name: A, value: b}]}"), ""},
		{"env without a value", containers("{name: x, env: [{name: A}]}"), containers("{name: x, env: [{name: A}]}"), ""},
		{"env's value", containers("{name: x, env: [{name: A, value: b}]}"), containers("{name: x, env: [{name: A, value: c}]}"), "spec.template.spec.containers[name=x].env[name=A].value"},
		{"ports of a container", containers("{name: x, ports: [{containerPort: 80, name: h}]}"),
			containers("{name: x, ports: [{containerPort: 80, protocol: UDP}, {containerPort: 80, protocol: TCP, name: h}]}"), ""},
		{"port of another protocol", containers("{name: x, ports: [{containerPort: 53, protocol: UDP}]}"),
			containers("{name: x, ports: [{containerPort: 53, protocol: TCP}]}"), "spec.template.spec.containers[name=x].ports[containerPort=53,protocol=UDP]"},
		{"ports of init containers", "spec: {initContainers: [{name: x, ports: [{containerPort: 1}]}]}", "spec: {initContainers: [{name: x, ports: [{containerPort: 2, protocol: TCP}, {containerPort: 1, protocol: TCP}]}]}", ""},
		{"mounts by path", containers("{name: x, volumeMounts: [{mountPath: /a, name: v}]}"),
			containers("{name: x, volumeMounts: [{mountPath: /b, name: v}, {mountPath: /a, name: w}]}"), "spec.template.spec.containers[name=x].volumeMounts[mountPath=/a].name"},
		{"volumes by name", "spec: {volumes: [{name: a, secret: {secretName: s}}]}", "spec: {volumes: [{name: b}, {name: a, secret: {secretName: s, defaultMode: 420}}]}", ""},
		{"pull secrets by name", "imagePullSecrets: [{name: a}]", "imagePullSecrets: [{name: b}, {name: a}]", ""},
		{"spread by both keys", "spec: {topologySpreadConstraints: [{topologyKey: z, whenUnsatisfiable: ScheduleAnyway, maxSkew: 1}]}",
			"spec: {topologySpreadConstraints: [{topologyKey: z, whenUnsatisfiable: DoNotSchedule, maxSkew: 2}, {topologyKey: z, whenUnsatisfiable: ScheduleAnyway, maxSkew: 1}]}", ""},
		{"owners by uid", "metadata: {ownerReferences: [{uid: a, controller: true}]}", "metadata: {ownerReferences: [{uid: b}, {uid: a, controller: false}]}", "metadata.ownerReferences[uid=a].controller"},
		{"ports of a Service", "spec: {ports: [{port: 80, protocol: TCP, targetPort: http}]}", "spec: {ports: [{port: 443, protocol: TCP}, {port: 80, protocol: TCP, targetPort: http, nodePort: 30080}]}", ""},
		{"ports of a policy are atomic", "spec: {egress: [{ports: [{port: 53, protocol: UDP}]}]}", "spec: {egress: [{ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]}]}", "spec.egress[0].ports"},
		{"groups of rules by name", "spec: {groups: [{name: a, rules: [{alert: x}]}]}", "spec: {groups: [{name: b}, {name: a, rules: [{alert: x}]}]}", ""},
		{"rules are atomic", "spec: {groups: [{name: a, rules: [{alert: x}]}]}", "spec: {groups: [{name: a, rules: [{alert: x}, {alert: z}]}]}", "spec.groups[name=a].rules"},

		{"quantities are text, canonical in both", "resources: {limits: {cpu: \"1\"}}", "resources: {limits: {cpu: \"1\", memory: 1Gi}}", ""},
		{"another quantity", "resources: {limits: {cpu: \"1\"}}", "resources: {limits: {cpu: 500m}}", "resources.limits.cpu"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, same := desired.Subset(parse(t, c.want), parse(t, c.live))
			if path != c.path || same != (c.path == "") {
				t.Errorf("differs at %q, same %v; want %q", path, same, c.path)
			}
		})
	}
}

// TestSubsetNumbers: by whichever decoder they came.
func TestSubsetNumbers(t *testing.T) {
	for _, want := range []any{int(3), int32(3), int64(3), float32(3), float64(3), json.Number("3"), json.Number("3.0")} {
		for _, live := range []any{int64(3), float64(3), json.Number("3")} {
			if path, same := desired.Subset(map[string]any{"n": want}, map[string]any{"n": live}); !same || path != "" {
				t.Errorf("%T and %T differ", want, live)
			}
			if path, same := desired.Subset(map[string]any{"n": want}, map[string]any{"n": int64(4)}); same || path != "n" {
				t.Errorf("%T 3 is 4", want)
			}
		}
	}
}

// TestBodiesHold: each body lies in itself with what a server fills in, and is found missing in itself
// without any one of its values.
func TestBodiesHold(t *testing.T) {
	for name := range cases {
		all, _ := bodies(t, load(t, name))
		for id, body := range all {
			live := parse(t, text(t, body))
			if path, same := desired.Subset(body, live); !same || path != "" {
				t.Fatalf("%s %s: is not in itself: %s", name, id, path)
			}
			fill(live)
			if path, same := desired.Subset(body, live); !same {
				t.Errorf("%s %s: is not in itself with more: %s", name, id, path)
			}
			leaves := 0
			spoilEach(live, func(what string) {
				leaves++
				if path, same := desired.Subset(body, live); same || path == "" {
					t.Errorf("%s %s: nobody sees that %s is another", name, id, what)
				}
			})
			if leaves < 15 {
				t.Errorf("%s %s: only %d values", name, id, leaves)
			}
		}
	}
}

// fill adds a field to each map, as defaults do.
func fill(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			fill(e)
		}
		v["filledIn"] = "by the server"
	case []any:
		for _, e := range v {
			fill(e)
		}
	}
}

// spoilEach changes one value after the other, and back.
func spoilEach(v any, look func(what string)) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if k == "filledIn" {
				continue
			}
			if isLeaf(e) {
				v[k] = []any{"spoiled"}
				look(k)
				v[k] = e
			} else {
				spoilEach(e, func(what string) { look(strings.Join([]string{k, what}, ".")) })
			}
		}
	case []any:
		for i, e := range v {
			if isLeaf(e) {
				v[i] = []any{"spoiled"}
				look("an element")
				v[i] = e
			} else {
				spoilEach(e, look)
			}
		}
	}
}

func isLeaf(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return false
	}
	return true
}

// TestQuantities: what a user writes is sent as a server keeps it.
func TestQuantities(t *testing.T) {
	all, _ := bodies(t, input(t, []byte(`
apiVersion: marketstream.dev/v1alpha1
kind: MarketStream
metadata: {name: us, namespace: md}
spec:
  symbols: [SPY]
  feed: {synthetic: {}}
  backbone: {storage: {size: 10240Mi}}
  pod: {resources: {requests: {cpu: 1000m, memory: 1024Ki}, limits: {cpu: 0.5, memory: 1024Mi}}}
`)))
	if path, same := desired.Subset(all["deployment-us-streamer"], parse(t, `
spec: {template: {spec: {containers: [{name: streamer, resources: {requests: {cpu: "1", memory: 1Mi}, limits: {cpu: 500m, memory: 1Gi}}}]}}}`)); same || path != "apiVersion" {
		t.Fatal("an object is not a part of a part of it")
	}
	want := parse(t, `{containers: [{name: streamer, resources: {requests: {cpu: "1", memory: 1Mi}, limits: {cpu: 500m, memory: 1Gi}}}]}`)
	live, _ := at(all["deployment-us-streamer"], "spec", "template", "spec").(map[string]any)
	if path, same := desired.Subset(want, live); !same {
		t.Errorf("%s is another", path)
	}
	want = parse(t, `{volumeClaimTemplates: [{spec: {resources: {requests: {storage: 10Gi}}}}]}`)
	live, _ = at(all["statefulset-us-backbone"], "spec").(map[string]any)
	if path, same := desired.Subset(want, live); !same {
		t.Errorf("%s is another", path)
	}
}
