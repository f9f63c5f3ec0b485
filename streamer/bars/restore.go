package bars

import (
	"slices"

	"github.com/marketstream/marketstream/streamer/market"
)

// Restore takes back what one frame of the log holds, oldest first, before any entry. After
// the last one the fold goes on with the entries after its Open: those at or before its
// Applied count in open minutes only, as they already do in the log.
//
// Records of symbols that the fold does not carry are passed over. A timeframe that older
// frames do not have is merged from their 1m records; its periods that are over are not
// emitted again.
func (f *Fold) Restore(c *Close) {
	if c.Watermark > 0 {
		f.watermark = max(f.watermark, c.Watermark)
		f.lastClose = f.watermark
	}
	f.refusals = slices.DeleteFunc(f.refusals, func(r refusal) bool { return r.offset <= c.Open.Source.Offset })
	for k := range c.Gaps {
		g := &c.Gaps[k]
		if i := f.lookupNumber(g.Symbol); i >= 0 {
			f.restoreGap(&f.symbols[i], g)
			switch {
			case g.State != market.GapOpen:
			case g.Reason == market.GapLateTrade:
				f.symbols[i].markTooLate(g.FromMs)
			case g.Reason == market.GapEarlyTrade:
				f.refusals = append(f.refusals, refusal{g.Symbol, g.FromMs, c.Applied.Source.Offset})
			}
		}
	}
	for k := range c.Records {
		f.logEnd = max(f.logEnd, c.Records[k].EndMs)
	}
	for k := range c.Records {
		if i := f.lookupNumber(c.Records[k].Symbol); i >= 0 {
			f.restoreRecord(&f.symbols[i], &c.Records[k])
		}
	}
	for _, tf := range f.frames { // periods that closed without a record of theirs
		if f.ends[tf] != 0 && f.ends[tf] <= f.logEnd {
			f.ends[tf] = 0
			for i := range f.symbols {
				f.symbols[i].longer[tf].active = false
			}
		}
	}
	if f.watermark != unset {
		f.forget()
	}
	f.setDue()
	f.applied, f.before = c.Applied, c.Open
	f.restored = max(f.restored, c.Applied.Source.Offset)
	f.restoredTick = c.Applied.Tick
	f.restoreIDs(c.AppliedIDs, c.OpenIDs)
}

// LogEnd is the latest end of a bar in the frames that were restored, in ms; the least number there is if there were none.
func (f *Fold) LogEnd() int64 { return f.logEnd }

// MinutesEnd is where the newest minute of a symbol ends that the log has, in ms; 0: it has none.
func (f *Fold) MinutesEnd(number uint32) int64 {
	if i := f.lookupNumber(number); i >= 0 && f.symbols[i].last[market.M1] != unset {
		return f.symbols[i].last[market.M1] + minuteMs
	}
	return 0
}

// Lost says, after the last frame was restored, that what the open minutes were made of cannot be read again:
// they are gaps, and what comes next comes after at.
func (f *Fold) Lost(gaps []market.Gap, at market.Position) {
	f.again = false
	for _, g := range gaps {
		if i := f.lookupNumber(g.Symbol); i >= 0 {
			f.cutGaps(&f.symbols[i], g.FromMs)
			f.record(i, g)
			f.sawID(&f.symbols[i], g.BeforeID-1, g.ToMs*nsPerMs)
			f.stats.Holes++
		}
	}
	f.before = at
}

func (f *Fold) lookupNumber(number uint32) int32 {
	if int(number) >= len(f.index) {
		return -1
	}
	return f.index[number]
}

func (f *Fold) restoreRecord(s *symbol, r *market.Record) {
	tf := r.Timeframe
	old := &f.scratch
	known := tf == market.M1 && s.minuteOf(r.StartMs, old)
	c := s.closedAt(tf, r.StartMs, r.EndMs)
	c.Record, c.emitted, c.dirty = *r, f.watermark, false
	s.last[tf] = max(s.last[tf], r.StartMs)
	if tf != market.M1 {
		if l := &s.longer[tf]; l.active && l.StartMs == r.StartMs && l.EndMs == r.EndMs {
			l.active = false
		}
		return
	}
	if !known {
		old = nil
	}
	f.restoreLonger(s, old, r)
}

// restoreLonger brings the open record of every longer timeframe from a minute's old
// record (nil: none) to the one in the log.
func (f *Fold) restoreLonger(s *symbol, old, r *market.Record) {
	for _, tf := range f.frames {
		start, end := f.period(tf, r.StartMs)
		if end <= f.logEnd || s.emitted(tf, start, end) {
			continue // the log has the period's own record
		}
		_ = f.update(s, f.longer(s, tf, start, end), old, r) // what overflows now overflowed then, and stands in the log as a gap
	}
}
