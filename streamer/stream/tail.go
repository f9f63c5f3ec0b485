package stream

import (
	"cmp"
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
	// horizon are the frames that the log is read back to, oldest first.
	horizon     []milestone
	total       int // bytes of all frames so far
	horizonMost int
	window      []*entry // what a sweep has read, by seq, before entries
}

type milestone struct {
	seq   uint64
	total int // bytes before it
	at    time.Time
}

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
	t.horizon = append(t.horizon, milestone{e.seq, t.total, e.at})
	t.total += e.size
	n = 0
	for n < len(t.horizon)-1 && (t.total-t.horizon[n].total > t.horizonMost || e.at.Sub(t.horizon[n].at) > horizonAge) {
		n++
	}
	if n > 1024 || n > len(t.horizon)/2 {
		t.horizon = slices.Clone(t.horizon[n:])
	} else {
		t.horizon = t.horizon[n:]
	}
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

// last is the newest frame, nil if there is none.
func (t *tail) last() *entry {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(t.entries) == 0 {
		return nil
	}
	return t.entries[len(t.entries)-1]
}

// oldest returns the seq of the first frame in memory, and that of the first that the log
// may be read back to; 0 while there is none.
func (t *tail) oldest() (inMemory, inReach uint64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(t.entries) == 0 {
		return 0, 0
	}
	return t.entries[0].seq, t.horizon[0].seq
}

// find returns the frame at seq if it is in memory.
func (t *tail) find(seq uint64) *entry {
	t.mu.RLock()
	defer t.mu.RUnlock()
	at := sort.Search(len(t.entries), func(i int) bool { return t.entries[i].seq >= seq })
	if at < len(t.entries) && t.entries[at].seq == seq {
		return t.entries[at]
	}
	return nil
}

// after appends up to most frames that a client at p has before it to dst: the frame of p
// itself if it has events left. behind: p lies before what is in memory.
func (t *tail) after(p place, dst []*entry, most int) (_ []*entry, behind bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(t.entries) == 0 {
		return dst, false
	}
	from := t.entries
	if !reaches(p, from) {
		if from = t.window; len(from) == 0 || !reaches(p, from) || !p.before(from[len(from)-1].end()) {
			return dst, true
		}
	}
	at := sort.Search(len(from), func(i int) bool { return p.before(from[i].end()) })
	for ; at < len(from) && len(dst) < most; at++ {
		dst = append(dst, from[at])
	}
	return dst, false
}

// reaches reports whether what a client at p has before it begins in frames.
func reaches(p place, frames []*entry) bool {
	first := frames[0].seq
	return p.seq >= first || p.seq+1 == first && p.index == whole
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
