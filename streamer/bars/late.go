package bars

import (
	"math"
	"slices"

	"github.com/marketstream/marketstream/streamer/market"
)

// lateTrade takes a trade whose minute is closed: within the revision window it revises the
// minute and every longer bar above it.
func (f *Fold) lateTrade(s *symbol, i int32, e *market.Entry) {
	oldest := int64(math.MinInt64)
	if f.watermark >= math.MinInt64+f.cfg.RevisionWindowMs {
		oldest = f.watermark - f.cfg.RevisionWindowMs
	}
	f.late(s, i, e, oldest)
}

// late is lateTrade for trades from oldest on, in ms.
func (f *Fold) late(s *symbol, i int32, e *market.Entry, oldest int64) {
	if f.again {
		f.stats.Replayed++ // the log has it
		return
	}
	start := market.FloorDiv(e.Time, minuteNs) * minuteMs
	if !f.cfg.Session.Includes(start) {
		f.stats.OutsideSession++
		return
	}
	if e.Time/nsPerMs < oldest {
		f.stats.TooLate++
		f.tooLateGap(s, i, start, e.ID)
		return
	}
	one := &f.scratch
	*one = market.Record{Symbol: s.Number, Timeframe: market.M1, StartMs: start, EndMs: start + minuteMs}
	if f.cfg.Session.OutsideRegular(start) {
		one.Flags |= market.Extended
	}
	c := f.recall(s, start)
	c.Flags |= one.Flags
	if e.ID != 0 && !f.isNew(&c.ids, e.ID) {
		f.stats.Duplicates++
		return
	}
	use := f.use(e, one.Flags&market.Extended != 0)
	err := one.AddTrade(e, use)
	if err == nil {
		err = c.AddTrade(e, use)
	}
	if err != nil {
		f.stats.Overflow++
		f.gap(i, start, start+minuteMs, market.GapOverflow)
		return
	}
	f.stats.Late++
	f.widen(s, start, e.ID)
	f.revise(i, c)
	for _, tf := range f.frames {
		r, closed, made := f.longerAt(s, i, tf, start)
		if !made && r.Merge(one) != nil {
			f.stats.Overflow++
			f.gap(i, start, start+minuteMs, market.GapOverflow)
		}
		if closed != nil {
			f.revise(i, closed)
		}
	}
	f.touch(s, i)
}

func (f *Fold) tooLate(timeNs int64) bool {
	return f.watermark >= math.MinInt64+f.cfg.RevisionWindowMs && timeNs/nsPerMs < f.watermark-f.cfg.RevisionWindowMs
}

// cancel takes a trade back.
func (f *Fold) cancel(e *market.Entry) {
	s, i := f.place(e)
	if s == nil {
		return
	}
	start := market.FloorDiv(e.Time, minuteNs) * minuteMs
	if !f.shut(e, start) {
		f.cancelOpen(s, i, e, start)
		return
	}
	if f.again {
		f.stats.Replayed++
		return
	}
	at, known := s.find(market.M1, start)
	switch {
	case f.tooLate(e.Time):
		f.stats.TooLate++
		f.gap(i, start, start+minuteMs, market.GapCancel)
		return
	case !known || s.recent[market.M1].list()[at].N == 0:
		f.stats.UnknownCancels++
		return
	}
	c := &s.recent[market.M1].list()[at]
	outside := c.Flags&market.Extended != 0
	use := f.use(e, outside)
	touched := f.remove(i, &c.Record, e, use)
	f.settle(i, c)
	gone := c.N == 0
	for _, tf := range f.frames {
		longUse := use
		if tf == market.D1 && outside {
			longUse = dayUse(use)
		}
		r, closed, made := f.longerAt(s, i, tf, start)
		more := !made && f.remove(i, r, e, longUse)
		switch {
		case !gone:
			touched = touched || more
		case closed == nil || r.N > 0: // exactly what the other minutes make
			if f.remake(s, r) != nil {
				f.stats.Overflow++
				f.gap(i, start, start+minuteMs, market.GapOverflow)
			}
		}
		if closed != nil {
			f.settle(i, closed)
		}
	}
	f.stats.Cancels++
	if touched {
		f.gap(i, start, start+minuteMs, market.GapCancel)
	}
	f.touch(s, i)
}

func (f *Fold) cancelOpen(s *symbol, i int32, e *market.Entry, start int64) {
	for k := range s.open {
		o := &s.open[k]
		if o.StartMs != start || o.N == 0 {
			continue
		}
		f.stats.Cancels++
		touched := f.remove(i, &o.Record, e, f.use(e, o.Flags&market.Extended != 0))
		if o.N == 0 { // as if nothing had traded
			o.Record = blank(&o.Record)
		} else if touched {
			f.gap(i, o.StartMs, o.EndMs, market.GapCancel)
		}
		f.touch(s, i)
		return
	}
	f.stats.UnknownCancels++
}

