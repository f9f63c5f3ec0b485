package bars

import (
	"slices"

	"github.com/marketstream/marketstream/streamer/market"
)

// symbol is the state of one symbol.
type symbol struct {
	Symbol
	open []openRecord // by start; usually one
	// longer is the open record of each timeframe above 1m: the merge of its closed minutes.
	// Invariant: all symbols' records of a timeframe have one period, which ends at Fold.ends.
	longer [market.MaxTimeframe + 1]longRecord
	// recent are the closed records whose end lies within the revision window, by start.
	recent [market.MaxTimeframe + 1]closedRecords
	// past are the closed minutes before those, as far as a longer bar may still need them.
	past past
	// last is the start of the newest bar that was emitted.
	last   [market.MaxTimeframe + 1]int64
	lastNs int64 // time of the newest trade
	// lastID is the highest trade id taken in, and restoredID that up to which the log had them before a restart.
	lastID, restoredID uint64
	lastIDMs           int64
	filling            filling
	changed            bool
	spans              []span // gaps that may touch a bar still to come
	beganMs            int64  // where what is known of the symbol begins; 0: nobody said
	// sourceMs is from where on nothing is known, while sourceChanged: another source took over.
	sourceMs      int64
	sourceChanged bool
	// tooLate are the last minutes for which a gap was recorded because trades came too late.
	tooLate [8]int64
	next    uint8
}

// span is a gap as bars see it.
type span struct{ from, to int64 }

// inGap reports whether a period touches a gap, or began before anything was known. (It does
// so where a timeframe joins whose period is longer, or does not divide the others.)
func (s *symbol) inGap(start, end int64) bool {
	if start < s.beganMs && end > s.beganMs {
		return true
	}
	for _, g := range s.spans {
		if g.from < end && g.to > start {
			return true
		}
	}
	return false
}

// begin notes a gap that says where what is known begins: there is no trade before it, and no minute.
func (s *symbol) begin(g *market.Gap) {
	if g.Reason == market.GapStart && g.AfterID == 0 && g.BeforeID != 0 && g.State == market.GapOpen && s.last[market.M1] == unset {
		s.beganMs = g.FromMs
	}
}

type openRecord struct {
	market.Record
	fromNs   int64
	taken    uint32 // trades
	included bool
	ids      idSet
}

type longRecord struct {
	market.Record
	active bool
}

// find returns the closed record that starts at start, and its place among the recent ones.
func (s *symbol) find(tf market.Timeframe, start int64) (at int, ok bool) {
	r := s.recent[tf].list()
	at = len(r)
	for at > 0 && r[at-1].StartMs >= start {
		if at--; r[at].StartMs == start {
			return at, true
		}
	}
	return at, false
}

// emitted reports whether the log has the bar of a period, or will have.
func (s *symbol) emitted(tf market.Timeframe, start, end int64) bool {
	at, ok := s.find(tf, start)
	if !ok {
		return false
	}
	c := &s.recent[tf].list()[at]
	return c.emitted != unset && c.EndMs == end
}

// closedAt returns the closed record of a period, an empty one if there is none.
func (s *symbol) closedAt(tf market.Timeframe, start, end int64) *closedRecord {
	at, ok := s.find(tf, start)
	if !ok {
		c := s.recent[tf].insert(at)
		c.Symbol, c.Timeframe, c.StartMs, c.EndMs = s.Number, tf, start, end
		return c
	}
	c := &s.recent[tf].list()[at]
	if c.Flags&market.Void != 0 { // its trades are all gone: it begins anew
		c.Record = market.Record{Symbol: c.Symbol, Timeframe: tf, StartMs: start, EndMs: end, Rev: c.Rev,
			Flags: c.Flags & market.Extended}
	}
	return c
}

// markTooLate reports whether the minute is new among those marked.
func (s *symbol) markTooLate(minute int64) bool {
	if slices.Contains(s.tooLate[:], minute) {
		return false
	}
	s.tooLate[s.next%8] = minute
	s.next++
	return true
}
