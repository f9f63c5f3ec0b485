package ingest

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
)

// chunkAge is how long entries may gather in a lane while the feed never waits.
const chunkAge = 5 * time.Millisecond

// lane is the way to one writer: what was put and not yet pushed is the feed's goroutine's.
type lane struct {
	queue *queue
	open  []market.Entry
}

// table says which lane a symbol takes. It does not change.
type table struct {
	lanes    []*lane
	bySymbol []int32 // index in lanes by symbol number; -1: not carried here
}

// router hands each partition its entries. It is a [feed.Sink] for one goroutine; what it
// routes to may be changed meanwhile from another.
type router struct {
	ctx      context.Context // of the run
	table    atomic.Pointer[table]
	puts     int
	flushed  time.Time
	onStatus func(feed.Status)
}

func newRouter(onStatus func(feed.Status)) *router {
	r := &router{onStatus: onStatus}
	r.table.Store(&table{})
	return r
}

// begin readies r for a run of the source: what is put ends with ctx. anew: the source begins at
// an earlier place, and says again what was put and not pushed.
func (r *router) begin(ctx context.Context, anew bool) error {
	r.ctx, r.flushed = ctx, time.Now()
	if !anew {
		return nil
	}
	for _, l := range r.table.Load().lanes {
		l.open = append(l.open[:0], market.Entry{Kind: begins})
		if err := r.push(l); err != nil {
			return err
		}
	}
	return nil
}

// route replaces what is routed to: lanes, and by lane the symbols that take it.
func (r *router) route(lanes []*lane, symbols [][]uint32) {
	t := &table{lanes: lanes}
	for i := range lanes {
		for _, s := range symbols[i] {
			for int(s) >= len(t.bySymbol) {
				t.bySymbol = append(t.bySymbol, -1)
			}
			t.bySymbol[s] = int32(i)
		}
	}
	r.table.Store(t)
}

// Put implements [feed.Sink].
func (r *router) Put(e *market.Entry) error {
	if r.puts++; r.puts&1023 == 0 {
		if now := time.Now(); now.Sub(r.flushed) > chunkAge {
			if err := r.Flush(); err != nil {
				return err
			}
		}
	}
	t := r.table.Load()
	if e.Kind == market.Mark || e.Symbol == market.AllSymbols {
		for _, l := range t.lanes {
			if err := r.put(l, e); err != nil {
				return err
			}
		}
		return nil
	}
	if int(e.Symbol) >= len(t.bySymbol) || t.bySymbol[e.Symbol] < 0 {
		return nil // a symbol that was just removed, or another pod's
	}
	return r.put(t.lanes[t.bySymbol[e.Symbol]], e)
}

func (r *router) put(l *lane, e *market.Entry) error {
	l.open = append(l.open, *e)
	if len(l.open) < chunkEntries {
		return nil
	}
	return r.push(l)
}

func (r *router) push(l *lane) error {
	err := l.queue.push(r.ctx, l.open)
	l.open = l.open[:0]
	return err
}

// Flush implements [feed.Sink].
func (r *router) Flush() error {
	r.flushed = time.Now()
	for _, l := range r.table.Load().lanes {
		if len(l.open) > 0 {
			if err := r.push(l); err != nil {
				return err
			}
		}
	}
	return nil
}

// Status implements [feed.Sink].
func (r *router) Status(s feed.Status) { r.onStatus(s) }
