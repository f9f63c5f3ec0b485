package ring

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/marketstream/marketstream/streamer/market"
)

// Query selects bars of one symbol and timeframe.
type Query struct {
	// Limit is the most that are wanted: the newest of those selected, or the oldest with Oldest; 0: all.
	Limit int
	// BeforeMs selects bars that end at or before it; 0: no bound.
	BeforeMs int64
	// AfterSeq, with HasAfter, selects bars with a higher seq.
	AfterSeq int64
	HasAfter bool
	Oldest   bool
	// Unless is a version that the asker has the answer of: a ring that still has it answers
	// with its Info alone. 0: none.
	Unless uint64
}

// Info says what a read met.
type Info struct {
	Len       int
	OldestSeq int64 // of the oldest bar that is there; 0: none
	Evicted   bool  // there were older ones
	// Version rises with every change of the ring and is none of another [Set]'s; 0: it is not
	// carried or has had no bar.
	Version uint64
	// Missing: there is no such ring here, so nothing is known of what it would have.
	Missing bool
}

// Ask is a query of one ring.
type Ask struct {
	Symbol    uint32
	Timeframe market.Timeframe
	Query
}

// Answer is what a ring has for an [Ask].
type Answer struct {
	Bars []market.Bar // oldest first, void ones left out
	Info
}

// Set is the rings of all carried symbols and timeframes. Its methods may be called at the
// same time; Apply and SetApplied by one goroutine.
type Set struct {
	mu       sync.RWMutex
	series   map[key]*series
	loading  map[key]*series // what comes meanwhile for rings that a Load fills
	resets   uint64
	capacity int
	version  atomic.Uint64 // rises with every change of any ring

	appliedMu sync.Mutex
	applied   uint64
	moved     chan struct{}
}

type key struct {
	symbol uint32
	tf     market.Timeframe
}

// NewSet makes a set whose rings keep up to capacity bars each.
func NewSet(capacity int) *Set {
	s := &Set{series: make(map[key]*series), loading: make(map[key]*series), capacity: max(1, capacity), moved: make(chan struct{})}
	s.version.Store(rand.Uint64() >> 1) // whoever remembers a version may meet another pod's set
	return s
}

// Carry makes room for symbols and timeframes, and drops all others. New rings count as
// complete: what was closed before has to be applied first, or else see [Set.Load].
func (s *Set) Carry(symbols []uint32, timeframes []market.Timeframe) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abandon()
	old := s.series
	s.series = make(map[key]*series, len(symbols)*len(timeframes))
	for _, sym := range symbols {
		for _, tf := range timeframes {
			k := key{sym, tf}
			if r := old[k]; r != nil {
				s.series[k] = r
			} else {
				s.series[k] = &series{tf: tf}
			}
		}
	}
}

// SetCapacity changes how many bars each ring keeps.
func (s *Set) SetCapacity(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capacity = max(1, n)
	for _, r := range s.series {
		r.mu.Lock()
		r.evict(s.capacity)
		r.mu.Unlock()
	}
}

// Apply inserts a bar, or replaces an older revision of it. Bars that are not carried are passed over.
func (s *Set) Apply(symbol uint32, b *market.Bar) {
	s.mu.RLock()
	defer s.mu.RUnlock() // a Load must not put its ring in the place of one that is being written
	k, capacity := key{symbol, b.Timeframe}, s.capacity
	r := s.series[k]
	if r == nil {
		r = s.loading[k]
	}
	if r != nil {
		r.apply(b, capacity, s.version.Add(1))
	}
}

// Read appends the bars that q selects to dst, oldest first. Void bars are left out.
func (s *Set) Read(symbol uint32, tf market.Timeframe, q Query, dst []market.Bar) ([]market.Bar, Info) {
	s.mu.RLock()
	r := s.series[key{symbol, tf}]
	s.mu.RUnlock()
	if r == nil {
		return dst, Info{Missing: true}
	}
	return r.read(q, dst)
}

// SetApplied says that everything up to seq of BARS is applied.
func (s *Set) SetApplied(seq uint64) {
	s.appliedMu.Lock()
	defer s.appliedMu.Unlock()
	s.applied = seq
	close(s.moved)
	s.moved = make(chan struct{})
}

// Applied returns up to where BARS is applied.
func (s *Set) Applied() uint64 {
	s.appliedMu.Lock()
	defer s.appliedMu.Unlock()
	return s.applied
}

// WaitApplied waits until everything up to seq is applied.
func (s *Set) WaitApplied(ctx context.Context, seq uint64) error {
	for {
		s.appliedMu.Lock()
		applied, moved := s.applied, s.moved
		s.appliedMu.Unlock()
		if applied >= seq {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Answer answers asks, in their order, once everything up to seq of BARS is applied.
func (s *Set) Answer(ctx context.Context, seq uint64, asks []Ask) ([]Answer, error) {
	if err := s.WaitApplied(ctx, seq); err != nil {
		return nil, err
	}
	out := make([]Answer, len(asks))
	for i := range asks {
		a := &asks[i]
		out[i].Bars, out[i].Info = s.Read(a.Symbol, a.Timeframe, a.Query, nil)
	}
	return out, nil
}

// Walk calls fn with the answer to each ask, in their order, once everything up to seq of BARS is
// applied. Bars are fn's until it returns. It ends with fn's first error.
func (s *Set) Walk(ctx context.Context, seq uint64, asks []Ask, fn func(i int, a Answer) error) error {
	if err := s.WaitApplied(ctx, seq); err != nil {
		return err
	}
	var a Answer
	for i := range asks {
		x := &asks[i]
		a.Bars, a.Info = s.Read(x.Symbol, x.Timeframe, x.Query, a.Bars[:0])
		if err := fn(i, a); err != nil {
			return err
		}
	}
	return nil
}

// Reset empties every ring and ends every Load.
func (s *Set) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abandon()
	for k := range s.series {
		s.series[k] = &series{tf: k.tf}
	}
	s.SetApplied(0)
}

// Size is what one ring holds.
type Size struct {
	Symbol    uint32
	Timeframe market.Timeframe
	Bars      int
	Bytes     int
	Evicted   uint64
}

// Each calls fn for every ring.
func (s *Set) Each(fn func(Size)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for k, r := range s.series {
		r.mu.RLock()
		size := Size{Symbol: k.symbol, Timeframe: k.tf, Bars: r.n, Evicted: r.evicted}
		for i := range r.chunks {
			size.Bytes += cap(r.chunks[i].data) + 48
		}
		r.mu.RUnlock()
		fn(size)
	}
}
