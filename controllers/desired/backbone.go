package desired

import (
	"fmt"
	"strconv"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	appsv1 "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1 "k8s.io/client-go/applyconfigurations/core/v1"
	metav1 "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/marketstream/marketstream/api/v1alpha1"
)

// backboneTemplates build the pods of nodes, by revision. Released ones are never changed.
var backboneTemplates = templates{
	1: backboneTemplate1,
}

// volumeName is the name of a node's volume in its pod; its claim is data-<stream>-backbone-<i>.
const volumeName = "data"

// statefulSet is the nodes of our own backbone. They start together, since none is ready alone; which
// one takes a new template is for the controller to say, by deleting its pod.
func statefulSet(p *plan) *Object {
	if p.external() {
		return nil
	}
	name := BackboneName(p.name)
	notes := p.Backbone.annotations(BackboneShape(p.Stream))
	notes[AnnotationNodes] = strconv.Itoa(int(p.BackboneNodes))
	s := appsv1.StatefulSet(name, p.Stream.Namespace).WithSpec(appsv1.StatefulSetSpec().
		WithReplicas(p.Backbone.Replicas).
		WithSelector(p.selector(ComponentBackbone)).
		WithServiceName(name).
		WithPodManagementPolicy(apps.ParallelPodManagement).
		WithUpdateStrategy(appsv1.StatefulSetUpdateStrategy().WithType(apps.OnDeleteStatefulSetStrategyType)).
		WithPersistentVolumeClaimRetentionPolicy(appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy().
			WithWhenDeleted(whenDeleted(p.Stream)).
			WithWhenScaled(apps.DeletePersistentVolumeClaimRetentionPolicyType)). // a node left only when the others have all it held
		WithRevisionHistoryLimit(3).
		WithVolumeClaimTemplates(volumeClaim(p)).
		WithTemplate(backboneTemplates.build(p, ComponentBackbone, p.Backbone.Revision).WithAnnotations(notes)))
	s.ObjectMetaApplyConfiguration = p.meta(name, ComponentBackbone)
	s.WithAnnotations(notes).WithAnnotations(p.Backbone.named())
	return object("apps", "v1", "StatefulSet", s.ObjectMetaApplyConfiguration, s)
}

// whenDeleted says what becomes of the volumes with the stream. The StatefulSet may be made again with
// its pods orphaned; the policy does not act then.
func whenDeleted(s *v1alpha1.MarketStream) apps.PersistentVolumeClaimRetentionPolicyType {
	if or(backboneOf(s).Storage).WhenDeleted == "Delete" {
		return apps.DeletePersistentVolumeClaimRetentionPolicyType
	}
	return apps.RetainPersistentVolumeClaimRetentionPolicyType
}

// volumeClaim is a node's volume. Only its size can change after it was made.
func volumeClaim(p *plan) *corev1.PersistentVolumeClaimApplyConfiguration {
	spec := corev1.PersistentVolumeClaimSpec().WithAccessModes(core.ReadWriteOnce).WithVolumeMode(core.PersistentVolumeFilesystem).
		WithResources(corev1.VolumeResourceRequirements().WithRequests(core.ResourceList{core.ResourceStorage: StorageSize(p.Stream)}))
	if class := or(backboneOf(p.Stream).Storage).ClassName; class != "" {
		spec.WithStorageClassName(class)
	}
	c := (&corev1.PersistentVolumeClaimApplyConfiguration{}).WithSpec(spec) // without its kind, which nobody keeps
	c.ObjectMetaApplyConfiguration = metav1.ObjectMeta().WithName(volumeName).WithLabels(Labels(p.name, ComponentBackbone))
	return c
}

// StorageSize is the size of each node's volume.
func StorageSize(s *v1alpha1.MarketStream) resource.Quantity {
	if size := or(backboneOf(s).Storage).Size; size != nil {
		return *size
	}
	return resource.MustParse("10Gi")
}

// nodeAddresses are those of all three nodes, also where there is one.
func nodeAddresses(p *plan, port int) []string {
	out := make([]string, 3)
	for i := range out {
		out[i] = fmt.Sprintf("%[1]s-%[2]d.%[1]s.%[3]s.svc:%[4]d", BackboneName(p.name), i, p.Stream.Namespace, port)
	}
	return out
}
