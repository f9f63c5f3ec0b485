package marketstream

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/controllers/desired"
)

const (
	// forOthers is how long until a look at whether somebody else's object is gone: nothing tells us.
	forOthers = 30 * time.Second
	// forGarbage is the same where the garbage collector is at it.
	forGarbage = 2 * time.Second
)

// errForeign is of an object that is not ours.
var errForeign = errors.New("it is not ours")

// apply applies what differs from what is there, and takes away what is not wanted any more.
func (r *Reconciler) apply(ctx context.Context, s *scope) error {
	if s.paused {
		return nil
	}
	if !s.external() && (!s.seen.Nodes.Exists || s.missing) {
		if err := s.tolerate("Secret "+desired.BackboneSecretName(s.stream), r.makeSecret(ctx, s)); err != nil {
			return err
		}
	}
	for i := range s.objects {
		o := &s.objects[i]
		if s.holds(o) {
			continue
		}
		if err := s.tolerate(key(o).String(), r.applyOne(ctx, s, o)); err != nil {
			return err
		}
		if s.failure.reason == namespaceGoes { // nothing else will be let either
			return nil
		}
	}
	return r.prune(ctx, s)
}

// holds reports whether an object is left as it is for now.
func (s *scope) holds(o *desired.Object) bool {
	switch o.Kind.Kind {
	case "ConfigMap":
		if s.unasked && s.document.Reloads { // which document pods know is known once they were asked
			s.again.after(time.Second)
			return true
		}
		return s.document.Held
	case "StatefulSet": // its template of volumes cannot change: it is made again
		return len(s.growth.Claims) > 0 || s.growth.Remake
	}
	return false
}

// tolerate keeps what cannot be helped by asking again soon, and returns any other error.
func (s *scope) tolerate(what string, err error) error {
	if errors.Is(err, errForeign) {
		return nil // it is among the conflicts, or on its way out
	}
	if f := lasting(what, err); f.reason != "" {
		if s.failure.reason == "" {
			s.failure = f
		}
		s.again.after(forOthers)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// applyOne applies an object if anything of it differs.
func (r *Reconciler) applyOne(ctx context.Context, s *scope, o *desired.Object) error {
	body, err := o.Body()
	if err != nil {
		return err
	}
	live := s.live[key(o)]
	if live == nil || !s.ownsTree(live) {
		// Not in the cache is not the same as not there: the cache holds what has our label.
		if live, err = r.look(ctx, s, o); err != nil {
			return err
		}
	}
	wanted := &unstructured.Unstructured{Object: body}
	now := sending{hash: wanted.GetAnnotations()[desired.AnnotationApplied]}
	if live != nil {
		path, same := desired.Subset(body, live)
		old := &unstructured.Unstructured{Object: live}
		now.over = old.GetResourceVersion()
		if same || r.sent.is(s.key, key(o), now.hash, old) {
			return nil
		}
		s.log.V(1).Info("it differs from what is wanted", "kind", o.Kind.Kind, "object", o.Name, "first", path)
	}
	if err := r.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(wanted),
		client.FieldOwner(desired.Manager), client.ForceOwnership); err != nil {
		return err
	}
	s.wrote++
	if live != nil {
		now.uid, now.generation = wanted.GetUID(), wanted.GetGeneration() // of the answer
		r.sent.note(s.key, key(o), now)
	}
	s.log.Info("applied", "kind", o.Kind.Kind, "object", o.Name)
	return nil
}

// look reads an object from the API server: nil if it is not there, errForeign if it is not ours.
func (r *Reconciler) look(ctx context.Context, s *scope, o *desired.Object) (map[string]any, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(o.Kind)
	err := r.uncached.Get(ctx, types.NamespacedName{Namespace: o.Namespace, Name: o.Name}, u)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil, client.IgnoreNotFound(err)
	}
	if err != nil {
		return nil, err
	}
	if s.owns(u) {
		return u.Object, nil
	}
	for _, ref := range u.GetOwnerReferences() {
		if ref.Kind == v1alpha1.Kind && ref.Name == s.key.Name {
			s.log.V(1).Info("left by the stream that had this name before; the garbage collector is at it", "object", key(o).String())
			s.again.after(forGarbage)
			return nil, errForeign
		}
	}
	s.conflicts = append(s.conflicts, key(o).String())
	s.again.after(forOthers)
	return nil, errForeign
}

func (s *scope) ownsTree(live map[string]any) bool {
	return s.owns(&unstructured.Unstructured{Object: live})
}

// makeSecret creates the backbone's credential. It is never read: that it is there already is all
// that is known of it.
func (r *Reconciler) makeSecret(ctx context.Context, s *scope) error {
	token := make([]byte, 32)
	if _, err := rand.Read(token); err != nil {
		return err
	}
	yes := true
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: desired.BackboneSecretName(s.stream), Namespace: s.key.Namespace,
			Labels: desired.Labels(s.key.Name, desired.ComponentBackbone),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind,
				Name: s.stream.Name, UID: s.stream.UID, Controller: &yes, BlockOwnerDeletion: &yes}}},
		StringData: map[string]string{desired.KeyToken: hex.EncodeToString(token)},
	}
	err := r.client.Create(ctx, secret)
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err == nil {
		s.wrote++
		s.log.Info("created", "kind", "Secret", "object", secret.Name)
	}
	return err
}

// prunable are the kinds that a change of the spec may take away.
var prunable = map[string]bool{"Ingress": true, "HTTPRoute": true, "ServiceMonitor": true, "PrometheusRule": true, "NetworkPolicy": true}

// prune deletes what is ours and not wanted any more.
func (r *Reconciler) prune(ctx context.Context, s *scope) error {
	wanted := make(map[id]bool, len(s.objects))
	for i := range s.objects {
		wanted[key(&s.objects[i])] = true
	}
	for at, live := range s.live {
		if wanted[at] || !prunable[at.kind] || !s.ownsTree(live) {
			continue
		}
		u := &unstructured.Unstructured{Object: live}
		if u.GetDeletionTimestamp() != nil {
			continue
		}
		u.SetGroupVersionKind(kindOf(at.kind))
		uid := u.GetUID()
		if err := r.client.Delete(ctx, u, client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		s.wrote++
		s.log.Info("deleted", "kind", at.kind, "object", at.name)
	}
	return nil
}
