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

// want returns the place after the newest tick of a symbol, with one client more that waits for
// the next: it gets every tick that comes once its wish can be seen.
func (t *tickRings) want(symbol uint32) tickPlace {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.rings[symbol]
	if r == nil {
		r = &tickRing{head: 1}
		t.rings[symbol] = r
	}
	p := tickPlace{ring: r, at: r.next()}
	r.wanted.Add(1)
	return p
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

// shed says that n more ticks came which nobody gets; those that are there came before them, and go too.
func (r *tickRing) shed(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.texts = nil
	r.head += uint64(n)
}

// next is the place after the newest tick.
func (r *tickRing) next() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head
}

// lag is how many ticks a client at place has before it.
func (r *tickRing) lag(place uint64) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int(r.head - place)
}

// read appends ticks from place on to dst, up to most bytes, and returns the next place, how
// many they were, and how many came before them that are more than capacity, the oldest: those are lost.
func (r *tickRing) read(place uint64, capacity int, dst []byte, most int) (_ []byte, next uint64, n, lost int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lost = max(0, int(r.head-place)-min(capacity, len(r.texts)))
	place += uint64(lost)
	first := r.head - uint64(len(r.texts))
	for place < r.head && len(dst) < most {
		dst = append(dst, r.texts[place-first]...)
		place++
		n++
	}
	return dst, place, n, lost
}
