package bars

import (
	"math"
	"slices"

	"github.com/marketstream/marketstream/streamer/market"
)

// filling is the gap of a symbol whose trades come now.
type filling struct {
	on            bool
	after, before uint64
	from, to      int64          // ns
	made          *market.Record // of a minute that is made again; nil: none is
}

// takes reports whether a trade fills the gap: by its id where that is bounded, which is exact, else by
// its time. (The time of a gap may be that of a heartbeat, a moment beside its trades'.)
func (g *filling) takes(e *market.Entry) bool {
	begun, over := e.Time >= g.from, e.Time >= g.to
	if g.after != 0 {
		begun = e.ID > g.after
	}
	if g.before != 0 {
		over = e.ID >= g.before
	}
	return g.on && begun && !over
}

// OpenGaps appends the gaps that could be mended and are not to dst: those that a venue's
// trade ids bound on one side at least, and those that have a minute made again.
func (f *Fold) OpenGaps(dst []market.Gap) []market.Gap { return append(dst[:0], f.open...) }

// Knows reports whether the fold has all records that a trade at ms may change. Others are
// to be read from the log and given to Recall before such a trade fills a gap.
func (f *Fold) Knows(ms int64) bool {
	if f.watermark == unset {
		return true
	}
	horizon := f.watermark - f.cfg.RevisionWindowMs
	return ms >= min(horizon, f.needed(min(horizon, f.watermark-f.cfg.CloseGraceMs)))
}

// Recall takes back closed records of one symbol, newest revisions, that the fold has
// forgotten; what it has is not touched. They are forgotten again with the next Close.
func (f *Fold) Recall(records []market.Record) {
	for k := range records {
		r := &records[k]
		i := f.lookupNumber(r.Symbol)
		if i < 0 {
			continue
		}
		s := &f.symbols[i]
		if _, ok := s.find(r.Timeframe, r.StartMs); ok {
			continue
		}
		if l := &s.longer[r.Timeframe]; r.Timeframe > market.M1 && l.active && l.StartMs == r.StartMs {
			continue
		}
		if known := (market.Record{}); r.Timeframe == market.M1 && s.minuteOf(r.StartMs, &known) {
			continue
		}
		c := s.closedAt(r.Timeframe, r.StartMs, r.EndMs)
		c.Record = *r
		c.emitted = r.EndMs + f.cfg.CloseGraceMs + minuteMs // long ago: what changes it is due at once
	}
}

// fill takes a hole of state filling: trades that fill it follow.
func (f *Fold) fill(s *symbol, e *market.Entry) {
	if e.Reason.Remakes() {
		f.beginRemake(s, e)
		return
	}
	s.filling = filling{on: true, after: e.AfterID(), before: e.BeforeID(), from: e.Time, to: e.Until}
}

// filled takes the end of it: the gap, or its beginning, is known now, or never will be.
func (f *Fold) filled(s *symbol, i int32, e *market.Entry) {
	if e.Reason.Remakes() {
		f.endRemake(s, i, e)
		return
	}
	s.filling = filling{}
	if f.again {
		f.stats.Replayed++
		return
	}
	if k := f.openGap(s.Number, e); k >= 0 {
		g := &f.open[k]
		from, to := g.FromMs, g.ToMs
		done := market.Gap{Symbol: g.Symbol, FromMs: from, ToMs: to, Reason: g.Reason, State: e.State, AfterID: g.AfterID, BeforeID: g.BeforeID}
		if e.State == market.GapUnrepairable {
			if g.State == market.GapOpen {
				g.State = market.GapUnrepairable
				f.gaps = append(f.gaps, done)
			}
			return
		}
		rest := *g
		f.open = slices.Delete(f.open, k, k+1)
		s.spans = slices.DeleteFunc(s.spans, func(x span) bool { return x == span{from, to} })
		if ends(e.BeforeID()) < ends(done.BeforeID) { // its beginning only
			rest.FromMs, rest.AfterID, rest.State = market.FloorDiv(e.Until, nsPerMs), e.BeforeID()-1, market.GapOpen
			done.BeforeID, done.ToMs = e.BeforeID(), max(rest.FromMs, from+1)
			f.gaps = append(f.gaps, done, rest)
			f.open = append(f.open, rest)
			f.remember(s, rest.FromMs, rest.ToMs)
		} else {
			f.gaps = append(f.gaps, done)
		}
		f.whole(s, i, from, to)
	}
}

// ends is an id before which a gap ends, as one to compare: without one it ends at a time.
func ends(beforeID uint64) uint64 { return beforeID - 1 }

