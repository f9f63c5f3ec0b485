package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/marketstream/marketstream/streamer/bars"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// ErrFenced says that another writer has taken the partition over.
var ErrFenced = errors.New("another writer holds the partition")

// commit appends what the fold closed as one frame: the commit, the fence and the
// checkpoint in one.
func (w *Writer) commit(ctx context.Context, c *bars.Close) error {
	f := logs.Frame{
		Kind: logs.FrameBars, Partition: uint8(w.Partition), Number: w.last.Number + 1, Token: w.Token,
		Tag: rand.Uint32(), ConfigGeneration: w.gen, Watermark: c.Watermark,
		Applied: c.Applied, Open: c.Open, Records: c.Records, Gaps: c.Gaps,
	}
	if w.ids != nil {
		f.Applied.Source.Opaque = appendIDs(nil, c.AppliedIDs, w.env.Symbols)
		f.Open.Source.Opaque = appendIDs(nil, c.OpenIDs, w.env.Symbols)
	}
	if err := w.append(ctx, &f); err != nil {
		return err
	}
	var closed, revised [market.MaxTimeframe + 1]int
	for i := range f.Records {
		if r := &f.Records[i]; r.Rev == 0 {
			closed[r.Timeframe]++
		} else {
			revised[r.Timeframe]++
		}
	}
	for tf := market.M1; tf <= market.MaxTimeframe; tf++ {
		if closed[tf] > 0 {
			w.env.Metrics.BarsClosed.WithLabelValues(tf.String()).Add(float64(closed[tf]))
		}
		if revised[tf] > 0 {
			w.env.Metrics.BarsRevised.WithLabelValues(tf.String()).Add(float64(revised[tf]))
		}
	}
	for _, g := range f.Gaps {
		w.env.Metrics.FeedGaps.WithLabelValues(g.Reason.String()).Inc()
	}
	return nil
}

// append appends f after the partition's last frame and moves w.last to it. Records and
// Gaps of f carry process-wide symbol numbers, and carry the frame's own afterwards.
func (w *Writer) append(ctx context.Context, f *logs.Frame) error {
	if err := w.local.Frame(f); err != nil {
		return fmt.Errorf("frame %d: %w", f.Number, err)
	}
	data, err := f.AppendBinary(w.frame[:0])
	if err != nil {
		return fmt.Errorf("frame %d: %w", f.Number, err)
	}
	w.frame = data
	began := time.Now()
	var pause backoff
	for {
		if err := w.Gate.Wait(ctx); err != nil {
			return err
		}
		seq, err := w.env.Bars.Append(ctx, w.Partition, w.last.Seq, w.frame)
		if err == nil {
			w.committed(seq, f, began)
			return nil
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, logs.ErrTooLarge):
			return fmt.Errorf("frame %d with %d bars: %w", f.Number, len(f.Records), err)
		case !errors.Is(err, logs.ErrFull):
			seq, done, jerr := w.judge(ctx, f)
			if jerr != nil {
				return jerr
			}
			if done {
				w.committed(seq, f, began)
				return nil
			}
		}
		if pause.pause < retryLast/2 {
			w.log.Info("an append to BARS failed and is tried again until it succeeds", "frame", f.Number, "reason", err.Error())
		}
		if err := pause.wait(ctx); err != nil {
			return err
		}
	}
}

func (w *Writer) committed(seq uint64, f *logs.Frame, began time.Time) {
	w.last = frameRef{Seq: seq, Number: f.Number}
	w.base = checkpoint{f.Watermark, f.Applied, f.Open}
	w.env.Metrics.LogAppend.Observe(time.Since(began).Seconds())
	w.env.Metrics.LogFrames.Inc()
}

// judge looks, after an append that was refused or whose answer is not known, at what the
// partition's last frame is (design, point 4). done: it is f, or says the same. An error
// wraps ErrFenced when it is newer and logs.ErrRewound when it is older than the one that
// f follows; neither: it is that one, so the append may be tried again.
func (w *Writer) judge(ctx context.Context, f *logs.Frame) (seq uint64, done bool, err error) {
	e, err := w.env.Bars.Last(ctx, w.Partition)
	switch {
	case errors.Is(err, logs.ErrGone):
		return 0, false, w.gone(ctx)
	case errors.Is(err, logs.ErrUnavailable):
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("reading the last frame: %w", err)
	}
	g, err := logs.DecodeFrame(e.Data)
	if err != nil {
		return 0, false, fmt.Errorf("frame at %d: %w", e.Seq, err)
	}
	switch {
	case g.Token <= f.Token && g.Number == f.Number && (g.Tag == f.Tag && g.Token == f.Token || sameBars(g, f)):
		return e.Seq, true, nil
	case g.Number >= f.Number || g.Token > f.Token:
		w.env.Metrics.LogFenced.Inc()
		return 0, false, fmt.Errorf("%w: frame %d of token %d is in the log, this is frame %d of token %d", ErrFenced, g.Number, g.Token, f.Number, f.Token)
	case e.Seq == w.last.Seq && g.Number == w.last.Number:
		return 0, false, nil
	}
	return 0, false, fmt.Errorf("%w: it ends with frame %d, frame %d was acknowledged", logs.ErrRewound, g.Number, w.last.Number)
}

// gone decides what it means that the partition has no last frame: it aged out, and its
// number proves continuity; or the log has lost it.
func (w *Writer) gone(ctx context.Context) error {
	if w.last.Seq == 0 {
		return nil
	}
	b, err := w.env.Bars.Bounds(ctx)
	switch {
	case errors.Is(err, logs.ErrUnavailable):
		return nil
	case err != nil:
		return fmt.Errorf("asking for the end of BARS: %w", err)
	case b.Last < w.last.Seq || b.First <= w.last.Seq:
		return fmt.Errorf("%w: frame %d at %d is gone, and the log has %d to %d", logs.ErrRewound, w.last.Number, w.last.Seq, b.First, b.Last)
	}
	w.last.Seq = 0
	return nil
}

// sameBars reports whether two frames say the same from the same position in the source.
func sameBars(g, f *logs.Frame) bool {
	return g.Kind == f.Kind && g.Watermark == f.Watermark &&
		samePlace(g.Applied.Source, f.Applied.Source) && samePlace(g.Open.Source, f.Open.Source) &&
		slices.Equal(g.Symbols, f.Symbols) && slices.Equal(g.Records, f.Records) && slices.Equal(g.Gaps, f.Gaps)
}

func samePlace(a, b market.SourcePosition) bool {
	return a.Offset == b.Offset && string(a.Opaque) == string(b.Opaque)
}
