package operatortest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/controllers/marketstream"
)

// TestAutoscaler: an autoscaler reads and writes the scale subresource, as kubectl scale does, and is left alone.
func TestAutoscaler(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	start(t, ns, nil)
	m := says(t, apply(t, ns, "us", strings.Replace(plain, "shards: 2, ", "", 1)), v1alpha1.ConditionReady, "True", "Serving")
	hpa := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "us"}, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind, Name: "us"},
		MinReplicas:    ptr.To[int32](3), MaxReplicas: 5}}
	if err := admin.Create(t.Context(), hpa); err != nil {
		t.Fatal(err)
	}
	shards := func(n int32) {
		t.Helper()
		eventually(t, fmt.Sprintf("there are %d shards", n), func() error {
			if now := get(t, ns, "us"); now.Spec.Shards == nil || *now.Spec.Shards != n || now.Status.Shards != n || now.Status.ReadyShards != n {
				return fmt.Errorf("%v of %+v", now.Spec.Shards, now.Status)
			}
			return nil
		})
		says(t, m, v1alpha1.ConditionReady, "True", "Serving")
	}
	shards(3)
	bounds := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"minReplicas":1,"maxReplicas":2}}`))
	if err := admin.Patch(t.Context(), hpa, bounds); err != nil {
		t.Fatal(err)
	}
	shards(2)
	eventually(t, "it finds what it scales", func() error {
		if err := admin.Get(t.Context(), key(ns, "us"), hpa); err != nil {
			return err
		}
		for _, c := range hpa.Status.Conditions {
			if c.Type == autoscalingv2.AbleToScale && c.Status == corev1.ConditionTrue && hpa.Status.CurrentReplicas == 2 {
				return nil
			}
		}
		return fmt.Errorf("%+v", hpa.Status)
	})
	// What sleeps is not woken.
	if err := admin.SubResource("scale").Patch(t.Context(), m.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":0}}`))); err != nil {
		t.Fatal(err)
	}
	says(t, m, v1alpha1.ConditionReady, "True", "Hibernated")
}

// TestLeader: of two operators one acts. One that loses its lease ends, and the other goes on; no pod notices.
func TestLeader(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	elected := func(o *marketstream.Options) { o.LeaderElection = true }
	first := start(t, ns, elected)
	m := says(t, apply(t, ns, "us", plain), v1alpha1.ConditionReady, "True", "Serving")
	quiet(t, m)
	before := pods(t, ns, "streamer")
	first.calls.writes(ns)
	second := start(t, ns, elected)
	lease := &coordinationv1.Lease{}
	if err := admin.Get(t.Context(), key(system, "marketstream-operator"), lease); err != nil {
		t.Fatal(err)
	}
	holder := *lease.Spec.HolderIdentity
	first.ends.Store(true)
	eventually(t, "somebody else has the lease", func() error {
		if err := admin.Get(t.Context(), key(system, "marketstream-operator"), lease); err != nil {
			return err
		}
		now := metav1.NewMicroTime(time.Now())
		lease.Spec.HolderIdentity, lease.Spec.RenewTime = ptr.To("somebody"), &now
		return admin.Update(t.Context(), lease)
	})
	eventually(t, "the first ends", func() error {
		if first.running() {
			return errorString("it runs")
		}
		return nil
	})
	apply(t, ns, "us", strings.Replace(plain, "QQQ", "AAPL", 1))
	says(t, m, v1alpha1.ConditionReady, "True", "Serving")
	if err := admin.Get(t.Context(), key(system, "marketstream-operator"), lease); err != nil || *lease.Spec.HolderIdentity == holder || *lease.Spec.HolderIdentity == "somebody" {
		t.Errorf("the lease is of %s, it was of %s: %v", *lease.Spec.HolderIdentity, holder, err)
	}
	if objects, _, _ := first.calls.writes(ns); len(objects) > 0 {
		t.Errorf("the first wrote %s", objects)
	}
	if objects, _, _ := second.calls.writes(ns); len(objects) != 1 {
		t.Errorf("the second wrote %s", objects)
	}
	for name, p := range pods(t, ns, "streamer") {
		if before[name] == nil || before[name].UID != p.UID {
			t.Errorf("%s is new", name)
		}
	}
}

// TestEvents: an event tells of a transition, once, and of nothing else.
func TestEvents(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	start(t, ns, nil)
	m := says(t, apply(t, ns, "us", plain), v1alpha1.ConditionReady, "True", "Serving")
	quiet(t, m)
	told := func(reason string, times int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s is told %d times", reason, times), func() error {
			var list eventsv1.EventList
			if err := admin.List(t.Context(), &list, client.InNamespace(ns)); err != nil {
				return err
			}
			n := 0
			var all []string
			for _, e := range list.Items {
				if e.Regarding.Kind != v1alpha1.Kind {
					continue
				}
				all = append(all, e.Reason+" "+e.Note)
				if e.Reason == reason {
					n++
					if e.Series != nil {
						n += int(e.Series.Count) - 1
					}
				}
			}
			if n != times {
				return fmt.Errorf("%d times:\n%s", n, strings.Join(all, "\n"))
			}
			return nil
		})
	}
	told("ReadyTrue", 1)
	told("BackboneReadyTrue", 1)
	told("FeedConnectedTrue", 1)
	told("ExposedTrue", 1)
	m = apply(t, ns, "us", strings.Replace(plain, "ingress:", "pod: {image: 'bad:events'}, ingress:", 1))
	nodes.FailImage("bad:events", "not found")
	says(t, m, v1alpha1.ConditionStalled, "True", "ImagePullBackOff")
	told("StalledTrue", 1)
	told("ReadyFalse", 1)
	nudge(t, m, 20)
	m = says(t, apply(t, ns, "us", plain), v1alpha1.ConditionReady, "True", "Serving")
	quiet(t, m)
	told("StalledFalse", 1)
	told("ReadyTrue", 2)
	told("StalledTrue", 1)
	told("ReadyFalse", 1)
}

