package desired

import (
	"errors"
	"fmt"

	corev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/marketstream/marketstream/api/v1alpha1"
)

// Generation orders documents: the object's creation, then its generation when the document last changed.
type Generation struct{ CreatedMs, Generation int64 }

// Workload is what the controller decided about pods of one kind.
type Workload struct {
	// Revision of the pod template, from 1.
	Revision int
	// Image that the pods are to run.
	Image string
	// Named: it is one that the spec names, not the operator's own.
	Named bool
	// Replicas is how many pods there are to be now.
	Replicas int32
}

// Kinds are the CRDs of others that the cluster has.
type Kinds struct{ ServiceMonitor, PrometheusRule, HTTPRoute bool }

// Input is all that the objects of one MarketStream follow from. It is not changed.
type Input struct {
	// Stream is valid, and has a UID.
	Stream *v1alpha1.MarketStream
	// Generation of the document.
	Generation Generation
	// FingerprintSalt is the UID of namespace kube-system.
	FingerprintSalt string

	Streamer, Backbone Workload
	// BackboneNodes is what nodes are told to be: 1 or 3. While the backbone moves between the two,
	// Backbone.Replicas, the pods that there are, differs from it.
	BackboneNodes int32

	// OperatorNamespace is where the operator runs: it asks the pods how they are.
	OperatorNamespace string
	Kinds             Kinds

	// Later are revisions above Newest. A released operator has none: by them a test has the operator of a
	// version to come.
	Later []Later
}

// Later makes the pods of a component of one revision out of those of the revision before.
type Later func(component string, pod *corev1.PodTemplateSpecApplyConfiguration)

// plan is an Input with what more than one thing is made from.
type plan struct {
	*Input
	name     string // of the stream
	document []byte
}

// builders make the objects in the order in which they are applied: what a pod mounts, runs as and
// is guarded by is there before the pod. A builder returns nil where its object is not made.
var builders = []func(*plan) *Object{
	configMap,

	streamerAccount,
	backboneAccount, // backbone of our own

	publicService,
	internalService,
	backboneService, // backbone of our own
	natsService,     // backbone of our own

	streamerPolicy, // networkPolicy.mode Managed
	backbonePolicy, // the same, and a backbone of our own
	streamerBudget,
	backboneBudget, // backbone of our own

	statefulSet, // backbone of our own
	deployment,

	ingress,   // spec.ingress
	httpRoute, // spec.gateway, where the cluster has the CRD

	serviceMonitor, // unless Disabled, where the cluster has the CRD
	prometheusRule, // the same
}

// Objects returns all objects of the stream, in the order in which they are applied.
func Objects(in *Input) ([]Object, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	document, err := Document(in.Stream)
	if err != nil {
		return nil, fmt.Errorf("the document of %s/%s: %w", in.Stream.Namespace, in.Stream.Name, err)
	}
	p := &plan{Input: in, name: in.Stream.Name, document: document}
	var out []Object
	for _, build := range builders {
		if o := build(p); o != nil {
			out = append(out, *o)
		}
	}
	return out, nil
}

// check finds what a controller may have left out; the stream itself is valid.
func (in *Input) check() error {
	switch {
	case in.Stream == nil || in.Stream.Name == "" || in.Stream.Namespace == "" || len(in.Stream.UID) < 8:
		return errors.New("input: want a stream that an API server has named and given a UID")
	case in.Generation.Generation < 1:
		return fmt.Errorf("input: generation %d of the document: want 1 or more", in.Generation.Generation)
	case in.OperatorNamespace == "":
		return errors.New("input: want the operator's namespace")
	}
	if err := in.Streamer.check("streamer", Newest+len(in.Later)); err != nil || in.external() {
		return err
	}
	if in.BackboneNodes != 1 && in.BackboneNodes != 3 {
		return fmt.Errorf("input: %d nodes of the backbone: want 1 or 3", in.BackboneNodes)
	}
	return in.Backbone.check("backbone", Newest+len(in.Later))
}

func (w *Workload) check(what string, known int) error {
	switch {
	case w.Revision < 1 || w.Revision > known:
		return fmt.Errorf("input: %s template of revision %d: this operator knows 1 to %d", what, w.Revision, known)
	case w.Image == "":
		return fmt.Errorf("input: want the image of the %s", what)
	case w.Replicas < 0:
		return fmt.Errorf("input: %d pods of the %s: want 0 or more", w.Replicas, what)
	}
	return nil
}

// external reports whether the user brings the backbone.
func (in *Input) external() bool { return backboneOf(in.Stream).External != nil }

// hibernated reports whether no streamer is wanted.
func (in *Input) hibernated() bool {
	return in.Stream.Spec.Shards != nil && *in.Stream.Spec.Shards == 0
}

func backboneOf(s *v1alpha1.MarketStream) *v1alpha1.Backbone     { return or(s.Spec.Backbone) }
func podOf(s *v1alpha1.MarketStream) *v1alpha1.Pod               { return or(s.Spec.Pod) }
func monitoringOf(s *v1alpha1.MarketStream) *v1alpha1.Monitoring { return or(s.Spec.Monitoring) }

// or is what p points to, or else an empty one.
func or[T any](p *T) *T {
	if p == nil {
		return new(T)
	}
	return p
}
