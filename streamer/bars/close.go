package bars

import (
	"cmp"
	"math"
	"slices"

	"github.com/marketstream/marketstream/streamer/market"
)

// mark moves the watermark to w ms and closes what it reaches.
func (f *Fold) mark(w int64) *Close {
	if f.watermark != unset && w <= f.watermark {
		return nil
	}
	f.watermark = w
	if f.lastClose == unset {
		f.lastClose = w
	}
	if w < f.due && w < f.lastClose+checkpointMs && len(f.gaps) == 0 && w != market.EndOfFeed {
		return nil
	}
	return f.close(w == market.EndOfFeed)
}

// close makes a Close of everything that is due at the watermark; nil if nothing is and
// the moment needs none.
func (f *Fold) close(always bool) *Close {
	w := f.watermark
	f.refuseEarly()
	f.out.Records, f.out.Gaps = f.out.Records[:0], append(f.out.Gaps[:0], f.gaps...)
	f.gaps = f.gaps[:0]
	if f.anyPeriodDue() || f.revisionDue() || len(f.out.Gaps) > 0 || always {
		f.emitPending() // into every frame, so that Applied is true
	}
	f.closePeriods()
	if len(f.pending) > 0 && (len(f.out.Records) > 0 || len(f.gaps) > 0) { // what closed revised what was closed
		f.emitPending()
	}
	f.out.Gaps = append(f.out.Gaps, f.gaps...)
	f.gaps = f.gaps[:0]
	f.forget()
	f.setDue()
	if len(f.out.Records) == 0 && len(f.out.Gaps) == 0 && !always && w < f.lastClose+checkpointMs {
		return nil
	}
	f.lastClose = w
	f.out.Watermark, f.out.Applied, f.out.Open = w, f.applied, f.openPosition()
	f.out.AppliedIDs = f.ids(f.out.AppliedIDs)
	f.out.OpenIDs = f.openIDs()
	return &f.out
}

// openPosition is where the open minutes begin.
func (f *Fold) openPosition() market.Position {
	open := f.applied
	for i := range f.minutes {
		m := &f.minutes[i].open
		if m.Source.Offset < open.Source.Offset || m.Source.Offset == open.Source.Offset && m.Tick.Compare(open.Tick) < 0 {
			open = *m
		}
	}
	return open
}

// openIDs are the newest trades where the open minutes begin: the least of each symbol.
func (f *Fold) openIDs() []LastTrade {
	if len(f.minutes) == 0 {
		return f.out.AppliedIDs
	}
	open := f.minutes[0]
	for i := range f.minutes {
		if m := &f.minutes[i]; m.open.Tick.Compare(open.open.Tick) < 0 {
			open = *m
		}
	}
	return open.ids
}

func (f *Fold) anyPeriodDue() bool {
	if len(f.minutes) > 0 && f.closed(f.minutes[0].startMs+minuteMs) {
		return true
	}
	for _, tf := range f.frames {
		if f.ends[tf] != 0 && f.closed(f.ends[tf]) {
			return true
		}
	}
	return false
}

// closePeriods closes minutes and longer periods in the order of their ends, at one end
// the shorter first.
func (f *Fold) closePeriods() {
	for {
		end, minuteDue := int64(math.MaxInt64), false
		if len(f.minutes) > 0 {
			end, minuteDue = f.minutes[0].startMs+minuteMs, true
		}
		for _, tf := range f.frames {
			if e := f.ends[tf]; e != 0 && e < end {
				end, minuteDue = e, false
			}
		}
		if end == math.MaxInt64 || !f.closed(end) {
			return
		}
		if minuteDue {
			f.closeMinute(f.minutes[0].startMs)
			f.minutes = slices.Delete(f.minutes, 0, 1)
		}
		for _, tf := range f.frames {
			if f.ends[tf] == end {
				f.closeLonger(tf)
			}
		}
	}
}

// closeMinute closes the open records of a minute and merges them upward.
func (f *Fold) closeMinute(startMs int64) {
	for i := range f.symbols {
		s := &f.symbols[i]
		if len(s.open) == 0 || s.open[0].StartMs != startMs {
			continue
		}
		o := &s.open[0]
		if o.included && holds(&o.Record) {
			f.mergeUp(s, int32(i), &o.Record)
			c := f.keep(s, &o.Record)
			f.giveIDs(&c.ids)
			c.ids, o.ids = o.ids, idSet{}
			f.noOldIDs = false
		}
		f.giveIDs(&o.ids)
		s.open = slices.Delete(s.open, 0, 1)
	}
}

// holds reports whether any trade is in r.
func holds(r *market.Record) bool { return r.N > 0 || r.Prices.Has != 0 || r.Daily.Has != 0 }

// mergeUp merges a closed minute into the open record of every longer timeframe.
func (f *Fold) mergeUp(s *symbol, i int32, r *market.Record) {
	for _, tf := range f.frames {
		start, end := f.period(tf, r.StartMs)
		var closed *closedRecord
		var l *market.Record
		if s.emitted(tf, start, end) { // under a shorter grace
			closed = s.closedAt(tf, start, end)
			l = &closed.Record
		} else {
			l = f.longer(s, tf, start, end)
		}
		if err := l.Merge(r); err != nil {
			f.stats.Overflow++
			f.gap(i, r.StartMs, r.EndMs, market.GapOverflow)
		}
		if closed != nil {
			f.revise(i, closed)
		}
	}
}

