package marketstream

import (
	"context"
	"fmt"

	"github.com/marketstream/marketstream/controllers/desired"
	"github.com/marketstream/marketstream/controllers/rollout"
)

// decide turns what was seen into what is to be.
func (r *Reconciler) decide(_ context.Context, s *scope) error {
	text, err := desired.Document(s.stream)
	if err != nil {
		return err
	}
	m, seen := s.stream, &s.seen
	s.document = rollout.Document(&seen.Config, &rollout.Doc{Text: string(text), Revision: desired.ConfigRevision(text),
		CreatedMs: m.CreationTimestamp.UnixMilli(), Generation: m.Generation, Level: r.opts.Level(m)}, s.level())
	want := rollout.Want{Own: r.opts.Image, Shape: desired.StreamerShape(m), Replicas: 1, Newest: desired.Newest + len(r.opts.Later)}
	if m.Spec.Shards != nil {
		want.Replicas = *m.Spec.Shards
	}
	if p := m.Spec.Pod; p != nil {
		want.Image, want.Follow = p.Image, p.Updates == "Follow"
	}
	s.streamers = rollout.Streamers(&seen.Streamers, &want)
	s.doomed = rollout.Stuck(&seen.Streamers)
	in := &desired.Input{Stream: m, Generation: desired.Generation{CreatedMs: s.document.CreatedMs, Generation: s.document.Generation},
		FingerprintSalt: r.salt, OperatorNamespace: r.opts.OwnNamespace, Later: r.opts.Later,
		Streamer: desired.Workload{Revision: s.streamers.Template, Image: s.streamers.Image, Replicas: s.streamers.Replicas, Named: want.Image != ""},
		Kinds:    desired.Kinds{ServiceMonitor: s.kinds.ServiceMonitor, PrometheusRule: s.kinds.PrometheusRule, HTTPRoute: s.kinds.HTTPRoute}}
	if !s.external() {
		s.decideBackbone(&want)
		in.Backbone = desired.Workload{Revision: s.backbone.Template, Image: s.backbone.Image, Replicas: s.backbone.Replicas}
		in.BackboneNodes = s.backbone.Nodes
	}
	size := desired.StorageSize(m)
	s.growth = rollout.Volumes(&seen.Nodes, seen.Volumes, size.Value())
	if s.objects, err = desired.Objects(in); err != nil {
		return err
	}
	for _, why := range append(append(append([]string{}, s.document.Why...), s.streamers.Why...), s.growth.Why...) {
		s.log.V(1).Info("decided", "why", why)
	}
	return nil
}

func (s *scope) decideBackbone(streamers *rollout.Want) {
	want := rollout.Want{Image: streamers.Image, Own: streamers.Own, Follow: streamers.Follow, Newest: streamers.Newest,
		Shape: desired.BackboneShape(s.stream), Replicas: 1}
	if b := s.stream.Spec.Backbone; b != nil && b.Replicas != nil {
		want.Replicas = *b.Replicas
	}
	d := rollout.Backbone(&s.seen.Nodes, &want, &s.streamers, &s.seen.Streamers)
	s.backbone = &d
}

// level is the lowest level of the schema that streamers report; 0: none reports one.
func (s *scope) level() int {
	lowest := 0
	for _, p := range s.seen.Streamers.Staying() {
		if p.Report != nil && p.Report.Schema > 0 && (lowest == 0 || p.Report.Schema < lowest) {
			lowest = p.Report.Schema
		}
	}
	return lowest
}

func key(o *desired.Object) id { return id{o.Kind.Kind, o.Name} }

func (i id) String() string { return fmt.Sprintf("%s %s", i.kind, i.name) }
