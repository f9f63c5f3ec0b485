package stream

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/marketstream/marketstream/streamer/market"
)

// states has the newest state of every symbol. Readers take no lock.
type states struct {
	mu      sync.Mutex // of writers
	cells   atomic.Pointer[[]*cell]
	version atomic.Uint64 // of the newest snapshot
}

// cell is one symbol's place.
type cell struct {
	snap   atomic.Pointer[snapshot]
	closed atomic.Int64 // start of the newest closed 1m bar: older states are void
}

// snapshot is a state that does not change, with its texts.
type snapshot struct {
	version uint64
	state   market.State
	micro   atomic.Pointer[[]byte]
	forming [market.MaxTimeframe + 1]atomic.Pointer[[]byte]
}

func (s *states) cell(symbol uint32) *cell {
	cells := s.cells.Load()
	if cells == nil || int(symbol) >= len(*cells) {
		return nil
	}
	return (*cells)[symbol]
}

// grow makes room for symbol; with s.mu held.
func (s *states) grow(symbol uint32) *cell {
	var old []*cell
	if p := s.cells.Load(); p != nil {
		old = *p
	}
	cells := make([]*cell, max(int(symbol)+1, 2*len(old))) // twice as many: symbols come one by one
	more := make([]cell, len(cells)-len(old))
	for i := range more {
		cells[len(old)+i] = &more[i]
	}
	copy(cells, old)
	s.cells.Store(&cells)
	return cells[symbol]
}

// put takes a new state of a symbol.
func (s *states) put(m *market.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cell(m.Symbol)
	if c == nil {
		c = s.grow(m.Symbol)
	}
	if m.Micro.StartMs <= c.closed.Load() {
		return // its bar is closed already
	}
	snap := &snapshot{state: *m}
	snap.state.Forming = slices.Clone(m.Forming)
	snap.version = s.version.Load() + 1
	c.snap.Store(snap)
	s.version.Store(snap.version)
}

// close drops the state of a bar that has closed.
func (s *states) close(symbol uint32, startMs int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cell(symbol)
	if c == nil {
		c = s.grow(symbol)
	}
	if startMs > c.closed.Load() {
		c.closed.Store(startMs)
	}
	if snap := c.snap.Load(); snap != nil && snap.state.Micro.StartMs <= startMs {
		c.snap.Store(nil)
	}
}

// forget drops a symbol's state.
func (s *states) forget(symbol uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.cell(symbol); c != nil {
		c.snap.Store(nil)
	}
}

// reset forgets all.
func (s *states) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cells.Store(nil)
}

// newer returns the symbol's state if it is newer than version.
func (s *states) newer(symbol uint32, version uint64) *snapshot {
	c := s.cell(symbol)
	if c == nil {
		return nil
	}
	if snap := c.snap.Load(); snap != nil && snap.version > version {
		return snap
	}
	return nil
}

// microText is the microbar event, encoded once.
func (s *snapshot) microText(name string) []byte {
	if t := s.micro.Load(); t != nil {
		return *t
	}
	t := appendMicrobar(make([]byte, 0, 192), &s.state, name)
	s.micro.Store(&t)
	return t
}

// formingText is the forming event of a timeframe, encoded once; nil if it has no open bar.
func (s *snapshot) formingText(tf market.Timeframe, name string) []byte {
	if t := s.forming[tf].Load(); t != nil {
		return *t
	}
	b := &s.state.Micro
	if tf != market.M1 {
		at := slices.IndexFunc(s.state.Forming, func(b market.Bar) bool { return b.Timeframe == tf })
		if at < 0 {
			return nil
		}
		b = &s.state.Forming[at]
	}
	t := appendForming(make([]byte, 0, 256), b, name)
	s.forming[tf].Store(&t)
	return t
}