// remove takes a trade out of r. touched: r has trades left, and a price of it may have been the trade's.
func (f *Fold) remove(i int32, r *market.Record, e *market.Entry, use market.Use) (touched bool) {
	touched, err := r.RemoveTrade(e, use)
	if err != nil {
		f.stats.Overflow++
		f.gap(i, r.StartMs, r.EndMs, market.GapOverflow)
	}
	return touched && r.N > 0
}

// settle voids a closed record that lost its only trades; one that was never emitted just goes.
func (f *Fold) settle(i int32, c *closedRecord) {
	if c.N > 0 {
		f.revise(i, c)
		return
	}
	if c.emitted == unset {
		c.Record, c.dirty = blank(&c.Record), false
		return
	}
	c.Flags = c.Flags&^market.Partial | market.Void
	f.revise(i, c)
}

// blank is a record of r's period without a trade.
func blank(r *market.Record) market.Record {
	return market.Record{Symbol: r.Symbol, Timeframe: r.Timeframe, StartMs: r.StartMs, EndMs: r.EndMs, Flags: r.Flags & market.Extended}
}

// dayUse is what a trade outside regular hours counts to in a daily record's prices.
func dayUse(use market.Use) market.Use {
	day := use & market.UseVolume
	for _, u := range [...][2]market.Use{{market.UseDayRange, market.UseRange}, {market.UseDayEnds, market.UseEnds}, {market.UseDayWeakEnds, market.UseWeakEnds}} {
		if use&u[0] != 0 {
			day |= u[1]
		}
	}
	return day
}

// hole takes a stretch that was not observed. One at the very place where the log ends may
// be new or not: the gaps that the log has tell.
func (f *Fold) hole(e *market.Entry) {
	if e.Symbol != market.AllSymbols && e.State != market.GapOpen {
		if i := f.lookupNumber(e.Symbol); i >= 0 && e.State == market.GapFilling {
			f.fill(&f.symbols[i], e)
		} else if i >= 0 {
			f.filled(&f.symbols[i], i, e)
		}
		return
	}
	atEnd := f.again && e.Offset != 0 && e.Offset == f.restored
	if f.again && !atEnd {
		if i := f.lookupNumber(e.Symbol); i >= 0 && e.BeforeID() > 0 {
			f.sawID(&f.symbols[i], e.BeforeID()-1, e.Until)
		}
		f.stats.Replayed++
		return
	}
	f.again = false
	from, to := market.FloorDiv(e.Time, nsPerMs), market.FloorDiv(e.Until+nsPerMs-1, nsPerMs)
	if to <= from {
		f.stats.Holes++
		return
	}
	known := 0
	for i := range f.symbols {
		s := &f.symbols[i]
		if e.Symbol != market.AllSymbols && s.Number != e.Symbol {
			continue
		}
		if atEnd && slices.Contains(s.spans, span{from, to}) {
			known++
			continue
		}
		f.record(int32(i), market.Gap{FromMs: from, ToMs: to, Reason: e.Reason, AfterID: e.AfterID(), BeforeID: e.BeforeID()})
		if id := e.BeforeID(); id > 0 { // what comes next has this id
			f.sawID(s, id-1, e.Until)
		}
	}
	if known > 0 {
		f.stats.Replayed++
	} else {
		f.stats.Holes++
	}
}

// remember keeps a gap for the bars that are still to come.
func (f *Fold) remember(s *symbol, from, to int64) {
	far := f.watermark != unset && from > f.watermark+markableMs
	if !far && !slices.Contains(s.spans, span{from, to}) {
		s.spans = append(s.spans, span{from, to})
	}
}

// gap records that [from, to) of a symbol is not known: bars that touch it are partial,
// those that are closed already by a revision.
func (f *Fold) gap(i int32, from, to int64, reason market.GapReason) {
	f.record(i, market.Gap{FromMs: from, ToMs: to, Reason: reason})
}

// record is gap with the ids of the trades around it.
func (f *Fold) record(i int32, g market.Gap) {
	if f.again {
		return // the log has it
	}
	s := &f.symbols[i]
	g.Symbol = s.Number
	f.gaps = append(f.gaps, g)
	f.opened(g)
	from, to := g.FromMs, g.ToMs
	s.begin(&g)
	f.remember(s, from, to)
	horizon := int64(math.MinInt64)
	if f.watermark >= math.MinInt64+f.cfg.RevisionWindowMs {
		horizon = f.watermark - f.cfg.RevisionWindowMs
	}
	for tf := range s.recent {
		recent := s.recent[tf].list()
		for k := range recent {
			c := &recent[k]
			if c.StartMs < to && c.EndMs > max(from, horizon) && c.emitted != unset && c.Flags&(market.Partial|market.Void) == 0 {
				c.Flags |= market.Partial
				f.revise(i, c)
			}
		}
	}
}
