package market

import (
	"cmp"
	"math"
	"slices"
)

// EntryKind says what an [Entry] is. Its numbers stand in the logs.
type EntryKind uint8

// The kinds of entries.
const (
	// Trade is one trade.
	Trade EntryKind = iota + 1
	// Cancel takes back an earlier trade: Symbol, Time, Price, Size, Order, ID and Conditions are the trade's.
	Cancel
	// Mark says that every trade up to Time is in.
	Mark
	// Hole says that [Time, Until) was not observed, for Symbol or for [AllSymbols].
	Hole
	// Seen says that the venue's newest trade of Symbol is ID, at Time or before: whoever has
	// not got it misses trades. It is said to ingest and stands in no log.
	Seen
)

// Side is the taker's side of a trade.
type Side uint8

// The sides.
const (
	SideUnknown Side = iota
	SideBuy
	SideSell
)

// String is "buy", "sell" or "".
func (s Side) String() string { return [...]string{"", "buy", "sell"}[s%3] }

// AllSymbols in a [Hole]'s Symbol stands for every symbol of the feed.
const AllSymbols = math.MaxUint32

// EndOfFeed is the watermark of a feed that has ended: +∞, in milliseconds.
const EndOfFeed int64 = math.MaxInt64 / 1_000_000

// Entry is one thing that a feed says, in the order in which it says it. A flat struct and
// no interface, so that a batch of them is one piece of memory and moving one allocates nothing.
type Entry struct {
	Kind   EntryKind
	Side   Side      // Trade
	Reason GapReason // Hole
	Symbol uint32    // number in the process's SymbolTable; AllSymbols in a Hole
	// Time is the exchange's time in Unix nanoseconds: of a trade; of a Mark, its watermark
	// (a multiple of a millisecond); of a Hole, its beginning.
	Time  int64
	Until int64 // Hole: its end, exclusive, Unix ns
	// State of a Hole: GapOpen; GapFilling, after which trades with ids between AfterID and
	// BeforeID come that fill it; GapRepaired or GapUnrepairable, which end that.
	State GapState
	Price Decimal
	Size  Decimal // Invariant: positive
	// Order orders trades of one symbol at one Time: a venue's sequence or trade id, else
	// the place in the source.
	Order uint64
	ID    uint64 // the venue's trade id, by which what came twice is dropped; 0: none
	// Conditions is the set of sale conditions: bit i is id i of the [ConditionTable].
	Conditions uint64
	// Offset is the place in the source, rising through a feed's life; see [SourcePosition].
	Offset uint64
}

// AfterID and BeforeID of a Hole are the ids of the trades around what is missing, both
// exclusive; 0: not known. They stand in Order and ID, which a Hole does not need otherwise:
// an Entry is copied for every trade.
func (e *Entry) AfterID() uint64 { return e.Order }

// BeforeID is the id of the first trade after a Hole; 0: not known.
func (e *Entry) BeforeID() uint64 { return e.ID }

// GapReason says why a stretch is not known. Its numbers stand in the logs.
type GapReason uint8

// The reasons of gaps.
const (
	GapUnknown      GapReason = iota
	GapDisconnect             // the connection to the source was lost
	GapStart                  // the feed began in the middle of a period
	GapSymbolAdded            // the symbol joined a running stream
	GapHole                   // batches of TICKS were lost
	GapLateTrade              // a trade came after the revision window
	GapCancel                 // a cancelled trade touched open, high, low or close
	GapOverflow               // a trade's numbers did not fit its bar
	GapSourceChange           // another vendor took over
	GapEarlyTrade             // a trade was refused whose time lay far ahead of the watermark
	GapReread                 // TICKS was lost with what open minutes were made of; closed ones have it
	GapMissed                 // part of a minute was not observed, of a source whose ids do not tell which trades are missing
)

var gapReasons = [...]string{"unknown", "disconnect", "start", "symbol_added", "hole", "late_trade", "cancel", "overflow", "source_change", "early_trade", "reread", "missed"}

// String is the reason on the wire.
func (r GapReason) String() string {
	if int(r) < len(gapReasons) {
		return gapReasons[r]
	}
	return gapReasons[0]
}

// Remakes reports whether a gap of this reason says that a closed minute is to be made again, of all its trades; gaps
// of other reasons want those that they lack.
func (r GapReason) Remakes() bool { return r == GapLateTrade || r == GapCancel || r == GapMissed }

// GapReasons are all reasons, as on the wire.
func GapReasons() []string { return slices.Clone(gapReasons[:]) }

// GapState is how a gap stands. Its numbers stand in the logs.
type GapState uint8

// The states of a gap.
const (
	GapOpen GapState = iota
	GapRepaired
	GapUnrepairable
	GapRemoved
	// GapFilling stands in TICKS alone: trades follow that fill the gap.
	GapFilling
)

// String is the state on the wire.
func (s GapState) String() string {
	return [...]string{"open", "repaired", "unrepairable", "removed", "filling"}[s%5]
}

// Gap is a stretch [FromMs, ToMs) of one symbol that was not observed.
type Gap struct {
	Symbol uint32
	FromMs int64
	ToMs   int64
	Reason GapReason
	State  GapState
	// AfterID and BeforeID are the ids of the trades around it, both exclusive; 0: not known. Where a minute is to be
	// made again, they are those around the trades that came late.
	AfterID, BeforeID uint64
}

// SourcePosition is a place in a feed's source: everything up to it has been taken in.
type SourcePosition struct {
	// Offset is a number that rises through the source's life (a row, a step of time); 0 is its beginning.
	Offset uint64
	// Opaque is what a feed needs besides (trade ids); readers hand it back unread.
	Opaque []byte
}

// TickPosition is a place in TICKS: the first Index entries of batch Batch under fencing
// token Token, and everything before them.
type TickPosition struct {
	Token uint64 `json:"token"`
	Batch uint64 `json:"batch"`
	Index uint32 `json:"index,omitempty"`
}

// Compare orders positions: -1, 0 or 1.
func (p TickPosition) Compare(q TickPosition) int {
	return cmp.Or(cmp.Compare(p.Token, q.Token), cmp.Compare(p.Batch, q.Batch), cmp.Compare(p.Index, q.Index))
}

// Position is one place, as a position in TICKS and as one in the source.
type Position struct {
	Tick   TickPosition
	Source SourcePosition
}
