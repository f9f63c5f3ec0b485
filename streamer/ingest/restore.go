package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/marketstream/marketstream/streamer/bars"
	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// opening is what writers are made from: the end of BARS, and what the bars of a partition
// are to be.
type opening struct {
	env    *Env
	spec   *Spec
	heads  Heads
	bounds logs.Bounds
	traits *feed.Traits // of the source; nil: it can be read again
}

// openWriters makes the writers of claims from the logs, and nothing else: after a crash, a
// reload, on another pod. Where the shape of a partition's bars is to be another than the log's, it is
// written first. A claim of a partition without symbols gets none. Nobody else may write these
// partitions meanwhile; if somebody did, the error wraps [ErrFenced].
func openWriters(ctx context.Context, env *Env, spec *Spec, tr *feed.Traits, claims []Claim) ([]*Writer, error) {
	heads, bounds, err := env.Heads(ctx)
	if err != nil {
		return nil, err
	}
	if err := sameSource(&heads, spec, claims); err != nil {
		return nil, err
	}
	o := &opening{env: env, spec: spec, heads: heads, bounds: bounds, traits: tr}
	plans := make([]plan, len(claims))
	for i, c := range claims { // before any is written: what one says must not depend on another's
		if plans[i], err = o.plan(&c); err != nil {
			return nil, fmt.Errorf("partition %d: %w", c.Partition, err)
		}
	}
	var writers []*Writer
	for i, c := range claims {
		w, err := o.writer(ctx, c, &plans[i])
		if err != nil {
			return nil, fmt.Errorf("partition %d: %w", c.Partition, err)
		}
		if w.fold != nil {
			writers = append(writers, w)
		}
	}
	if err := o.load(ctx, writers); err != nil {
		return nil, err
	}
	for _, w := range writers {
		w.beginAfterOther()
		if w.live {
			if err := w.replayTicks(ctx); err != nil {
				return nil, fmt.Errorf("partition %d: %w", w.Partition, err)
			}
		}
		w.stats = w.fold.Stats()
		w.report()
	}
	return writers, nil
}

func (o *opening) gapless() bool { return o.traits != nil && o.traits.Gapless }

// writer makes the writer of one claim, with an empty fold, or none where there are no symbols.
func (o *opening) writer(ctx context.Context, c Claim, p *plan) (*Writer, error) {
	head := &o.heads[c.Partition]
	w := &Writer{Claim: c, env: o.env, log: o.env.Log.WithValues("partition", c.Partition, "token", c.Token), live: o.traits != nil,
		local: logs.Localizer{Table: o.env.Symbols}, gen: p.gen, number: c.Batches}
	if err := w.begin(ctx, head); err != nil {
		return nil, err
	}
	if p.changed { // what was applied are places in another source
		at := market.Position{Tick: c.endOfTicks()}
		w.base.Applied, w.base.Open = at, at
	}
	if p.write {
		if err := w.configure(ctx, p); err != nil {
			return nil, err
		}
		p.shape = settled(p.shape)
	}
	if p.shape == nil || len(p.shape.Symbols) == 0 {
		return w, nil
	}
	w.shape = p.shape
	w.at.Source, w.mark = w.base.Open.Source, w.base.Watermark
	w.batch.Source, w.batch.Watermark = w.at.Source, w.mark
	cfg, err := foldConfig(p.shape, o.env.Symbols)
	if err != nil {
		return nil, err
	}
	cfg.Refills = o.traits != nil
	cfg.GaplessIDs = cfg.Refills && o.traits.Gapless
	w.fold = bars.New(cfg)
	for _, s := range cfg.Symbols {
		w.symbols = append(w.symbols, s.Number)
	}
	w.since = make(map[uint32]market.TickPosition)
	for _, s := range p.shape.Symbols {
		if s.SinceTick != (market.TickPosition{}) {
			w.since[o.env.Symbols.Intern(s.Name)] = s.SinceTick
		}
	}
	if o.gapless() {
		w.ids = newContinuity(w.symbols, func(ns int64) int64 { return periodStart(&cfg, ns/1e6) * 1e6 })
	}
	w.report()
	return w, nil
}

