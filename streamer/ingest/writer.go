package ingest

import (
	"context"
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
	// Token is the fencing token that the writers' holder was given.
	Token uint64
}

// Writer owns one partition: its fold, its batches, its frames. Everything but Progress
// and the fields marked so belongs to the goroutine of Run.
type Writer struct {
	env       *Env
	partition int
	symbols   []uint32
	fold      *bars.Fold
	last      frameRef // last frame of the partition in the log
	gen       logs.ConfigGeneration

	in      chan *chunk // from the pipeline
	free    chan *chunk // back to it
	batch   logs.BatchBuilder
	encoded [2][]byte // batches under way: an Ack must be done before its bytes are used again
	acks    [2]logs.Ack
	number  uint64 // of the last batch
	at      market.Position
	mark    int64 // ms
	frame   []byte
	state   []byte
	states  logs.StateMessage
	local   logs.Localizer
	stats   bars.Stats // as last added to the metrics

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
}

// Progress returns how far the writer is; from any goroutine.
func (w *Writer) Progress() Progress { return *w.progress.Load() }

// Run works until the pipeline is closed and everything is worked off (nil), until ctx ends,
// or until the writer cannot go on: an error that wraps [ErrFenced] or [logs.ErrRewound],
// after which its state is void.
func (w *Writer) Run(ctx context.Context) error {
	tick := time.NewTicker(stateSlot)
	defer tick.Stop()
	for {
		select {
		case c, ok := <-w.in:
			if !ok {
				w.publishStates()
				return nil
			}
			if err := w.process(ctx, c); err != nil {
				return fmt.Errorf("partition %d: %w", w.partition, err)
			}
		case <-tick.C:
			w.publishStates()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *Writer) newChunk() *chunk {
	select {
	case c := <-w.free:
		c.entries = c.entries[:0]
		return c
	default:
		return &chunk{entries: make([]market.Entry, 0, chunkEntries)}
	}
}

// process stores a chunk in TICKS, folds it, and commits what closes. A frame is appended
// only after TICKS has what it was made from.
func (w *Writer) process(ctx context.Context, c *chunk) error {
	ack, err := w.publish(ctx, c)
	if err != nil {
		return err
	}
	trades := 0
	for i := range c.entries {
		e := &c.entries[i]
		w.at.Tick.Index = uint32(i + 1)
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
		if err := w.wait(ctx, ack); err != nil {
			return err
		}
		if err := w.commit(ctx, closed); err != nil {
			return err
		}
	}
	w.env.Metrics.FeedTicks.Add(float64(trades))
	w.count()
	w.report()
	select {
	case w.free <- c:
	default:
	}
	return nil
}

// publish sends a chunk to TICKS as one batch.
func (w *Writer) publish(ctx context.Context, c *chunk) (logs.Ack, error) {
	w.number++
	w.at.Tick = market.TickPosition{Token: w.env.Token, Batch: w.number}
	slot := int(w.number & 1)
	if prev := w.acks[slot]; prev != nil { // its bytes are used again below
		if err := w.wait(ctx, prev); err != nil {
			return nil, err
		}
		w.acks[slot] = nil
	}
	w.batch.Reset(uint8(w.partition), w.env.Token, w.number, w.env.Symbols)
	for i := range c.entries {
		e := &c.entries[i]
		if err := w.batch.Add(e); err != nil {
			return nil, fmt.Errorf("an entry of the feed: %w", err)
		}
	}
	w.encoded[slot] = w.batch.AppendBinary(w.encoded[slot][:0])
	ack, err := w.env.Ticks.Publish(ctx, w.partition, w.encoded[slot])
	if err != nil {
		return nil, fmt.Errorf("storing ticks: %w", err)
	}
	w.acks[slot] = ack
	return ack, nil
}

func (w *Writer) wait(ctx context.Context, ack logs.Ack) error {
	if err := ack.Wait(ctx); err != nil {
		return fmt.Errorf("storing ticks: %w", err)
	}
	return nil
}

func (w *Writer) report() {
	w.progress.Store(&Progress{Partition: w.partition, Symbols: len(w.symbols), Token: w.env.Token,
		WatermarkMs: w.mark, LastSeq: w.last.Seq, Offset: w.at.Source.Offset})
}
