package desired

import (
	networking "k8s.io/api/networking/v1"
	networkingv1 "k8s.io/client-go/applyconfigurations/networking/v1"
)

// ingress leads a host's paths to the Service. What a controller needs to be told besides, the user
// writes in annotations: nothing of ours does but what every controller understands.
func ingress(p *plan) *Object {
	spec := p.Stream.Spec.Ingress
	if spec == nil {
		return nil
	}
	port, _ := p.publicPort()
	backend := networkingv1.IngressBackend().WithService(networkingv1.IngressServiceBackend().
		WithName(p.name).WithPort(networkingv1.ServiceBackendPort().WithName(port)))
	s := networkingv1.IngressSpec().WithRules(networkingv1.IngressRule().WithHost(spec.Host).
		WithHTTP(networkingv1.HTTPIngressRuleValue().WithPaths(networkingv1.HTTPIngressPath().
			WithPath("/").WithPathType(networking.PathTypePrefix).WithBackend(backend))))
	if spec.ClassName != "" {
		s.WithIngressClassName(spec.ClassName)
	}
	if spec.TLSSecretName != "" {
		s.WithTLS(networkingv1.IngressTLS().WithHosts(spec.Host).WithSecretName(spec.TLSSecretName))
	}
	i := networkingv1.Ingress(p.name, p.Stream.Namespace).WithSpec(s)
	i.ObjectMetaApplyConfiguration = p.meta(p.name, ComponentStreamer)
	i.WithAnnotations(spec.Annotations)
	return object("networking.k8s.io", "v1", "Ingress", i.ObjectMetaApplyConfiguration, i)
}
