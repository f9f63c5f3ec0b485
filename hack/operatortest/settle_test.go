package operatortest

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/marketstream/marketstream/api/v1alpha1"
)

const plain = "{symbols: [SPY, QQQ], shards: 2, feed: {synthetic: {}}, ingress: {host: md.example.com}}"

// owned are the objects that a stream of our own backbone and an Ingress has, but the Secret.
var owned = []client.ObjectList{&corev1.ConfigMapList{}, &corev1.ServiceAccountList{}, &corev1.ServiceList{}, &networkingv1.NetworkPolicyList{},
	&policyv1.PodDisruptionBudgetList{}, &appsv1.StatefulSetList{}, &appsv1.DeploymentList{}, &networkingv1.IngressList{}}

// TestCreation: one write per object, at most four of status; then none, whatever makes it look again, also after
// a restart with empty caches. Drift is undone, made while it was away too.
func TestCreation(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	op := start(t, ns, nil)
	m := says(t, apply(t, ns, "us", plain), v1alpha1.ConditionReady, "True", "Serving")
	if got := m.Status; got.Shards != 2 || got.ReadyShards != 2 || got.Symbols != 2 || got.Feed != "synthetic" || got.URL != "http://md.example.com" || len(got.Pods) != 2 {
		t.Errorf("status %+v", got)
	}
	quiet(t, m)
	objects, status, touches := op.calls.writes(ns)
	t.Logf("%d writes of objects, %d of status, %d touches", len(objects), len(status), len(touches))
	if n := len(distinct(objects)); n != len(objects) || n != count(t, ns)+1 || len(status) > 4 || len(touches) > 0 {
		t.Errorf("creation wrote %d objects of %d, %d times status, touched %d times:\n%s", len(objects), count(t, ns)+1, len(status), len(touches), strings.Join(append(objects, status...), "\n"))
	}

	nudge(t, m, 100)
	none(t, op, ns, "100 looks")

	op.stop()
	op = start(t, ns, nil)
	nudge(t, m, 3)
	none(t, op, ns, "a restart")

	op.stop()
	drift(t, ns)
	op = start(t, ns, nil)
	eventually(t, "drift is undone", func() error { return drifted(t, ns) })
	says(t, m, v1alpha1.ConditionReady, "True", "Serving")
	quiet(t, m)
	if objects, _, _ := op.calls.writes(ns); len(objects) != 3 {
		t.Errorf("drift of 3 objects took %d writes:\n%s", len(objects), strings.Join(objects, "\n"))
	}
}

// count is how many objects of the stream there are.
func count(t *testing.T, ns string) (n int) {
	t.Helper()
	for _, list := range owned {
		list := list.DeepCopyObject().(client.ObjectList)
		if err := admin.List(t.Context(), list, client.InNamespace(ns), client.MatchingLabels{"app.kubernetes.io/managed-by": "marketstream-operator"}); err != nil {
			t.Fatal(err)
		}
		n += lenOf(list)
	}
	return n
}

func lenOf(l client.ObjectList) int {
	switch l := l.(type) {
	case *corev1.ConfigMapList:
		return len(l.Items)
	case *corev1.ServiceAccountList:
		return len(l.Items)
	case *corev1.ServiceList:
		return len(l.Items)
	case *networkingv1.NetworkPolicyList:
		return len(l.Items)
	case *policyv1.PodDisruptionBudgetList:
		return len(l.Items)
	case *appsv1.StatefulSetList:
		return len(l.Items)
	case *appsv1.DeploymentList:
		return len(l.Items)
	case *networkingv1.IngressList:
		return len(l.Items)
	}
	return 0
}

func distinct(all []string) map[string]bool {
	out := make(map[string]bool)
	for _, s := range all {
		out[strings.SplitN(s, "?", 2)[0]] = true
	}
	return out
}

// nudge has a stream looked at n times.
func nudge(t *testing.T, m *v1alpha1.MarketStream, n int) {
	t.Helper()
	for i := range n {
		before := reconciles(t)
		patch := fmt.Sprintf(`{"metadata":{"annotations":{"nudge":"%d %s"}}}`, i, types.UID(t.Name()))
		if err := admin.Patch(t.Context(), &v1alpha1.MarketStream{ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name}}, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is looked at", func() error {
			if reconciles(t) <= before {
				return fmt.Errorf("%v reconciles", before)
			}
			return nil
		})
	}
}

// quiet waits until the status has nothing left to say.
func quiet(t *testing.T, m *v1alpha1.MarketStream) {
	t.Helper()
	says(t, m, v1alpha1.ConditionReconciling, "False", "Settled")
	says(t, m, v1alpha1.ConditionFeedConnected, "True", "")
}

func none(t *testing.T, op *operator, ns, after string) {
	t.Helper()
	objects, status, touches := op.calls.writes(ns)
	if all := append(append(objects, status...), touches...); len(all) > 0 {
		t.Errorf("after %s it wrote:\n%s", after, strings.Join(all, "\n"))
	}
}

func key(ns, name string) client.ObjectKey { return client.ObjectKey{Namespace: ns, Name: name} }

// drift changes and takes away what the operator made.
func drift(t *testing.T, ns string) {
	t.Helper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "us-streamer"}}
	for _, err := range []error{
		admin.Patch(t.Context(), d, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":3}}`))),
		admin.Delete(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "us"}}),
		admin.Patch(t.Context(), &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "us-streamer"}}, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"ingress":[]}}`))),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func drifted(t *testing.T, ns string) error {
	t.Helper()
	var d appsv1.Deployment
	var s corev1.Service
	var p networkingv1.NetworkPolicy
	if err := admin.Get(t.Context(), key(ns, "us-streamer"), &d); err != nil {
		return err
	}
	if *d.Spec.Replicas != 2 {
		return fmt.Errorf("%d replicas", *d.Spec.Replicas)
	}
	if err := admin.Get(t.Context(), key(ns, "us"), &s); err != nil {
		return err
	}
	if err := admin.Get(t.Context(), key(ns, "us-streamer"), &p); err != nil {
		return err
	}
	if len(p.Spec.Ingress) == 0 {
		return errorString("the policy lets nobody in")
	}
	return nil
}
