package marketstream

import (
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	jsontree "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/marketstream/marketstream/controllers/desired"
)

// What caches keep. A thousand streams have twelve thousand objects, each of which is looked at for drift now and
// then: they are kept as JSON, deflated, in a third of what their Go structs take, and pods as the few fields that
// are read of them.

var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		panic(err) // there is that level
	}
	return w
}}

// pack is the transform of a cache of a stream's objects. What it keeps has a name, a version and an owner, by which
// its stream is found, and all of the object in SelfLink, which no API server fills in any more.
func pack(in any) (any, error) {
	o, ok := in.(client.Object)
	if !ok || o.GetSelfLink() != "" { // a tombstone, or packed already
		return in, nil
	}
	o.SetManagedFields(nil)
	text, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("keep %s: %w", o.GetName(), err)
	}
	var packed strings.Builder
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&packed)
	if _, err = w.Write(text); err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("keep %s: %w", o.GetName(), err)
	}
	out := reflect.New(reflect.TypeOf(o).Elem()).Interface().(client.Object)
	out.SetName(o.GetName())
	out.SetNamespace(one(o.GetNamespace()))
	out.SetUID(o.GetUID())
	out.SetResourceVersion(o.GetResourceVersion())
	if ref := metav1.GetControllerOfNoCopy(o); ref != nil {
		out.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: one(ref.APIVersion), Kind: one(ref.Kind), Name: one(ref.Name), UID: one(ref.UID), Controller: &yes}})
	}
	out.SetSelfLink(strings.Clone(packed.String())) // a builder has more than it says
	return out, nil
}

var yes = true // what many objects point to

// one is a string of which there is one in memory.
func one[S ~string](s S) S { return unique.Make(s).Value() }

// unpack is all of an object that a cache has packed, in JSON form.
func unpack(o client.Object) (map[string]any, error) {
	if o.GetSelfLink() == "" {
		return runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	}
	text, err := io.ReadAll(flate.NewReader(strings.NewReader(o.GetSelfLink())))
	if err != nil {
		return nil, err
	}
	var out map[string]any
	if err := jsontree.Unmarshal(text, &out); err != nil {
		return nil, err
	}
	// What is watched does not say what it is; who reads it from a cache is told.
	out["apiVersion"], out["kind"] = o.GetObjectKind().GroupVersionKind().ToAPIVersionAndKind()
	return out, nil
}

// podNotes and podLabels are what is read of a pod's.
var (
	podNotes  = []string{desired.AnnotationTemplate, desired.AnnotationImage, desired.AnnotationShape, desired.AnnotationNodes}
	podLabels = []string{desired.LabelInstance, desired.LabelComponent}
)

// slimPod is the transform of the cache of pods.
func slimPod(in any) (any, error) {
	p, ok := in.(*corev1.Pod)
	if !ok {
		return in, nil
	}
	out := &corev1.Pod{}
	out.Name, out.Namespace, out.UID, out.ResourceVersion, out.DeletionTimestamp = p.Name, one(p.Namespace), p.UID, p.ResourceVersion, p.DeletionTimestamp
	out.Annotations, out.Labels = only(p.Annotations, podNotes), only(p.Labels, podLabels)
	out.Status = corev1.PodStatus{Phase: one(p.Status.Phase), Reason: one(p.Status.Reason), Message: one(p.Status.Message), PodIP: p.Status.PodIP}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady || c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			out.Status.Conditions = append(out.Status.Conditions, corev1.PodCondition{Type: one(c.Type), Status: one(c.Status), Message: one(c.Message)})
		}
	}
	for i := range p.Status.ContainerStatuses {
		c := &p.Status.ContainerStatuses[i]
		kept := corev1.ContainerStatus{Image: one(c.Image)}
		if kept.State.Waiting = c.State.Waiting; c.State.Running != nil {
			kept.State.Running = &runs
		} else {
			kept.LastTerminationState = c.LastTerminationState
		}
		out.Status.ContainerStatuses = append(out.Status.ContainerStatuses, kept)
	}
	out.Status.Conditions, out.Status.ContainerStatuses = slices.Clip(out.Status.Conditions), slices.Clip(out.Status.ContainerStatuses)
	return out, nil
}

var runs corev1.ContainerStateRunning

// only are some entries of a map.
func only(m map[string]string, keys []string) map[string]string {
	out := make(map[string]string, len(keys))
	for _, k := range keys {
		if v, ok := m[k]; ok {
			out[k] = one(v)
		}
	}
	return out
}
