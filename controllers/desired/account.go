package desired

import corev1 "k8s.io/client-go/applyconfigurations/core/v1"

// streamerAccount and backboneAccount are identities without rights and without a token: pods have no
// API access. They are there so that nothing that is given to an account of the user's comes to pods.
func streamerAccount(p *plan) *Object { return account(p, StreamerName(p.name), ComponentStreamer) }

func backboneAccount(p *plan) *Object {
	if p.external() {
		return nil
	}
	return account(p, BackboneName(p.name), ComponentBackbone)
}

func account(p *plan, name, component string) *Object {
	a := corev1.ServiceAccount(name, p.Stream.Namespace).WithAutomountServiceAccountToken(false)
	a.ObjectMetaApplyConfiguration = p.meta(name, component)
	return object("", "v1", "ServiceAccount", a.ObjectMetaApplyConfiguration, a)
}
