package operatortest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/marketstream/marketstream/api/podreport"
	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/controllers/marketstream"
	"github.com/marketstream/marketstream/hack/kubetest"
)

// pods of a stream, by name, without those on their way out.
func pods(t *testing.T, ns, component string) map[string]*corev1.Pod {
	t.Helper()
	var list corev1.PodList
	if err := admin.List(t.Context(), &list, client.InNamespace(ns), client.MatchingLabels{"app.kubernetes.io/component": component}); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]*corev1.Pod)
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp == nil {
			out[list.Items[i].Name] = &list.Items[i]
		}
	}
	return out
}

// streamer is the double of a streamer.
func streamer(t *testing.T, ns, name string) *kubetest.Streamer {
	t.Helper()
	s, ok := nodes.Program(ns, name).(*kubetest.Streamer)
	if !ok {
		t.Fatalf("%s is no streamer", name)
	}
	return s
}

// TestReload: a symbol more is one write, one touch for each pod and the status; no pod restarts. What does not
// concern the pods reloads nobody.
func TestReload(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	op := start(t, ns, nil)
	m := says(t, apply(t, ns, "us", plain), v1alpha1.ConditionReady, "True", "Serving")
	quiet(t, m)
	before := pods(t, ns, "streamer")
	op.calls.writes(ns)

	began := time.Now()
	m = apply(t, ns, "us", strings.Replace(plain, "QQQ", "QQQ, AAPL", 1))
	m = says(t, m, v1alpha1.ConditionReady, "True", "Serving")
	t.Logf("every pod runs it after %s", time.Since(began).Round(time.Millisecond)) // promised: 10 s
	for _, p := range m.Status.Pods {
		if p.ConfigRevision == "" || p.ConfigRevision != m.Status.Pods[0].ConfigRevision {
			t.Errorf("%+v", m.Status.Pods)
		}
	}
	quiet(t, m)
	objects, status, touches := op.calls.writes(ns)
	if len(objects) != 1 || !strings.Contains(objects[0], "us-config") || len(distinct(touches)) != 2 || len(status) == 0 {
		t.Errorf("it wrote:\n%s", strings.Join(append(append(objects, status...), touches...), "\n"))
	}
	for name := range pods(t, ns, "streamer") {
		if before[name] == nil {
			t.Errorf("%s is new", name)
		}
	}

	m = apply(t, ns, "us", strings.NewReplacer("QQQ", "QQQ, AAPL", "md.example.com", "md2.example.com").Replace(plain))
	m = says(t, m, v1alpha1.ConditionReady, "True", "Serving")
	quiet(t, m)
	objects, _, touches = op.calls.writes(ns)
	if len(objects) != 1 || !strings.Contains(objects[0], "ingresses") || len(touches) != 0 || m.Status.URL != "http://md2.example.com" {
		t.Errorf("another host wrote:\n%s", strings.Join(append(objects, touches...), "\n"))
	}
}

// TestRefused: a document that pods cannot run makes the stream Stalled with their words, and pods are not restarted.
func TestRefused(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	start(t, ns, nil)
	m := says(t, apply(t, ns, "us", plain), v1alpha1.ConditionReady, "True", "Serving")
	for name := range pods(t, ns, "streamer") {
		streamer(t, ns, name).Change(func(r *podreport.Report) {
			r.ConfigError, r.ConfigReason, r.ConfigRevision = "spec.access.auth: not available yet", "NotAvailable", "before"
		})
	}
	m = says(t, m, v1alpha1.ConditionStalled, "True", "NotAvailable")
	if c := find(m, v1alpha1.ConditionStalled); !strings.Contains(c.Message, "spec.access.auth: not available yet") {
		t.Error(c.Message)
	}
	says(t, m, v1alpha1.ConditionReady, "False", "NotAvailable")
}

func find(m *v1alpha1.MarketStream, kind string) metav1.Condition {
	for _, c := range m.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return metav1.Condition{}
}

