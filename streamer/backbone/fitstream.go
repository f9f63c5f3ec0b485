package backbone

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// minBarsAge is the shortest retention that BARS may have.
const minBarsAge = 48 * time.Hour

// setting is one thing that a given stream must have. Of has, want is what we would have
// made; longest is the longest message in bytes with its header.
type setting struct {
	field string
	good  string // in words
	check func(has, want *jetstream.StreamConfig, longest int64) (value any, ok bool)
}

// settings of every stream; those that differ from stream to stream look at want.
var settings = []setting{
	{"subjects", "exactly those of this stream", func(has, want *jetstream.StreamConfig, _ int64) (any, bool) {
		return has.Subjects, slices.Equal(has.Subjects, want.Subjects)
	}},
	{"retention", "limits: entries go by age and bytes alone", func(has, _ *jetstream.StreamConfig, _ int64) (any, bool) {
		return has.Retention, has.Retention == jetstream.LimitsPolicy
	}},
	{"storage", "file: bars must outlive the server", func(has, want *jetstream.StreamConfig, _ int64) (any, bool) {
		return has.Storage, has.Storage == jetstream.FileStorage || want.Storage == jetstream.MemoryStorage
	}},
	{"discard", "old: a full stream makes room", func(has, _ *jetstream.StreamConfig, _ int64) (any, bool) {
		return has.Discard, has.Discard == jetstream.DiscardOld
	}},
	{"max_age", "none, or at least 48h for BARS and 5m for TICKS", func(has, want *jetstream.StreamConfig, _ int64) (any, bool) {
		least := map[string]time.Duration{"BARS": minBarsAge, "TICKS": defaultTicksAge}[kindOf(want)]
		return has.MaxAge, has.MaxAge == 0 || least > 0 && has.MaxAge >= least
	}},
	{"max_msgs", "-1: streams are bound by age and bytes", func(has, _ *jetstream.StreamConfig, _ int64) (any, bool) {
		return has.MaxMsgs, has.MaxMsgs <= 0
	}},
	{"max_msgs_per_subject", "1 for CTL, -1 for the others", func(has, want *jetstream.StreamConfig, _ int64) (any, bool) {
		return has.MaxMsgsPerSubject, max(has.MaxMsgsPerSubject, 0) == max(want.MaxMsgsPerSubject, 0)
	}},
	{"max_bytes", "-1, or room for 16 of the longest messages (16 MiB for TICKS, 1 MiB for CTL)", func(has, want *jetstream.StreamConfig, longest int64) (any, bool) {
		return has.MaxBytes, has.MaxBytes <= 0 || has.MaxBytes >= leastBytes(want, longest)
	}},
	{"max_msg_size", "-1, or the longest message with its header", func(has, want *jetstream.StreamConfig, longest int64) (any, bool) {
		if kindOf(want) == "CTL" {
			longest = maxValue + headerNeed
		}
		return has.MaxMsgSize, has.MaxMsgSize <= 0 || int64(has.MaxMsgSize) >= longest
	}},
	{"max_consumers", "-1, or at least 64", func(has, _ *jetstream.StreamConfig, _ int64) (any, bool) {
		return has.MaxConsumers, has.MaxConsumers <= 0 || has.MaxConsumers >= minConsumers
	}},
	{"allow_direct", "false: reads are the leader's to answer", func(has, _ *jetstream.StreamConfig, _ int64) (any, bool) {
		return has.AllowDirect, !has.AllowDirect
	}},
	{"persist_mode", "default: what is acknowledged must be stored", func(has, want *jetstream.StreamConfig, _ int64) (any, bool) {
		return has.PersistMode, has.PersistMode == jetstream.DefaultPersistMode || want.Storage == jetstream.MemoryStorage
	}},
	{"no_ack", "false: appends are acknowledged", func(has, _ *jetstream.StreamConfig, _ int64) (any, bool) {
		return has.NoAck, !has.NoAck
	}},
	{"sealed", "false", func(has, _ *jetstream.StreamConfig, _ int64) (any, bool) {
		return has.Sealed, !has.Sealed
	}},
	{"mirror, sources", "none: the stream's sequences are its writers'", func(has, _ *jetstream.StreamConfig, _ int64) (any, bool) {
		return len(has.Sources), has.Mirror == nil && len(has.Sources) == 0
	}},
	{"subject_transform", "none", func(has, _ *jetstream.StreamConfig, _ int64) (any, bool) {
		return has.SubjectTransform != nil, has.SubjectTransform == nil
	}},
	{"deny_delete", "false: marks of deleted keys are removed", func(has, want *jetstream.StreamConfig, _ int64) (any, bool) {
		return has.DenyDelete, !has.DenyDelete || kindOf(want) != "CTL"
	}},
}

// kindOf is BARS, TICKS or CTL.
func kindOf(c *jetstream.StreamConfig) string {
	kind, _, _ := strings.Cut(c.Name, "_")
	return kind
}

func leastBytes(want *jetstream.StreamConfig, longest int64) int64 {
	switch kindOf(want) {
	case "CTL":
		return 1 << 20
	case "TICKS":
		return 16 << 20
	}
	return 16 * longest
}

// checkStream says everything that is not right about a stream that somebody else made.
func (r *remote) checkStream(has, want jetstream.StreamConfig) error {
	var wrong []string
	for _, s := range settings {
		if value, ok := s.check(&has, &want, r.MaxMessage+headerNeed); !ok {
			good := s.good
			if s.field == "subjects" {
				good = fmt.Sprintf("%v", want.Subjects)
			}
			wrong = append(wrong, fmt.Sprintf("%s is %v, want %s", s.field, value, good))
		}
	}
	if len(wrong) > 0 {
		return unfit("stream %s: %s", has.Name, strings.Join(wrong, "; "))
	}
	return nil
}
