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
	batches, err := storedBatches(ctx, w.env.Ticks, w.Partition)
	if err != nil {
		return fmt.Errorf("reading TICKS: %w", err)
	}
	begin := w.base.Open
	if w.ids != nil {
		if !kept(batches, w.base.Open.Tick, w.base.Applied.Tick) {
			begin = w.base.Applied
			if err := w.lostTicks(batches); err != nil {
				return err
			}
		}
		ids, err := readIDs(begin.Source.Opaque, w.env.Symbols)
		if err != nil {
			return err
		}
		w.ids.seed(ids)
		for symbol, since := range w.since {
			if w.base.Applied.Tick.Compare(since) <= 0 {
				w.ids.left(symbol)
			}
		}
	}
	last := market.TickPosition{Token: begin.Tick.Token, Batch: begin.Tick.Batch}
	var b logs.Batch
	for _, s := range batches {
		at := market.TickPosition{Token: s.token, Batch: s.number}
		if at.Compare(market.TickPosition{Token: begin.Tick.Token, Batch: begin.Tick.Batch}) < 0 {
			continue
		}
		if err := logs.DecodeBatch(s.data, &b); err != nil {
			return fmt.Errorf("batch %d of token %d: %w", s.number, s.token, err)
		}
		logs.RemapBatch(&b, w.env.Symbols)
		first := 0
		if at == last { // the batch of the checkpoint: its rest
			first = min(int(begin.Tick.Index), len(b.Entries))
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
	return nil
}

// kept reports whether every batch is there from where the open minutes begin to what was
// applied; where both are one place there is nothing to keep.
func kept(batches []stored, open, applied market.TickPosition) bool {
	if open == applied {
		return true
	}
	at := func(p market.TickPosition) int {
		return slices.IndexFunc(batches, func(s stored) bool { return s.token == p.Token && s.number == p.Batch })
	}
	from, to := at(open), at(applied)
	if from < 0 || to < 0 {
		return false
	}
	for i := from + 1; i <= to; i++ {
		a, b := &batches[i-1], &batches[i]
		if a.token == b.token && b.number != a.number+1 || a.token != b.token && b.number != 1 {
			return false
		}
	}
	return true
}

// lostTicks makes gaps of the open minutes, as far as they were applied: TICKS has no more what they were
// made of. They begin with the minutes and not with an id, for what filled a gap in them stood
// in TICKS after trades with higher ids.
func (w *Writer) lostTicks(batches []stored) error {
	applied, err := readIDs(w.base.Applied.Source.Opaque, w.env.Symbols)
	if err != nil {
		return err
	}
	from := max(market.FloorDiv(w.base.Watermark-w.fold.Config().CloseGraceMs, 60_000)*60_000, w.fold.LogEnd())
	var gaps []market.Gap
	for _, x := range applied {
		if w.ids.of(x.Symbol) != nil && x.TimeMs >= from {
			gaps = append(gaps, market.Gap{Symbol: x.Symbol, FromMs: from, ToMs: x.TimeMs + 1, BeforeID: x.ID + 1, Reason: market.GapReread})
		}
	}
	// What comes next is what TICKS has after the checkpoint, or else behind the marker that is published first.
	next := market.TickPosition{Token: w.Token, Batch: w.number + 1}
	was := w.base.Applied.Tick
	for _, s := range batches {
		at := market.TickPosition{Token: s.token, Batch: s.number}
		if c := at.Compare(market.TickPosition{Token: was.Token, Batch: was.Batch}); c == 0 {
			next = was
			break
		} else if c > 0 {
			next = at
			break
		}
	}
	w.fold.Lost(gaps, market.Position{Tick: next, Source: w.at.Source})
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
		if w.joinedAfter(e, market.TickPosition{Token: b.Token, Batch: b.Number, Index: uint32(i + 1)}) {
			continue
		}
		if e.Kind == market.Hole && e.State == market.GapFilling && !w.fold.Knows(e.Time/1e6) { // it may not have come into a frame
			if err := w.recall(ctx, &market.Gap{Symbol: e.Symbol, FromMs: e.Time / 1e6, ToMs: e.Until / 1e6}); err != nil {
				return err
			}
		}
		if e.Kind == market.Hole && e.Reason == market.GapSourceChange {
			w.unknownFrom = 0 // it was said
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
