package stream

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// place is a position in BARS: after event index of the frame at seq, or after all of them.
type place struct {
	seq   uint64
	index int32
}

// whole is the index of a place after all events of a frame.
const whole = math.MaxInt32

// beginning is before every place.
var beginning = place{0, -1}

// needs is the sequence of the first frame that a client here has something to get of.
func (p place) needs() uint64 {
	if p.index == whole {
		return p.seq + 1
	}
	return p.seq
}

func (p place) before(q place) bool { return p.seq < q.seq || p.seq == q.seq && p.index < q.index }

// event is one event with an id. Its text is made when the first client needs it.
type event struct {
	symbol uint32
	tf     market.Timeframe // 0: a gap, or a record that is not served
	bar    market.Bar
	gap    *market.Gap
	text   atomic.Pointer[[]byte]
}

// entry is a frame as clients walk over it. It does not change but for the texts.
type entry struct {
	seq       uint64
	tag       uint32
	partition uint8
	at        time.Time // when it came here
	events    []event
	bySymbol  []int32 // indices of events, by symbol, then by index
	size      int
}

func (e *entry) end() place { return place{e.seq, whole} }

// newEntry makes an entry of a frame whose records carry process-wide symbol numbers.
func newEntry(seq uint64, f *logs.Frame, at time.Time) *entry {
	e := &entry{seq: seq, tag: f.Tag, partition: f.Partition, at: at, events: make([]event, f.Events())}
	for i := range f.Records {
		r := &f.Records[i]
		ev := &e.events[i]
		ev.symbol = r.Symbol
		if b, ok := r.Bar(); ok {
			ev.bar, ev.tf = b, b.Timeframe
		}
	}
	for i := range f.Gaps {
		ev := &e.events[len(f.Records)+i]
		g := f.Gaps[i]
		ev.symbol, ev.gap = g.Symbol, &g
	}
	e.bySymbol = make([]int32, len(e.events))
	for i := range e.bySymbol {
		e.bySymbol[i] = int32(i)
	}
	slices.SortFunc(e.bySymbol, func(a, b int32) int {
		return cmp.Or(cmp.Compare(e.events[a].symbol, e.events[b].symbol), cmp.Compare(a, b))
	})
	e.size = 128 + len(e.events)*(200+260) // with the texts, should all be made
	return e
}

// of appends the indices of symbol's events to dst.
func (e *entry) of(symbol uint32, dst []int32) []int32 {
	at := sort.Search(len(e.bySymbol), func(i int) bool { return e.events[e.bySymbol[i]].symbol >= symbol })
	for ; at < len(e.bySymbol) && e.events[e.bySymbol[at]].symbol == symbol; at++ {
		dst = append(dst, e.bySymbol[at])
	}
	return dst
}

// tail is the newest frames, shared by all clients and bounded in bytes; and how far back
// the log may be read for those that are behind it.
type tail struct {
	mu      sync.RWMutex
	entries []*entry // by seq
	bytes   int
	most    int
	// horizon are the frames that the log is read back to, oldest first. Invariant: it ends with
	// entries, and holds at least those.
	horizon     []milestone
	total       int // bytes of all frames so far
	horizonMost int
	window      []*entry      // what a sweep has read, by seq, before entries
	moved       chan struct{} // closed and made again with each frame
}

// milestone is what is known of a frame without its events: enough to check a cursor.
type milestone struct {
	seq    uint64
	total  int   // bytes before it
	at     int64 // Unix ns, when it came here
	tag    uint32
	events int32
}

func (m milestone) end() place { return place{m.seq, whole} }

