package desired

import (
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	policyv1 "k8s.io/client-go/applyconfigurations/policy/v1"
)

// streamerBudget and backboneBudget let a drain of nodes take one pod at a time. A pod that is not well
// may always go: else a stream that cannot start would keep a machine from being drained.
func streamerBudget(p *plan) *Object { return budget(p, StreamerName(p.name), ComponentStreamer) }

func backboneBudget(p *plan) *Object {
	if p.external() {
		return nil
	}
	return budget(p, BackboneName(p.name), ComponentBackbone)
}

func budget(p *plan, name, component string) *Object {
	b := policyv1.PodDisruptionBudget(name, p.Stream.Namespace).WithSpec(policyv1.PodDisruptionBudgetSpec().
		WithMaxUnavailable(intstr.FromInt32(1)).
		WithUnhealthyPodEvictionPolicy(policy.AlwaysAllow).
		WithSelector(p.selector(component)))
	b.ObjectMetaApplyConfiguration = p.meta(name, component)
	return object("policy", "v1", "PodDisruptionBudget", b.ObjectMetaApplyConfiguration, b)
}