// longer returns the open record of a period of tf, an empty one if there is none.
func (f *Fold) longer(s *symbol, tf market.Timeframe, start, end int64) *market.Record {
	l := &s.longer[tf]
	if !l.active || l.StartMs != start {
		l.active = true
		l.Record = market.Record{Symbol: s.Number, Timeframe: tf, StartMs: start, EndMs: end}
		f.ends[tf] = end
		f.dueBy(end + f.cfg.CloseGraceMs)
	}
	return &l.Record
}

// closeLonger closes the open period of tf.
func (f *Fold) closeLonger(tf market.Timeframe) {
	end := f.ends[tf]
	f.ends[tf] = 0
	for i := range f.symbols {
		s := &f.symbols[i]
		l := &s.longer[tf]
		if l.active && l.EndMs == end {
			l.active = false
			if holds(&l.Record) {
				f.keep(s, &l.Record)
			}
		}
	}
}

// keep emits a record for the first time and keeps it for late trades.
func (f *Fold) keep(s *symbol, r *market.Record) *closedRecord {
	recent := &s.recent[r.Timeframe]
	at, ok := s.find(r.Timeframe, r.StartMs)
	if !ok {
		recent.insert(at)
	}
	c := &recent.list()[at]
	rev := c.Rev // of a bar that a new shape reopened
	c.Record = *r
	c.Rev = rev
	f.emit(s, c)
	return c
}

// emit puts a closed record into the Close.
func (f *Fold) emit(s *symbol, c *closedRecord) {
	tf := c.Timeframe
	switch {
	case c.emitted != unset:
		c.Rev++
	case c.StartMs < s.last[tf]: // a bar that comes after a later one is a revision, also the first time
		c.Rev = max(c.Rev, 1)
	}
	if c.Flags&market.Void == 0 && s.inGap(c.StartMs, c.EndMs) {
		c.Flags |= market.Partial
	}
	c.emitted, c.dirty = f.watermark, false
	s.last[tf] = max(s.last[tf], c.StartMs)
	f.out.Records = append(f.out.Records, c.Record)
}

// revise marks a closed record as changed; it is emitted when it is due, or with the next Close.
func (f *Fold) revise(i int32, c *closedRecord) {
	if !c.dirty {
		c.dirty = true
		f.pending = append(f.pending, pending{i, c.Timeframe, c.StartMs})
		f.dueBy(f.revisionAt(c))
	}
}

// revisionAt is the watermark at which a changed record is due.
func (f *Fold) revisionAt(c *closedRecord) int64 {
	closedAt := c.EndMs + f.cfg.CloseGraceMs
	last := c.emitted
	if last == unset {
		last = closedAt
	}
	if last < closedAt+minuteMs {
		return last + soonMs
	}
	return last + laterMs
}

func (f *Fold) revisionDue() bool {
	for _, p := range f.pending {
		if c := f.lookup(p); c != nil && f.revisionAt(c) <= f.watermark {
			return true
		}
	}
	return false
}

func (f *Fold) lookup(p pending) *closedRecord {
	s := &f.symbols[p.symbol]
	if at, ok := s.find(p.tf, p.start); ok {
		return &s.recent[p.tf].list()[at]
	}
	return nil
}

// emitPending emits every revision that waits.
func (f *Fold) emitPending() {
	slices.SortFunc(f.pending, func(a, b pending) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.tf, b.tf), cmp.Compare(a.symbol, b.symbol))
	})
	for _, p := range f.pending {
		if c := f.lookup(p); c != nil && c.dirty {
			f.emit(&f.symbols[p.symbol], c)
		}
	}
	f.pending = f.pending[:0]
}

// forget drops what the revision window has passed. Minutes that may still be needed for
// a longer bar, one that is open or was closed within the window, go to the past.
func (f *Fold) forget() {
	if f.watermark < math.MinInt64+f.cfg.RevisionWindowMs {
		return
	}
	horizon := f.watermark - f.cfg.RevisionWindowMs
	needed := f.needed(min(horizon, f.watermark-f.cfg.CloseGraceMs))
	longest := horizon - 25*60*minuteMs // no period is longer than a day with a change of clocks
	for i := range f.symbols {
		s := &f.symbols[i]
		if len(s.spans) > 0 {
			s.spans = slices.DeleteFunc(s.spans, func(g span) bool { return g.to <= longest })
		}
		s.past.cut(needed)
		for tf := range s.recent {
			n, recent := 0, s.recent[tf].list()
			for n < len(recent) && recent[n].EndMs <= horizon && !recent[n].dirty {
				c := &recent[n]
				if market.Timeframe(tf) == market.M1 && c.StartMs >= needed && c.emitted != unset {
					s.past.put(&c.Record)
				}
				f.giveIDs(&c.ids)
				n++
			}
			if n > 0 {
				s.recent[tf].drop(n)
			}
		}
	}
}

// needed is where the minutes begin that a longer bar may need which holds ms or a later time.
func (f *Fold) needed(ms int64) int64 {
	from := ms
	for _, tf := range f.frames {
		start, _ := f.cfg.Session.Period(tf, ms)
		from = min(from, start)
	}
	return from
}

// setDue finds the watermark at which something is due next.
func (f *Fold) setDue() {
	f.due = math.MaxInt64
	if len(f.minutes) > 0 {
		f.dueBy(f.minutes[0].startMs + minuteMs + f.cfg.CloseGraceMs)
	}
	for _, tf := range f.frames {
		if f.ends[tf] != 0 {
			f.dueBy(f.ends[tf] + f.cfg.CloseGraceMs)
		}
	}
	for _, p := range f.pending {
		if c := f.lookup(p); c != nil {
			f.dueBy(f.revisionAt(c))
		}
	}
}
