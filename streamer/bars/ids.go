package bars

import "github.com/marketstream/marketstream/streamer/market"

// LastTrade is the newest trade of a symbol, by the venue's id.
type LastTrade struct {
	Symbol uint32 // process-wide
	ID     uint64
	TimeMs int64
}

// Config returns what the fold was made with.
func (f *Fold) Config() Config { return f.cfg }

// hadID reports whether the log has a trade already, by its id.
func (f *Fold) hadID(s *symbol, id uint64) bool {
	return f.cfg.GaplessIDs && id != 0 && id <= s.restoredID
}

// sawID takes the id of a trade that was looked at.
func (f *Fold) sawID(s *symbol, id uint64, timeNs int64) {
	if f.cfg.GaplessIDs && id > s.lastID {
		s.lastID, s.lastIDMs = id, market.FloorDiv(timeNs, nsPerMs)
	}
}

// ids appends the newest trade of each symbol that has one to dst.
func (f *Fold) ids(dst []LastTrade) []LastTrade {
	if !f.cfg.GaplessIDs {
		return nil
	}
	dst = dst[:0]
	for i := range f.symbols {
		s := &f.symbols[i]
		if s.lastID != 0 {
			dst = append(dst, LastTrade{s.Number, s.lastID, s.lastIDMs})
		}
	}
	return dst
}

// restoreIDs takes back where a frame says that its partition was: applied is what the
// records hold or the open minutes held, open where those began.
func (f *Fold) restoreIDs(applied, open []LastTrade) {
	for _, x := range applied {
		if i := f.lookupNumber(x.Symbol); i >= 0 {
			f.symbols[i].restoredID = max(f.symbols[i].restoredID, x.ID)
		}
	}
	for _, x := range open {
		if i := f.lookupNumber(x.Symbol); i >= 0 {
			f.symbols[i].lastID, f.symbols[i].lastIDMs = x.ID, x.TimeMs
		}
	}
}
