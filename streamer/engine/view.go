package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/history"
	"github.com/marketstream/marketstream/streamer/ingest"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/ring"
	"github.com/marketstream/marketstream/streamer/shard"
	"github.com/marketstream/marketstream/streamer/stream"
)

// view is what this process knows of BARS: everything that is read is read from it. Frames
// are applied by one goroutine, in the log's order: rings first, then the tail, so that
// whoever has seen an event finds it in the rings.
type view struct {
	reader  *logs.Reader
	symbols *market.SymbolTable
	rings   *ring.Set
	shard   *shard.Shard
	history *history.Service
	hub     *stream.Hub
	epoch   string
	log     logr.Logger

	position atomic.Pointer[logs.Cursor]
	tags     tags

	mu      sync.Mutex
	changed chan struct{} // closed and made again when applied moves
	applied uint64        // sequence of the last frame applied
	tail    uint64        // sequence of the last frame that the hub has
	heads   ingest.Heads
	stones  [market.Partitions][]milestone
	traded  [market.Partitions]int64 // ms of the newest trade in a closed bar; 0: none
}

// milestone says that a partition's watermark had reached ms at seq.
type milestone struct {
	ms  int64
	seq uint64
}

const (
	stoneEvery = 10 * 60_000 // ms of watermark between milestones
	mostStones = 400         // of a partition
)

// since returns a place in BARS that is not after any frame of a partition whose watermark is above ms.
func (v *view) since(partition int, ms int64) uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	from := uint64(1)
	for _, s := range v.stones[partition] {
		if s.ms > ms {
			break
		}
		from = s.seq
	}
	return from
}

// sinceSymbol is since, by a symbol.
func (v *view) sinceSymbol(symbol uint32, ms int64) uint64 {
	return v.since(market.PartitionOf(v.symbols.Name(symbol)), ms)
}

// reached is about where the newest bars of a symbol end, in ms; 0: not known.
func (v *view) reached(symbol uint32) int64 {
	p := market.PartitionOf(v.symbols.Name(symbol))
	v.mu.Lock()
	defer v.mu.Unlock()
	if f := v.heads[p].Frame; f != nil && f.Watermark < market.EndOfFeed {
		return max(0, f.Watermark)
	}
	if stones := v.stones[p]; len(stones) > 0 {
		return stones[len(stones)-1].ms
	}
	return 0
}

// passed notes a milestone; with v.mu held.
func (v *view) passed(seq uint64, f *logs.Frame) {
	stones := &v.stones[f.Partition]
	n := len(*stones)
	if f.Watermark <= 0 || f.Watermark >= market.EndOfFeed || n > 0 && f.Watermark < (*stones)[n-1].ms+stoneEvery {
		return
	}
	if n == mostStones {
		kept := (*stones)[:0]
		for i, s := range *stones {
			if i >= n/2 || i%2 == 0 { // the older, the fewer
				kept = append(kept, s)
			}
		}
		*stones = kept
	}
	*stones = append(*stones, milestone{f.Watermark, seq})
}

// apply applies one frame.
func (v *view) apply(seq uint64, f *logs.Frame) error {
	if f.Kind != logs.FrameOwner {
		for i := range f.Records {
			r := &f.Records[i]
			if b, ok := r.Bar(); ok {
				v.rings.Apply(r.Symbol, &b)
			}
		}
		v.shard.Apply(seq, f)
		v.history.Coverage().Apply(f, v.symbols.Intern)
	}
	v.tags.put(seq, f.Tag)
	v.rings.SetApplied(seq)
	v.position.Store(&logs.Cursor{Epoch: v.epoch, Seq: seq, Index: f.Events() - 1, Tag: f.Tag})

	v.mu.Lock()
	v.applied = seq
	if f.Kind != logs.FrameOwner {
		h := &v.heads[f.Partition]
		h.Seq, h.Frame = seq, head(f)
		if f.Kind == logs.FrameConfig {
			h.Shape, h.ShapeSeq = f.Shape, seq
		}
		v.passed(seq, f)
		for i := range f.Records {
			v.traded[f.Partition] = max(v.traded[f.Partition], lastTradeOf(&f.Records[i]))
		}
	}
	publish := seq > v.tail
	v.tail = max(v.tail, seq)
	close(v.changed)
	v.changed = make(chan struct{})
	v.mu.Unlock()

	if publish {
		v.hub.Publish(seq, f)
	}
	return nil
}

