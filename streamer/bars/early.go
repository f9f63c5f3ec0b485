package bars

import (
	"slices"

	"github.com/marketstream/marketstream/streamer/market"
)

// A trade may come before its time: the watermark of a live feed stands while a connection
// begins, and a venue's clock may be wrong. Its minute is open until the watermark passes
// it, and as long as it is open a restart begins before it. So a Close takes out what lies
// more than earlyMs ahead: counted, and a gap. (Replay and synthetic say the watermark
// before the trade that moves it, over nights and weekends too: nothing of theirs is early.)
const earlyMs = 5 * minuteMs

// markableMs is how far ahead a gap may be and make bars partial when their time comes.
const markableMs = 24 * 60 * minuteMs

// refusal says that the trades of a minute up to a place in the source were refused.
type refusal struct {
	number  uint32 // of the symbol
	startMs int64
	offset  uint64
}

// refuseEarly takes out the minutes that lie too far ahead.
func (f *Fold) refuseEarly() {
	for n := len(f.minutes); n > 0 && f.minutes[n-1].startMs > f.watermark+earlyMs; n = len(f.minutes) {
		m := f.minutes[n-1]
		f.minutes = f.minutes[:n-1]
		for i := range f.symbols {
			s := &f.symbols[i]
			k := len(s.open) - 1
			if k < 0 || s.open[k].StartMs != m.startMs {
				continue
			}
			if o := &s.open[k]; o.taken > 0 {
				f.stats.TooEarly += uint64(o.taken)
				f.gap(int32(i), o.StartMs, o.EndMs, market.GapEarlyTrade)
			}
			s.lastNs = 0
			f.giveIDs(&s.open[k].ids)
			s.open = slices.Delete(s.open, k, k+1)
		}
	}
}

// refused reports whether a trade that was applied before the restart was refused then.
func (f *Fold) refused(e *market.Entry, startMs int64) bool {
	return f.again && slices.ContainsFunc(f.refusals, func(r refusal) bool {
		return r.number == e.Symbol && r.startMs == startMs && e.Offset <= r.offset
	})
}