// append adds the next frame.
func (t *tail) append(e *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries = append(t.entries, e)
	t.bytes += e.size
	n := 0
	for t.bytes > t.most && n < len(t.entries)-1 {
		t.bytes -= t.entries[n].size
		n++
	}
	t.entries = slices.Delete(t.entries, 0, n)
	now := e.at.UnixNano()
	t.horizon = append(t.horizon, milestone{e.seq, t.total, now, e.tag, int32(len(e.events))})
	t.total += e.size
	n = 0
	for m := t.horizon; m[n].seq < t.entries[0].seq && (t.total-m[n].total > t.horizonMost || now-m[n].at > int64(horizonAge)); {
		n++
	}
	t.forget(n)
	close(t.moved)
	t.moved = make(chan struct{})
}

// forget drops the n oldest milestones; with t.mu held.
func (t *tail) forget(n int) {
	if n > 1024 || n > len(t.horizon)/2 {
		t.horizon = slices.Clone(t.horizon[n:])
	} else {
		t.horizon = t.horizon[n:]
	}
}

// lost says that the log begins with seq: nobody is served from before it.
func (t *tail) lost(seq uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.entries) > 0 {
		seq = min(seq, t.entries[0].seq)
	}
	t.forget(sort.Search(len(t.horizon), func(i int) bool { return t.horizon[i].seq >= seq }))
}

// truncate drops what lies after seq.
func (t *tail) truncate(seq uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := sort.Search(len(t.entries), func(i int) bool { return t.entries[i].seq > seq })
	for _, e := range t.entries[at:] {
		t.bytes -= e.size
	}
	t.entries = slices.Clone(t.entries[:at])
	at = sort.Search(len(t.horizon), func(i int) bool { return t.horizon[i].seq > seq })
	t.horizon = t.horizon[:at]
	t.window = nil
}

// milestones are those of the horizon, oldest first.
func (t *tail) milestones() []milestone {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Clone(t.horizon)
}

// last is the newest frame; ok is false if there is none.
func (t *tail) last() (m milestone, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(t.horizon) == 0 {
		return m, false
	}
	return t.horizon[len(t.horizon)-1], true
}

// wait waits until the newest frame is at seq or after it, and reports whether it is; until
// ctx ends.
func (t *tail) wait(ctx context.Context, seq uint64) bool {
	for {
		t.mu.RLock()
		n, moved := len(t.horizon), t.moved
		reached := n > 0 && t.horizon[n-1].seq >= seq
		t.mu.RUnlock()
		if reached {
			return true
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return false
		}
	}
}

// oldest returns where what is in memory begins, and where what the log may be read back to
// does: a client before the first is behind, one before the second is too far behind.
func (t *tail) oldest() (inMemory, inReach place) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(t.horizon) == 0 {
		return beginning, beginning
	}
	return t.inMemory(), place{t.horizon[0].seq - 1, whole}
}

// inMemory is where entries begin; with t.mu held.
func (t *tail) inMemory() place {
	switch {
	case len(t.entries) > 0:
		return place{t.entries[0].seq - 1, whole}
	case len(t.horizon) > 0:
		return t.horizon[len(t.horizon)-1].end()
	}
	return beginning
}

// find returns the frame at seq if it is within reach.
func (t *tail) find(seq uint64) (m milestone, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	at := sort.Search(len(t.horizon), func(i int) bool { return t.horizon[i].seq >= seq })
	if at < len(t.horizon) && t.horizon[at].seq == seq {
		return t.horizon[at], true
	}
	return m, false
}

// after appends up to most frames that a client at p has before it to dst: the frame of p
// itself if it has events left. behind: p lies before what is in memory, and not in a sweep's window.
func (t *tail) after(p place, dst []*entry, most int) (_ []*entry, behind bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	from := t.entries
	if p.before(t.inMemory()) {
		if from = t.window; len(from) == 0 || p.before(place{from[0].seq - 1, whole}) || !p.before(from[len(from)-1].end()) {
			return dst, true
		}
	}
	at := sort.Search(len(from), func(i int) bool { return p.before(from[i].end()) })
	for ; at < len(from) && len(dst) < most; at++ {
		dst = append(dst, from[at])
	}
	return dst, false
}

func (t *tail) setWindow(w []*entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.window = w
}

func (t *tail) size() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.bytes
}
