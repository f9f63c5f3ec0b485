package ingest

import (
	"context"
	"errors"
	"time"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
)

const (
	// chunkEntries bounds a chunk, and with it a batch of TICKS: 55 times cheaper to store
	// than single messages at 128 trades (design: JetStream), and marks come on top.
	chunkEntries = 256
	// chunkAge is how long a chunk may gather while the feed never waits.
	chunkAge = 5 * time.Millisecond
	// chunksQueued is how many chunks may wait for a writer before the feed is held up.
	chunksQueued = 8
)

// errStopped is what a feed gets once its pipeline is closed.
var errStopped = errors.New("the pipeline is closed")

type chunk struct{ entries []market.Entry }

// Pipeline routes a feed's entries to the writers of their partitions. It is a
// [feed.Sink] for one goroutine; Close and Abort come from another.
type Pipeline struct {
	ctx      context.Context
	abort    context.CancelCauseFunc
	writers  []*Writer // of the partitions that have symbols
	bySymbol []int     // index in writers by symbol number, -1: not carried
	open     []*chunk  // by writer
	puts     int
	flushed  time.Time
	onStatus func(feed.Status)
}

// NewPipeline returns the sink for writers, which must not be running yet. What the feed
// says of itself goes to onStatus.
func NewPipeline(writers []*Writer, onStatus func(feed.Status)) *Pipeline {
	ctx, abort := context.WithCancelCause(context.Background())
	p := &Pipeline{ctx: ctx, abort: abort, writers: writers, onStatus: onStatus,
		open: make([]*chunk, len(writers)), flushed: time.Now()}
	for i, w := range writers {
		p.open[i] = w.newChunk()
		for _, s := range w.symbols {
			for int(s) >= len(p.bySymbol) {
				p.bySymbol = append(p.bySymbol, -1)
			}
			p.bySymbol[s] = i
		}
	}
	return p
}

// Put takes one entry. It blocks while the entry's partition is behind, and returns an
// error once the pipeline is closed.
func (p *Pipeline) Put(e *market.Entry) error {
	if p.puts++; p.puts&1023 == 0 {
		if now := time.Now(); now.Sub(p.flushed) > chunkAge {
			if err := p.Flush(); err != nil {
				return err
			}
		}
	}
	if e.Kind == market.Mark || e.Symbol == market.AllSymbols {
		for i := range p.writers {
			if err := p.put(i, e); err != nil {
				return err
			}
		}
		return nil
	}
	if int(e.Symbol) >= len(p.bySymbol) || p.bySymbol[e.Symbol] < 0 {
		return nil // a symbol that was just removed
	}
	return p.put(p.bySymbol[e.Symbol], e)
}

func (p *Pipeline) put(i int, e *market.Entry) error {
	c := p.open[i]
	c.entries = append(c.entries, *e)
	if len(c.entries) < chunkEntries {
		return nil
	}
	return p.send(i)
}

func (p *Pipeline) send(i int) error {
	select {
	case p.writers[i].in <- p.open[i]:
		p.open[i] = p.writers[i].newChunk()
		return nil
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
}

// Flush hands on what was put so far.
func (p *Pipeline) Flush() error {
	p.flushed = time.Now()
	for i := range p.writers {
		if len(p.open[i].entries) > 0 {
			if err := p.send(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// Status passes on what the feed says of itself.
func (p *Pipeline) Status(s feed.Status) { p.onStatus(s) }

// Close ends the pipeline after the feed has returned: writers work off what they have and stop.
func (p *Pipeline) Close() {
	for _, w := range p.writers {
		close(w.in)
	}
}

// Abort makes Put and Flush fail with err: a writer cannot go on.
func (p *Pipeline) Abort(err error) {
	if err == nil {
		err = errStopped
	}
	p.abort(err)
}
