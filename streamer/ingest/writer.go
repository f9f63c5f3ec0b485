package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/bars"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/metrics"
)

// stateSlot is how often a writer sends the states that changed.
const stateSlot = 50 * time.Millisecond

// Env is what all writers of a process share.
type Env struct {
	Bars    logs.Log
	Ticks   logs.Ticks
	Symbols *market.SymbolTable
	Metrics *metrics.Set
	Log     logr.Logger
	// Heads returns where each partition ends in BARS, once everything that is stored is known.
	Heads func(ctx context.Context) (Heads, logs.Bounds, error)
	// Since returns a place in BARS that is not after any frame of a partition whose watermark is above ms.
	Since func(partition int, ms int64) uint64
	// Renew is how often a partition says again what shapes its bars, before that ages out; at least a minute.
	Renew time.Duration
}

// Gate is a writer's right to write: its lease.
type Gate interface {
	// Wait returns nil while it holds; where it has run out it waits until it is renewed (nil),
	// lost for good or ctx ends (errors).
	Wait(ctx context.Context) error
}

// Claim is a partition that this process may write, and the fencing token that it got with it.
type Claim struct {
	Partition int
	Token     uint64
	Gate      Gate
	// Batches is how many batches were published with the token already, by a writer before.
	Batches uint64
}

// Writer owns one partition: its fold, its batches, its frames. Everything but Progress
// belongs to the goroutine of Run.
type Writer struct {
	Claim
	env     *Env
	log     logr.Logger
	symbols []uint32
	fold    *bars.Fold
	shape   *logs.Shape
	last    frameRef   // last frame of the partition in the log
	base    checkpoint // that it made
	gen     logs.ConfigGeneration
	ids     *continuity // nil: the source does not promise gapless ids
	live    bool        // the source cannot be read again
	// since is where in TICKS symbols joined that were not carried always.
	since map[uint32]market.TickPosition

	queue   *queue
	halt    <-chan struct{} // closed: end, and leave what waits to another writer
	work    []market.Entry  // a chunk, as it is published and folded
	skip    uint64          // the source began again: up to here it only says what it said
	batch   logs.BatchBuilder
	flights flights
	number  uint64              // of the last batch
	follows market.TickPosition // the last batch of those before us
	at      market.Position
	mark    int64 // ms
	// unknownFrom is from where on nothing is known, in ms, until the source that took over says a mark; 0: it has.
	unknownFrom int64
	began       bool // a mark of the source was taken
	frame       []byte
	state       []byte
	states      logs.StateMessage
	repeat      atomic.Bool // all states are to be sent again
	// strained: the states are not to be sent now; nil: never.
	strained func() bool
	local    logs.Localizer
	stats    bars.Stats // as last added to the metrics

	fills    chan *fill    // from the repairer
	over     chan struct{} // closed when Run has ended
	openGaps atomic.Pointer[[]market.Gap]
	progress atomic.Pointer[Progress]
}

// frameRef is a frame of this partition in the log; the zero value is none.
type frameRef struct{ Seq, Number uint64 }

// Progress is how far a writer is.
type Progress struct {
	Partition   int
	Symbols     int
	Token       uint64
	WatermarkMs int64 // 0: none yet
	LastSeq     uint64
	Offset      uint64
	Applied     uint64 // offset that its last frame applied
}

// Progress returns how far the writer is; from any goroutine.
func (w *Writer) Progress() Progress { return *w.progress.Load() }

