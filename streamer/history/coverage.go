package history

import (
	"slices"
	"sync"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// maxGaps bounds the gaps that are kept of a symbol; the oldest go first, and what lies
// before them is then unknown.
const maxGaps = 1000

// Coverage knows which stretches were observed: from when on a symbol is carried, what its
// partition's watermark has reached, and the gaps between. Frames come from one goroutine,
// questions from any.
type Coverage struct {
	mu        sync.RWMutex
	symbols   map[uint32]*covered
	watermark [market.Partitions]int64
	partition map[uint32]uint8
}

type covered struct {
	since int64 // ms from which on it is observed
	gaps  []market.Gap
}

func newCoverage() *Coverage {
	return &Coverage{symbols: make(map[uint32]*covered), partition: make(map[uint32]uint8)}
}

// Reset forgets all.
func (c *Coverage) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.symbols, c.partition = make(map[uint32]*covered), make(map[uint32]uint8)
	c.watermark = [market.Partitions]int64{}
}

// Apply takes the next frame of BARS; its symbol numbers are process-wide. number turns a
// name of the frame's shape into one.
func (c *Coverage) Apply(f *logs.Frame, number func(string) uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reached := f.Watermark
	if reached == market.EndOfFeed { // nobody has looked beyond the last bar
		reached = 0
		for i := range f.Records {
			reached = max(reached, f.Records[i].EndMs)
		}
	}
	c.watermark[f.Partition] = max(c.watermark[f.Partition], reached)
	if f.Shape != nil {
		for _, s := range f.Shape.Symbols {
			n := number(s.Name)
			c.partition[n] = f.Partition
			if c.symbols[n] == nil {
				c.symbols[n] = &covered{since: s.SinceMs}
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
	}
	for _, g := range f.Gaps {
		s := c.symbols[g.Symbol]
		if s == nil {
			continue
		}
		if g.State == market.GapOpen || g.State == market.GapUnrepairable {
			s.gaps = append(s.gaps, g)
		} else {
			s.gaps = slices.DeleteFunc(s.gaps, func(x market.Gap) bool { return x.FromMs >= g.FromMs && x.ToMs <= g.ToMs })
		}
		if n := len(s.gaps) - maxGaps; n > 0 {
			s.since = max(s.since, s.gaps[n-1].ToMs)
			s.gaps = slices.Delete(s.gaps, 0, n)
		}
	}
}

// known returns the stretch in which a symbol is observed, and the gaps in it.
func (c *Coverage) known(symbol uint32) (from, to int64, gaps []market.Gap) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := c.symbols[symbol]
	if s == nil {
		return 0, 0, nil
	}
	return s.since, c.watermark[c.partition[symbol]], slices.Clone(s.gaps)
}

// Span is a stretch [FromMs, ToMs) of one state: traded, empty (known to have no trade) or
// unknown.
type Span struct {
	FromMs int64  `json:"fromMs"`
	ToMs   int64  `json:"toMs"`
	State  string `json:"state"`
}

// spans cuts [from, to) into spans; bars are the symbol's 1m bars in it.
func (c *Coverage) spans(symbol uint32, from, to int64, bars []market.Bar) []Span {
	since, until, gaps := c.known(symbol)
	traded := make(map[int64]bool, len(bars))
	for i := range bars {
		traded[bars[i].StartMs] = true
	}
	out := []Span{}
	for at := from; at < to; {
		minute := market.Seq(at) * 60_000
		end := min(to, minute+60_000)
		state := "empty"
		switch {
		case slices.ContainsFunc(gaps, func(g market.Gap) bool { return g.FromMs < minute+60_000 && g.ToMs > minute }),
			since == 0, minute+60_000 <= since, minute+60_000 > until:
			state = "unknown"
		case traded[minute]:
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