// lastTradeOf is when the last trade of a record was, in ms, as far as it is known.
func lastTradeOf(r *market.Record) int64 {
	if r.Prices.Has&market.HasEnds == 0 {
		return r.StartMs
	}
	return r.Prices.Last.Time / 1e6
}

// head is a frame without what it holds.
func head(f *logs.Frame) *logs.Frame {
	h := *f
	h.Symbols, h.Records, h.Gaps, h.Shape = nil, nil, nil, nil
	return &h
}

// load applies everything that is stored, and was not applied.
func (v *view) load(ctx context.Context) error {
	return patiently(ctx, v.log, "what it holds", func() error {
		if err := v.reader.Frames(ctx, v.last()+1, v.apply); err != nil {
			return fmt.Errorf("reading BARS: %w", err)
		}
		return nil
	})
}

// errAgedOut says that what came next in BARS had aged out before it was read.
var errAgedOut = errors.New("what came next in BARS has aged out")

// follow applies frames as they come until ctx ends. When the log turns out to have lost its end, or
// what was to be read next, it forgets what it applied, begins again and calls lost.
func (v *view) follow(ctx context.Context, lost func(error)) error {
	for {
		err := v.reader.Tail(ctx, v.last()+1, v.applyNext)
		for errors.Is(err, logs.ErrRewound) || errors.Is(err, errAgedOut) { // once more, while it is read again
			lost(err)
			err = v.rewind(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// applyNext is apply for what follows what was applied: BARS has no holes but where it has aged out, and rings
// and streams must not go on behind one as if nothing were missing.
func (v *view) applyNext(seq uint64, f *logs.Frame) error {
	if last := v.last(); last != 0 && seq > last+1 {
		return fmt.Errorf("%w: %d comes after %d", errAgedOut, seq, last)
	}
	return v.apply(seq, f)
}

// rewind cuts the tail to what the log still has and reads everything again. By then the log
// may be longer than it was, with other frames at the same places.
func (v *view) rewind(ctx context.Context) error {
	var kept uint64
	err := patiently(ctx, v.log, "what is left of it", func() (err error) {
		kept, err = v.hub.Common(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("looking for what is left of BARS: %w", err)
	}
	v.rings.Reset() // before streams begin again: they wait for what is left
	v.shard.Reset()
	v.tags.clear()
	v.history.Reset()
	v.position.Store(nil)
	v.mu.Lock()
	v.applied, v.tail, v.heads = 0, kept, ingest.Heads{}
	v.stones, v.traded = [market.Partitions][]milestone{}, [market.Partitions]int64{}
	v.mu.Unlock()
	v.hub.Truncate(kept)
	return v.load(ctx)
}

func (v *view) last() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.applied
}

// headsAt returns the heads once everything up to seq is applied.
func (v *view) headsAt(ctx context.Context, seq uint64) (ingest.Heads, error) {
	for {
		v.mu.Lock()
		heads, applied, changed := v.heads, v.applied, v.changed
		v.mu.Unlock()
		if applied >= seq {
			return heads, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ingest.Heads{}, ctx.Err()
		}
	}
}

// Position is the newest position in BARS that everything here has applied.
func (v *view) Position() logs.Cursor {
	if c := v.position.Load(); c != nil {
		return *c
	}
	return logs.Cursor{Epoch: v.epoch, Index: -1}
}

// watermark is the smallest of the partitions that have symbols, in ms; ok is false before the first.
func (v *view) watermark() (ms int64, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	ms = market.EndOfFeed
	for p := range v.heads {
		h := &v.heads[p]
		if h.Shape == nil || len(h.Shape.Symbols) == 0 {
			continue
		}
		if h.Frame.Watermark <= 0 {
			return 0, false
		}
		ms, ok = min(ms, h.Frame.Watermark), true
	}
	return ms, ok
}

// lastTrade is when the newest trade was that is in a closed bar of these partitions, or of all if
// none is named, in ms; 0: there is none.
func (v *view) lastTrade(partitions ...int) (ms int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for p, at := range v.traded {
		if len(partitions) == 0 || slices.Contains(partitions, p) {
			ms = max(ms, at)
		}
	}
	return ms
}

// generation is the highest configuration generation in the log.
func (v *view) generation() logs.ConfigGeneration {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.heads.Generation()
}

// headsNow returns the heads as they are.
func (v *view) headsNow() ingest.Heads {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.heads
}
