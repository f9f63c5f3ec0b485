package ingest

import (
	"context"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
)

// running is the source while it runs. One goroutine starts and stops it.
type running struct {
	plane   *Plane
	symbols []feed.Symbol      // that it was given
	cancel  context.CancelFunc // nil: it does not run
	ended   chan error         // where the end of a run comes; nil while none runs
	over    bool               // the last run ended by itself
}

func (r *running) on() bool { return r.cancel != nil }

// start begins a run. What is said from from on that a writer has, it passes over.
func (r *running) start(ctx context.Context, from market.SourcePosition, said uint64) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	r.cancel, r.ended, r.over = cancel, ended, false
	p := r.plane
	p.writers.Go(func() {
		err := p.router.begin(ctx, p.live == nil)
		if err == nil {
			err = p.Source.Run(ctx, from, said, p.router)
		}
		if err == nil {
			err = p.router.Flush()
		}
		ended <- err
	})
}

// stop ends a run and waits for it.
func (r *running) stop() {
	if r.cancel != nil {
		r.cancel()
		<-r.ended //nolint:errcheck // we ended it
		r.cancel, r.ended = nil, nil
	}
}

// finished takes the end of a run that nobody asked for. The source stays where it is until
// it is started again.
func (r *running) finished() {
	r.cancel()
	r.cancel, r.ended, r.over = nil, nil, true
}
