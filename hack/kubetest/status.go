package kubetest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// internal is the name of the port that every pod serves.
const internal = "internal"

// probeFailures in a row make a pod unready, where its probe does not say how many.
const probeFailures = 3

// served are the ports of a pod's first container that its probes name, and the one called internal.
func served(pod *corev1.Pod) (ports []int32) {
	c := &pod.Spec.Containers[0]
	add := func(p int32) {
		if p != 0 && !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	for _, p := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
		if p != nil && p.HTTPGet != nil {
			add(portOf(c, p.HTTPGet.Port))
		}
	}
	for _, p := range c.Ports {
		if p.Name == internal {
			add(p.ContainerPort)
		}
	}
	return ports
}

func portOf(c *corev1.Container, port intstr.IntOrString) int32 {
	if port.Type == intstr.Int {
		return port.IntVal
	}
	for _, p := range c.Ports {
		if p.Name == port.StrVal {
			return p.ContainerPort
		}
	}
	return 0
}

// probe asks the program whether it is ready, by the paths of its probes. It asks it directly: thousands of pods
// are to be cheap, and whoever wants to see the socket answer does so by himself.
func (w *worker) probe(pod *corev1.Pod) {
	c := &pod.Spec.Containers[0]
	if !w.started && !w.passes(c.StartupProbe) {
		return
	}
	w.started = true
	most := probeFailures
	if p := c.ReadinessProbe; p != nil && p.FailureThreshold > 0 {
		most = int(p.FailureThreshold)
	}
	if w.passes(c.ReadinessProbe) {
		w.ready, w.failures = true, 0
	} else if w.failures++; w.failures >= most {
		w.ready = false
	}
}

// passes reports whether a probe does; what is not asked by HTTP does.
func (w *worker) passes(p *corev1.Probe) bool {
	if p == nil || p.HTTPGet == nil {
		return true
	}
	r := httptest.NewRequestWithContext(w.ctx, http.MethodGet, p.HTTPGet.Path, nil)
	r.Header.Set("User-Agent", "kube-probe/1.37")
	answer := httptest.NewRecorder()
	w.playing().ServeHTTP(answer, r)
	return answer.Code >= 200 && answer.Code < 400
}

// status is what a kubelet would say.
func (w *worker) status(pod *corev1.Pod) corev1.PodStatus {
	runs := w.server != nil
	s := corev1.PodStatus{Phase: corev1.PodPending, ObservedGeneration: pod.Generation}
	if runs {
		s.Phase = corev1.PodRunning
		s.PodIP = w.pod.Address().String()
		s.PodIPs = []corev1.PodIP{{IP: s.PodIP}}
		s.HostIP, s.HostIPs = "127.0.0.1", []corev1.HostIP{{IP: "127.0.0.1"}}
		s.StartTime = &w.began
	}
	for _, c := range pod.Spec.Containers {
		started := runs && w.started
		cs := corev1.ContainerStatus{Name: c.Name, Image: c.Image, Ready: runs && w.ready, Started: &started}
		switch {
		case runs:
			cs.ImageID = "kubetest://" + c.Image
			cs.ContainerID = "kubetest://" + string(pod.UID) + "/" + c.Name
			cs.State.Running = &corev1.ContainerStateRunning{StartedAt: w.began}
		case w.waiting != nil:
			cs.State.Waiting = w.waiting
		default:
			cs.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
		}
		s.ContainerStatuses = append(s.ContainerStatuses, cs)
	}
	for _, c := range []struct {
		kind corev1.PodConditionType
		is   bool
	}{{corev1.PodInitialized, true}, {corev1.ContainersReady, runs && w.ready}, {corev1.PodReady, runs && w.ready}} {
		s.Conditions = append(s.Conditions, w.condition(pod, c.kind, c.is))
	}
	return s
}

// condition keeps the time of its last transition.
func (w *worker) condition(pod *corev1.Pod, kind corev1.PodConditionType, is bool) corev1.PodCondition {
	c := corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, ObservedGeneration: pod.Generation}
	if !is {
		c.Status, c.Reason, c.Message = corev1.ConditionFalse, "ContainersNotReady", "containers with unready status: ["+pod.Spec.Containers[0].Name+"]"
	}
	for _, last := range w.told.Conditions {
		if last.Type == kind && last.Status == c.Status {
			c.LastTransitionTime = last.LastTransitionTime
			return c
		}
	}
	c.LastTransitionTime = metav1.Now()
	return c
}

// tell writes the status if it is another than the last. Conditions that others set stay.
func (w *worker) tell(pod *corev1.Pod) error {
	s := w.status(pod)
	if reflect.DeepEqual(s, w.told) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": s})
	if err != nil {
		return err
	}
	_, err = w.nodes.client.CoreV1().Pods(pod.Namespace).Patch(w.ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // it is gone, or another has its name
	}
	if err == nil {
		w.told = s
	}
	return err
}
