package policytest

import (
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// The policies.
const (
	Secrets = "marketstream-secrets"
	Shape   = "marketstream-shape"
)

// Case is a request. Its objects are good by the CRD's rules.
type Case struct {
	Name   string
	Policy string
	// Rule is what the refusal begins with, the path of a field. Each rule has a case that it refuses
	// and one that it admits.
	Rule string
	// MayGet are the Secrets that who asks may get.
	MayGet []string
	// Old is what there is (nil: this is a create), New what is asked for.
	Old, New map[string]any
	Refused  bool
	// Says is in the refusal, besides the rule.
	Says []string
}

// Namespace of all objects.
const Namespace = "team-a"

// Object is a good MarketStream whose spec (YAML) and annotations are these.
func Object(spec string, annotations map[string]any) map[string]any {
	o := map[string]any{
		"apiVersion": "marketstream.dev/v1alpha1", "kind": "MarketStream",
		"metadata": map[string]any{"name": "demo", "namespace": Namespace},
	}
	var s map[string]any
	if err := yaml.Unmarshal([]byte(spec), &s); err != nil {
		panic(fmt.Sprintf("%v in %s", err, spec)) // the table is ours
	}
	s["symbols"] = []any{"SPY"}
	if s["feed"] == nil {
		s["feed"] = map[string]any{"kraken": map[string]any{}}
	}
	o["spec"] = s
	if annotations != nil {
		o["metadata"].(map[string]any)["annotations"] = annotations
	}
	return whole(o)
}

// whole has numbers as the API server's decoder does: int64 where they are whole.
func whole(o map[string]any) map[string]any {
	text, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(text); err != nil {
		panic(err)
	}
	return u.Object
}

// reference is a place in the object that names a Secret.
type reference struct {
	rule, secret string
	spec         string // the object that names it
	other        string // the same, naming another Secret "other"
	without      string // the same, naming none
	// handed are changes that hand it over, kept are some that do not.
	handed, kept []string
}

const (
	polygon  = "feed: {polygon: {apiKeySecretRef: {name: key, key: apiKey}%s}}"
	alpaca   = "feed: {alpaca: {keySecretRef: {name: key}%s}}"
	external = "backbone: {external: {url: '%s', credentialsSecretRef: {name: key, key: creds}}}"
	pin      = "access: {auth: {pin: {secretRef: {name: key, key: pin}}}}"
	session  = "access: {auth: {pin: {secretRef: {name: pin, key: pin}, sessionKeyRef: {name: key, key: k}}}}"

	image     = "\npod: {image: 'example/other:1'}"
	env       = "\npod: {env: [{name: HTTPS_PROXY, value: 'http://example.com'}]}"
	harmless  = "\nshards: 3\nstream: {ticks: Enabled}\npod: {labels: {a: b}, nodeSelector: {c: d}}\ningress: {host: a.example.com}"
	endpoint  = ", endpoint: 'wss://example.com'"
	rest      = ", restEndpoint: 'https://example.com'"
	connected = ", connections: 2"
)

var references = []reference{
	{rule: "spec.feed.polygon.apiKeySecretRef", secret: "key", spec: fmt.Sprintf(polygon, ""),
		other:  "feed: {polygon: {apiKeySecretRef: {name: other, key: apiKey}}}",
		handed: []string{fmt.Sprintf(polygon, endpoint), fmt.Sprintf(polygon, rest), fmt.Sprintf(polygon, "") + image, fmt.Sprintf(polygon, "") + env, "feed: {polygon: {apiKeySecretRef: {name: key, key: another}}}"},
		kept:   []string{fmt.Sprintf(polygon, connected), fmt.Sprintf(polygon, "") + harmless}},
	{rule: "spec.feed.alpaca.keySecretRef", secret: "key", spec: fmt.Sprintf(alpaca, ""),
		other:  "feed: {alpaca: {keySecretRef: {name: other}}}",
		handed: []string{fmt.Sprintf(alpaca, endpoint), fmt.Sprintf(alpaca, rest), fmt.Sprintf(alpaca, "") + image, fmt.Sprintf(alpaca, "") + env},
		kept:   []string{fmt.Sprintf(alpaca, connected+", feed: SIP"), fmt.Sprintf(alpaca, "") + harmless}},
	{rule: "spec.access.auth.pin.secretRef", secret: "key", spec: pin,
		other:  strings.Replace(pin, "name: key", "name: other", 1),
		handed: []string{pin + image, pin + env, strings.Replace(pin, "key: pin", "key: another", 1)},
		kept:   []string{pin + harmless, pin + "\nfeed: {kraken: {endpoint: 'wss://example.com'}}"}},
	{rule: "spec.access.auth.pin.sessionKeyRef", secret: "key", spec: session,
		other:  strings.Replace(session, "name: key", "name: other", 1),
		handed: []string{session + image, session + env},
		kept:   []string{session + harmless}},
	{rule: "spec.access.tlsSecretName", secret: "key", spec: "access: {tlsSecretName: key}", other: "access: {tlsSecretName: other}",
		handed: []string{"access: {tlsSecretName: key}" + image, "access: {tlsSecretName: key}" + env},
		kept:   []string{"access: {tlsSecretName: key}" + harmless}},
	{rule: "spec.backbone.external.credentialsSecretRef", secret: "key", spec: fmt.Sprintf(external, "nats://a"),
		without: "backbone: {external: {url: 'nats://a'}}",
		other:   strings.Replace(fmt.Sprintf(external, "nats://a"), "name: key", "name: other", 1),
		handed:  []string{fmt.Sprintf(external, "nats://b"), fmt.Sprintf(external, "nats://a") + image, fmt.Sprintf(external, "nats://a") + env},
		kept:    []string{fmt.Sprintf(external, "nats://a") + harmless}},
	{rule: "spec.backbone.tlsSecretName", secret: "key", spec: "backbone: {tlsSecretName: key}", other: "backbone: {tlsSecretName: other}",
		handed: []string{"backbone: {tlsSecretName: key}" + image, "backbone: {tlsSecretName: key}" + env},
		kept:   []string{"backbone: {tlsSecretName: key, replicas: 3}" + harmless}},
	{rule: "spec.ingress.tlsSecretName", secret: "key", spec: "ingress: {host: a, tlsSecretName: key}", other: "ingress: {host: a, tlsSecretName: other}",
		// No pod mounts it.
		kept: []string{"ingress: {host: a, tlsSecretName: key}" + image, "ingress: {host: a, tlsSecretName: key}" + env}},
	{rule: "spec.pod.imagePullSecrets[0]", secret: "key", spec: "pod: {imagePullSecrets: [{name: key}]}", other: "pod: {imagePullSecrets: [{name: other}]}",
		handed: []string{"pod: {image: 'example/other:1', imagePullSecrets: [{name: key}]}"},
		// The kubelet has it, and no process in a pod.
		kept: []string{"pod: {imagePullSecrets: [{name: key}], env: [{name: A, value: b}]}"}},
	{rule: "spec.pod.imagePullSecrets[1]", secret: "key", spec: "pod: {imagePullSecrets: [{name: first}, {name: key}]}", other: "pod: {imagePullSecrets: [{name: first}, {name: other}]}",
		handed: []string{"pod: {image: 'example/other:1', imagePullSecrets: [{name: first}, {name: key}]}"},
		kept:   []string{"pod: {imagePullSecrets: [{name: first}, {name: key}], env: [{name: A, value: b}]}"}},
}

// beside are what an object may name besides the Secret that a case is about.
var beside = []string{"pin", "first"}

// Cases is the table.
func Cases() (cases []Case) {
	for _, r := range references {
		without := r.without
		if without == "" {
			without = "{}"
		}
		allowed := append([]string{r.secret, "other"}, beside...)
		add := func(name string, mayGet []string, old, asked string, refused bool, says string) {
			c := Case{Name: r.rule + ": " + name, Policy: Secrets, Rule: r.rule, MayGet: mayGet, New: Object(asked, nil), Refused: refused}
			if old != "" {
				c.Old = Object(old, nil)
			}
			if refused {
				c.Says = []string{`"` + says + `"`, "may get", "-n " + Namespace}
			}
			cases = append(cases, c)
		}
		add("made by who may get it", allowed, "", r.spec, false, "")
		add("made by who may not", beside, "", r.spec, true, "key")
		add("named anew by who may get it", allowed, without, r.spec, false, "")
		add("named anew by who may not", beside, without, r.spec, true, "key")
		add("another by who may get that", append([]string{"other"}, beside...), r.spec, r.other, false, "")
		add("another by who may not", append([]string{"key"}, beside...), r.spec, r.other, true, "other")
		add("nothing changed", nil, r.spec, r.spec, false, "")
		add("no longer named", nil, r.spec, without, false, "")
		for _, h := range r.handed {
			add("handed over by who may get it: "+h, allowed, r.spec, h, false, "")
			add("handed over by who may not: "+h, beside, r.spec, h, true, "key")
		}
		for _, k := range r.kept {
			add("kept: "+k, nil, r.spec, k, false, "")
		}
	}
	return append(cases, shapes()...)
}

// shape is a rule of the other policy: what it refuses and what it admits.
type shape struct {
	rule        string
	bad, good   []string // specs
	says        string
	annotations [2]map[string]any
}

func shapes() (cases []Case) {
	for _, s := range []shape{
		{rule: "spec.pod.resources: ", says: "cpu",
			bad:  []string{"pod: {resources: {requests: {cpu: 2, memory: 128Mi}, limits: {cpu: 1500m}}}"},
			good: []string{"pod: {resources: {requests: {cpu: '2', memory: 128Mi}, limits: {cpu: 2000m}}}", "pod: {resources: {requests: {cpu: 2}}}"}},
		{rule: "spec.backbone.resources: ", says: "memory",
			bad:  []string{"backbone: {resources: {requests: {memory: 1Gi}, limits: {memory: 512Mi}}}"},
			good: []string{"backbone: {resources: {requests: {memory: 1Gi}, limits: {memory: 1Gi}}}"}},
		{rule: "spec.pod.resources.limits.memory", says: "unit",
			bad:  []string{"pod: {resources: {limits: {memory: 512}}}", "pod: {resources: {limits: {memory: 512m}}}", "pod: {resources: {limits: {memory: 63Mi}}}"},
			good: []string{"pod: {resources: {limits: {memory: 64Mi}}}", "pod: {resources: {limits: {cpu: 1}}}"}},
		{rule: "spec.backbone.resources.limits.memory", says: "unit",
			bad:  []string{"backbone: {resources: {limits: {memory: 512}}}"},
			good: []string{"backbone: {resources: {limits: {memory: 512Mi}}}"}},
		{rule: "resources.claims", says: "requests and limits",
			bad:  []string{"pod: {resources: {claims: [{name: a}]}}", "backbone: {resources: {claims: [{name: a}]}}"},
			good: []string{"pod: {resources: {}}\nbackbone: {resources: {}}"}},
		{rule: "spec.pod.labels", says: "good labels",
			bad:  []string{"pod: {labels: {app.kubernetes.io/name: x}}", "pod: {labels: {marketstream.dev/a: x}}", "pod: {labels: {'a b': c}}", "pod: {labels: {a: 'b c'}}"},
			good: []string{"pod: {labels: {example.com/team: A_1, a: ''}}"}},
		{rule: "spec.pod.annotations", says: "good keys",
			bad:  []string{"pod: {annotations: {marketstream.dev/touched: x}}", "pod: {annotations: {'a b': c}}"},
			good: []string{"pod: {annotations: {example.com/Note: 'any text at all'}}"}},
		{rule: "spec.monitoring.labels", says: "good labels",
			bad:  []string{"monitoring: {labels: {app.kubernetes.io/name: x}}", "monitoring: {labels: {a: '-'}}"},
			good: []string{"monitoring: {labels: {release: prometheus}}"}},
		{rule: "nodeSelector of pod or backbone", says: "good labels",
			bad:  []string{"pod: {nodeSelector: {'a b': c}}", "backbone: {nodeSelector: {a: 'b c'}}"},
			good: []string{"pod: {nodeSelector: {kubernetes.io/arch: arm64}}\nbackbone: {nodeSelector: {disk: ssd}}"}},
		{rule: "annotations of service or ingress", says: "good keys",
			bad:  []string{"service: {annotations: {marketstream.dev/applied: x}}", "ingress: {host: a, annotations: {'a b': c}}"},
			good: []string{"service: {annotations: {example.com/internal: 'true'}}\ningress: {host: a, annotations: {cert-manager.io/cluster-issuer: a}}"}},
		{rule: "spec.pod.env", says: "POD_NAME",
			bad:  []string{"pod: {env: [{name: POD_IP, value: a}]}", "pod: {env: [{name: 'A B', value: a}]}", "pod: {env: [{name: 1A}]}"},
			good: []string{"pod: {env: [{name: HTTPS_PROXY, value: a}, {name: b.c-d}]}"}},
		{rule: "metadata.annotations[marketstream.dev/paused]", says: `"true"`, annotations: [2]map[string]any{
			{"marketstream.dev/paused": "yes"}, {"marketstream.dev/paused": "true", "other": "yes"}}},
	} {
		add := func(name, spec string, annotations map[string]any, refused bool) {
			c := Case{Name: s.rule + ": " + name, Policy: Shape, Rule: s.rule, New: Object(spec, annotations), Refused: refused}
			if refused {
				c.Says = []string{s.says}
			}
			cases = append(cases, c)
			c.Name, c.Old = c.Name+" (update)", Object("{}", nil)
			cases = append(cases, c)
		}
		if s.annotations[0] != nil {
			add("bad", "{}", s.annotations[0], true)
			add("good", "{}", s.annotations[1], false)
		}
		for _, b := range s.bad {
			add("bad: "+b, b, nil, true)
		}
		for _, g := range s.good {
			add("good: "+g, g, nil, false)
		}
	}
	return cases
}
