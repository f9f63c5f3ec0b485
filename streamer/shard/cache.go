package shard

import (
	"sync"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/peer"
	"github.com/marketstream/marketstream/streamer/ring"
)

const (
	// cacheBytes bounds one of the two generations of answers that are kept.
	cacheBytes = 16 << 20
	// freshFor is how long an answer is good without a look; after it, its version is asked for.
	freshFor = 5 * time.Second
)

// want names an answer: an ask without the version that the asker has.
type want struct {
	symbol uint32
	tf     market.Timeframe
	ring.Query
}

// found is what a ring elsewhere has. It does not change.
type found struct {
	ring.Info
	count   int
	data    []byte // as [peer.DecodeBars] reads it
	applied uint64 // up to where BARS was applied there
	at      time.Time
}

func (f *found) decode(dst []market.Bar, tf market.Timeframe) ([]market.Bar, error) {
	return peer.DecodeBars(dst, f.data, f.count, tf)
}

// cache keeps what was found elsewhere, in two generations bounded in bytes, and knows which
// frames came since. Its methods may be called at the same time.
type cache struct {
	mu      sync.Mutex
	new     map[want]*found
	old     map[want]*found
	bytes   int
	resets  uint64
	touched []uint64 // by symbol: the last frame with a bar of it
}

func newCache() *cache { return &cache{new: make(map[want]*found)} }

// Apply takes note of the next frame of BARS, before it counts as applied.
func (c *cache) Apply(seq uint64, f *logs.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range f.Records {
		n := int(f.Records[i].Symbol)
		if n >= len(c.touched) {
			c.touched = append(c.touched, make([]uint64, n+1-len(c.touched))...)
		}
		c.touched[n] = seq
	}
}

// Reset forgets all: BARS has lost its end.
func (c *cache) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.new, c.old, c.bytes, c.touched = make(map[want]*found), nil, 0, nil
	c.resets++
}

// get returns what is kept of a question; good: it can be given to who wants seq applied.
func (c *cache) get(w want, seq uint64) (f *found, good bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f = c.new[w]; f == nil {
		if f = c.old[w]; f == nil {
			return nil, false
		}
	}
	return f, time.Since(f.at) < freshFor && c.covers(w.symbol, f.applied, seq)
}

// covers reports whether what was read where applied was applied has all of a symbol up to seq; with c.mu held.
func (c *cache) covers(symbol uint32, applied, seq uint64) bool {
	return applied >= seq || int(symbol) >= len(c.touched) || c.touched[symbol] <= applied
}

// put keeps what was found, unless BARS lost its end after resets.
func (c *cache) put(w want, f *found, resets uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if resets != c.resets {
		return
	}
	if c.bytes > cacheBytes {
		c.old, c.new, c.bytes = c.new, make(map[want]*found), 0
	}
	c.new[w] = f
	c.bytes += len(f.data) + 256
}
