package bars

import (
	"slices"

	"github.com/marketstream/marketstream/streamer/market"
)

// A closed minute is made again where it cannot be mended by adding or taking away: a trade came after the revision
// window, or a cancel may have taken a price that only the other trades tell. The gap says which minute; who finds the
// minute's trades says them between two holes, and the record that they make takes the place of the one before.
// A trade may have come far out of its time, and a vendor that is asked by time does not find it then: so a gap
// has, as its ids, those around the trades that came late.

// remakes returns the place in f.open of the gap that has a minute made again for a reason; -1: none.
func (f *Fold) remakes(number uint32, start int64, reason market.GapReason) int {
	return slices.IndexFunc(f.open, func(g market.Gap) bool {
		return g.Symbol == number && g.FromMs == start && g.Reason == reason
	})
}

// tooLateGap says that a trade came after the revision window: a gap of its minute.
func (f *Fold) tooLateGap(s *symbol, i int32, start int64, id uint64) {
	if f.remakes(s.Number, start, market.GapLateTrade) >= 0 {
		f.widen(s, start, id)
		return
	}
	if !f.cfg.Refills && !s.markTooLate(start) {
		return
	}
	g := market.Gap{FromMs: start, ToMs: start + minuteMs, Reason: market.GapLateTrade}
	if f.cfg.GaplessIDs && id != 0 {
		g.AfterID, g.BeforeID = id-1, id+1
	}
	f.record(i, g)
}

// widen has a trade that comes to a minute which is to be made again be looked for too: who asked the vendor before it came
// may not have it.
func (f *Fold) widen(s *symbol, start int64, id uint64) {
	if !f.cfg.GaplessIDs || id == 0 {
		return
	}
	for k := range f.open {
		g := &f.open[k]
		if g.Symbol != s.Number || g.FromMs != start || !g.Reason.Remakes() || id > g.AfterID && id < g.BeforeID {
			continue
		}
		if g.BeforeID == 0 {
			g.AfterID, g.BeforeID = id-1, id+1
		}
		g.AfterID, g.BeforeID, g.State = min(g.AfterID, id-1), max(g.BeforeID, id+1), market.GapOpen
		said := slices.IndexFunc(f.gaps, func(x market.Gap) bool {
			return x.Symbol == g.Symbol && x.FromMs == start && x.Reason == g.Reason && x.State == market.GapOpen
		})
		if said < 0 {
			f.gaps = append(f.gaps, *g)
		} else {
			f.gaps[said] = *g
		}
	}
}

// beginRemake begins a minute that is made again: its trades follow.
func (f *Fold) beginRemake(s *symbol, e *market.Entry) {
	start := market.FloorDiv(e.Time, minuteNs) * minuteMs
	made := &market.Record{Symbol: s.Number, Timeframe: market.M1, StartMs: start, EndMs: start + minuteMs}
	if f.cfg.Session.OutsideRegular(start) {
		made.Flags |= market.Extended
	}
	s.filling = filling{made: made}
}

// remakeTrade takes a trade of a minute that is made again.
func (f *Fold) remakeTrade(s *symbol, i int32, e *market.Entry) {
	made := s.filling.made
	if f.again {
		f.stats.Replayed++ // the log has it
		return
	}
	if market.FloorDiv(e.Time, minuteNs)*minuteMs != made.StartMs || !f.closed(made.EndMs) {
		f.stats.NotCarried++
		return
	}
	if e.ID != 0 { // what comes later by another way is known then
		f.isNew(&f.recall(s, made.StartMs).ids, e.ID)
	}
	if made.AddTrade(e, f.use(e, made.Flags&market.Extended != 0)) != nil {
		f.stats.Overflow++
		f.gap(i, made.StartMs, made.EndMs, market.GapOverflow)
		return
	}
	f.stats.Remade++
}

// endRemake takes the end of a minute that is made again: that was all of it, or nobody has its trades.
func (f *Fold) endRemake(s *symbol, i int32, e *market.Entry) {
	made := s.filling.made
	s.filling = filling{}
	if f.again {
		f.stats.Replayed++
		return
	}
	start := market.FloorDiv(e.Time, minuteNs) * minuteMs
	unrepairable := e.State == market.GapUnrepairable
	if !unrepairable && (made == nil || made.StartMs != start || !f.closed(start+minuteMs)) {
		return
	}
	found := false
	for k := len(f.open) - 1; k >= 0; k-- {
		g := &f.open[k]
		if g.Symbol != s.Number || g.FromMs != start || !g.Reason.Remakes() {
			continue
		}
		found = true
		done := *g
		done.State = e.State
		if !unrepairable {
			f.open = slices.Delete(f.open, k, k+1)
		} else if g.State == market.GapUnrepairable {
			continue
		} else {
			g.State = market.GapUnrepairable
		}
		f.gaps = append(f.gaps, done)
	}
	if !found || unrepairable {
		return
	}
	s.spans = slices.DeleteFunc(s.spans, func(x span) bool { return x == span{start, start + minuteMs} })
	f.replace(s, i, made)
	f.whole(s, i, start, start+minuteMs)
	f.touch(s, i)
}

// replace puts a record of a closed minute in the place of the one before, there and in every longer bar.
func (f *Fold) replace(s *symbol, i int32, made *market.Record) {
	c := f.recall(s, made.StartMs)
	was := c.Record
	old := &was
	if !holds(old) {
		old = nil
	}
	f.put(i, c, made)
	minute := c.Record
	for _, tf := range f.frames {
		r, closed, whole := f.longerAt(s, i, tf, made.StartMs)
		n := *r
		if !whole && f.update(s, &n, old, &minute) != nil {
			f.stats.Overflow++
			f.gap(i, made.StartMs, made.EndMs, market.GapOverflow)
		}
		if closed != nil {
			f.put(i, closed, &n)
		} else {
			*r = n
		}
	}
}

// put makes a closed record hold what n holds; without a trade it is void, and keeps the prices that it had.
func (f *Fold) put(i int32, c *closedRecord, n *market.Record) {
	if !holds(n) {
		c.N, c.Volume, c.Notional = 0, market.Int128{}, market.Int128{}
		f.settle(i, c)
		return
	}
	rev, partial := c.Rev, c.Flags&market.Partial
	c.Record = *n
	c.Rev, c.Flags = rev, n.Flags&^(market.Partial|market.Void)|partial
	f.revise(i, c)
}
