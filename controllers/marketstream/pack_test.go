package marketstream

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/yaml"

	"github.com/marketstream/marketstream/controllers/desired"
)

// goldens are the objects of the largest stream, as the kinds that a cache holds.
func goldens(t *testing.T) (out []client.Object) {
	t.Helper()
	files, err := filepath.Glob("../desired/testdata/everything/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &u.Object); err != nil {
			t.Fatal(err)
		}
		for _, c := range children {
			if c.gvk == u.GroupVersionKind() {
				o := c.empty()
				if err := yaml.Unmarshal(text, o); err != nil {
					t.Fatal(err)
				}
				o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{}) // as what is watched
				o.SetUID("0a1b2c3d-0000-4000-8000-000000000009")
				o.SetResourceVersion("12345")
				o.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "a"}})
				out = append(out, o)
			}
		}
	}
	if len(out) < 13 {
		t.Fatalf("%d objects", len(out))
	}
	return out
}

// TestPack: what a cache has packed is whole but for managed fields, and found by its owner; twice is once.
func TestPack(t *testing.T) {
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range goldens(t) {
		want := o.DeepCopyObject().(client.Object)
		want.SetManagedFields(nil)
		kept, err := pack(o)
		if err != nil {
			t.Fatal(err)
		}
		again, err := pack(kept)
		if err != nil || !reflect.DeepEqual(kept, again) {
			t.Errorf("%s: packed twice it is another: %v", o.GetName(), err)
		}
		packed := kept.(client.Object)
		if ref := metav1.GetControllerOf(packed); packed.GetName() != o.GetName() || packed.GetResourceVersion() != "12345" || ref == nil || ref.UID != want.GetOwnerReferences()[0].UID {
			t.Errorf("%s: %+v", o.GetName(), packed)
		}
		gvk, err := apiutil.GVKForObject(packed, scheme)
		if err != nil {
			t.Fatal(err)
		}
		packed = packed.DeepCopyObject().(client.Object)
		packed.GetObjectKind().SetGroupVersionKind(gvk) // as a cache does for who reads it
		want.GetObjectKind().SetGroupVersionKind(gvk)
		tree, err := unpack(packed)
		if err != nil {
			t.Fatal(err)
		}
		a, _ := json.Marshal(tree)
		b, _ := json.Marshal(want)
		var whole any
		if err := json.Unmarshal(b, &whole); err != nil {
			t.Fatal(err)
		}
		if b, _ = json.Marshal(whole); string(a) != string(b) {
			t.Errorf("%s is kept as\n%s, it was\n%s", o.GetName(), a, b)
		}
	}
}

// TestPackIsSmall: what is kept of a stream takes less than half of what its objects take: a goal is 100 MB at 1,000.
func TestPackIsSmall(t *testing.T) {
	const n = 40
	size := func(keep func(client.Object) any) uint64 {
		all := make([]any, 0, n*20)
		before := heap()
		for range n {
			for _, o := range goldens(t) {
				all = append(all, keep(o))
			}
		}
		after := heap()
		runtime.KeepAlive(all)
		return (after - before) / n
	}
	whole := size(func(o client.Object) any { return o })
	packed := size(func(o client.Object) any {
		kept, err := pack(o)
		if err != nil {
			t.Fatal(err)
		}
		return kept
	})
	t.Logf("the objects of a stream: %d bytes, packed %d", whole, packed)
	if packed*2 > whole {
		t.Errorf("packed they take %d bytes of %d", packed, whole)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestSlimPod: what is kept of a pod says what the whole pod says.
func TestSlimPod(t *testing.T) {
	now := metav1.Now()
	base := func() *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "us-a", Namespace: "md", UID: "1", ResourceVersion: "5", Labels: desired.Labels("us", desired.ComponentStreamer),
			Annotations: map[string]string{desired.AnnotationTemplate: "1", desired.AnnotationImage: "img:1", desired.AnnotationShape: "s", desired.AnnotationNodes: "3", "more": "x"}},
			Spec: corev1.PodSpec{NodeName: "n"}, Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.1.2.3", HostIP: "10.0.0.1",
				Conditions:        []corev1.PodCondition{{Type: corev1.PodInitialized, Status: "True"}, {Type: corev1.PodReady, Status: "True"}},
				ContainerStatuses: []corev1.ContainerStatus{{Image: "img:1", ImageID: "x", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}}}}}
	}
	for name, change := range map[string]func(*corev1.Pod){
		"runs":   func(*corev1.Pod) {},
		"leaves": func(p *corev1.Pod) { p.DeletionTimestamp = &now },
		"no node takes it": func(p *corev1.Pod) {
			p.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: "False", Message: "no room"}}}
		},
		"cannot be pulled": func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"}}
		},
		"ends": func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
			p.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 3, Message: "flags"}
		},
		"is evicted": func(p *corev1.Pod) {
			p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, "Evicted", "no memory"
		},
	} {
		p := base()
		change(p)
		want := pod(p)
		kept, err := slimPod(p)
		if err != nil {
			t.Fatal(err)
		}
		slim := kept.(*corev1.Pod)
		again, _ := slimPod(slim)
		if got := pod(slim); !reflect.DeepEqual(got, want) || !reflect.DeepEqual(again, kept) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		if slim.Labels[desired.LabelInstance] != "us" || slim.Labels[desired.LabelComponent] != desired.ComponentStreamer || slim.Status.PodIP != p.Status.PodIP || slim.Spec.NodeName != "" {
			t.Errorf("%s: %+v", name, slim)
		}
	}
}
