package history

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/ring"
)

// gatherBars bounds the bars that All has in memory while BARS is read for what comes before them.
const gatherBars = 1 << 15

// All calls fn with what Bars returns for each request, in their order. The rings are asked for
// all of them at once, and BARS is read for at most [Together] symbols at a time. bars is fn's
// until it returns. It ends with fn's first error.
func (s *Service) All(ctx context.Context, requests []Request, fn func(i int, bars []market.Bar) error) error {
	seq := s.opts.Position().Seq
	for i := range requests {
		seq = max(seq, requests[i].Seq)
	}
	asks := make([]ring.Ask, len(requests))
	g := gathering{s: s, fn: fn, symbols: make(map[uint32]bool)}
	g.requests = slices.Clone(requests)
	for i := range g.requests {
		r := &g.requests[i]
		r.Oldest, r.Seq = r.HasAfter && !r.Newest, seq
		asks[i] = ring.Ask{Symbol: r.Symbol.Number, Timeframe: r.Timeframe, Query: r.Query}
	}
	err := s.opts.Rings.Walk(ctx, seq, asks, func(i int, a ring.Answer) error { return g.add(ctx, i, a) })
	if err != nil {
		return fmt.Errorf("reading rings: %w", err)
	}
	return g.flush(ctx)
}

// gathering is answers of rings that wait until BARS has been read for those that need it.
type gathering struct {
	s        *Service
	fn       func(i int, bars []market.Bar) error
	requests []Request
	first    int             // of those that wait
	answers  []ring.Answer   // of those that wait
	bars     int             // of them
	symbols  map[uint32]bool // that BARS is to be read for
}

// add takes the answer to the i-th request.
func (g *gathering) add(ctx context.Context, i int, a ring.Answer) error {
	r := &g.requests[i]
	older := r.wantsOlder(len(a.Bars), a.Info) && g.s.hasOlder(r, a.Info)
	if len(g.answers) == 0 {
		if !older {
			return g.finish(ctx, i, a) // nobody waits
		}
		g.first = i
	}
	if older {
		g.symbols[r.Symbol.Number] = true
	}
	a.Bars = slices.Clone(a.Bars)
	g.answers = append(g.answers, a)
	g.bars += len(a.Bars)
	if last := i == len(g.requests)-1 || g.requests[i+1].Symbol.Number != r.Symbol.Number; g.bars > gatherBars || last && len(g.symbols) >= Together {
		return g.flush(ctx)
	}
	return nil
}

// flush reads BARS for those that wait, together, and hands them out.
func (g *gathering) flush(ctx context.Context) error {
	if len(g.answers) == 0 {
		return nil
	}
	reading, read := errgroup.WithContext(ctx)
	for symbol := range g.symbols {
		reading.Go(func() error {
			_, err := g.s.read(read, symbol, g.requests[g.first].Seq)
			return err
		})
	}
	if err := reading.Wait(); err != nil {
		return err
	}
	for k, a := range g.answers {
		if err := g.finish(ctx, g.first+k, a); err != nil {
			return err
		}
	}
	g.answers, g.bars = g.answers[:0], 0
	clear(g.symbols)
	return nil
}

func (g *gathering) finish(ctx context.Context, i int, a ring.Answer) error {
	res, err := g.s.complete(ctx, g.requests[i], a)
	if err != nil {
		return err
	}
	return g.fn(i, res.bars)
}
