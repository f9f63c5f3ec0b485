package ingest

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
)

// remakeTrades is how many trades a minute may have that is made again: they go into one batch of TICKS.
const remakeTrades = 100_000

// remake asks the vendor for all trades of a minute that is to be made again: those of its time, and of those that came
// out of their time the ones that the gap names by id.
func (r *repairer) remake(ctx context.Context, s feed.Symbol, g *market.Gap) ([]market.Entry, error) {
	trades, err := r.collect(ctx, feed.Stretch{Symbol: s, FromNs: g.FromMs * 1e6, ToNs: g.ToMs * 1e6}, remakeTrades)
	if err != nil || g.BeforeID == 0 {
		return trades, err
	}
	if n := g.BeforeID - g.AfterID; n > fillTrades {
		return nil, fmt.Errorf("its late trades lie among %d others: %w", n, feed.ErrUnrepairable)
	}
	late, err := r.collect(ctx, feed.Stretch{Symbol: s, AfterID: g.AfterID, BeforeID: g.BeforeID}, fillTrades)
	if err != nil {
		return nil, err
	}
	for _, e := range late {
		if e.Time >= g.FromMs*1e6 && e.Time < g.ToMs*1e6 {
			trades = append(trades, e)
		}
	}
	slices.SortStableFunc(trades, func(a, b market.Entry) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(trades, func(a, b market.Entry) bool { return a.ID != 0 && a.ID == b.ID }), nil
}

// collect is a stretch's trades, where there are not too many.
func (r *repairer) collect(ctx context.Context, s feed.Stretch, most int) (out []market.Entry, err error) {
	err = r.plane.live.Refill(ctx, s, func(e *market.Entry) error {
		if len(out) == most {
			return fmt.Errorf("there are more than %d: %w", most, feed.ErrUnrepairable)
		}
		out = append(out, *e)
		out[len(out)-1].Symbol = s.Symbol.Number
		return nil
	})
	return out, err
}

// ripe reports whether a gap can be mended now. A minute is made again once it is closed, and once everything else that it
// lacks is there: trades that came by both ways would count twice.
func (w *Writer) ripe(g *market.Gap, all []market.Gap) bool {
	if !g.Reason.Remakes() {
		return true
	}
	if g.ToMs+w.shape.CloseGraceMs > w.Progress().WatermarkMs {
		return false
	}
	return !slices.ContainsFunc(all, func(x market.Gap) bool {
		return !x.Reason.Remakes() && x.Symbol == g.Symbol && x.FromMs < g.ToMs && x.ToMs > g.FromMs
	})
}

// still reports whether a gap is still open that was asked for: as it was, or, of one that trades fill, with more of them.
func (w *Writer) still(g *market.Gap) bool {
	all := w.fold.OpenGaps(nil)
	return slices.ContainsFunc(all, func(x market.Gap) bool {
		if x.Symbol != g.Symbol || x.AfterID != g.AfterID || x.Reason.Remakes() != g.Reason.Remakes() {
			return false
		}
		if g.Reason.Remakes() {
			return x.FromMs == g.FromMs && x.Reason == g.Reason && x.BeforeID == g.BeforeID && w.ripe(&x, all)
		}
		return x.BeforeID == 0 || g.BeforeID != 0 && x.BeforeID >= g.BeforeID
	})
}
