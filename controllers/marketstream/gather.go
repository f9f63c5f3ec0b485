package marketstream

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/marketstream/marketstream/controllers/desired"
	"github.com/marketstream/marketstream/controllers/observed"
)

// child is a kind of object that a stream may have, and the names that it may have it under.
type child struct {
	gvk   schema.GroupVersionKind
	empty func() client.Object
	names func(stream string) []string
}

func named(suffixes ...string) func(string) []string {
	return func(stream string) (out []string) {
		for _, s := range suffixes {
			out = append(out, stream+s)
		}
		return out
	}
}

// children are the kinds that every cluster has.
var children = []child{
	{corev1.SchemeGroupVersion.WithKind("ConfigMap"), func() client.Object { return &corev1.ConfigMap{} }, named("-config")},
	{corev1.SchemeGroupVersion.WithKind("ServiceAccount"), func() client.Object { return &corev1.ServiceAccount{} }, named("-streamer", "-backbone")},
	{corev1.SchemeGroupVersion.WithKind("Service"), func() client.Object { return &corev1.Service{} }, named("", "-internal", "-backbone", "-nats")},
	{networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"), func() client.Object { return &networkingv1.NetworkPolicy{} }, named("-streamer", "-backbone")},
	{policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget"), func() client.Object { return &policyv1.PodDisruptionBudget{} }, named("-streamer", "-backbone")},
	{appsv1.SchemeGroupVersion.WithKind("StatefulSet"), func() client.Object { return &appsv1.StatefulSet{} }, named("-backbone")},
	{appsv1.SchemeGroupVersion.WithKind("Deployment"), func() client.Object { return &appsv1.Deployment{} }, named("-streamer")},
	{networkingv1.SchemeGroupVersion.WithKind("Ingress"), func() client.Object { return &networkingv1.Ingress{} }, named("")},
}

// kindOf is the whole name of a kind that a stream may have.
func kindOf(kind string) schema.GroupVersionKind {
	for _, c := range children {
		if c.gvk.Kind == kind {
			return c.gvk
		}
	}
	for _, k := range foreign {
		if k.gvk.Kind == kind {
			return k.gvk
		}
	}
	return schema.GroupVersionKind{}
}

// gather looks at what there is.
func (r *Reconciler) gather(ctx context.Context, s *scope) error {
	s.kinds = r.kinds.now()
	live := make(map[id]map[string]any)
	for _, c := range append(children, s.others()...) {
		for _, name := range c.names(s.key.Name) {
			o := c.empty()
			err := r.client.Get(ctx, client.ObjectKey{Namespace: s.key.Namespace, Name: name}, o)
			if apierrors.IsNotFound(err) {
				continue
			}
			if err != nil {
				return fmt.Errorf("%s %s: %w", c.gvk.Kind, name, err)
			}
			tree, err := unpack(o)
			if err != nil {
				return fmt.Errorf("%s %s: %w", c.gvk.Kind, name, err)
			}
			live[id{c.gvk.Kind, name}] = tree
			if !s.ownsTree(tree) {
				continue
			}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(tree, o); err != nil {
				return fmt.Errorf("%s %s: %w", c.gvk.Kind, name, err)
			}
			s.see(o)
		}
	}
	if err := r.pods(ctx, s); err != nil {
		return err
	}
	if err := r.claims(ctx, s); err != nil {
		return err
	}
	s.live = live
	return nil
}

// others are the kinds of which the cluster has the CRD.
func (s *scope) others() (out []child) {
	for _, k := range foreign {
		if k.there(&s.kinds) {
			out = append(out, child{k.gvk, func() client.Object {
				u := &unstructured.Unstructured{}
				u.SetGroupVersionKind(k.gvk)
				return u
			}, named("")})
		}
	}
	return out
}

// owns reports whether an object is the stream's: by the UID, so that what a stream of the same name
// left behind is not.
func (s *scope) owns(o client.Object) bool {
	for _, ref := range o.GetOwnerReferences() {
		if ref.UID == s.stream.UID {
			return true
		}
	}
	return false
}

// see keeps of an object what decisions and conditions need.
func (s *scope) see(o client.Object) {
	switch o := o.(type) {
	case *corev1.ConfigMap:
		s.seen.Config = config(o)
	case *appsv1.Deployment:
		w := &s.seen.Streamers
		workload(w, o, o.Spec.Template.Annotations)
		w.Settled = o.Status.ObservedGeneration >= o.Generation
		if o.Spec.Replicas != nil {
			w.Replicas = *o.Spec.Replicas
		}
		for _, c := range o.Status.Conditions {
			if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
				w.Failure = c.Message
			}
		}
	case *appsv1.StatefulSet:
		w := &s.seen.Nodes
		workload(w, o, o.Spec.Template.Annotations)
		w.Settled = o.Status.ObservedGeneration >= o.Generation
		if o.Spec.Replicas != nil {
			w.Replicas = *o.Spec.Replicas
		}
		for _, c := range o.Spec.VolumeClaimTemplates {
			size := c.Spec.Resources.Requests[corev1.ResourceStorage]
			w.Size = size.Value()
		}
	case *networkingv1.Ingress:
		s.seen.Exposure.Ingress = true
	case *unstructured.Unstructured:
		switch o.GetKind() {
		case "HTTPRoute":
			s.seen.Exposure.Route = true
			s.seen.Exposure.RouteAccepted, s.seen.Exposure.RouteSays = accepted(o)
		case "ServiceMonitor":
			s.seen.Exposure.Monitor = true
		case "PrometheusRule":
			s.seen.Exposure.Rules = true
		}
	}
}

// workload reads what a workload was built from: its annotations, or where someone took them away
// those of its pods' template.
func workload(w *observed.Workload, o client.Object, template map[string]string) {
	notes := o.GetAnnotations()
	if notes[desired.AnnotationTemplate] == "" || notes[desired.AnnotationImage] == "" || notes[desired.AnnotationShape] == "" {
		notes = template
	}
	w.Exists, w.Named = true, o.GetAnnotations()[desired.AnnotationNamed] == "true"
	w.Template, _ = strconv.Atoi(notes[desired.AnnotationTemplate])
	w.Image, w.Shape = notes[desired.AnnotationImage], notes[desired.AnnotationShape]
	w.Current = revision(notes)
}

// revision is what a pod was built from, by the annotations that it shares with its workload.
func revision(notes map[string]string) string {
	return strings.Join([]string{notes[desired.AnnotationTemplate], notes[desired.AnnotationImage],
		notes[desired.AnnotationShape], notes[desired.AnnotationNodes]}, " ")
}

func config(o *corev1.ConfigMap) observed.Config {
	var g struct {
		CreatedMs  int64 `json:"createdMs"`
		Generation int64 `json:"generation"`
	}
	_ = json.Unmarshal([]byte(o.Data[desired.KeyGeneration]), &g) // what is not readable is written again
	doc := o.Data[desired.KeyDocument]
	return observed.Config{Exists: true, Document: doc, Revision: desired.ConfigRevision([]byte(doc)), CreatedMs: g.CreatedMs, Generation: g.Generation}
}

// accepted reports whether every parent of a route has accepted it as it is, and what one says
// that has not.
func accepted(route *unstructured.Unstructured) (bool, string) {
	wanted, _, _ := unstructured.NestedSlice(route.Object, "spec", "parentRefs")
	parents, _, _ := unstructured.NestedSlice(route.Object, "status", "parents")
	yes := 0
	for _, p := range parents {
		parent, _ := p.(map[string]any)
		conditions, _, _ := unstructured.NestedSlice(parent, "conditions")
		for _, c := range conditions {
			c, _ := c.(map[string]any)
			generation, _, _ := unstructured.NestedInt64(c, "observedGeneration")
			if c["type"] != "Accepted" || generation < route.GetGeneration() {
				continue
			}
			if c["status"] == "True" {
				yes++
				continue
			}
			return false, fmt.Sprint(c["reason"], ": ", c["message"])
		}
	}
	return yes > 0 && yes >= len(wanted), ""
}
