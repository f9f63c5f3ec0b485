package ingest

import (
	"math"
	"slices"
	"strings"

	"github.com/marketstream/marketstream/streamer/bars"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// A symbol of a venue with gapless ids may leave and come back. What the log has of it then are its closed minutes, and
// gaps in these. Of the minute that was open it has nothing: who wrote the partition meanwhile kept none of it, and
// moved Open on without it, so TICKS does not have it all. So the shape remembers the newest trade that was applied
// when it left: up to it the minutes that were open are a gap; what comes after it the next trade's id says.

// comeAndGo adds to a new shape where symbols leave and join, and to the plan the gaps of those that are back.
func (o *opening) comeAndGo(p *plan, n *logs.Shape, c *Claim) error {
	head := &o.heads[c.Partition]
	if head.Shape == nil || head.Frame == nil {
		return nil // they begin with the log, or go on
	}
	ids, err := readIDs(head.Frame.Applied.Source.Opaque, o.env.Symbols)
	if err != nil {
		return err
	}
	newest := make(map[uint32]bars.LastTrade)
	for _, x := range ids {
		newest[x.Symbol] = x
	}
	had, gone := make(map[string]bool), make(map[string]logs.RemovedSymbol)
	for _, s := range head.Shape.Symbols {
		had[strings.ToUpper(s.Name)] = true
	}
	for _, s := range head.Shape.Removed {
		gone[strings.ToUpper(s.Name)] = s
	}
	for i := range n.Removed {
		s := &n.Removed[i]
		if _, before := gone[strings.ToUpper(s.Name)]; !before {
			x := newest[o.env.Symbols.Intern(s.Name)]
			s.UntilID, s.UntilIDMs = x.ID, x.TimeMs
		}
		if p.changed {
			s.UntilID, s.UntilIDMs = 0, 0 // another venue's
		}
	}
	for i := range n.Symbols {
		s := &n.Symbols[i]
		key := strings.ToUpper(s.Name)
		if had[key] {
			continue
		}
		s.SinceTick = c.endOfTicks()
		left, back := gone[key]
		if !back || left.UntilID == 0 || p.changed {
			continue // its first trade says from where on it is missing
		}
		number := o.env.Symbols.Intern(s.Name)
		p.back = append(p.back, bars.LastTrade{Symbol: number, ID: left.UntilID, TimeMs: left.UntilIDMs})
		if left.UntilIDMs >= left.UntilMs {
			p.gaps = append(p.gaps, market.Gap{Symbol: number, FromMs: left.UntilMs, ToMs: left.UntilIDMs + 1,
				BeforeID: left.UntilID + 1, Reason: market.GapSymbolAdded})
		}
	}
	return nil
}

// endOfTicks is behind everything that TICKS has of a partition before its writer of this claim.
func (c *Claim) endOfTicks() market.TickPosition {
	return market.TickPosition{Token: c.Token, Batch: c.Batches, Index: math.MaxUint32}
}

// place says in the checkpoint where the symbols of a shape are: those that stay where they were, those that are back where
// they left. The others have no place yet.
func (w *Writer) place(shape *logs.Shape, back []bars.LastTrade) error {
	stay := make(map[uint32]bool)
	for _, s := range shape.Symbols {
		stay[w.env.Symbols.Intern(s.Name)] = true
	}
	for _, x := range back {
		stay[x.Symbol] = false
	}
	for _, at := range []*market.Position{&w.base.Applied, &w.base.Open} {
		ids, err := readIDs(at.Source.Opaque, w.env.Symbols)
		if err != nil {
			return err
		}
		ids = slices.DeleteFunc(ids, func(x bars.LastTrade) bool { return !stay[x.Symbol] })
		at.Source.Opaque = appendIDs(nil, append(ids, back...), w.env.Symbols)
	}
	return nil
}

// joinedAfter reports whether a symbol joined after a place in TICKS: an entry there is of another time in which it was carried.
func (w *Writer) joinedAfter(e *market.Entry, at market.TickPosition) bool {
	since, ok := w.since[e.Symbol]
	return ok && e.Kind != market.Mark && at.Compare(since) <= 0
}