// TestTwentyThousand: the largest stream is taken by server-side apply, twice, runs, and what it costs is said.
func TestTwentyThousand(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	start(t, ns, nil)
	names := make([]string, 20_000)
	for i := range names {
		names[i] = fmt.Sprintf("SYMBOL-%013d", i)
	}
	spec := "{symbols: [" + strings.Join(names, ", ") + "], feed: {synthetic: {}}}"
	m := apply(t, ns, "us", spec)
	m = says(t, m, v1alpha1.ConditionReady, "True", "Serving")
	if m.Status.Symbols != 20_000 {
		t.Errorf("it runs %d symbols", m.Status.Symbols)
	}
	quiet(t, m)
	before := get(t, ns, "us")
	if after := apply(t, ns, "us", spec); after.ResourceVersion != before.ResourceVersion {
		t.Error("the same once more is a change")
	}
	var c corev1.ConfigMap
	if err := admin.Get(t.Context(), key(ns, "us-config"), &c); err != nil {
		t.Fatal(err)
	}
	t.Logf("20,000 symbols of 20 characters: %d bytes of YAML, a ConfigMap of %d bytes", len(spec), len(c.Data["stream.yaml"]))
	names[19_999] = strings.ToLower(names[0])
	twice := &unstructured.Unstructured{Object: map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": v1alpha1.Kind,
		"metadata": map[string]any{"name": "us", "namespace": ns}, "spec": map[string]any{"feed": map[string]any{"synthetic": map[string]any{}}}}}
	if err := unstructured.SetNestedStringSlice(twice.Object, names, "spec", "symbols"); err != nil {
		t.Fatal(err)
	}
	err := admin.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(twice), client.FieldOwner("tester"), client.ForceOwnership)
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "no symbol may be named twice") {
		t.Errorf("one twice is answered with %.300v", err)
	}
}

// TestClusterWide: the mode of a whole cluster: streams of all namespaces, and kinds of others followed by a watch on
// their CRDs. A route is exposed when its gateway takes it.
func TestClusterWide(t *testing.T) {
	one, other := plane.Namespace(t), plane.Namespace(t)
	start(t, "", nil)
	const spec = "{symbols: [SPY], feed: {synthetic: {}}, gateway: {parentRefs: [{name: public}], hostnames: [md.example.com]}}"
	m := apply(t, one, "us", spec)
	apply(t, other, "us", plain)
	m = says(t, m, v1alpha1.ConditionExposed, "False", "NoGatewayAPI")
	says(t, get(t, other, "us"), v1alpha1.ConditionReady, "True", "Serving")

	routes := crdsOf(t, "HTTPRoute", "httproutes", "gateway.networking.k8s.io")
	routes.SetAnnotations(map[string]string{"api-approved.kubernetes.io": "unapproved, for a test"})
	rules := crdsOf(t, "PrometheusRule", "prometheusrules", "monitoring.coreos.com")
	for _, crd := range []*unstructured.Unstructured{routes, rules} {
		if err := admin.Create(t.Context(), crd); err != nil {
			t.Fatal(err)
		}
	}
	m = says(t, m, v1alpha1.ConditionExposed, "False", "NotAccepted")
	says(t, m, v1alpha1.ConditionReady, "False", "NotAccepted")
	route := &unstructured.Unstructured{}
	route.SetAPIVersion("gateway.networking.k8s.io/v1")
	route.SetKind("HTTPRoute")
	if err := admin.Get(t.Context(), key(one, "us"), route); err != nil {
		t.Fatal(err)
	}
	answer := func(status, reason string) {
		t.Helper()
		patch := fmt.Sprintf(`{"status":{"parents":[{"parentRef":{"name":"public"},"controllerName":"a/b","conditions":[{"type":"Accepted","status":%q,"reason":%q,"message":"says the gateway","observedGeneration":%d,"lastTransitionTime":"2026-01-01T00:00:00Z"}]}]}}`,
			status, reason, route.GetGeneration())
		if err := admin.Status().Patch(t.Context(), route.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
			t.Fatal(err)
		}
	}
	answer("False", "NoMatchingParent")
	eventually(t, "the gateway's words are told", func() error {
		if c := find(get(t, one, "us"), v1alpha1.ConditionExposed); !strings.Contains(c.Message, "NoMatchingParent: says the gateway") {
			return errorString(c.Message)
		}
		return nil
	})
	answer("True", "Accepted")
	says(t, m, v1alpha1.ConditionReady, "True", "Serving")
	rule := &unstructured.Unstructured{}
	rule.SetAPIVersion("monitoring.coreos.com/v1")
	rule.SetKind("PrometheusRule")
	for _, ns := range []string{one, other} {
		if err := admin.Get(t.Context(), key(ns, "us"), rule); err != nil {
			t.Error(err)
		}
	}
	for _, crd := range []*unstructured.Unstructured{routes, rules} {
		if err := admin.Delete(t.Context(), crd); err != nil {
			t.Fatal(err)
		}
	}
	says(t, m, v1alpha1.ConditionExposed, "False", "NoGatewayAPI")
	says(t, get(t, other, "us"), v1alpha1.ConditionMonitored, "False", "NoPrometheusOperator")
}
