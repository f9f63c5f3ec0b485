package bars

import (
	"github.com/marketstream/marketstream/streamer/market"
)

// Every record above 1m that may still change is the merge of the newest records of its
// minutes. What comes to a closed minute changes it in one of two ways: by what the minute
// has more now, which is cheap, or, where the minute lost a price, by merging all of its
// minutes again. Both end at the same record.

// minuteOf reads the newest record of a closed minute that the log has, or will have.
func (s *symbol) minuteOf(start int64, r *market.Record) bool {
	if at, ok := s.find(market.M1, start); ok {
		*r = s.recent[market.M1].list()[at].Record
		return true
	}
	if !s.past.find(start, r) {
		return false
	}
	r.Symbol = s.Number
	return true
}

// recall is closedAt of a minute, also of one that has left the revision window.
func (f *Fold) recall(s *symbol, start int64) *closedRecord {
	if _, ok := s.find(market.M1, start); !ok {
		if r := (market.Record{}); s.minuteOf(start, &r) {
			c := s.closedAt(market.M1, start, r.EndMs)
			c.Record = r
			c.emitted = r.EndMs + f.cfg.CloseGraceMs + minuteMs // long ago: what changes it is due at once
		}
	}
	return s.closedAt(market.M1, start, start+minuteMs)
}

// longerAt returns the record of tf that holds a closed minute: the open one, or the
// closed one, which is then returned twice. made: the log does not have it, for the symbol was not
// carried when it closed; it was just made of the minutes as they are.
func (f *Fold) longerAt(s *symbol, i int32, tf market.Timeframe, minute int64) (r *market.Record, c *closedRecord, made bool) {
	start, end := f.period(tf, minute)
	if l := &s.longer[tf]; l.active && l.StartMs == start || !f.closed(end) && !s.emitted(tf, start, end) {
		return f.longer(s, tf, start, end), nil, false
	}
	_, found := s.find(tf, start)
	c = s.closedAt(tf, start, end)
	if !found && f.remake(s, &c.Record) != nil {
		f.stats.Overflow++
		f.gap(i, minute, minute+minuteMs, market.GapOverflow)
	}
	return &c.Record, c, !found
}

// update brings r, a longer record, from a minute's old record (nil: none) to its new one.
func (f *Fold) update(s *symbol, r, old, minute *market.Record) error {
	switch {
	case old == nil:
		return r.Merge(minute)
	case covers(minute, old):
		return r.Update(old, minute)
	}
	return f.remake(s, r)
}

// covers reports whether a newer record of a minute takes back nothing that the older one
// gave to a longer record but sums.
func covers(minute, old *market.Record) bool {
	return (minute.Flags|old.Flags)&market.Void == 0 && minute.PriceScale == old.PriceScale && minute.VolumeScale == old.VolumeScale &&
		old.Flags&^minute.Flags&market.NoNotional == 0 &&
		coversPrices(&minute.Prices, &old.Prices) && coversPrices(&minute.Daily, &old.Daily)
}

func coversPrices(p, old *market.Prices) bool {
	if old.Has&market.HasRange != 0 && (p.Has&market.HasRange == 0 || p.High < old.High || p.Low > old.Low) {
		return false
	}
	if old.Has&market.HasEnds == 0 {
		return true
	}
	switch {
	case p.Has&market.HasEnds == 0 || p.Has&market.WeakEnds > old.Has&market.WeakEnds:
		return false
	case p.Has&market.WeakEnds < old.Has&market.WeakEnds: // replaced by better ones
		return true
	}
	return (p.First.Less(old.First) || p.First == old.First && p.Open == old.Open) &&
		(old.Last.Less(p.Last) || p.Last == old.Last && p.Close == old.Close)
}

// remake merges the newest records of all minutes of r's period. What does not fit is left
// out, and said by the error.
func (f *Fold) remake(s *symbol, r *market.Record) (err error) {
	n := blank(r)
	n.Rev, n.Flags = r.Rev, r.Flags&^(market.NoNotional|market.Void)
	add := func(m *market.Record) {
		if m.StartMs >= r.StartMs && m.StartMs < r.EndMs {
			if e := n.Merge(m); e != nil {
				err = e
			}
		}
	}
	recent := s.recent[market.M1].list()
	s.past.each(func(m *market.Record) bool {
		if _, newer := s.find(market.M1, m.StartMs); !newer {
			add(m)
		}
		return m.StartMs < r.EndMs
	})
	for k := range recent {
		add(&recent[k].Record)
	}
	*r = n
	return err
}
