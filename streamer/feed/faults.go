package feed

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/marketstream/marketstream/streamer/market"
)

// FaultKind is a way in which a feed breaks on cue.
type FaultKind uint8

// The faults.
const (
	// FaultGap leaves a stretch out and says so by a Hole, as a feed does that reconnects.
	FaultGap FaultKind = iota + 1
	// FaultDisorder says the trades of a stretch in another order, so that some come after the
	// watermark has passed them.
	FaultDisorder
	// FaultDuplicate says a stretch, and then its trades once more with the same offsets and ids.
	FaultDuplicate
	// FaultSilence leaves a stretch out and says nothing, not even a Mark, as a dead connection
	// does; its status is Silent meanwhile.
	FaultSilence
)

// Fault is one fault over the event times [From, To) in Unix ns, both taken down to whole
// 100 ms. It begins at the first Mark that is not below From and ends before the first that
// is not below To: in a source that is in order these are just the trades of [From, To).
type Fault struct {
	Kind     FaultKind
	From, To int64
}

// Faults break a source, for tests, the same way in every run and after every restart.
// Stretches should not overlap: one that begins within another begins at its end.
type Faults struct {
	Seed   uint64 // of FaultDisorder
	Faults []Fault
}

// Rewinder is a source that knows where to begin so as to say again a stretch of event
// time. Without it a broken source that is restarted begins at the source's beginning.
type Rewinder interface {
	// Before returns a place that lies before everything of event time ns and later.
	Before(ns int64) market.SourcePosition
}

// Break wraps a source so that it breaks as faults say.
func Break(s Source, faults Faults) Source {
	b := &broken{Source: s, seed: faults.Seed}
	for _, f := range faults.Faults {
		f.From -= f.From % StepNs
		f.To -= f.To % StepNs
		if f.From < f.To {
			b.faults = append(b.faults, f)
		}
	}
	slices.SortStableFunc(b.faults, func(x, y Fault) int { return cmp.Compare(x.From, y.From) })
	return b
}

// Begin implements [Beginner]; a source that has no such place begins at its beginning.
func (b *broken) Begin(now time.Time) market.SourcePosition {
	if s, ok := b.Source.(Beginner); ok {
		return s.Begin(now)
	}
	return market.SourcePosition{}
}

type broken struct {
	Source
	seed   uint64
	faults []Fault // by From
}

// Run implements [Source]. After a restart the source begins before the first fault, for
// what a stretch comes to hangs on all of it; what was said before is taken out again.
func (b *broken) Run(ctx context.Context, from market.SourcePosition, said uint64, sink Sink) error {
	start := from
	if from.Offset > 0 && len(b.faults) > 0 {
		start = market.SourcePosition{}
		if r, ok := b.Source.(Rewinder); ok {
			start = r.Before(b.faults[0].From)
		}
		if start.Offset > from.Offset {
			start = from
		}
	}
	return b.Source.Run(ctx, start, max(said, from.Offset), &breaker{sink: sink, from: from.Offset, seed: b.seed, faults: b.faults})
}

// maxHeld bounds what a stretch may hold in memory.
const maxHeld = 1 << 20

// breaker is the sink that the broken source writes to.
type breaker struct {
	sink   Sink
	from   uint64 // what lies at or before it was said before a restart
	seed   uint64
	faults []Fault // the current one and those to come
	done   int     // how many faults are over
	inside bool    // the current one has begun
	began  bool    // a Mark was seen
	last   uint64  // offset of the last entry seen
	held   []market.Entry
}

// Put implements [Sink].
func (b *breaker) Put(e *market.Entry) error {
	if e.Kind == market.Mark {
		if err := b.mark(e.Time); err != nil {
			return err
		}
	}
	b.last = max(b.last, e.Offset)
	if !b.inside {
		return b.say(e)
	}
	switch b.faults[0].Kind {
	case FaultDuplicate:
		if e.Kind == market.Trade {
			if err := b.hold(e); err != nil {
				return err
			}
		}
		return b.say(e)
	case FaultDisorder:
		if e.Kind != market.Mark { // the order decides the marks
			return b.hold(e)
		}
	}
	return nil
}

// mark begins and ends stretches at a watermark. One that was over before the source said
// anything is none of its.
func (b *breaker) mark(ns int64) error {
	for len(b.faults) > 0 && ns >= b.faults[0].From {
		f := b.faults[0]
		over := ns >= f.To
		if over && !b.began && !b.inside {
			b.faults, b.done = b.faults[1:], b.done+1
			continue
		}
		if !b.inside {
			b.inside = true
			if f.Kind == FaultSilence {
				b.sink.Status(Status{State: Silent, Reason: "a silence was asked for"})
			}
		}
		if !over {
			break
		}
		if err := b.end(f); err != nil {
			return err
		}
		b.inside, b.held = false, nil
		b.faults, b.done = b.faults[1:], b.done+1
	}
	b.began = true
	return nil
}

// end says what is left to say of a stretch.
func (b *breaker) end(f Fault) error {
	switch f.Kind {
	case FaultGap:
		return b.say(&market.Entry{Kind: market.Hole, Symbol: market.AllSymbols, Time: f.From, Until: f.To,
			Reason: market.GapDisconnect, Offset: b.last})
	case FaultSilence:
		b.sink.Status(Status{State: Connected})
	case FaultDuplicate:
		for i := range b.held {
			if err := b.say(&b.held[i]); err != nil {
				return err
			}
		}
	case FaultDisorder:
		if len(b.held) == 0 {
			return nil
		}
		b.shuffle()
		marks := Marker{last: b.held[0].Offset - 1}
		for i := range b.held {
			if err := marks.Put(sayer{b}, &b.held[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// sayer is a breaker's way out, as a sink.
type sayer struct{ *breaker }

// Put implements [Sink].
func (s sayer) Put(e *market.Entry) error { return s.say(e) }

// Flush implements [Sink].
func (b *breaker) Flush() error { return b.sink.Flush() }

// Status implements [Sink].
func (b *breaker) Status(s Status) { b.sink.Status(s) }

// say passes an entry on, unless it was said before a restart. A Hole that stands just where
// the restart is may have been or not, and is said.
func (b *breaker) say(e *market.Entry) error {
	switch e.Kind {
	case market.Trade, market.Cancel:
		if e.Offset <= b.from {
			return nil
		}
	case market.Hole:
		if e.Offset < b.from {
			return nil
		}
	}
	return b.sink.Put(e)
}

func (b *breaker) hold(e *market.Entry) error {
	if len(b.held) == maxHeld {
		f := b.faults[0]
		return fmt.Errorf("the fault from %d to %d ns holds more than %d trades: make it shorter", f.From, f.To, maxHeld)
	}
	b.held = append(b.held, *e)
	return nil
}

// shuffle brings what is held into another order. Offsets keep their order: a place rises
// in the order in which entries are said, and each fault has its own source of chance, so
// that a restart shuffles alike.
func (b *breaker) shuffle() {
	held := b.held
	offsets := make([]uint64, len(held))
	for i := range held {
		offsets[i] = held[i].Offset
	}
	rand.New(rand.NewPCG(b.seed, uint64(b.done))).Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
	for i := range held {
		held[i].Offset = offsets[i]
	}
}
