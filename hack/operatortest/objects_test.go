package operatortest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/marketstream/marketstream/controllers/desired"
)

// TestGoldenObjects sends the golden YAML of controllers/desired to the API server: it takes every object, keeps
// what was said of it, so that desired.Subset finds all of it there, and does not take the same once more for a
// change. Pods are let in where Pod Security "restricted" is enforced.
func TestGoldenObjects(t *testing.T) {
	cases, err := filepath.Glob("../../controllers/desired/testdata/*/order.txt")
	if err != nil || len(cases) < 9 {
		t.Fatalf("%d cases: %v", len(cases), err)
	}
	for _, c := range cases {
		dir := filepath.Dir(c)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			ns := plane.Namespace(t, "pod-security.kubernetes.io/enforce=restricted")
			order, err := os.ReadFile(c)
			if err != nil {
				t.Fatal(err)
			}
			for id := range strings.FieldsSeq(string(order)) {
				golden(t, filepath.Join(dir, id+".yaml"), ns)
			}
		})
	}
}

// golden sends one object twice.
func golden(t *testing.T, file, namespace string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(text, &o.Object); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(o.GetAPIVersion(), "monitoring.coreos.com") || strings.Contains(o.GetAPIVersion(), "gateway.networking") {
		return // their CRDs are not here
	}
	o.SetNamespace(namespace)
	o.SetOwnerReferences(nil) // that stream is not here, and what it owns would be taken away
	workload := o.GetKind() == "Deployment" || o.GetKind() == "StatefulSet"
	if workload {
		podLetIn(t, o)
		zero := int64(0) // pods would be played, and their status written
		if err := unstructured.SetNestedField(o.Object, zero, "spec", "replicas"); err != nil {
			t.Fatal(err)
		}
	}
	first := send(t, o)
	if path, same := desired.Subset(o.Object, first.Object); !same {
		t.Errorf("%s: the server keeps another %s", o.GetName(), path)
	}
	again := send(t, o)
	// Controllers write the status of workloads and budgets: then the generation alone tells.
	status := workload || o.GetKind() == "PodDisruptionBudget"
	if first.GetGeneration() != again.GetGeneration() || !status && first.GetResourceVersion() != again.GetResourceVersion() {
		t.Errorf("%s %s: the same once more is a change", o.GetKind(), o.GetName())
	}
}

// send applies an object and returns what the server keeps.
func send(t *testing.T, o *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	sent := o.DeepCopy()
	if err := admin.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(sent), client.FieldOwner(desired.Manager), client.ForceOwnership); err != nil {
		t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
	}
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(o.GroupVersionKind())
	if err := admin.Get(t.Context(), client.ObjectKeyFromObject(o), live); err != nil {
		t.Fatal(err)
	}
	return live
}

// podLetIn asks the server for a pod of the template, without making it.
func podLetIn(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	template, _, err := unstructured.NestedMap(o.Object, "spec", "template")
	if err != nil {
		t.Fatal(err)
	}
	var pod corev1.Pod
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(template, &pod); err != nil {
		t.Fatal(err)
	}
	pod.Name, pod.Namespace = o.GetName()+"-0", o.GetNamespace()
	pod.Spec.PriorityClassName = "" // not one that is here
	for i := range pod.Spec.Containers[0].VolumeMounts {
		if m := &pod.Spec.Containers[0].VolumeMounts[i]; m.Name == "data" { // a StatefulSet's claim
			pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: m.Name, VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}})
		}
	}
	if err := admin.Create(t.Context(), &pod, client.DryRunAll); err != nil {
		t.Errorf("a pod of %s: %v", o.GetName(), err)
	}
}
