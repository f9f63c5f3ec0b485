package desired

import (
	"strconv"

	apps "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1 "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1 "k8s.io/client-go/applyconfigurations/core/v1"
)

// Newest is the newest revision of the pod templates. Each must do for the images of the last two minor
// versions: a spec may name one of them.
const Newest = 1

// streamerTemplates build the pods of streamers, by revision. Released ones are never changed.
var streamerTemplates = templates{
	1: streamerTemplate1,
}

// templates build the pods of a component, by revision.
type templates [Newest + 1]func(*plan) *corev1.PodTemplateSpecApplyConfiguration

// build makes the pods of a revision.
func (t *templates) build(p *plan, component string, revision int) *corev1.PodTemplateSpecApplyConfiguration {
	pod := t[min(revision, Newest)](p)
	for i := Newest; i < revision; i++ {
		p.Later[i-Newest](component, pod)
	}
	return pod
}

// progressDeadline is above what a pod may take without anything being wrong: it is pulled, started,
// has read its rings, and then holds /readyz for 2 minutes at most until clients are back.
const progressDeadline = 600

// deployment is the streamers. One is made before one goes: with that, and with pods that hold
// themselves back, a roll goes at the pace of clients.
func deployment(p *plan) *Object {
	name := StreamerName(p.name)
	notes := p.Streamer.annotations(StreamerShape(p.Stream))
	d := appsv1.Deployment(name, p.Stream.Namespace).WithSpec(appsv1.DeploymentSpec().
		WithReplicas(p.Streamer.Replicas).
		WithSelector(p.selector(ComponentStreamer)).
		WithStrategy(appsv1.DeploymentStrategy().WithType(apps.RollingUpdateDeploymentStrategyType).WithRollingUpdate(
			appsv1.RollingUpdateDeployment().WithMaxSurge(intstr.FromInt32(1)).WithMaxUnavailable(intstr.FromInt32(0)))).
		WithProgressDeadlineSeconds(progressDeadline).
		WithRevisionHistoryLimit(3).
		WithTemplate(streamerTemplates.build(p, ComponentStreamer, p.Streamer.Revision).WithAnnotations(notes)))
	d.ObjectMetaApplyConfiguration = p.meta(name, ComponentStreamer)
	d.WithAnnotations(notes).WithAnnotations(p.Streamer.named())
	return object("apps", "v1", "Deployment", d.ObjectMetaApplyConfiguration, d)
}

// annotations say what a workload was built from; the controller reads them back. Its pods have them too:
// one of another template is known by them.
func (w *Workload) annotations(shape string) map[string]string {
	return map[string]string{AnnotationTemplate: strconv.Itoa(w.Revision), AnnotationImage: w.Image, AnnotationShape: shape}
}

// named is what only the workload says: pods need not roll because an image is called by its name.
func (w *Workload) named() map[string]string {
	if w.Named {
		return map[string]string{AnnotationNamed: "true"}
	}
	return nil
}
