package desired

import (
	"maps"
	"slices"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1 "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/marketstream/marketstream/api/v1alpha1"
)

type (
	peer        = networkingv1.NetworkPolicyPeerApplyConfiguration
	policyPort  = networkingv1.NetworkPolicyPortApplyConfiguration
	ingressRule = networkingv1.NetworkPolicyIngressRuleApplyConfiguration
	egressRule  = networkingv1.NetworkPolicyEgressRuleApplyConfiguration
)

// streamerPolicy says who may talk to streamers, and whom they may talk to.
func streamerPolicy(p *plan) *Object {
	in := []*ingressRule{
		allowIn(nil, portPublic), // browsers, by whatever routers there are
		allowIn(append([]*peer{p.pods(ComponentStreamer), namespaces(p.OperatorNamespace)}, p.scrapers()...), portInternal),
	}
	out := []*egressRule{dns(), allowOut([]*peer{p.pods(ComponentStreamer)}, portInternal)} // rings of other shards
	if !p.external() {
		out = append(out, allowOut([]*peer{p.pods(ComponentBackbone)}, portNATS))
	}
	e := egressOf(p.Stream)
	if len(e.ports) > 0 {
		out = append(out, allowOut(nil, e.ports...))
	}
	if e.vendor {
		out = append(out, allowOut(public(), 443))
	}
	return p.policy(StreamerName(p.name), ComponentStreamer, in, append(out, extra(p.Stream)...))
}

// backbonePolicy lets only streamers and other nodes at the logs. A node talks to nobody but nodes.
func backbonePolicy(p *plan) *Object {
	if p.external() {
		return nil
	}
	nodes := []*peer{p.pods(ComponentBackbone)}
	in := []*ingressRule{
		allowIn([]*peer{p.pods(ComponentStreamer)}, portNATS),
		allowIn(nodes, portCluster),
		allowIn(append([]*peer{namespaces(p.OperatorNamespace)}, p.scrapers()...), portHealth),
	}
	return p.policy(BackboneName(p.name), ComponentBackbone, in, []*egressRule{dns(), allowOut(nodes, portCluster)})
}

// policy is nil where the user makes the policies.
func (p *plan) policy(name, component string, in []*ingressRule, out []*egressRule) *Object {
	if or(p.Stream.Spec.NetworkPolicy).Mode == "None" {
		return nil
	}
	n := networkingv1.NetworkPolicy(name, p.Stream.Namespace).WithSpec(networkingv1.NetworkPolicySpec().
		WithPodSelector(p.selector(component)).
		WithPolicyTypes(networking.PolicyTypeIngress, networking.PolicyTypeEgress).
		WithIngress(in...).WithEgress(out...))
	n.ObjectMetaApplyConfiguration = p.meta(name, component)
	return object("networking.k8s.io", "v1", "NetworkPolicy", n.ObjectMetaApplyConfiguration, n)
}

// scrapers are the namespaces that may read metrics.
func (p *plan) scrapers() []*peer {
	switch from := or(p.Stream.Spec.NetworkPolicy).ScrapeFrom; {
	case from != nil && len(*from) == 0:
		return nil
	case from != nil:
		return []*peer{namespaces(*from...)}
	case p.scraped():
		// Every namespace has the label. (An empty selector says the same, but nothing empty is applied.)
		return []*peer{networkingv1.NetworkPolicyPeer().WithNamespaceSelector(metav1.LabelSelector().WithMatchExpressions(
			metav1.LabelSelectorRequirement().WithKey(namespaceNameIs).WithOperator("Exists")))}
	}
	return nil
}

// pods of a component of this stream.
func (p *plan) pods(component string) *peer {
	return networkingv1.NetworkPolicyPeer().WithPodSelector(p.selector(component))
}

// namespaces by name.
func namespaces(names ...string) *peer {
	s := metav1.LabelSelector()
	if len(names) == 1 {
		s.WithMatchLabels(map[string]string{namespaceNameIs: names[0]})
	} else {
		s.WithMatchExpressions(metav1.LabelSelectorRequirement().WithKey(namespaceNameIs).WithOperator("In").
			WithValues(slices.Sorted(slices.Values(names))...))
	}
	return networkingv1.NetworkPolicyPeer().WithNamespaceSelector(s)
}

// public is every address outside ranges that are nobody's in public.
func public() (out []*peer) {
	for _, all := range slices.Sorted(maps.Keys(notPublic)) {
		out = append(out, networkingv1.NetworkPolicyPeer().WithIPBlock(networkingv1.IPBlock().WithCIDR(all).WithExcept(notPublic[all]...)))
	}
	return out
}

// dns is port 53 of whoever answers names: pods, the node, a server outside. Clusters differ in that.
func dns() *egressRule {
	return networkingv1.NetworkPolicyEgressRule().WithPorts(port(core.ProtocolUDP, 53), port(core.ProtocolTCP, 53))
}

// extra is what the user adds.
func extra(s *v1alpha1.MarketStream) (out []*egressRule) {
	for _, e := range or(s.Spec.NetworkPolicy).ExtraEgress {
		rule := networkingv1.NetworkPolicyEgressRule().WithTo(networkingv1.NetworkPolicyPeer().WithIPBlock(networkingv1.IPBlock().WithCIDR(e.CIDR)))
		if e.Port != nil {
			rule.WithPorts(port(core.ProtocolTCP, *e.Port))
		}
		out = append(out, rule)
	}
	return out
}

// allowIn is a rule for TCP ports; no peers: from everywhere.
func allowIn(from []*peer, ports ...int32) *ingressRule {
	r := networkingv1.NetworkPolicyIngressRule().WithFrom(from...)
	for _, n := range ports {
		r.WithPorts(port(core.ProtocolTCP, n))
	}
	return r
}

// allowOut is a rule for TCP ports; no peers: to everywhere.
func allowOut(to []*peer, ports ...int32) *egressRule {
	r := networkingv1.NetworkPolicyEgressRule().WithTo(to...)
	for _, n := range ports {
		r.WithPorts(port(core.ProtocolTCP, n))
	}
	return r
}

func port(protocol core.Protocol, n int32) *policyPort {
	return networkingv1.NetworkPolicyPort().WithProtocol(protocol).WithPort(intstr.FromInt32(n))
}