// Run works until its queue is closed and everything is worked off (nil), until ctx ends, or
// until the writer cannot go on: an error that wraps [ErrFenced] or [logs.ErrRewound], or
// the gate's; its state is void then.
func (w *Writer) Run(ctx context.Context) error {
	if err := w.marker(ctx); err != nil {
		return fmt.Errorf("partition %d: %w", w.Partition, err)
	}
	tick := time.NewTicker(stateSlot)
	defer tick.Stop()
	renew := time.NewTicker(max(w.env.Renew, time.Minute))
	defer renew.Stop()
	for {
		select {
		case <-w.halt:
			return w.landed(ctx)
		case <-renew.C:
			if err := w.configure(ctx, &plan{shape: w.shape, gen: w.gen}); err != nil {
				return fmt.Errorf("partition %d: %w", w.Partition, err)
			}
		default:
		}
		c, over := w.queue.take()
		if over {
			w.publishStates()
			return w.landed(ctx)
		}
		if c != nil {
			if err := w.process(ctx, c.entries); err != nil {
				return fmt.Errorf("partition %d: %w", w.Partition, err)
			}
			w.queue.give(c)
			select {
			case <-tick.C:
				w.publishStates()
			case f := <-w.fills:
				if err := w.fill(ctx, f); err != nil {
					return fmt.Errorf("partition %d: %w", w.Partition, err)
				}
			case <-ctx.Done():
				return ctx.Err()
			default:
			}
			continue
		}
		select {
		case <-w.queue.wake:
		case f := <-w.fills:
			if err := w.fill(ctx, f); err != nil {
				return fmt.Errorf("partition %d: %w", w.Partition, err)
			}
		case <-tick.C:
			w.publishStates()
		case <-w.halt:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// process stores entries in TICKS, folds them, and commits what closes. A frame is appended
// only after TICKS has what it was made from.
func (w *Writer) process(ctx context.Context, entries []market.Entry) error {
	w.admit(entries)
	if len(w.work) == 0 {
		return nil
	}
	if err := w.publish(ctx, w.work); err != nil {
		return err
	}
	trades, err := w.take(ctx, w.work, 0)
	w.env.Metrics.FeedTicks.Add(float64(trades))
	w.count()
	w.report()
	w.reportGaps()
	return err
}

// take folds entries of the batch that w.at names and commits what closes. at is the
// position in the batch after each of them; 0: each is one further than the one before it, from 1.
func (w *Writer) take(ctx context.Context, entries []market.Entry, at uint32) (trades int, err error) {
	for i := range entries {
		e := &entries[i]
		if w.at.Tick.Index = at; at == 0 {
			w.at.Tick.Index = uint32(i + 1)
		}
		w.at.Source.Offset = max(w.at.Source.Offset, e.Offset)
		switch e.Kind {
		case market.Trade:
			trades++
		case market.Mark:
			w.mark = max(w.mark, e.Time/int64(time.Millisecond))
		}
		closed := w.fold.Entry(e, w.at)
		if closed == nil {
			continue
		}
		if err := w.landed(ctx); err != nil {
			return trades, err
		}
		if err := w.commit(ctx, closed); err != nil {
			return trades, err
		}
	}
	return trades, nil
}

// begins, as an entry's kind, says that the source begins again from an earlier place.
const begins market.EntryKind = 0

// admit copies what is new of a chunk to w.work: not what a source that began again says a
// second time, and of a venue's ids each one once.
func (w *Writer) admit(entries []market.Entry) {
	w.work = w.work[:0]
	for i := range entries {
		e := &entries[i]
		switch {
		case e.Kind == begins:
			w.skip = w.at.Source.Offset
		case e.Kind == market.Mark:
			if e.Time/int64(time.Millisecond) > w.mark {
				w.sayUnknown(e)
				w.unseen(e)
				w.work = append(w.work, *e)
			}
		case e.Offset != 0 && e.Offset <= w.skip:
		case w.ids != nil && e.Kind <= market.Seen && e.Kind != market.Cancel:
			w.work = w.ids.admit(w.work, e)
		case e.Kind == market.Trade && e.Time < w.unknownFrom*1e6: // it lies in the minutes of another vendor
		case e.Kind == market.Hole && w.live:
			w.missed(e)
		case e.Kind != market.Seen:
			w.work = append(w.work, *e)
		}
	}
}

// publish stores entries as one batch of TICKS; they may still be under way at return.
func (w *Writer) publish(ctx context.Context, entries []market.Entry) error {
	w.number++
	w.at.Tick = market.TickPosition{Token: w.Token, Batch: w.number}
	w.batch.Reset(uint8(w.Partition), w.Token, w.number, w.env.Symbols)
	for i := range entries {
		if err := w.batch.Add(&entries[i]); err != nil {
			return fmt.Errorf("an entry of the feed: %w", err)
		}
	}
	if w.flights.full() {
		if err := w.land(ctx); err != nil {
			return err
		}
	}
	f := w.flights.next(w.number)
	f.data = w.batch.AppendBinary(f.data[:0])
	if err := w.Gate.Wait(ctx); err != nil {
		return err
	}
	f.ack, f.err = w.env.Ticks.Publish(ctx, w.Partition, f.data)
	return nil
}

// landed waits until everything that was published is stored.
func (w *Writer) landed(ctx context.Context) error {
	for w.flights.n > 0 {
		if err := w.land(ctx); err != nil {
			return err
		}
	}
	return nil
}

// land waits until the oldest batch under way is stored. Where that fails, all that are
// under way are published again, in order, until they are: a reader takes a number once.
func (w *Writer) land(ctx context.Context) error {
	err := w.flights.oldest().wait(ctx)
	if err == nil {
		w.flights.pop()
		return nil
	}
	if ctx.Err() != nil || errors.Is(err, logs.ErrTooLarge) {
		return fmt.Errorf("storing ticks: %w", err)
	}
	w.log.Info("TICKS does not take a batch; it is tried again until it does", "reason", err.Error())
	began := time.Now()
	pause := backoff{}
	for w.flights.n > 0 {
		f := w.flights.oldest()
		if err := w.Gate.Wait(ctx); err != nil {
			return err
		}
		f.ack, f.err = w.env.Ticks.Publish(ctx, w.Partition, f.data)
		switch err := f.wait(ctx); {
		case err == nil:
			w.flights.pop()
			pause = backoff{}
			continue
		case errors.Is(err, logs.ErrTooLarge): // no try mends that
			return fmt.Errorf("storing ticks: %w", err)
		}
		if err := pause.wait(ctx); err != nil {
			return err
		}
	}
	w.log.Info("TICKS takes batches again", "after", time.Since(began).Round(time.Millisecond).String())
	return nil
}

func (w *Writer) report() {
	w.progress.Store(&Progress{Partition: w.Partition, Symbols: len(w.symbols), Token: w.Token,
		WatermarkMs: w.mark, LastSeq: w.last.Seq, Offset: w.at.Source.Offset, Applied: w.base.Applied.Source.Offset})
}
