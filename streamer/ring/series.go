package ring

import (
	"math"
	"slices"
	"sync"

	"github.com/marketstream/marketstream/streamer/market"
)

// chunkBars is how many bars share a chunk: what an upsert decodes and encodes again.
const chunkBars = 128

// chunk is up to chunkBars bars by start. Invariant: not empty.
type chunk struct {
	first, last int64 // starts
	n           int
	data        []byte
}

// series is the bars of one symbol and timeframe.
type series struct {
	tf market.Timeframe

	mu      sync.RWMutex
	chunks  []chunk
	skip    int // bars of the first chunk that were evicted. Invariant: less than it has
	n       int // bars that are there
	newest  market.Bar
	evicted uint64
	version uint64 // of the set at the last change
}

// apply inserts or replaces a bar; capacity is the most that are kept.
func (s *series) apply(b *market.Bar, capacity int, version uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = version
	switch {
	case len(s.chunks) == 0 || b.StartMs > s.newest.StartMs:
		s.append(b)
	default:
		s.upsert(b)
	}
	s.evict(capacity)
}

func (s *series) append(b *market.Bar) {
	last := len(s.chunks) - 1
	if last < 0 || s.chunks[last].n >= chunkBars {
		if last >= 0 {
			s.chunks[last].data = slices.Clone(s.chunks[last].data) // give back what it grew into
		}
		s.chunks = append(s.chunks, chunk{first: b.StartMs})
		last++
		s.newest = market.Bar{}
	}
	c := &s.chunks[last]
	c.data = appendBar(c.data, &s.newest, b, s.tf)
	c.last = b.StartMs
	c.n++
	s.n++
	s.newest = *b
}

// upsert replaces a bar by a newer revision, or inserts one before the newest.
func (s *series) upsert(b *market.Bar) {
	at := 0
	for at < len(s.chunks)-1 && b.StartMs > s.chunks[at].last {
		at++
	}
	bars := s.chunks[at].decode(nil, s.tf)
	if at == 0 {
		bars = bars[s.skip:]
	}
	i, found := slices.BinarySearchFunc(bars, b.StartMs, func(x market.Bar, start int64) int {
		switch {
		case x.StartMs < start:
			return -1
		case x.StartMs > start:
			return 1
		}
		return 0
	})
	switch {
	case found && b.Rev < bars[i].Rev:
		return
	case found:
		bars[i] = *b
	case at == 0 && i == 0 && s.evicted > 0:
		return // older than all that are kept
	default:
		bars = slices.Insert(bars, i, *b)
		s.n++
	}
	if at == 0 {
		s.skip = 0 // they are written no more
	}
	s.chunks[at] = encodeChunk(bars, s.tf)
	if len(bars) > 2*chunkBars {
		s.chunks[at] = encodeChunk(bars[:chunkBars], s.tf)
		s.chunks = slices.Insert(s.chunks, at+1, encodeChunk(bars[chunkBars:], s.tf))
		at++
	}
	if at == len(s.chunks)-1 {
		s.newest = bars[len(bars)-1]
	}
}

func encodeChunk(bars []market.Bar, tf market.Timeframe) chunk {
	c := chunk{first: bars[0].StartMs, last: bars[len(bars)-1].StartMs, n: len(bars)}
	var prev market.Bar
	data := make([]byte, 0, 20*len(bars))
	for i := range bars {
		data = appendBar(data, &prev, &bars[i], tf)
		prev = bars[i]
	}
	c.data = slices.Clone(data)
	return c
}

func (c *chunk) decode(dst []market.Bar, tf market.Timeframe) []market.Bar {
	var prev, b market.Bar
	src := c.data
	for range c.n {
		src = readBar(src, &prev, &b, tf)
		dst = append(dst, b)
		prev = b
	}
	return dst
}

func (s *series) evict(capacity int) {
	for s.n > capacity {
		s.n--
		s.skip++
		s.evicted++
		if s.skip == s.chunks[0].n {
			s.chunks = slices.Delete(s.chunks, 0, 1)
			s.skip = 0
		}
	}
}

// read appends the bars that q selects to dst, oldest first, without void ones.
func (s *series) read(q Query, dst []market.Bar) ([]market.Bar, Info) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	info := Info{Len: s.n, Evicted: s.evicted > 0, Version: s.version}
	if s.n == 0 {
		return dst, info
	}
	info.OldestSeq = market.Seq(s.oldest())
	switch {
	case q.Unless != 0 && q.Unless == s.version:
		return dst, info
	case q.Limit == 1 && q.BeforeMs == 0 && !q.HasAfter && s.newest.Flags&market.Void == 0:
		return append(dst, s.newest), info
	}
	if q.BeforeMs == 0 {
		q.BeforeMs = math.MaxInt64
	}
	end := len(s.chunks)
	for end > 0 && s.chunks[end-1].first >= q.BeforeMs {
		end--
	}
	// Chunks are decoded from the newest back; again from further back where voids took the room.
	begin := len(dst)
	for need := q.Limit; ; need *= 2 {
		dst = dst[:begin]
		from := s.chunkFor(q, end, need)
		for i := from; i < end; i++ {
			at := len(dst)
			dst = s.chunks[i].decode(dst, s.tf)
			if i == 0 {
				dst = slices.Delete(dst, at, at+s.skip)
			}
		}
		n := keep(dst[begin:], q)
		dst = dst[:begin+n]
		if n >= q.Limit || from == 0 || q.HasAfter {
			break
		}
	}
	return dst, info
}

// chunkFor is the chunk to begin at for need bars before chunk end; 0 bars: all.
func (s *series) chunkFor(q Query, end, need int) int {
	from, bars := end, 0
	for from > 0 && (q.HasAfter || q.Limit == 0 || bars < need) {
		if q.HasAfter && market.Seq(s.chunks[from-1].last) <= q.AfterSeq {
			break
		}
		from--
		if from < end-1 { // of the last one, some may be too new
			bars += s.chunks[from].n
		}
	}
	return from
}

// oldest is the start of the oldest bar.
func (s *series) oldest() int64 {
	c := &s.chunks[0]
	if s.skip == 0 {
		return c.first
	}
	var prev, b market.Bar
	src := c.data
	for range s.skip + 1 {
		src = readBar(src, &prev, &b, s.tf)
		prev = b
	}
	return b.StartMs
}

// keep moves the bars that q selects to the front and returns how many they are.
func keep(bars []market.Bar, q Query) int {
	n := 0
	for i := range bars {
		b := &bars[i]
		if b.Flags&market.Void != 0 || q.HasAfter && b.Seq() <= q.AfterSeq || q.BeforeMs != 0 && b.EndMs > q.BeforeMs {
			continue
		}
		bars[n] = *b
		n++
	}
	if q.Limit > 0 && n > q.Limit {
		if q.HasAfter && q.Oldest {
			return q.Limit
		}
		copy(bars, bars[n-q.Limit:n])
		return q.Limit
	}
	return n
}
