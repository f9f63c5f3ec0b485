package marketstream

import (
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/controllers/conditions"
	"github.com/marketstream/marketstream/controllers/desired"
	"github.com/marketstream/marketstream/controllers/observed"
	"github.com/marketstream/marketstream/controllers/rollout"
)

// scope is one reconcile of one stream. Its fields say which step sets them.
type scope struct {
	log    logr.Logger
	key    types.NamespacedName
	stream *v1alpha1.MarketStream
	paused bool

	// gather
	live    map[id]map[string]any // what is there of what may be ours, in JSON form
	seen    observed.Stream
	kinds   observed.Kinds
	doomed  []string // pods that stand in the way of a better template
	sharing []string // other streams with the same vendor's key
	missing bool     // a pod lacks the backbone's Secret

	// decide
	document  rollout.DocumentDecision
	streamers rollout.Decision
	backbone  *rollout.BackboneDecision // nil: an external one
	growth    rollout.Growth
	objects   []desired.Object

	// apply, act
	wrote     int
	conflicts []string
	failure   failure

	again again
}

// id of an object of the stream's namespace.
type id struct{ kind, name string }

// conditions are what the scope comes to.
func (s *scope) conditions() []conditions.Condition {
	return conditions.Of(&conditions.Input{Stream: s.stream, Seen: &s.seen, Kinds: s.kinds, Document: s.document,
		Streamers: s.streamers, Backbone: s.backbone, Growth: s.growth, Wrote: s.wrote > 0, Conflicts: s.conflicts,
		Failure: s.failure.says, FailureReason: s.failure.reason, Shares: s.sharing})
}

// external reports whether the user brings the backbone.
func (s *scope) external() bool {
	return s.stream.Spec.Backbone != nil && s.stream.Spec.Backbone.External != nil
}
