package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/marketstream/marketstream/streamer/bars"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// Restored is what [Restore] makes of the log.
type Restored struct {
	Writers []*Writer // of the partitions that have symbols, not running yet
	// From is where the feed must go on; up to Said it only says again what it said before.
	From       market.SourcePosition
	Said       uint64
	Generation logs.ConfigGeneration
}

// ErrOtherSource says that the log's positions are places in another source.
var ErrOtherSource = errors.New("the log was made from another source")

// Restore makes the writers of a stream from the log: what heads says of its end, and the
// frames themselves. Where the shape of bars differs from the log's, it is written first.
// Nothing else may write to the log meanwhile.
func Restore(ctx context.Context, env *Env, spec *Spec, heads Heads) (*Restored, error) {
	for p := range heads {
		if s := heads[p].Shape; s != nil && s.Source != spec.Source {
			return nil, fmt.Errorf("%w: %q, and this is %q", ErrOtherSource, s.Source, spec.Source)
		}
	}
	r := &Restored{Generation: heads.Generation()}
	offset, watermark, _ := heads.place()
	next := r.Generation
	next.Generation++
	for p := range heads {
		shape, gaps := spec.shape(p, heads[p].Shape, offset, watermark, env.Symbols)
		w := newWriter(env, p, heads[p], r.Generation)
		if changed(heads[p].Shape, shape) {
			r.Generation, w.gen = next, next
			if err := w.configure(ctx, &heads[p], shape, gaps, offset, watermark); err != nil {
				return nil, err
			}
		}
		if len(shape.Symbols) == 0 {
			continue
		}
		for _, s := range shape.Symbols {
			w.symbols = append(w.symbols, env.Symbols.Intern(s.Name))
		}
		w.fold = bars.New(spec.foldConfig(shape, env.Symbols))
		r.Writers = append(r.Writers, w)
	}
	for _, w := range r.Writers {
		w.gen = r.Generation
	}
	if err := r.load(ctx, env); err != nil {
		return nil, err
	}
	r.From, r.Said = earliest(&heads, r.Writers)
	for _, w := range r.Writers {
		w.at.Source, w.batch.Source = r.From, r.From
		w.report()
	}
	return r, nil
}

// load restores every fold from the log in one pass.
func (r *Restored) load(ctx context.Context, env *Env) error {
	var byPartition [market.Partitions]*Writer
	for _, w := range r.Writers {
		byPartition[w.partition] = w
	}
	reader := logs.Reader{Log: env.Bars, Symbols: env.Symbols}
	err := reader.Frames(ctx, 1, func(_ uint64, f *logs.Frame) error {
		if f.Kind == logs.FrameOwner {
			return nil
		}
		if w := byPartition[f.Partition]; w != nil {
			w.fold.Restore(&bars.Close{Records: f.Records, Gaps: f.Gaps, Watermark: f.Watermark, Applied: f.Applied, Open: f.Open})
			w.mark = max(w.mark, f.Watermark)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading BARS: %w", err)
	}
	for _, w := range r.Writers {
		w.stats = w.fold.Stats()
	}
	return nil
}

func newWriter(env *Env, partition int, head Head, gen logs.ConfigGeneration) *Writer {
	w := &Writer{env: env, partition: partition, gen: gen,
		local: logs.Localizer{Table: env.Symbols},
		in:    make(chan *chunk, chunksQueued), free: make(chan *chunk, chunksQueued+2)}
	if head.Frame != nil {
		w.last = frameRef{Seq: head.Seq, Number: head.Frame.Number}
	}
	w.report()
	return w
}

// configure writes the frame from which on the partition's bars have shape, and makes it
// the partition's head. It stands where the last frame stood; a partition without one
// begins where the stream is.
func (w *Writer) configure(ctx context.Context, head *Head, shape *logs.Shape, gaps []market.Gap, offset uint64, watermarkMs int64) error {
	f := &logs.Frame{Kind: logs.FrameConfig, Partition: uint8(w.partition), Number: w.last.Number + 1, Token: w.env.Token,
		Tag: rand.Uint32(), ConfigGeneration: w.gen, Shape: shape, Gaps: gaps}
	if old := head.Frame; old != nil {
		f.Watermark, f.Applied, f.Open = old.Watermark, old.Applied, old.Open
	} else {
		f.Watermark = watermarkMs
		f.Applied.Source.Offset, f.Open.Source.Offset = offset, offset
	}
	if err := w.append(ctx, f); err != nil {
		return fmt.Errorf("writing the configuration of partition %d: %w", w.partition, err)
	}
	*head = Head{Seq: w.last.Seq, Frame: f, Shape: shape}
	return nil
}
