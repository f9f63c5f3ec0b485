package operatortest

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/controllers/desired"
	"github.com/marketstream/marketstream/hack/manifests"
)

// TestConflict: somebody else's object of one of our names is left as it is and named; once it is gone the stream comes up.
func TestConflict(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	start(t, ns, nil)
	theirs := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "us"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1}}}}
	if err := admin.Create(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	m := says(t, apply(t, ns, "us", plain), v1alpha1.ConditionStalled, "True", "Conflict")
	if c := find(m, v1alpha1.ConditionStalled); !strings.Contains(c.Message, "Service us") {
		t.Error(c.Message)
	}
	var now corev1.Service
	if err := admin.Get(t.Context(), key(ns, "us"), &now); err != nil || now.ResourceVersion != theirs.ResourceVersion {
		t.Errorf("it was changed: %v", err)
	}
	if err := admin.Delete(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	nudge(t, m, 1) // nothing else tells of what has not our label but the next look, in half a minute
	says(t, m, v1alpha1.ConditionReady, "True", "Serving")
}

// TestMadeAgain: a stream that is deleted and made again under its name comes up, with what it makes itself.
func TestMadeAgain(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	start(t, ns, nil)
	m := says(t, apply(t, ns, "us", plain), v1alpha1.ConditionReady, "True", "Serving")
	if err := admin.Delete(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is gone", func() error {
		err := admin.Get(t.Context(), client.ObjectKeyFromObject(m), &v1alpha1.MarketStream{})
		return client.IgnoreNotFound(err)
	})
	again := says(t, apply(t, ns, "us", plain), v1alpha1.ConditionReady, "True", "Serving")
	if again.UID == m.UID {
		t.Fatal("it is the same")
	}
	var d appsv1.Deployment
	if err := admin.Get(t.Context(), key(ns, "us-streamer"), &d); err != nil || d.OwnerReferences[0].UID != again.UID {
		t.Errorf("%v %+v", err, d.OwnerReferences)
	}
}

// TestSecretDeleted: the credential that was generated comes back when pods say that they miss it.
func TestSecretDeleted(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	start(t, ns, nil)
	m := says(t, apply(t, ns, "us", plain), v1alpha1.ConditionReady, "True", "Serving")
	name := desired.BackboneSecretName(m)
	secret := &corev1.Secret{}
	if err := admin.Get(t.Context(), key(ns, name), secret); err != nil {
		t.Fatal(err)
	}
	if err := admin.Delete(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	for name := range pods(t, ns, "backbone") { // a new pod of it mounts what there is: nothing
		if err := admin.Delete(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "it is there again", func() error {
		err := admin.Get(t.Context(), key(ns, name), secret)
		if err == nil && len(secret.Data["token"]) < 32 {
			t.Fatalf("a token of %d bytes", len(secret.Data["token"]))
		}
		return err
	})
}

// TestQuota: a quota that is exceeded is said in its own words; once it is raised the stream comes up.
func TestQuota(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	start(t, ns, nil)
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "tight"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/deployments.apps": resource.MustParse("0")}}}
	if err := admin.Create(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the quota is in effect", func() error {
		probe := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "probe"}, Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}}}}}
		err := admin.Create(t.Context(), probe, client.DryRunAll)
		if apierrors.IsForbidden(err) {
			return nil
		}
		return errorOr(err, "it lets one be made")
	})
	m := says(t, apply(t, ns, "us", plain), v1alpha1.ConditionStalled, "True", "QuotaExceeded")
	if c := find(m, v1alpha1.ConditionStalled); !strings.Contains(c.Message, "exceeded quota: tight") {
		t.Error(c.Message)
	}
	if err := admin.Delete(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is let", func() error { // the quota's controller forgets it a moment later
		nudge(t, m, 1)
		return client.IgnoreAlreadyExists(admin.Get(t.Context(), key(ns, "us-streamer"), &appsv1.Deployment{}))
	})
	says(t, m, v1alpha1.ConditionReady, "True", "Serving")
}

func errorOr(err error, text string) error {
	if err != nil {
		return err
	}
	return errorString(text)
}

type errorString string

func (e errorString) Error() string { return string(e) }