// openGap is the place in f.open of the gap that e says the end of; -1: there is none.
func (f *Fold) openGap(number uint32, e *market.Entry) int {
	at := -1
	for k := range f.open {
		g := &f.open[k]
		fromMs := market.FloorDiv(e.Time, nsPerMs)
		if g.Reason.Remakes() || g.Symbol != number || g.AfterID != e.AfterID() || g.FromMs > fromMs || ends(g.BeforeID) < ends(e.BeforeID()) {
			continue
		}
		if g.FromMs == fromMs && g.Reason == e.Reason {
			return k
		}
		if at < 0 {
			at = k
		}
	}
	return at
}

// whole takes the mark partial from the closed bars that touched [from, to) and touch no other gap.
func (f *Fold) whole(s *symbol, i int32, from, to int64) {
	s.past.each(func(m *market.Record) bool {
		if m.StartMs < to && m.EndMs > from && m.Flags&market.Partial != 0 {
			f.recallLater = append(f.recallLater, m.StartMs)
		}
		return m.StartMs < to
	})
	for _, start := range f.recallLater {
		f.recall(s, start)
	}
	f.recallLater = f.recallLater[:0]
	for tf := range s.recent {
		recent := s.recent[tf].list()
		for k := range recent {
			c := &recent[k]
			if c.StartMs < to && c.EndMs > from && c.Flags&market.Partial != 0 && !s.inGap(c.StartMs, c.EndMs) {
				c.Flags &^= market.Partial
				f.revise(i, c)
			}
		}
	}
}

// fillTrade takes a trade that fills a gap into a closed minute, however old it is.
func (f *Fold) fillTrade(s *symbol, i int32, e *market.Entry) {
	f.late(s, i, e, math.MinInt64)
}

// opened notes a gap that could be filled.
func (f *Fold) opened(g market.Gap) {
	switch {
	case g.Reason.Remakes():
		if k := f.remakes(g.Symbol, g.FromMs, g.Reason); k >= 0 {
			f.open[k] = g
		} else if f.cfg.Refills {
			f.open = append(f.open, g)
		}
	case f.cfg.GaplessIDs && g.AfterID|g.BeforeID != 0 && !slices.Contains(f.open, g):
		f.open = append(f.open, g)
	}
}

// restoreGap takes back what the log says of a gap.
func (f *Fold) restoreGap(s *symbol, g *market.Gap) {
	s.begin(g)
	if g.Reason == market.GapSourceChange {
		s.sourceChanged = false
	}
	switch g.State {
	case market.GapOpen:
		if g.Reason == market.GapReread && g.AfterID == 0 { // not what is left of one, whose beginning is filled
			f.cutGaps(s, g.FromMs)
		}
		f.remember(s, g.FromMs, g.ToMs)
		f.opened(*g)
	case market.GapUnrepairable:
		f.remember(s, g.FromMs, g.ToMs)
		f.abandoned = slices.DeleteFunc(f.abandoned, func(o market.Gap) bool {
			return o.Symbol == g.Symbol && o.FromMs == g.FromMs && o.AfterID == g.AfterID && o.Reason == g.Reason
		})
		for k := range f.open {
			if o := &f.open[k]; o.Symbol == g.Symbol && o.FromMs == g.FromMs && o.AfterID == g.AfterID && o.Reason == g.Reason {
				o.State = market.GapUnrepairable
			}
		}
	case market.GapRepaired:
		s.spans = slices.DeleteFunc(s.spans, func(x span) bool { return x.from == g.FromMs && x.to >= g.ToMs })
		f.open = slices.DeleteFunc(f.open, func(o market.Gap) bool {
			return o.Symbol == g.Symbol && o.FromMs == g.FromMs && o.AfterID == g.AfterID && o.Reason == g.Reason
		})
	case market.GapRemoved: // what is missing of its closed minutes stays missing; if it comes back the others are a gap
		s.lastID, s.lastIDMs, s.restoredID, s.filling = 0, 0, 0, filling{}
		f.cutGaps(s, g.FromMs)
	}
}

// cutGaps ends all gaps of a symbol where its closed minutes end: the others are asked for as a whole. A trade that two gaps
// have would count twice, if the minute has closed and its ids are forgotten when the second is filled.
func (f *Fold) cutGaps(s *symbol, endMs int64) {
	s.spans = slices.DeleteFunc(s.spans, func(x span) bool { return x.from >= endMs })
	for k := range s.spans {
		s.spans[k].to = min(s.spans[k].to, endMs)
	}
	f.open = slices.DeleteFunc(f.open, func(o market.Gap) bool {
		return o.Symbol == s.Number && (o.FromMs >= endMs || o.Reason.Remakes() && o.ToMs > endMs)
	})
	for k := range f.open {
		if o := &f.open[k]; o.Symbol == s.Number && o.ToMs > endMs { // its end is a time now: it lies among trades that the next gap has
			o.ToMs, o.BeforeID = endMs, 0
		}
	}
}
