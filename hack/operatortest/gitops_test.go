package operatortest

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/hack/manifests"
)

// TestAppliedTwice: what Argo CD or Flux applies again, under their own manager, changes nothing: the operator writes
// nothing into the spec, and the schema has no default that another would fight.
func TestAppliedTwice(t *testing.T) {
	t.Parallel()
	ns := plane.Namespace(t)
	start(t, ns, nil)
	text := `apiVersion: marketstream.dev/v1alpha1
kind: MarketStream
metadata: {name: us, namespace: ` + ns + `}
spec:
  symbols: [SPY, BACpB]
  timeframes: [1m, 5m]
  feed: {synthetic: {seed: 7}}
  stream: {ticks: Conflated}
  ingress: {host: md.example.com, tlsSecretName: md-tls}
  backbone: {storage: {size: 1024Mi}}
  pod: {resources: {limits: {memory: 1024Mi, cpu: 1000m}}}
`
	again := func() *unstructured.Unstructured {
		t.Helper()
		objects, err := manifests.Read([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := admin.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(objects[0]), client.FieldOwner("argocd-controller")); err != nil {
			t.Fatal(err)
		}
		u := &unstructured.Unstructured{}
		u.SetAPIVersion("marketstream.dev/v1alpha1")
		u.SetKind("MarketStream")
		if err := admin.Get(t.Context(), key(ns, "us"), u); err != nil {
			t.Fatal(err)
		}
		return u
	}
	again()
	m := says(t, get(t, ns, "us"), v1alpha1.ConditionReady, "True", "Serving")
	quiet(t, m)
	before := get(t, ns, "us")
	after := again()
	if after.GetGeneration() != before.Generation || after.GetResourceVersion() != before.ResourceVersion {
		t.Errorf("applied again it is generation %d, version %s; it was %d, %s", after.GetGeneration(), after.GetResourceVersion(), before.Generation, before.ResourceVersion)
	}
}