// TestNamespaceGoes: in a namespace that is being deleted nothing is made, and nothing is tried again and again.
func TestNamespaceGoes(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	op := start(t, ns, nil)
	m := says(t, apply(t, ns, "us", plain), v1alpha1.ConditionReady, "True", "Serving")
	keep := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "keep", Finalizers: []string{"example.com/test"}}}
	if err := admin.Create(t.Context(), keep); err != nil {
		t.Fatal(err)
	}
	if err := admin.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream is gone", func() error {
		err := admin.Get(t.Context(), client.ObjectKeyFromObject(m), &v1alpha1.MarketStream{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errorOr(err, "it is there")
	})
	op.calls.mu.Lock()
	n := len(op.calls.made)
	op.calls.mu.Unlock()
	if n > 60 {
		t.Errorf("%d writes meanwhile", n)
	}
	if err := admin.Patch(t.Context(), keep, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))); err != nil {
		t.Error(err)
	}
}

// TestKindsComeAndGo: a ServiceMonitor is made when its CRD comes, without a restart, and its going is no harm.
func TestKindsComeAndGo(t *testing.T) {
	ns := plane.Namespace(t)
	start(t, ns, nil)
	m := says(t, apply(t, ns, "us", plain), v1alpha1.ConditionReady, "True", "Serving")
	says(t, m, v1alpha1.ConditionMonitored, "False", "NoPrometheusOperator")
	crds := crdsOf(t, "ServiceMonitor", "servicemonitors", "monitoring.coreos.com")
	if err := admin.Create(t.Context(), crds); err != nil {
		t.Fatal(err)
	}
	says(t, m, v1alpha1.ConditionMonitored, "True", "Monitored")
	monitor := &unstructured.Unstructured{}
	monitor.SetAPIVersion("monitoring.coreos.com/v1")
	monitor.SetKind("ServiceMonitor")
	if err := admin.Get(t.Context(), key(ns, "us"), monitor); err != nil {
		t.Error(err)
	}
	if err := admin.Delete(t.Context(), crds); err != nil {
		t.Fatal(err)
	}
	says(t, m, v1alpha1.ConditionMonitored, "False", "NoPrometheusOperator")
	says(t, apply(t, ns, "us", strings.Replace(plain, "QQQ", "AAPL", 1)), v1alpha1.ConditionReady, "True", "Serving")
}

// crdsOf is a CRD of any content, as far as its kind goes.
func crdsOf(t *testing.T, kind, plural, group string) *unstructured.Unstructured {
	t.Helper()
	objects, err := manifests.Read([]byte(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ` + plural + "." + group + `}
spec:
  group: ` + group + `
  scope: Namespaced
  names: {kind: ` + kind + `, plural: ` + plural + `, singular: ` + strings.ToLower(kind) + `, listKind: ` + kind + `List}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`))
	if err != nil {
		t.Fatal(err)
	}
	return objects[0]
}

// TestAPIAway: while the API server is away for a minute, streams go on; after that changes are taken up, by the same
// operator.
func TestAPIAway(t *testing.T) {
	ns := plane.Namespace(t)
	start(t, ns, nil).lenient = true
	m := says(t, apply(t, ns, "us", plain), v1alpha1.ConditionReady, "True", "Serving")
	before := pods(t, ns, "streamer")
	if err := plane.StopAPI(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(time.Minute, func() {
		if err := plane.StartAPI(); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the API server is back", func() error {
		return admin.Get(t.Context(), client.ObjectKeyFromObject(m), &v1alpha1.MarketStream{})
	})
	says(t, apply(t, ns, "us", strings.Replace(plain, "QQQ", "AAPL", 1)), v1alpha1.ConditionReady, "True", "Serving")
	for name, p := range pods(t, ns, "streamer") {
		if before[name] == nil || before[name].UID != p.UID {
			t.Errorf("%s is new", name)
		}
	}
}

// TestDeleted: with a stream everything of it goes but its volumes, as its policy says.
func TestDeleted(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	start(t, ns, nil)
	m := says(t, apply(t, ns, "us", plain), v1alpha1.ConditionReady, "True", "Serving")
	if err := admin.Delete(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what it had is gone", func() error {
		if n := count(t, ns); n > 0 {
			return errorString("there is something left")
		}
		return nil
	})
	if err := admin.Get(t.Context(), key(ns, "data-us-backbone-0"), &corev1.PersistentVolumeClaim{}); err != nil {
		t.Error("the volume:", err)
	}
}
