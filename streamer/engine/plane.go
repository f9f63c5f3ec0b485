package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/ingest"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// plane is the feed, its pipeline and the writers: everything between the source and BARS.
// It is made from the log alone and thrown away whole.
type plane struct {
	restored *ingest.Restored
	source   *openFeed
	stopFeed context.CancelFunc
	done     chan struct{} // closed when all its goroutines have ended
	mu       sync.Mutex
	err      error // the first that ended it; nil after stop or the end of the source
}

// startPlane makes the writers from the log and starts the feed where they need it. ended
// is called once, from a goroutine of the plane, if it ends by itself with an error.
func (e *Engine) startPlane(ctx context.Context, set *settings, heads ingest.Heads, ended func(error)) (*plane, error) {
	src, err := e.openFeed(set, &heads)
	if err != nil {
		return nil, err
	}
	env := &ingest.Env{Bars: e.backbone.Bars(), Ticks: e.backbone.Ticks(), Symbols: e.symbols,
		Metrics: e.metrics, Log: e.log, Token: heads.NextToken()}
	spec := set.spec
	spec.Source, spec.ShiftMs = src.identity, src.shiftMs
	r, err := ingest.Restore(ctx, env, &spec, heads)
	if err != nil {
		return nil, errors.Join(err, src.Close())
	}
	e.metrics.ConfigGeneration.Set(float64(r.Generation.Generation))
	e.generation.Store(&r.Generation)

	p := &plane{restored: r, source: src, done: make(chan struct{})}
	pipe := ingest.NewPipeline(r.Writers, e.feedStatus)
	feedCtx, stopFeed := context.WithCancel(ctx)
	p.stopFeed = stopFeed
	src.SetSymbols(e.feedSymbols(set))

	var group sync.WaitGroup
	for _, w := range r.Writers {
		group.Go(func() {
			if err := w.Run(ctx); err != nil {
				p.fail(err)
				pipe.Abort(err)
				stopFeed()
			}
		})
	}
	group.Go(func() {
		err := src.Run(feedCtx, r.From, r.Said, pipe)
		if err == nil {
			err = pipe.Flush()
		} else if feedCtx.Err() == nil {
			p.fail(fmt.Errorf("the feed: %w", err))
		} else if ferr := pipe.Flush(); ferr != nil && p.failure() == nil && ctx.Err() == nil {
			p.fail(ferr)
		}
		if err != nil && errors.Is(err, logs.ErrRewound) {
			p.fail(err)
		}
		pipe.Close()
	})
	go func() {
		group.Wait()
		stopFeed()
		if err := src.Close(); err != nil {
			p.fail(err)
		}
		close(p.done)
		if err := p.failure(); err != nil && ctx.Err() == nil {
			ended(err)
		}
	}()
	return p, nil
}

// stop ends the feed, lets the writers work off what they have, and waits for all.
func (p *plane) stop() {
	p.stopFeed()
	<-p.done
}

func (p *plane) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
}

func (p *plane) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// watermark is the smallest watermark of the writers in ms; ok is false before the first.
func (p *plane) watermark() (ms int64, ok bool) {
	ms = market.EndOfFeed
	for _, w := range p.restored.Writers {
		wm := w.Progress().WatermarkMs
		if wm == 0 {
			return 0, false
		}
		ms = min(ms, wm)
	}
	return ms, len(p.restored.Writers) > 0
}

func (e *Engine) feedSymbols(set *settings) []feed.Symbol {
	out := make([]feed.Symbol, 0, len(set.spec.Symbols))
	for _, name := range set.spec.Symbols {
		out = append(out, feed.Symbol{Number: e.symbols.Intern(name), Name: name})
	}
	return out
}
