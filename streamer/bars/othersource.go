package bars

import (
	"slices"

	"github.com/marketstream/marketstream/streamer/market"
)

// OtherSource says, while frames are restored, that the next one begins with another source, as one vendor takes over from
// another: ids, and what filled open minutes, are none of its. From fromMs on, where the minutes were open, nothing is known
// until a gap says so. What was missing of the source before is missing for good; minutes to be made again are, of the new one's trades.
func (f *Fold) OtherSource(fromMs int64) {
	for i := range f.symbols {
		s := &f.symbols[i]
		s.lastID, s.lastIDMs, s.restoredID, s.filling = 0, 0, 0, filling{}
		s.sourceMs, s.sourceChanged = fromMs, fromMs > 0 && s.SinceMs < fromMs // else it begins with this source
	}
	f.open = slices.DeleteFunc(f.open, func(g market.Gap) bool {
		if g.Reason.Remakes() {
			return false
		}
		if g.State == market.GapOpen {
			f.abandoned = append(f.abandoned, g)
		}
		return true
	})
	for k := range f.open {
		f.open[k].AfterID, f.open[k].BeforeID = 0, 0
	}
}

// Abandon says, after the last frame was restored, what the log does not say yet of gaps that nobody can fill any more.
func (f *Fold) Abandon() {
	for _, g := range f.abandoned {
		g.State = market.GapUnrepairable
		f.gaps = append(f.gaps, g)
	}
	f.abandoned = nil
}

// SourceFrom is from where on a symbol's minutes are unknown because its source took over from another, in ms; ok is false
// where none did, or a gap says it.
func (f *Fold) SourceFrom(number uint32) (ms int64, ok bool) {
	i := f.lookupNumber(number)
	if i < 0 || !f.symbols[i].sourceChanged {
		return 0, false
	}
	return f.symbols[i].sourceMs, true
}
