package logs

import (
	"errors"
	"fmt"

	"github.com/marketstream/marketstream/streamer/market"
)

// ErrCorrupt is wrapped by every error of a decoder.
var ErrCorrupt = errors.New("corrupt log entry")

// FrameKind says what a [Frame] holds. Its numbers stand in the log.
type FrameKind uint8

// The kinds of frames.
const (
	// FrameBars: records and gaps that one partition closed at one moment. May be empty: a checkpoint.
	FrameBars FrameKind = iota + 1
	// FrameConfig: from here on bars of this partition have this Shape. Holds pending records and gaps too.
	FrameConfig
	// FrameOwner: whose log this is. On the owner's subject, in no partition.
	FrameOwner
)

// Frame is one message of BARS.
type Frame struct {
	Kind      FrameKind
	Partition uint8
	// Number counts the frames of a partition without a hole, from 1.
	Number uint64
	// Token is the writer's fencing token.
	Token uint64
	// Tag is 32 random bits, drawn when the frame is first made: part of every cursor.
	Tag              uint32
	ConfigGeneration ConfigGeneration
	// Watermark is the event time in ms up to which every trade was in when the frame was made.
	Watermark int64
	// Applied: everything up to here is in closed records, or in minutes still open.
	Applied market.Position
	// Open: where the minutes still open begin. Invariant: not after Applied.
	Open market.Position
	// Symbols is the table that Symbol of Records and Gaps index.
	Symbols []string
	Records []market.Record
	Gaps    []market.Gap
	Shape   *Shape // FrameConfig
	Owner   *Owner // FrameOwner
}

// Events is how many events with an id the frame holds: its records, then its gaps. An
// index below len(Records) is a record's, the next ones are the gaps'.
func (f *Frame) Events() int { return len(f.Records) + len(f.Gaps) }

// ConfigGeneration orders configurations: by creation of the object, then by generation.
// On a laptop CreatedMs is 0 and Generation counts up in the log.
type ConfigGeneration struct {
	CreatedMs  int64 `json:"createdMs"`
	Generation int64 `json:"generation"`
}

// Less reports whether g is older than h.
func (g ConfigGeneration) Less(h ConfigGeneration) bool {
	return g.CreatedMs < h.CreatedMs || g.CreatedMs == h.CreatedMs && g.Generation < h.Generation
}

// Shape is what shapes the bars of a partition; in the log as JSON.
type Shape struct {
	// Symbols are those of this partition, in the spec's spelling.
	Symbols       []ShapeSymbol `json:"symbols"`
	Timeframes    []string      `json:"timeframes"`
	Calendar      string        `json:"calendar"`
	CalendarData  string        `json:"calendarData"`
	Hours         string        `json:"hours"`
	Anchor        string        `json:"anchor"`
	Conditions    string        `json:"conditions"`
	ConditionData string        `json:"conditionData"`
	CloseGraceMs  int64         `json:"closeGraceMs"`
	RevisionMs    int64         `json:"revisionWindowMs"`
	// Source names what the positions are places in (a generator and its seed, a set of files): positions of another source mean nothing.
	Source string `json:"source"`
	// After is the source before, in the frame with which another vendor takes over: positions before this frame, and
	// open minutes, mean nothing from here on.
	After string `json:"after,omitempty"`
	// ShiftMs is what rebase adds to the source's times; fixed when the log begins.
	ShiftMs int64 `json:"shiftMs,omitempty"`
	// Removed are symbols of this partition that are carried no more, the latest last; at most MaxRemoved.
	Removed []RemovedSymbol `json:"removed,omitempty"`
}

// MaxRemoved is how many symbols that are carried no more a shape remembers.
const MaxRemoved = 1000

// RemovedSymbol is a symbol that is carried no more.
type RemovedSymbol struct {
	ShapeSymbol
	// UntilMs is the event time up to which it was observed, and UntilOffset the place in the source at which it went.
	UntilMs     int64  `json:"untilMs"`
	UntilOffset uint64 `json:"untilOffset,omitempty"`
	// UntilID is the newest trade that was applied when it went, at UntilIDMs, of a source with gapless ids: what is newer the log does
	// not have, and what is as old lies in minutes that were open or in the log. 0: none was.
	UntilID   uint64 `json:"untilId,omitempty"`
	UntilIDMs int64  `json:"untilIdMs,omitempty"`
}

// ShapeSymbol is a symbol and the place in the source from which on its trades count.
type ShapeSymbol struct {
	Name string `json:"name"`
	// SinceOffset: trades of this symbol at or before this offset of the source are not its own: it was not carried yet.
	SinceOffset uint64 `json:"sinceOffset,omitempty"`
	// SinceTick is where TICKS ended when the symbol joined, of a source with gapless ids: what it has of the symbol there is of
	// another time in which it was carried, and whoever wrote the partition in between kept only some of it.
	SinceTick market.TickPosition `json:"sinceTick,omitzero"`
	// SinceMs is the event time from which on the symbol is observed.
	SinceMs int64 `json:"sinceMs,omitempty"`
}

// Owner says whose log this is; in the log as JSON. It is the log's first entry, and is
// written again before it ages out.
type Owner struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid,omitempty"`
	// Feed is the kind of data: see [FeedClass].
	Feed FeedClass `json:"feed"`
	// Epoch names the log's incarnation: a new one means that the log started over.
	Epoch        string `json:"epoch"`
	EpochStartMs int64  `json:"epochStartMs"`
	// Generation is the configuration that the log began with: a partition that is first written under it begins with the log.
	Generation ConfigGeneration `json:"generation,omitzero"`
	// BeginOffset is where the log's source began; ShiftMs is what rebase adds to its times. All pods take both from here.
	BeginOffset uint64 `json:"beginOffset,omitempty"`
	ShiftMs     int64  `json:"shiftMs,omitempty"`
	// LoopMs is how much later the source's times are in each loop than in the one before. 0: no loops.
	LoopMs int64 `json:"loopMs,omitempty"`
}

// FeedClass keeps invented, replayed and real data apart: no log holds two of them.
type FeedClass string

// The classes.
const (
	FeedSynthetic FeedClass = "synthetic"
	FeedReplay    FeedClass = "replay"
	FeedVendor    FeedClass = "vendor"
)

// Changes reports whether a log of this class goes on with another source of its class: a vendor's places are never read again, so another
// vendor may go on, after a gap. Invented and recorded data is the same at every reading, or it is not the log's.
func (c FeedClass) Changes() bool { return c == FeedVendor }

// Batch is one message of TICKS: entries of one partition in the feed's order.
type Batch struct {
	Partition uint8
	Token     uint64
	// Number counts the batches of a token and partition without a hole, from 1.
	Number uint64
	// Source is where the source stands after the last entry.
	Source market.SourcePosition
	// Watermark is that of the last Mark among the entries or before them, in ms.
	Watermark int64
	// Entries' Symbol is a number in Symbols while encoded; decoders leave it so.
	Symbols []string
	Entries []market.Entry
}

// StateMessage is the newest state of the symbols of a partition that changed.
type StateMessage struct {
	Partition uint8
	Token     uint64
	// Watermark of the partition, in ms.
	Watermark int64
	Symbols   []string
	States    []market.State // Symbol is a number in Symbols
}

func corrupt(what string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(what, args...))
}
