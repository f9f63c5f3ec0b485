package ingest

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// stored is a batch as it lies in TICKS.
type stored struct {
	token, number uint64
	data          []byte
}

// storedBatches reads what TICKS has of a partition: in the order of tokens and numbers, each
// once, without those of a writer that had been fenced when they came.
func storedBatches(ctx context.Context, ticks logs.Ticks, partition int) (out []stored, err error) {
	highest := uint64(0)
	err = ticks.Read(ctx, partition, func(data []byte) error {
		token, number, err := logs.PeekBatch(data)
		if err != nil {
			return fmt.Errorf("a batch of TICKS: %w", err)
		}
		if token >= highest {
			highest = token
			out = append(out, stored{token, number, data})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(out, func(a, b stored) int {
		return cmp.Or(cmp.Compare(a.token, b.token), cmp.Compare(a.number, b.number))
	})
	return slices.CompactFunc(out, func(a, b stored) bool { return a.token == b.token && a.number == b.number }), nil
}

// replayTicks folds what TICKS has after the checkpoint, and commits what closes, as the
// writer before would have done. Where batches are missing, what was in them is a hole; of
// gapless ids, the ids themselves say so.
func (w *Writer) replayTicks(ctx context.Context) error {
	if w.ids != nil {
		ids, err := readIDs(w.base.Open.Source.Opaque, w.env.Symbols)
		if err != nil {
			return err
		}
		w.ids.seed(ids)
	}
	batches, err := storedBatches(ctx, w.env.Ticks, w.Partition)
	if err != nil {
		return fmt.Errorf("reading TICKS: %w", err)
	}
	open := w.base.Open.Tick
	last := market.TickPosition{Token: open.Token, Batch: open.Batch}
	var b logs.Batch
	for _, s := range batches {
		at := market.TickPosition{Token: s.token, Batch: s.number}
		if at.Compare(market.TickPosition{Token: open.Token, Batch: open.Batch}) < 0 {
			continue
		}
		if err := logs.DecodeBatch(s.data, &b); err != nil {
			return fmt.Errorf("batch %d of token %d: %w", s.number, s.token, err)
		}
		logs.RemapBatch(&b, w.env.Symbols)
		first := 0
		if at == last { // the batch of the checkpoint: its rest
			first = min(int(open.Index), len(b.Entries))
		} else if !follows(&b, last) && w.ids == nil && len(b.Entries) > 0 {
			w.hole(b.Entries[0].Time)
		}
		last = at
		if err := w.again(ctx, &b, first); err != nil {
			return err
		}
		if s.token == w.Token {
			w.number = max(w.number, s.number)
		}
	}
	w.follows = last
	return w.lostTicks()
}

// lostTicks makes holes of what the checkpoint applied and TICKS has no more: of open
// minutes alone, for closed ones have it.
func (w *Writer) lostTicks() error {
	if w.ids == nil {
		return nil
	}
	applied, err := readIDs(w.base.Applied.Source.Opaque, w.env.Symbols)
	if err != nil {
		return err
	}
	from := market.FloorDiv(w.base.Watermark-w.fold.Config().CloseGraceMs, 60_000) * 60_000
	for _, x := range applied {
		n := w.ids.of(x.Symbol)
		if n == nil || n.id >= x.ID {
			continue
		}
		if x.TimeMs >= from {
			w.fold.Entry(&market.Entry{Kind: market.Hole, Symbol: x.Symbol, Time: from * 1e6, Until: x.TimeMs*1e6 + 1e6,
				Order: n.id, ID: x.ID + 1, Reason: market.GapReread}, w.at)
		}
		n.id, n.timeNs = x.ID, max(n.timeNs, x.TimeMs*1e6)
	}
	return nil
}

// follows reports whether no batch is missing between last and b.
func follows(b *logs.Batch, last market.TickPosition) bool {
	if b.Token == last.Token {
		return b.Number == last.Batch+1
	}
	at, ok := readFollows(b.Source.Opaque)
	return ok && b.Number == 1 && at == last
}

// again folds the entries of a stored batch from first on; of those before it, only which gap is being
// filled: the minute that first begins with may have been opened by a trade that fills one.
func (w *Writer) again(ctx context.Context, b *logs.Batch, first int) error {
	w.at.Tick = market.TickPosition{Token: b.Token, Batch: b.Number}
	for i := range b.Entries {
		e := &b.Entries[i]
		if i < first && (e.Kind != market.Hole || e.State == market.GapOpen) {
			continue
		}
		w.work = w.work[:0]
		if w.ids != nil && (e.Kind == market.Trade || e.Kind == market.Hole) {
			w.work = w.ids.admit(w.work, e)
		} else {
			w.work = append(w.work, *e)
		}
		if _, err := w.take(ctx, w.work, uint32(i+1)); err != nil {
			return err
		}
	}
	return nil
}

// hole folds that everything from the watermark to an event time is not known: batches were lost.
func (w *Writer) hole(untilNs int64) {
	from := w.mark * 1e6
	if from <= 0 || untilNs <= from {
		return
	}
	w.fold.Entry(&market.Entry{Kind: market.Hole, Symbol: market.AllSymbols, Time: from, Until: untilNs, Reason: market.GapHole}, w.at)
}

// marker publishes a batch without entries: the marker. From it on batches of lower tokens do not count.
func (w *Writer) marker(ctx context.Context) error {
	w.batch.Source.Opaque = appendFollows(nil, w.follows)
	if err := w.publish(ctx, nil); err != nil {
		return err
	}
	w.batch.Source.Opaque = nil
	return w.landed(ctx)
}
