package ring

import "github.com/marketstream/marketstream/streamer/market"

// Load fills rings that the set does not have yet from the log, while the set is read and
// goes on: what the set is given for them meanwhile is kept beside, and joins them at the
// end. Until then the set does not have them. One goroutine uses it.
type Load struct {
	set    *Set
	resets uint64
	series map[key]*series
}

// Lacking returns which of some symbols have no ring in one of the timeframes.
func (s *Set) Lacking(symbols []uint32, timeframes []market.Timeframe) (out []uint32) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, sym := range symbols {
		for _, tf := range timeframes {
			if s.series[key{sym, tf}] == nil {
				out = append(out, sym)
				break
			}
		}
	}
	return out
}

// Load begins to fill those rings of symbols and timeframes that are not there. After it,
// the log has to be read from its beginning to an end that is asked for now or later. There is one
// Load at a time: the one before is void.
func (s *Set) Load(symbols []uint32, timeframes []market.Timeframe) *Load {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abandon()
	l := &Load{set: s, resets: s.resets, series: make(map[key]*series)}
	for _, sym := range symbols {
		for _, tf := range timeframes {
			if k := (key{sym, tf}); s.series[k] == nil {
				l.series[k] = &series{tf: tf}
				s.loading[k] = &series{tf: tf}
			}
		}
	}
	return l
}

// abandon makes every Load void; with s.mu held.
func (s *Set) abandon() {
	s.resets++
	clear(s.loading)
}

// Rings is how many rings are filled.
func (l *Load) Rings() int { return len(l.series) }

// Apply takes the next bar of the log; those that are not loaded are passed over.
func (l *Load) Apply(symbol uint32, b *market.Bar) {
	if r := l.series[key{symbol, b.Timeframe}]; r != nil {
		l.set.mu.RLock()
		capacity := l.set.capacity
		l.set.mu.RUnlock()
		r.apply(b, capacity, l.set.version.Add(1))
	}
}

// Done puts the rings in place, and returns how many; ok is false if the Load is void: the set was emptied,
// carries something else, or another Load began.
func (l *Load) Done() (rings int, ok bool) {
	for k, r := range l.series { // one by one: readers and the log wait for no more than one ring
		if !l.place(k, r) {
			return rings, false
		}
		rings++
	}
	return rings, true
}

func (l *Load) place(k key, r *series) bool {
	s := l.set
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resets != l.resets {
		return false
	}
	if live := s.loading[k]; live != nil && live.n > 0 {
		var bars []market.Bar
		for i := range live.chunks {
			bars = live.chunks[i].decode(bars, k.tf)
		}
		for i := range bars[live.skip:] {
			r.apply(&bars[live.skip+i], s.capacity, s.version.Add(1))
		}
	}
	r.evict(s.capacity) // which may have changed
	delete(s.loading, k)
	s.series[k] = r
	return true
}

// Drop lets rings of a symbol go, and returns how many there were.
func (s *Set) Drop(symbol uint32) (rings int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for tf := market.M1; tf <= market.MaxTimeframe; tf++ {
		k := key{symbol, tf}
		if s.series[k] != nil {
			delete(s.series, k)
			rings++
		}
	}
	return rings
}

// Symbols returns the symbols that have a ring, in no order.
func (s *Set) Symbols() []uint32 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	there := make(map[uint32]bool)
	out := make([]uint32, 0, len(s.series))
	for k := range s.series {
		if !there[k.symbol] {
			there[k.symbol] = true
			out = append(out, k.symbol)
		}
	}
	return out
}

// Keep drops the rings of all but some symbols and timeframes.
func (s *Set) Keep(symbols []uint32, timeframes []market.Timeframe) {
	kept := make(map[key]bool, len(symbols)*len(timeframes))
	for _, sym := range symbols {
		for _, tf := range timeframes {
			kept[key{sym, tf}] = true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.series {
		if !kept[k] {
			delete(s.series, k)
		}
	}
}

// Len is how many rings there are.
func (s *Set) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.series)
}

// Has reports whether there is such a ring.
func (s *Set) Has(symbol uint32, tf market.Timeframe) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.series[key{symbol, tf}] != nil
}

// Capacity is how many bars each ring keeps.
func (s *Set) Capacity() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.capacity
}
