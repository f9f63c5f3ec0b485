package stream

import (
	"sync"
	"sync/atomic"

	"github.com/marketstream/marketstream/streamer/market"
)

// tickRings keep the newest ticks of each symbol that somebody wants, encoded once.
type tickRings struct {
	mu    sync.RWMutex
	rings map[uint32]*tickRing
}

// tickRing is the newest ticks of one symbol. Clients hold places in it.
type tickRing struct {
	wanted atomic.Int32 // clients

	mu    sync.Mutex
	texts [][]byte
	head  uint64 // place of the next tick; places begin at 1
}

func (t *tickRings) get(symbol uint32) *tickRing {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.rings[symbol]
}

// want returns the ring of a symbol, with one client more.
func (t *tickRings) want(symbol uint32) *tickRing {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.rings[symbol]
	if r == nil {
		r = &tickRing{head: 1}
		t.rings[symbol] = r
	}
	r.wanted.Add(1)
	return r
}

// leave takes a client away; the last one takes the ticks with it.
func (r *tickRing) leave() {
	if r.wanted.Add(-1) == 0 {
		r.mu.Lock()
		r.texts = nil
		r.mu.Unlock()
	}
}

// put adds a tick; at most capacity are kept.
func (r *tickRing) put(e *market.Entry, name string, capacity int) {
	text := appendTick(make([]byte, 0, 112), e, name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.texts) >= 2*capacity { // give room back at times, not at every tick
		r.texts = append(make([][]byte, 0, 2*capacity), r.texts[len(r.texts)-capacity:]...)
	}
	r.texts = append(r.texts, text)
	r.head++
}

// next is the place after the newest tick.
func (r *tickRing) next() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head
}

// lag is how many ticks a client at place has before it, and how many of those are more
// than capacity, the oldest, which it has lost.
func (r *tickRing) lag(place uint64, capacity int) (lag, lost int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lag = int(r.head - place)
	return lag, max(0, lag-min(capacity, len(r.texts)))
}

// read appends ticks from place on to dst, up to most bytes, and returns the next place and
// how many they were.
func (r *tickRing) read(place uint64, dst []byte, most int) (_ []byte, next uint64, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.head - uint64(len(r.texts))
	place = max(place, first)
	for place < r.head && len(dst) < most {
		dst = append(dst, r.texts[place-first]...)
		place++
		n++
	}
	return dst, place, n
}
