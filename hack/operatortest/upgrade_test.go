package operatortest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/controllers/desired"
	"github.com/marketstream/marketstream/controllers/marketstream"
)

// tomorrow is an operator of a version to come: its pods differ.
func tomorrow(o *marketstream.Options) {
	o.Later = []desired.Later{func(component string, pod *corev1ac.PodTemplateSpecApplyConfiguration) {
		c := &pod.Spec.Containers[0]
		c.WithEnv(corev1ac.EnvVar().WithName("TOMORROW").WithValue(component))
		if i := slices.Index(c.Args, "--template-revision"); i >= 0 {
			c.Args[i+1] = fmt.Sprint(desired.Newest + 1)
		}
	}}
}

// TestNewTemplate: an operator whose builders make other pods rolls nothing. What follows moves at once, nodes too;
// what is pinned with its next change that shapes pods. The operator of before can be had back.
func TestNewTemplate(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	op := start(t, ns, nil)
	following := strings.Replace(plain, "ingress: {host: md.example.com}", "pod: {updates: Follow}", 1)
	pinned := strings.Replace(plain, "ingress: {host: md.example.com}", "pod: {}", 1)
	apply(t, ns, "follows", following)
	m := apply(t, ns, "pinned", pinned)
	for _, name := range []string{"follows", "pinned"} {
		quiet(t, says(t, get(t, ns, name), v1alpha1.ConditionReady, "True", "Serving"))
	}
	before := hashes(t, ns)
	op.stop()

	op = start(t, ns, tomorrow)
	builtFrom(t, ns, "follows", desired.Newest+1, "streamer", "backbone")
	quiet(t, says(t, get(t, ns, "follows"), v1alpha1.ConditionReady, "True", "Serving"))
	nudge(t, m, 2)
	after := hashes(t, ns)
	for pod, hash := range before {
		if same := slices.Equal(after[pod], hash); same != strings.HasPrefix(pod, "pinned") {
			t.Errorf("pods of %s are %s, they were %s", pod, after[pod], hash)
		}
	}
	objects, status, touches := op.calls.writes(ns)
	for _, w := range slices.Concat(objects, status, touches) {
		if strings.Contains(w, "/pinned") {
			t.Errorf("the new operator wrote %s", w)
		}
	}
	apply(t, ns, "pinned", strings.Replace(pinned, "pod: {}", "pod: {labels: {a: b}}", 1))
	builtFrom(t, ns, "pinned", desired.Newest+1, "streamer")
	quiet(t, says(t, m, v1alpha1.ConditionReady, "True", "Serving"))
	if now := hashes(t, ns); !slices.Equal(now["pinned-backbone"], before["pinned-backbone"]) {
		t.Error("its nodes moved, whose shape did not change")
	}
	op.stop()

	start(t, ns, nil)
	for _, name := range []string{"follows", "pinned"} {
		builtFrom(t, ns, name, desired.Newest, "streamer", "backbone")
		quiet(t, says(t, get(t, ns, name), v1alpha1.ConditionReady, "True", "Serving"))
	}
	for pod, hash := range hashes(t, ns) {
		if pod != "pinned-streamer" && !slices.Equal(hash, before[pod]) { // that has a label more
			t.Errorf("back with the operator of before pods of %s are %s, they were %s", pod, hash, before[pod])
		}
	}
}

// hashes are those of the templates of pods, by workload.
func hashes(t *testing.T, ns string) map[string][]string {
	t.Helper()
	out := make(map[string][]string)
	for component, label := range map[string]string{"streamer": "pod-template-hash", "backbone": appsv1.ControllerRevisionHashLabelKey} {
		for _, p := range pods(t, ns, component) {
			key := p.Labels[desired.LabelInstance] + "-" + component
			if hash := p.Labels[label]; !slices.Contains(out[key], hash) {
				out[key] = append(out[key], hash)
			}
		}
	}
	return out
}

// builtFrom waits until all pods of components are of a revision of the templates.
func builtFrom(t *testing.T, ns, name string, revision int, components ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s is of template %d", name, revision), func() error {
		for _, component := range components {
			n := 0
			for _, p := range pods(t, ns, component) {
				if p.Labels[desired.LabelInstance] != name {
					continue
				}
				n++
				if got := p.Annotations[desired.AnnotationTemplate]; got != fmt.Sprint(revision) {
					return fmt.Errorf("%s is of template %s", p.Name, got)
				}
			}
			if n == 0 {
				return errorString("no " + component)
			}
		}
		return nil
	})
}