// TestScale: out at once, in one at a time, by the scale subresource; nobody reloads. 0 hibernates, and the backbone stays.
func TestScale(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	op := start(t, ns, nil)
	m := says(t, apply(t, ns, "us", strings.Replace(plain, "shards: 2", "shards: 1", 1)), v1alpha1.ConditionReady, "True", "Serving")
	quiet(t, m)
	op.calls.writes(ns)
	scale := func(n int32) {
		t.Helper()
		if err := admin.SubResource("scale").Patch(t.Context(), m.DeepCopy(), client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, n))); err != nil {
			t.Fatal(err)
		}
	}
	scale(4)
	m = says(t, m, v1alpha1.ConditionReady, "True", "Serving")
	if m.Status.Shards != 4 {
		t.Errorf("%+v", m.Status)
	}
	scale(1)
	m = says(t, m, v1alpha1.ConditionReady, "True", "Serving")
	objects, _, touches := op.calls.writes(ns)
	if len(objects) != 4 || len(touches) != 0 { // 4, then 3, 2, 1
		t.Errorf("4 and back to 1 wrote:\n%s", strings.Join(append(objects, touches...), "\n"))
	}
	scale(0)
	m = says(t, m, v1alpha1.ConditionReady, "True", "Hibernated")
	if got := pods(t, ns, "backbone"); len(got) != 1 {
		t.Errorf("%d nodes", len(got))
	}
	scale(2)
	says(t, m, v1alpha1.ConditionReady, "True", "Serving")
}

// TestBadImage: a bad image makes the stream Stalled and leaves the pods that serve; taking it back mends it. The
// backbone gets a new image after every streamer runs it.
func TestBadImage(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	start(t, ns, nil)
	says(t, apply(t, ns, "us", plain), v1alpha1.ConditionReady, "True", "Serving")
	nodes.FailImage("bad:1", "not found")
	before := pods(t, ns, "streamer")
	with := func(image string) string {
		return strings.Replace(plain, "ingress:", "pod: {image: '"+image+"'}, ingress:", 1)
	}
	says(t, apply(t, ns, "us", with("bad:1")), v1alpha1.ConditionStalled, "True", "ImagePullBackOff")
	for name, p := range before {
		if now := pods(t, ns, "streamer")[name]; now == nil || now.UID != p.UID {
			t.Errorf("%s is gone", name)
		}
	}
	for name, p := range pods(t, ns, "backbone") {
		if got := p.Spec.Containers[0].Image; got != image {
			t.Errorf("%s has %s", name, got)
		}
	}
	says(t, apply(t, ns, "us", plain), v1alpha1.ConditionReady, "True", "Serving")
	m := says(t, apply(t, ns, "us", with("good:2")), v1alpha1.ConditionReady, "True", "Serving")
	for _, component := range []string{"streamer", "backbone"} {
		for name, p := range pods(t, ns, component) {
			if got := p.Spec.Containers[0].Image; got != "good:2" {
				t.Errorf("%s has %s\n%s", name, got, conditions(m))
			}
		}
	}
}

// TestBackbone: from one node to three and back, by the procedure; volumes grow, with the pods left as they are.
func TestBackbone(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	start(t, ns, nil)
	with := func(backbone string) string {
		return strings.Replace(plain, "ingress:", "backbone: {"+backbone+"}, ingress:", 1)
	}
	says(t, apply(t, ns, "us", with("storage: {size: 1Gi}")), v1alpha1.ConditionReady, "True", "Serving")
	says(t, apply(t, ns, "us", with("replicas: 3, storage: {size: 1Gi}")), v1alpha1.ConditionReady, "True", "Serving")
	three := pods(t, ns, "backbone")
	if len(three) != 3 {
		t.Errorf("%d nodes", len(three))
	}
	m := says(t, apply(t, ns, "us", with("replicas: 1, storage: {size: 1Gi}")), v1alpha1.ConditionReady, "True", "Serving")
	eventually(t, "two nodes are gone", func() error {
		if n := len(pods(t, ns, "backbone")); n != 1 {
			return fmt.Errorf("%d nodes", n)
		}
		return nil
	})
	says(t, m, v1alpha1.ConditionReady, "True", "Serving")
	says(t, apply(t, ns, "us", with("replicas: 1, storage: {size: 2Gi}")), v1alpha1.ConditionReady, "True", "Serving")
	var claim corev1.PersistentVolumeClaim
	if err := admin.Get(t.Context(), key(ns, "data-us-backbone-0"), &claim); err != nil {
		t.Fatal(err)
	}
	if got := claim.Spec.Resources.Requests[corev1.ResourceStorage]; got.Cmp(resource.MustParse("2Gi")) != 0 {
		t.Errorf("the claim asks for %s", got.String())
	}
	var set appsv1.StatefulSet
	if err := admin.Get(t.Context(), key(ns, "us-backbone"), &set); err != nil {
		t.Fatal(err)
	}
	if got := set.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests[corev1.ResourceStorage]; got.Cmp(resource.MustParse("2Gi")) != 0 {
		t.Errorf("the StatefulSet asks for %s", got.String())
	}
}

