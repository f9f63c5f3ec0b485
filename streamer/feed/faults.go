package feed

import (
	"context"
	"math/rand/v2"
	"slices"

	"github.com/marketstream/marketstream/streamer/market"
)

// FaultKind is a way in which a feed breaks on cue.
type FaultKind uint8

// The faults.
const (
	// FaultGap leaves a stretch out and says so by a Hole.
	FaultGap FaultKind = iota + 1
	// FaultDisorder says the trades of a stretch in another order.
	FaultDisorder
	// FaultDuplicate says a stretch twice, with the same offsets.
	FaultDuplicate
	// FaultSilence leaves a stretch out and says nothing, as a dead connection does.
	FaultSilence
)

// Fault is one fault over the event times [From, To) in Unix ns.
type Fault struct {
	Kind     FaultKind
	From, To int64
}

// Faults break a source, for tests: each stretch once, the same way in every run.
type Faults struct {
	Seed   uint64
	Faults []Fault
}

// Break wraps a source so that it breaks as faults say.
func Break(s Source, faults Faults) Source { return &broken{Source: s, faults: faults} }

type broken struct {
	Source
	faults Faults
}

// Run implements [Source].
func (b *broken) Run(ctx context.Context, from market.SourcePosition, said uint64, sink Sink) error {
	return b.Source.Run(ctx, from, said, &breaker{Sink: sink, faults: b.faults, rnd: rand.New(rand.NewPCG(b.faults.Seed, 1))})
}

type breaker struct {
	Sink
	faults Faults
	rnd    *rand.Rand
	held   []market.Entry
	in     int // index in Faults of the stretch that is being gone through, + 1
	last   uint64
}

// Put implements [Sink].
func (b *breaker) Put(e *market.Entry) error {
	now := 0
	for i, f := range b.faults.Faults {
		if e.Time >= f.From && e.Time < f.To {
			now = i + 1
		}
	}
	if b.in != 0 && now != b.in && e.Kind == market.Mark { // the stretch ends at a mark beyond it
		if err := b.end(); err != nil {
			return err
		}
	}
	if now == 0 || b.in == 0 && e.Kind != market.Mark {
		b.last = max(b.last, e.Offset)
		return b.Sink.Put(e)
	}
	b.in = now
	b.last = max(b.last, e.Offset)
	switch b.faults.Faults[now-1].Kind {
	case FaultDisorder, FaultDuplicate:
		b.held = append(b.held, *e)
	}
	return nil
}

func (b *breaker) end() error {
	f := b.faults.Faults[b.in-1]
	b.in = 0
	held := b.held
	b.held = nil
	switch f.Kind {
	case FaultGap:
		return b.Sink.Put(&market.Entry{Kind: market.Hole, Symbol: market.AllSymbols, Time: f.From, Until: f.To,
			Reason: market.GapDisconnect, Offset: b.last})
	case FaultDisorder:
		offsets := make([]uint64, 0, len(held))
		held = slices.DeleteFunc(held, func(e market.Entry) bool { return e.Kind != market.Trade })
		for _, e := range held {
			offsets = append(offsets, e.Offset)
		}
		b.rnd.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
		for i := range held { // places rise in the order in which entries are said
			held[i].Offset = offsets[i]
		}
	case FaultDuplicate:
		held = append(held, held...)
	}
	for i := range held {
		if err := b.Sink.Put(&held[i]); err != nil {
			return err
		}
	}
	return nil
}
