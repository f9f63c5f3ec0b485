package v1alpha1

import (
	"errors"
	"slices"
	"strings"
)

// available are the feeds that there are.
var available = []string{"alpaca", "coinbase", "polygon", "replay", "synthetic"}

// Place is where a document is to run.
type Place uint8

const (
	// OneMachine is one process that has everything: `marketstream run`.
	OneMachine Place = iota
	// OnePod is one of many, with a backbone elsewhere: `marketstream streamer`.
	OnePod
)

// ErrNotAvailable is what the error of a document is that has no other mistake than to ask for what is not available yet.
var ErrNotAvailable = errors.New("not available yet")

// notAvailable are the fields of such a document.
//
// +kubebuilder:object:generate=false
type notAvailable struct{ Mistakes }

// Unwrap returns the lines.
func (n notAvailable) Unwrap() []error { return []error{n.Mistakes, ErrNotAvailable} }

// CheckRunnable says what a process makes of a valid object. ignored are the paths of
// fields that are set and have no effect there. The error lists the
// fields whose engine is not available yet: they are never passed over in silence.
func CheckRunnable(m *MarketStream, where Place) (ignored []string, err error) {
	ignored, missing := runnable(m, where)
	if len(missing) > 0 {
		return nil, notAvailable{missing}
	}
	return ignored, nil
}

func runnable(m *MarketStream, where Place) (ignored []string, missing Mistakes) {
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
	if r := s.Feed.Replay; r != nil && where == OneMachine {
		pass(r.Volume != nil, "spec.feed.replay.volume")
		pass(r.ConfigMap != nil, "spec.feed.replay.configMap")
	}
	pass(s.Service != nil, "spec.service")
	pass(s.Ingress != nil, "spec.ingress")
	pass(s.Gateway != nil, "spec.gateway")
	if b := s.Backbone; b != nil {
		if b.External != nil && where == OneMachine {
			missing = append(missing, "spec.backbone.external: not available in one process, which has its own log; marketstream streamer takes it")
		}
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
