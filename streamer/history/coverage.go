package history

import (
	"cmp"
	"slices"
	"sort"
	"sync"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// maxGaps bounds the gaps that are kept of a symbol; the oldest go first, and what lies
// before them is then unknown.
const maxGaps = 1000

// Coverage knows which stretches were observed: from when on a symbol is carried, up to where the
// minutes of its partition have closed, and the gaps between. Frames come from one goroutine,
// questions from any.
type Coverage struct {
	mu        sync.RWMutex
	symbols   map[uint32]*covered
	closed    [market.Partitions]int64 // up to where minutes have closed
	grace     [market.Partitions]int64 // ms for which a minute waits for late trades, as the newest shape says
	partition map[uint32]uint8
}

type covered struct {
	first   int64 // start of the oldest record that was seen; 0: none
	since   int64 // ms from which on it is observed
	removed int64 // ms from which on it is not: it is carried no more; 0: it is
	gaps    []market.Gap
}

// stretches are stretches of time, by their beginnings, without two that touch.
type stretches []stretch

type stretch struct{ from, to int64 }

// touch reports whether any of them lies in [from, to), if only in part.
func (s stretches) touch(from, to int64) bool {
	at := sort.Search(len(s), func(i int) bool { return s[i].to > from })
	return at < len(s) && s[at].from < to
}

func newCoverage() *Coverage {
	return &Coverage{symbols: make(map[uint32]*covered), partition: make(map[uint32]uint8)}
}

// Reset forgets all.
func (c *Coverage) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.symbols, c.partition = make(map[uint32]*covered), make(map[uint32]uint8)
	c.closed, c.grace = [market.Partitions]int64{}, [market.Partitions]int64{}
}

// Apply takes the next frame of BARS; its symbol numbers are process-wide. number turns a
// name of the frame's shape into one.
func (c *Coverage) Apply(f *logs.Frame, number func(string) uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.Shape != nil {
		c.grace[f.Partition] = f.Shape.CloseGraceMs
	}
	reached := int64(0)
	if f.Watermark != market.EndOfFeed { // nobody has looked beyond the last bar
		reached = f.Watermark - c.grace[f.Partition]
	}
	for i := range f.Records { // a longer bar of the end of a feed ends later than what was looked at
		if r := &f.Records[i]; r.Timeframe == market.M1 {
			reached = max(reached, r.EndMs)
		}
	}
	c.closed[f.Partition] = max(c.closed[f.Partition], reached)
	if f.Shape != nil {
		for _, s := range f.Shape.Symbols {
			n := number(s.Name)
			c.partition[n] = f.Partition
			switch known := c.symbols[n]; {
			case known == nil:
				c.symbols[n] = &covered{since: s.SinceMs}
			case known.removed != 0: // it was away, and is back
				if s.SinceMs > known.removed {
					known.add(market.Gap{FromMs: known.removed, ToMs: s.SinceMs, State: market.GapUnrepairable})
				}
				known.removed = 0
			}
		}
	}
	for i := range f.Records { // a log whose beginning is gone names no shape at first
		r := &f.Records[i]
		s := c.symbols[r.Symbol]
		if s == nil {
			s = &covered{since: r.StartMs}
			c.symbols[r.Symbol], c.partition[r.Symbol] = s, f.Partition
		}
		if s.since == 0 {
			s.since = r.StartMs
		}
		if s.first == 0 || r.StartMs < s.first {
			s.first = r.StartMs
		}
	}
	for _, g := range f.Gaps {
		s := c.symbols[g.Symbol]
		if s == nil {
			continue
		}
		switch g.State {
		case market.GapOpen, market.GapUnrepairable:
			s.add(g)
		case market.GapRepaired:
			s.gaps = slices.DeleteFunc(s.gaps, func(x market.Gap) bool { return x.Reason == g.Reason && x.FromMs >= g.FromMs && x.ToMs <= g.ToMs })
		case market.GapRemoved:
			s.removed = g.FromMs
		}
	}
}

// add adds a gap; the oldest goes where there are too many.
func (s *covered) add(g market.Gap) {
	s.gaps = append(s.gaps, g)
	if n := len(s.gaps) - maxGaps; n > 0 {
		s.since = max(s.since, s.gaps[n-1].ToMs)
		s.gaps = slices.Delete(s.gaps, 0, n)
	}
}

// known returns the stretch in which a symbol is observed, and what is unknown in it.
func (c *Coverage) known(symbol uint32) (from, to int64, unknown stretches) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := c.symbols[symbol]
	if s == nil {
		return 0, 0, nil
	}
	to = c.closed[c.partition[symbol]]
	if s.removed != 0 {
		to = min(to, s.removed)
	}
	for _, g := range s.gaps {
		unknown = append(unknown, stretch{g.FromMs, g.ToMs})
	}
	return s.since, to, unknown.merged()
}

// oldest is where the oldest record of a symbol starts; 0: there is none.
func (c *Coverage) oldest(symbol uint32) int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if s := c.symbols[symbol]; s != nil {
		return s.first
	}
	return 0
}

// merged sorts stretches and makes one of those that touch.
func (s stretches) merged() stretches {
	slices.SortFunc(s, func(a, b stretch) int { return cmp.Compare(a.from, b.from) })
	out := s[:0]
	for _, x := range s {
		if n := len(out); n > 0 && x.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, x.to)
		} else {
			out = append(out, x)
		}
	}
	return out
}

// Span is a stretch [FromMs, ToMs) of one state: traded, empty (known to have no trade) or
// unknown.
type Span struct {
	FromMs int64  `json:"fromMs"`
	ToMs   int64  `json:"toMs"`
	State  string `json:"state"`
}

// spans cuts [from, to) into spans; bars are the symbol's 1m bars in it, oldest first.
func (c *Coverage) spans(symbol uint32, from, to int64, bars []market.Bar) []Span {
	since, until, unknown := c.known(symbol)
	out := []Span{}
	for at := from; at < to; {
		minute := market.Seq(at) * 60_000
		end := min(to, minute+60_000)
		for len(unknown) > 0 && unknown[0].to <= minute {
			unknown = unknown[1:]
		}
		for len(bars) > 0 && bars[0].StartMs < minute {
			bars = bars[1:]
		}
		state := "empty"
		switch {
		case len(unknown) > 0 && unknown[0].from < minute+60_000,
			since == 0, minute+60_000 <= since, minute+60_000 > until:
			state = "unknown"
		case len(bars) > 0 && bars[0].StartMs == minute:
			state = "traded"
		}
		if n := len(out); n > 0 && out[n-1].State == state {
			out[n-1].ToMs = end
		} else {
			out = append(out, Span{at, end, state})
		}
		at = end
	}
	return out
}