// TestPause: while it is paused nothing is written but the status; then everything.
func TestPause(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	op := start(t, ns, nil)
	m := says(t, apply(t, ns, "us", plain), v1alpha1.ConditionReady, "True", "Serving")
	annotate := func(v string) {
		t.Helper()
		if err := admin.Patch(t.Context(), m.DeepCopy(), client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{"marketstream.dev/paused":%s}}}`, v))); err != nil {
			t.Fatal(err)
		}
	}
	annotate(`"true"`)
	m = says(t, m, v1alpha1.ConditionPaused, "True", "")
	op.calls.writes(ns)
	m = says(t, apply(t, ns, "us", strings.Replace(plain, "QQQ", "QQQ, AAPL", 1)), v1alpha1.ConditionReady, "False", "Paused")
	if objects, _, touches := op.calls.writes(ns); len(objects)+len(touches) > 0 {
		t.Errorf("paused, it wrote:\n%s", strings.Join(append(objects, touches...), "\n"))
	}
	annotate("null")
	says(t, m, v1alpha1.ConditionReady, "True", "Serving")
}

// TestUpgrade: a newer operator rolls nothing; updates: Follow moves the pods; a field that the image does not
// know is not handed to it.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	op := start(t, ns, nil)
	m := says(t, apply(t, ns, "us", plain), v1alpha1.ConditionReady, "True", "Serving")
	quiet(t, m)
	hash := template(t, ns)
	op.stop()
	op = start(t, ns, func(o *marketstream.Options) { o.Image = "marketstream:2" })
	nudge(t, m, 2)
	none(t, op, ns, "an upgrade")
	if now := template(t, ns); now != hash {
		t.Errorf("pods of template %s, not %s", now, hash)
	}
	m = says(t, apply(t, ns, "us", strings.Replace(plain, "ingress:", "pod: {updates: Follow}, ingress:", 1)), v1alpha1.ConditionReady, "True", "Serving")
	if now := template(t, ns); now == hash {
		t.Error("it does not follow")
	}
	quiet(t, m)
	op.stop()
	// The streamers report level 1.
	for name := range pods(t, ns, "streamer") {
		streamer(t, ns, name).Change(func(r *podreport.Report) { r.Schema = 1 })
	}
	start(t, ns, func(o *marketstream.Options) {
		o.Image = "marketstream:2"
		o.Level = func(m *v1alpha1.MarketStream) int { return len(m.Spec.Symbols) - 1 }
	})
	says(t, apply(t, ns, "us", strings.Replace(plain, "QQQ", "QQQ, AAPL", 1)), v1alpha1.ConditionStalled, "True", "NeedsNewerImage")
	var c corev1.ConfigMap
	if err := admin.Get(t.Context(), key(ns, "us-config"), &c); err != nil || strings.Contains(c.Data["stream.yaml"], "AAPL") {
		t.Errorf("it was handed over: %v\n%s", err, c.Data["stream.yaml"])
	}
	says(t, apply(t, ns, "us", plain), v1alpha1.ConditionReady, "True", "Serving")
}

// template is the hash of the template that all streamers have.
func template(t *testing.T, ns string) (hash string) {
	t.Helper()
	for _, p := range pods(t, ns, "streamer") {
		h := p.Labels["pod-template-hash"]
		if hash != "" && h != hash {
			t.Errorf("pods of templates %s and %s", hash, h)
		}
		hash = h
	}
	return hash
}
