package desired

import (
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1 "k8s.io/client-go/applyconfigurations/core/v1"
)

// publicPort is the port for browsers. Its name and number say which protocol it speaks: routers
// go by them.
func (p *plan) publicPort() (name string, number int32) {
	if p.podTLS() {
		return namePublicTLS, 443
	}
	return namePublic, 80
}

// podTLS reports whether the pods themselves speak TLS to browsers.
func (in *Input) podTLS() bool { return or(in.Stream.Spec.Access).TLSSecretName != "" }

// publicService is for browsers. It has no affinity: a cookie leads a client that reconnects back to
// the pod that just left, and EventSource gives up.
func publicService(p *plan) *Object {
	spec := or(p.Stream.Spec.Service)
	kind := core.ServiceTypeClusterIP
	if spec.Type != "" {
		kind = core.ServiceType(spec.Type)
	}
	port, number := p.publicPort()
	s := service(p, p.name, ComponentStreamer, servicePort(port, number, namePublic))
	s.Spec.WithType(kind)
	s.WithAnnotations(spec.Annotations)
	return object("", "v1", "Service", s.ObjectMetaApplyConfiguration, s)
}

// internalService finds the pods one by one, for Prometheus and people; a pod that waits for something
// is to be seen too.
func internalService(p *plan) *Object {
	s := service(p, InternalName(p.name), ComponentStreamer, servicePort(nameInternal, portInternal, nameInternal))
	s.Spec.WithType(core.ServiceTypeClusterIP).WithClusterIP(core.ClusterIPNone).WithPublishNotReadyAddresses(true)
	return object("", "v1", "Service", s.ObjectMetaApplyConfiguration, s)
}

// backboneService gives each node a name. Nodes are ready only when they have found each other, so
// those that are not are published too.
func backboneService(p *plan) *Object {
	if p.external() {
		return nil
	}
	s := service(p, BackboneName(p.name), ComponentBackbone, servicePort(nameNATS, portNATS, nameNATS),
		servicePort(nameCluster, portCluster, nameCluster), servicePort(nameHealth, portHealth, nameHealth))
	s.Spec.WithType(core.ServiceTypeClusterIP).WithClusterIP(core.ClusterIPNone).WithPublishNotReadyAddresses(true)
	return object("", "v1", "Service", s.ObjectMetaApplyConfiguration, s)
}

// natsService is how streamers find a node that has only just begun. The name of a node is not there before the node is, and
// who asked too early is told so from caches for up to 30 s; this name is there before all pods.
func natsService(p *plan) *Object {
	if p.external() {
		return nil
	}
	s := service(p, NATSName(p.name), ComponentBackbone, servicePort(nameNATS, portNATS, nameNATS))
	s.Spec.WithType(core.ServiceTypeClusterIP).WithPublishNotReadyAddresses(true)
	return object("", "v1", "Service", s.ObjectMetaApplyConfiguration, s)
}

func service(p *plan, name, component string, ports ...*corev1.ServicePortApplyConfiguration) *corev1.ServiceApplyConfiguration {
	s := corev1.Service(name, p.Stream.Namespace).
		WithSpec(corev1.ServiceSpec().WithSelector(Selector(p.name, component)).WithPorts(ports...))
	s.ObjectMetaApplyConfiguration = p.meta(name, component)
	return s
}

func servicePort(name string, number int32, target string) *corev1.ServicePortApplyConfiguration {
	return corev1.ServicePort().WithName(name).WithPort(number).WithProtocol(core.ProtocolTCP).WithTargetPort(intstr.FromString(target))
}
