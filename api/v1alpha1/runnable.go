package v1alpha1

import (
	"slices"
	"strings"
)

// available are the feeds that there are.
var available = []string{"coinbase", "replay", "synthetic"}

// CheckRunnable says what one machine makes of a valid object. ignored are the paths of
// fields of the control plane that are set and have no effect there. The error lists the
// fields whose engine is not available yet: they are never passed over in silence.
func CheckRunnable(m *MarketStream) (ignored []string, err error) {
	ignored, missing := runnable(m)
	if len(missing) > 0 {
		return nil, missing
	}
	return ignored, nil
}

func runnable(m *MarketStream) (ignored []string, missing Mistakes) {
	s := &m.Spec
	need := func(set bool, path string) {
		if set {
			missing = append(missing, path+": not available yet")
		}
	}
	pass := func(set bool, path string) {
		if set {
			ignored = append(ignored, path)
		}
	}
	for _, f := range s.Feed.named() {
		if f.there && !slices.Contains(available, f.name) {
			missing = append(missing, "spec.feed."+f.name+": not available yet; the feeds that run are "+strings.Join(available, ", "))
		}
	}
	if a := s.Access; a != nil {
		need(a.Auth != nil, "spec.access.auth")
		need(a.TLSSecretName != "", "spec.access.tlsSecretName")
		need(len(a.TrustedProxies) > 0, "spec.access.trustedProxies")
	}
	pass(s.Shards != nil, "spec.shards")
	if r := s.Feed.Replay; r != nil {
		pass(r.Volume != nil, "spec.feed.replay.volume")
		pass(r.ConfigMap != nil, "spec.feed.replay.configMap")
	}
	pass(s.Service != nil, "spec.service")
	pass(s.Ingress != nil, "spec.ingress")
	pass(s.Gateway != nil, "spec.gateway")
	if b := s.Backbone; b != nil {
		need(b.External != nil, "spec.backbone.external")
		pass(b.Replicas != nil, "spec.backbone.replicas")
		pass(b.Storage != nil, "spec.backbone.storage")
		pass(b.Resources != nil, "spec.backbone.resources")
		pass(b.NodeSelector != nil, "spec.backbone.nodeSelector")
		pass(b.Tolerations != nil, "spec.backbone.tolerations")
		pass(b.TLSSecretName != "", "spec.backbone.tlsSecretName")
	}
	pass(s.NetworkPolicy != nil, "spec.networkPolicy")
	if mon := s.Monitoring; mon != nil {
		pass(mon.ServiceMonitor != "", "spec.monitoring.serviceMonitor")
		pass(mon.Rules != "", "spec.monitoring.rules")
		pass(mon.Interval != nil, "spec.monitoring.interval")
		pass(mon.Labels != nil, "spec.monitoring.labels")
	}
	pass(s.Pod != nil, "spec.pod")
	return ignored, missing
}
