package desired

import (
	"fmt"
	"maps"

	metav1 "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/marketstream/marketstream/api/v1alpha1"
)

// Manager is the field manager of what is applied.
const Manager = "marketstream-operator"

// Annotations.
const (
	// AnnotationApplied is on every object: a hash of what was applied.
	AnnotationApplied = "marketstream.dev/applied"
	// AnnotationTemplate is the revision of the pod template that a workload was built from.
	AnnotationTemplate = "marketstream.dev/template"
	// AnnotationImage is the image that it was built for.
	AnnotationImage = "marketstream.dev/image"
	// AnnotationNamed on a workload, "true": the spec named the image. Once it does not, the operator's own is meant.
	AnnotationNamed = "marketstream.dev/image-named"
	// AnnotationShape is the hash of the pod-shaped fields that it was built from.
	AnnotationShape = "marketstream.dev/shape"
	// AnnotationNodes is how many nodes the pods of a backbone are told to be: 1 or 3.
	AnnotationNodes = "marketstream.dev/nodes"
	// AnnotationTouched on a pod makes the kubelet look at its volumes at once.
	AnnotationTouched = "marketstream.dev/touched"
	// AnnotationPaused on a MarketStream, "true", stops all changes but those of status.
	AnnotationPaused = "marketstream.dev/paused"
)

// Labels.
const (
	LabelName      = "app.kubernetes.io/name"
	LabelInstance  = "app.kubernetes.io/instance"
	LabelComponent = "app.kubernetes.io/component"
	LabelPartOf    = "app.kubernetes.io/part-of"
	LabelManagedBy = "app.kubernetes.io/managed-by"
)

// Components.
const (
	ComponentStreamer = "streamer"
	ComponentBackbone = "backbone"
	ComponentConfig   = "config"
)

// Keys of the ConfigMap and of the backbone's Secret.
const (
	KeyDocument   = "stream.yaml"
	KeyGeneration = "configGeneration"
	KeySalt       = "fingerprintSalt"
	KeyToken      = "token"
)

// Ports of pods, by name and number.
const (
	portPublic      = 8080
	portInternal    = 9090
	portNATS        = 4222
	portCluster     = 6222
	portHealth      = 8222
	namePublic      = "http"
	namePublicTLS   = "https"
	nameInternal    = "internal"
	nameNATS        = "nats"
	nameCluster     = "cluster"
	nameHealth      = "health"
	namespaceNameIs = "kubernetes.io/metadata.name" // the label that every namespace has
)

// StreamerName is the name of the streamers' Deployment, and of what belongs to it.
func StreamerName(stream string) string { return stream + "-streamer" }

// BackboneName is the name of the backbone's StatefulSet, and of what belongs to it.
func BackboneName(stream string) string { return stream + "-backbone" }

// NATSName is the name of the Service at which streamers find the nodes of our own backbone.
func NATSName(stream string) string { return stream + "-nats" }

// ConfigName is the name of the ConfigMap.
func ConfigName(stream string) string { return stream + "-config" }

// InternalName is the name of the Service of the internal port.
func InternalName(stream string) string { return stream + "-internal" }

// BackboneSecretName is the name of the Secret that pods and nodes show the backbone. It has a part of the
// UID, so that a stream made again under its name does not get the Secret of the one before.
func BackboneSecretName(s *v1alpha1.MarketStream) string {
	return fmt.Sprintf("%s-%.8s-backbone", s.Name, s.UID)
}

// Selector is the labels by which pods of a component are found.
func Selector(stream, component string) map[string]string {
	return map[string]string{LabelName: "marketstream", LabelInstance: stream, LabelComponent: component}
}

// Labels of an object of a component.
func Labels(stream, component string) map[string]string {
	l := Selector(stream, component)
	l[LabelPartOf], l[LabelManagedBy] = "marketstream", Manager
	return l
}

// meta is the metadata of an object: labels, and the MarketStream as its one owner.
func (in *Input) meta(name, component string) *metav1.ObjectMetaApplyConfiguration {
	s := in.Stream
	owner := metav1.OwnerReference().WithAPIVersion(v1alpha1.GroupVersion.String()).WithKind(v1alpha1.Kind).
		WithName(s.Name).WithUID(s.UID).WithController(true).WithBlockOwnerDeletion(true)
	return metav1.ObjectMeta().WithName(name).WithNamespace(s.Namespace).
		WithLabels(Labels(s.Name, component)).WithOwnerReferences(owner)
}

// selector of pods of a component, as a workload has it.
func (in *Input) selector(component string) *metav1.LabelSelectorApplyConfiguration {
	return metav1.LabelSelector().WithMatchLabels(Selector(in.Stream.Name, component))
}

// under is theirs with ours on top: users add labels and annotations, they do not change ours.
func under(theirs, ours map[string]string) map[string]string {
	out := maps.Clone(theirs)
	if out == nil {
		return ours
	}
	maps.Copy(out, ours)
	return out
}
