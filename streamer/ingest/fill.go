package ingest

import (
	"context"
	"fmt"
	"slices"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// fill is what a gap turned out to be: its trades, or that nobody has them.
type fill struct {
	// gap is the gap, or its beginning: the trades up to BeforeID are all there are.
	gap market.Gap
	// trades are oldest first; of a minute that is made again, all that it has.
	trades []market.Entry
	done   chan error // gets what became of it
}

// fill takes a gap's trades in: as one batch of TICKS, so that a restart finds all or none.
func (w *Writer) fill(ctx context.Context, f *fill) (err error) {
	defer func() { f.done <- err }()
	if !w.still(&f.gap) {
		return nil // it was filled meanwhile, its symbol has gone, or more is missing
	}
	hole := market.Entry{Kind: market.Hole, Symbol: f.gap.Symbol, Time: f.gap.FromMs * 1e6, Until: f.gap.ToMs * 1e6,
		Reason: f.gap.Reason, Order: f.gap.AfterID, ID: f.gap.BeforeID}
	entries := make([]market.Entry, 0, len(f.trades)+2)
	if f.gap.State != market.GapUnrepairable {
		if !w.fold.Knows(f.gap.FromMs) {
			if err := w.recall(ctx, &f.gap); err != nil {
				return err
			}
		}
		hole.State = market.GapFilling
		entries = append(append(entries, hole), f.trades...)
	}
	hole.State = f.gap.State
	entries = append(entries, hole)
	if err := w.publish(ctx, entries); err != nil {
		return err
	}
	if _, err := w.take(ctx, entries, 0); err != nil {
		return err
	}
	if !f.gap.Reason.Remakes() {
		w.env.Metrics.FeedTicks.Add(float64(len(f.trades)))
	}
	w.report()
	w.reportGaps()
	return nil
}

// recall gives the fold back what BARS has of a symbol around a gap that is older than it remembers.
func (w *Writer) recall(ctx context.Context, g *market.Gap) error {
	cfg := w.fold.Config()
	from, to := g.FromMs, g.ToMs
	for _, tf := range cfg.Timeframes {
		start, _ := cfg.Session.Period(tf, g.FromMs)
		_, end := cfg.Session.Period(tf, g.ToMs)
		from, to = min(from, start), max(to, end)
	}
	since := uint64(1)
	if w.env.Since != nil {
		since = w.env.Since(w.Partition, from-cfg.RevisionWindowMs-60_000)
	}
	type key struct {
		tf    market.Timeframe
		start int64
	}
	newest := make(map[key]market.Record)
	err := w.env.Bars.Read(ctx, max(since, 1), func(e logs.Entry) error {
		if e.Partition != w.Partition {
			return nil
		}
		f, err := logs.DecodeFrame(e.Data)
		if err != nil {
			return fmt.Errorf("frame at sequence %d: %w", e.Seq, err)
		}
		logs.Remap(f, w.env.Symbols)
		for i := range f.Records {
			if r := &f.Records[i]; r.Symbol == g.Symbol && r.StartMs < to && r.EndMs > from {
				newest[key{r.Timeframe, r.StartMs}] = *r
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading BARS: %w", err)
	}
	records := make([]market.Record, 0, len(newest))
	for _, r := range newest {
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b market.Record) int { return int(a.Timeframe) - int(b.Timeframe) })
	w.fold.Recall(records)
	return nil
}

// reportGaps lets the repairer see which gaps are open.
func (w *Writer) reportGaps() {
	if !w.live {
		return
	}
	gaps := w.fold.OpenGaps(nil)
	if old := w.openGaps.Load(); old == nil || !slices.Equal(*old, gaps) {
		w.openGaps.Store(&gaps)
	}
}
