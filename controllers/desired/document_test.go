package desired_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/controllers/desired"
)

// TestDocument: pods read what is in the ConfigMap as what the user wrote.
func TestDocument(t *testing.T) {
	for name := range cases {
		in := load(t, name)
		all, _ := bodies(t, in)
		data, _ := all["configmap-"+desired.ConfigName(in.Stream.Name)]["data"].(map[string]any)
		document, _ := data[desired.KeyDocument].(string)
		got, err := v1alpha1.Decode([]byte(document))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if errs := v1alpha1.Validate(got); len(errs) > 0 {
			t.Errorf("%s: %v", name, errs)
		}
		want := in.Stream.Resolve()
		want.Shards = 1 // which a pod does not know
		if d := cmp.Diff(want, got.Resolve(), cmp.AllowUnexported(v1alpha1.Resolved{})); d != "" {
			t.Errorf("%s: pods would run something else:\n%s", name, d)
		}
		if d := cmp.Diff(in.Stream.Spec.Feed, got.Spec.Feed); d != "" {
			t.Errorf("%s: another feed:\n%s", name, d)
		}
		if d := cmp.Diff(in.Stream.Spec.Access, got.Spec.Access); d != "" {
			t.Errorf("%s: another access:\n%s", name, d)
		}
		var generation struct{ CreatedMs, Generation int64 }
		said, _ := data[desired.KeyGeneration].(string)
		if err := json.Unmarshal([]byte(said), &generation); err != nil || generation != struct{ CreatedMs, Generation int64 }(in.Generation) {
			t.Errorf("%s: generation %s: %v", name, said, err)
		}
	}
}

// TestConfigRevision: it is what a pod says of the same bytes (streamer/engine's settings.go).
func TestConfigRevision(t *testing.T) {
	if got := desired.ConfigRevision([]byte("spec: {}\n")); got != "6a5d547248f75080" {
		t.Errorf("%s", got)
	}
}

// TestNames: what is made from the longest name is still a name.
func TestNames(t *testing.T) {
	s := &v1alpha1.MarketStream{}
	s.Name, s.UID = strings.Repeat("a", 40), "0a1b2c3d-0000"
	for _, name := range []string{desired.StreamerName(s.Name), desired.BackboneName(s.Name) + "-0", desired.ConfigName(s.Name),
		desired.InternalName(s.Name), desired.BackboneSecretName(s)} {
		if len(name) > 63 {
			t.Errorf("%s has %d characters", name, len(name))
		}
	}
	if got := desired.BackboneSecretName(s); !strings.HasSuffix(got, "a-0a1b2c3d-backbone") {
		t.Error(got)
	}
}

// TestOursStays: a user's label or variable does not take the place of ours.
func TestOursStays(t *testing.T) {
	in := input(t, []byte(`
apiVersion: marketstream.dev/v1alpha1
kind: MarketStream
metadata: {name: us, namespace: md}
spec:
  symbols: [SPY]
  feed: {synthetic: {}}
  service: {annotations: {marketstream.dev/applied: mine}}
  monitoring: {labels: {app.kubernetes.io/instance: mine}}
  pod:
    labels: {app.kubernetes.io/instance: mine}
    env: [{name: POD_IP, value: mine}, {name: GOMEMLIMIT, value: "1"}]
`))
	all, _ := bodies(t, in)
	if got := at(all["servicemonitor-us"], "metadata", "labels", desired.LabelInstance); got != "us" {
		t.Errorf("the monitor's instance is %v", got)
	}
	if got := at(all["service-us"], "metadata", "annotations", desired.AnnotationApplied); got == "mine" {
		t.Error("what was applied is what a user says")
	}
	deployment := all["deployment-us-streamer"]
	if got := at(deployment, "spec", "template", "metadata", "labels", desired.LabelInstance); got != "us" {
		t.Errorf("a pod's instance is %v", got)
	}
	env := text(t, at(deployment, "spec", "template", "spec", "containers").([]any)[0].(map[string]any)["env"])
	if strings.Contains(env, "mine") || strings.Count(env, "GOMEMLIMIT") != 1 || !strings.Contains(env, `value: "1"`) {
		t.Errorf("the environment is\n%s", env)
	}
}