// begin sets w behind the partition's last frame, after making sure, at the leader, that it
// is the one that we know of.
func (w *Writer) begin(ctx context.Context, head *Head) error {
	if head.Frame != nil {
		w.last = frameRef{Seq: head.Seq, Number: head.Frame.Number}
		w.base = checkpoint{head.Frame.Watermark, head.Frame.Applied, head.Frame.Open}
	}
	e, err := w.env.Bars.Last(ctx, w.Partition)
	switch {
	case errors.Is(err, logs.ErrGone):
		return w.gone(ctx)
	case err != nil:
		return fmt.Errorf("reading the last frame: %w", err)
	}
	f, err := logs.DecodeFrame(e.Data)
	if err != nil {
		return fmt.Errorf("frame at %d: %w", e.Seq, err)
	}
	if head.Frame == nil || f.Number != head.Frame.Number || f.Tag != head.Frame.Tag {
		return fmt.Errorf("%w: it ends with frame %d of token %d, which is news", ErrFenced, f.Number, f.Token)
	}
	return nil
}

// load restores every fold from the log in one pass over what their longest open periods need.
func (o *opening) load(ctx context.Context, writers []*Writer) error {
	var byPartition [market.Partitions]*Writer
	from := uint64(0)
	for _, w := range writers {
		byPartition[w.Partition] = w
		if since := o.since(w); from == 0 || since < from {
			from = since
		}
	}
	err := o.env.Bars.Read(ctx, max(from, 1), func(e logs.Entry) error {
		if e.Partition < 0 || byPartition[e.Partition] == nil {
			return nil
		}
		f, err := logs.DecodeFrame(e.Data)
		if err != nil {
			return fmt.Errorf("frame at sequence %d: %w", e.Seq, err)
		}
		logs.Remap(f, o.env.Symbols)
		return byPartition[e.Partition].restore(f)
	})
	if err != nil {
		return fmt.Errorf("reading BARS: %w", err)
	}
	return nil
}

// since is where in BARS the frames begin that w's fold needs: those of its open periods, and of the revision window.
func (o *opening) since(w *Writer) uint64 {
	f := o.heads[w.Partition].Frame
	if f == nil || o.env.Since == nil {
		return 1
	}
	cfg := w.fold.Config()
	at := f.Watermark
	if at >= market.EndOfFeed || at <= 0 {
		return 1
	}
	return o.env.Since(w.Partition, periodStart(&cfg, at-cfg.CloseGraceMs-60_000)-cfg.RevisionWindowMs-60_000)
}

// periodStart is where a stretch of whole periods of every timeframe begins that holds ms: that of the longest
// alone is not enough where the shorter do not divide it, as 2m and 5m.
func periodStart(cfg *bars.Config, ms int64) int64 {
	for from := ms; ; ms = from {
		start, _ := cfg.Session.Period(market.M1, ms)
		from = min(from, start)
		for _, tf := range cfg.Timeframes {
			start, _ := cfg.Session.Period(tf, ms)
			from = min(from, start)
		}
		if from == ms {
			return ms
		}
	}
}

// restore takes a frame of the partition back into the fold.
func (w *Writer) restore(f *logs.Frame) error {
	c := bars.Close{Records: f.Records, Gaps: f.Gaps, Watermark: f.Watermark, Applied: f.Applied, Open: f.Open}
	if w.ids != nil {
		var err error
		if c.AppliedIDs, err = readIDs(f.Applied.Source.Opaque, w.env.Symbols); err != nil {
			return err
		}
		if c.OpenIDs, err = readIDs(f.Open.Source.Opaque, w.env.Symbols); err != nil {
			return err
		}
	}
	if f.Kind == logs.FrameConfig && f.Shape != nil && f.Shape.After != "" {
		w.fold.OtherSource(market.FloorDiv(f.Watermark-f.Shape.CloseGraceMs, 60_000) * 60_000)
	}
	w.fold.Restore(&c)
	w.mark = max(w.mark, f.Watermark)
	return nil
}

// checkpoint is what a frame says of how far its partition is.
type checkpoint struct {
	Watermark     int64
	Applied, Open market.Position
}

// configure writes the frame from which on the partition's bars have a shape. It stands
// where the last frame stood; a partition without one, or that had no symbols, begins where the plan says.
func (w *Writer) configure(ctx context.Context, p *plan) error {
	if w.last.Number == 0 || p.fresh {
		w.base.Watermark = max(w.base.Watermark, p.startMs)
		w.base.Applied.Source.Offset, w.base.Open.Source.Offset = p.start.Offset, p.start.Offset
	}
	if p.places {
		if err := w.place(p.shape, p.back); err != nil {
			return err
		}
	}
	f := &logs.Frame{Kind: logs.FrameConfig, Partition: uint8(w.Partition), Number: w.last.Number + 1, Token: w.Token,
		Tag: rand.Uint32(), ConfigGeneration: p.gen, Shape: p.shape, Gaps: p.gaps,
		Watermark: w.base.Watermark, Applied: w.base.Applied, Open: w.base.Open}
	if err := w.append(ctx, f); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	return nil
}
