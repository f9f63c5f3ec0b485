package bars

import "github.com/marketstream/marketstream/streamer/market"

// Changed calls fn with the state of each symbol that changed since the last call. The
// State is fn's until it returns.
func (f *Fold) Changed(fn func(*market.State)) {
	for _, i := range f.changed {
		s := &f.symbols[i]
		s.changed = false
		if f.stateOf(s) {
			fn(&f.state)
		}
	}
	f.changed = f.changed[:0]
}

// Repeat has the next Changed give the states of all symbols.
func (f *Fold) Repeat() {
	for i := range f.symbols {
		f.touch(&f.symbols[i], int32(i))
	}
}

// State returns the state of a symbol; ok is false while its open minute has no prices.
// Its Forming is the fold's, good until the next call.
func (f *Fold) State(number uint32) (_ market.State, ok bool) {
	i := f.lookupNumber(number)
	if i < 0 || !f.stateOf(&f.symbols[i]) {
		return market.State{}, false
	}
	return f.state, true
}

func (f *Fold) stateOf(s *symbol) bool {
	k := len(s.open) - 1
	for k >= 0 && f.watermark != unset && s.open[k].StartMs > f.watermark+earlyMs {
		k-- // too early to be shown
	}
	if k < 0 {
		return false
	}
	newest := &s.open[k]
	micro, ok := newest.Bar()
	if !ok || !newest.included {
		return false
	}
	if s.inGap(newest.StartMs, newest.EndMs) {
		micro.Flags |= market.Partial
	}
	ns := s.lastNs
	if ns >= newest.EndMs*nsPerMs { // of a trade that is too early
		ns = newest.Prices.Last.Time
	}
	st := &f.state
	st.Symbol, st.TsMs, st.Micro, st.Forming = s.Number, ns/nsPerMs, micro, st.Forming[:0]
	for _, tf := range f.frames {
		start, end := f.period(tf, newest.StartMs)
		r := &f.scratch
		*r = market.Record{Symbol: s.Number, Timeframe: tf, StartMs: start, EndMs: end}
		if l := &s.longer[tf]; l.active && l.StartMs == start {
			*r = l.Record
		}
		fits := true
		for k := range s.open {
			if o := &s.open[k]; o.included && o.StartMs >= start && o.StartMs < end {
				fits = fits && r.Merge(&o.Record) == nil
			}
		}
		if b, ok := r.Bar(); ok && fits {
			if s.inGap(start, end) {
				b.Flags |= market.Partial
			}
			st.Forming = append(st.Forming, b)
		}
	}
	return true
}
