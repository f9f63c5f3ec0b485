package synthetic

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
)

// stepShift is where the step stands in an offset; below it is the place in the step.
const stepShift = 20

// Options say what is invented.
type Options struct {
	Seed int64
	// TicksPerSecond is the mean rate of one symbol.
	TicksPerSecond float64
	Speed          feed.Speed
	// SeedBars is how many minutes in the past a new log begins, at the least: it begins at a
	// whole Largest (none: 1m), so that no bar is partial.
	SeedBars int
	Largest  market.Timeframe
}

// Source is a synthetic feed.
type Source struct {
	opts    Options
	symbols atomic.Pointer[[]feed.Symbol] // by name
}

var (
	_ feed.Source   = (*Source)(nil)
	_ feed.Rewinder = (*Source)(nil)
	_ feed.Beginner = (*Source)(nil)
)

// New returns a source without symbols.
func New(opts Options) *Source {
	if !opts.Largest.Valid() {
		opts.Largest = market.M1
	}
	s := &Source{opts: opts}
	s.SetSymbols(nil)
	return s
}

// Identity names what is invented.
func (s *Source) Identity() string {
	return fmt.Sprintf("synthetic:%d:%g", s.opts.Seed, s.opts.TicksPerSecond)
}

// SetSymbols implements [feed.Source].
func (s *Source) SetSymbols(symbols []feed.Symbol) {
	sorted := slices.Clone(symbols)
	slices.SortFunc(sorted, func(a, b feed.Symbol) int {
		return strings.Compare(strings.ToUpper(a.Name), strings.ToUpper(b.Name))
	})
	s.symbols.Store(&sorted)
}

// Begin implements [feed.Beginner]: a whole longest timeframe, SeedBars or more before now.
func (s *Source) Begin(now time.Time) market.SourcePosition {
	tf := s.opts.Largest.Millis()
	first := market.FloorDiv(now.UnixMilli()-int64(s.opts.SeedBars)*60_000, tf) * tf
	return market.SourcePosition{Offset: uint64(max(first/stepMs, 1)) << stepShift}
}

// Before implements [feed.Rewinder]: the step before that of ns, at its end.
func (s *Source) Before(ns int64) market.SourcePosition {
	return market.SourcePosition{Offset: uint64(max(ns/feed.StepNs, 1))<<stepShift - 1}
}

// Close implements [feed.Source].
func (s *Source) Close() error { return nil }

// Run implements [feed.Source]. It never ends by itself. From no place at all it begins where a log of now would.
func (s *Source) Run(ctx context.Context, from market.SourcePosition, said uint64, sink feed.Sink) error {
	now := time.Now()
	if from.Offset == 0 {
		from = s.Begin(now)
	}
	first := int64(from.Offset >> stepShift)
	// Up to the present, or to where it was before a restart, as fast as it goes.
	caughtUp := max(now.UnixMilli()/stepMs, int64(said>>stepShift), first)
	pacer := feed.NewPacer(s.opts.Speed, sink.Flush)
	pacer.Anchor(caughtUp*stepMs*1e6, now)
	sink.Status(feed.Status{State: feed.CatchingUp, Reason: "inventing the past"})

	r := run{Source: s, sink: sink, from: from.Offset}
	for step := first; ; step++ {
		if step == caughtUp {
			sink.Status(feed.Status{State: feed.Connected})
		}
		if step >= caughtUp || step&63 == 0 {
			if err := pacer.Wait(ctx, (step+1)*stepMs*1e6); err != nil {
				return err
			}
			if err := ctx.Err(); err != nil { // the pacer asks only where it waits
				return err
			}
		}
		if err := r.step(step); err != nil {
			return err
		}
	}
}

// run is one Run.
type run struct {
	*Source
	sink    feed.Sink
	from    uint64
	carried *[]feed.Symbol // of symbols
	symbols []invented
	marks   feed.Marker
	e       market.Entry
}

type invented struct {
	number uint32
	*generator
}

// carry takes up the symbols that are carried now.
func (r *run) carry() {
	carried := r.Source.symbols.Load()
	if carried == r.carried {
		return
	}
	r.carried, r.symbols = carried, r.symbols[:0]
	for _, sym := range *carried {
		r.symbols = append(r.symbols, invented{sym.Number, newGenerator(r.opts.Seed, sym.Name, r.opts.TicksPerSecond)})
	}
}

// step says the trades of one step, symbol by symbol. The watermark at its beginning is
// said also where nobody trades, and stands at place 0 of the step: how many places the
// step before has hangs on which symbols are carried.
func (r *run) step(step int64) error {
	r.carry()
	offset := uint64(step) << stepShift
	if begins := step * stepMs * 1e6; offset < r.from {
		r.marks.Skip(begins, r.from)
	} else if err := r.marks.Step(r.sink, begins, offset); err != nil {
		return err
	}
	for i := range r.symbols {
		g := &r.symbols[i]
		n := g.count(step)
		if n == 0 {
			continue
		}
		price := g.price(step)
		for k := range n {
			offset++
			if offset <= r.from {
				continue
			}
			ns, cents, size, buy := g.trade(step, k, n, price)
			r.e = market.Entry{Kind: market.Trade, Side: market.SideSell, Symbol: g.number, Time: ns,
				Price: market.Decimal{Coef: cents, Scale: 2}, Size: market.Decimal{Coef: size},
				Order: offset, ID: offset, Offset: offset}
			if buy {
				r.e.Side = market.SideBuy
			}
			if err := r.marks.Put(r.sink, &r.e); err != nil {
				return err
			}
		}
	}
	return nil
}
