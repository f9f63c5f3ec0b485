package marketstream

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/marketstream/marketstream/controllers/desired"
	"github.com/marketstream/marketstream/controllers/observed"
)

// touchEvery is how often a pod is touched while its report lags: the kubelet may have looked a
// moment too early.
const touchEvery = 3 * time.Second

// act does what is not applying: touches pods whose report lags, has pods go, grows volumes.
func (r *Reconciler) act(ctx context.Context, s *scope) error {
	if s.paused {
		return nil
	}
	if err := r.touch(ctx, s); err != nil {
		return err
	}
	for _, name := range s.doomed {
		if err := r.deletePod(ctx, s, &s.seen.Streamers, name); err != nil {
			return err
		}
	}
	if s.backbone != nil && s.backbone.Delete != "" {
		if err := r.deletePod(ctx, s, &s.seen.Nodes, s.backbone.Delete); err != nil {
			return err
		}
	}
	return r.grow(ctx, s)
}

// touches remembers when a pod was touched last, by UID.
type touches struct {
	mu   sync.Mutex
	last map[types.NamespacedName]map[string]time.Time
}

// due reports whether a pod is to be touched now.
func (t *touches) due(key types.NamespacedName, uid string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.last[key][uid]) < touchEvery {
		return false
	}
	if t.last == nil {
		t.last = make(map[types.NamespacedName]map[string]time.Time)
	}
	if t.last[key] == nil {
		t.last[key] = make(map[string]time.Time)
	}
	t.last[key][uid] = now
	return true
}

// keep forgets all pods but these.
func (t *touches) keep(key types.NamespacedName, uids map[string]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.last[key], func(uid string, _ time.Time) bool { return !uids[uid] })
}

func (t *touches) forget(key types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.last, key)
}

// touch has the kubelets of pods that lag look at the ConfigMap at once; by itself that may
// take a minute.
func (r *Reconciler) touch(ctx context.Context, s *scope) error {
	uids := make(map[string]bool)
	behind := false
	for _, p := range s.seen.Streamers.Staying() {
		uids[p.UID] = true
		if !p.Running || p.Report == nil || p.Report.ConfigRevision == s.document.Revision || p.Report.ConfigError != "" && !s.document.Reloads {
			continue
		}
		behind = true
		if !r.touched.due(s.key, p.UID, time.Now()) {
			continue
		}
		if err := r.annotate(ctx, s, p, desired.AnnotationTouched, s.document.Revision+" "+time.Now().UTC().Format(time.RFC3339)); err != nil {
			return err
		}
	}
	r.touched.keep(s.key, uids)
	if behind {
		s.again.after(touchEvery)
	}
	if behind || s.wrote > 0 {
		r.poller.Hurry(s.key.String())
	}
	return nil
}

// annotate patches one annotation of a pod, if it is still that pod.
func (r *Reconciler) annotate(ctx context.Context, s *scope, p *observed.Pod, key, value string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": p.UID, "annotations": map[string]string{key: value}}})
	if err != nil {
		return err
	}
	target := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.key.Namespace, Name: p.Name}}
	err = r.client.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(desired.Manager))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("touch pod %s: %w", p.Name, err)
	}
	return nil
}

// deletePod has a pod go, if it is still the one that was seen.
func (r *Reconciler) deletePod(ctx context.Context, s *scope, w *observed.Workload, name string) error {
	for i := range w.Pods {
		if w.Pods[i].Name != name {
			continue
		}
		uid := types.UID(w.Pods[i].UID)
		err := r.client.Delete(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.key.Namespace, Name: name}}, client.Preconditions{UID: &uid})
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("delete pod %s: %w", name, err)
		}
		s.wrote++
		s.log.Info("deleted", "kind", "Pod", "object", name)
	}
	return nil
}

// grow has volumes ask for more, then the StatefulSet made again around its pods.
func (r *Reconciler) grow(ctx context.Context, s *scope) error {
	size := desired.StorageSize(s.stream)
	for _, name := range s.growth.Claims {
		patch, err := json.Marshal(map[string]any{"spec": map[string]any{"resources": map[string]any{"requests": map[string]any{"storage": size.String()}}}})
		if err != nil {
			return err
		}
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: s.key.Namespace, Name: name}}
		if err := r.client.Patch(ctx, claim, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(desired.Manager)); err != nil {
			if err := s.tolerate("PersistentVolumeClaim "+name, client.IgnoreNotFound(err)); err != nil {
				return err
			}
			continue
		}
		s.wrote++
		s.log.Info("volume asks for more", "claim", name, "size", size.String())
		s.again.after(time.Second)
	}
	if !s.growth.Remake {
		return nil
	}
	orphan := metav1.DeletePropagationOrphan
	err := r.client.Delete(ctx, &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: s.key.Namespace, Name: desired.BackboneName(s.key.Name)}},
		&client.DeleteOptions{PropagationPolicy: &orphan})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("make the StatefulSet again: %w", err)
	}
	s.wrote++
	s.log.Info("the StatefulSet is made again around its pods", "size", size.String())
	return nil
}

// claims reads the volumes of the nodes, from the API server, when they may have to grow.
func (r *Reconciler) claims(ctx context.Context, s *scope) error {
	size := desired.StorageSize(s.stream)
	if s.external() || !s.seen.Nodes.Exists || size.Value() <= s.seen.Nodes.Size {
		return nil
	}
	for i := range 3 {
		var claim corev1.PersistentVolumeClaim
		name := fmt.Sprintf("data-%s-%d", desired.BackboneName(s.key.Name), i)
		err := r.uncached.Get(ctx, types.NamespacedName{Namespace: s.key.Namespace, Name: name}, &claim)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("PersistentVolumeClaim %s: %w", name, err)
		}
		s.seen.Volumes = append(s.seen.Volumes, observed.Volume{Name: name, Requested: sizeOf(claim.Spec.Resources.Requests), Has: sizeOf(claim.Status.Capacity)})
	}
	return nil
}

func sizeOf(l corev1.ResourceList) int64 {
	q, ok := l[corev1.ResourceStorage]
	if !ok {
		q = resource.Quantity{}
	}
	return q.Value()
}
