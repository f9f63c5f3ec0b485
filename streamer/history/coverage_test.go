package history

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// TestSymbolAway: what happened while a symbol was not carried is unknown, not empty.
func TestSymbolAway(t *testing.T) {
	at := func(m int64) int64 { return t0 + m*60_000 }
	c := newCoverage()
	apply := func(f *logs.Frame) { c.Apply(f, func(string) uint32 { return 0 }) }
	with := &logs.Shape{Symbols: []logs.ShapeSymbol{{Name: "SPY", SinceMs: at(0)}}}
	apply(&logs.Frame{Kind: logs.FrameConfig, Watermark: at(0), Shape: with})
	apply(&logs.Frame{Kind: logs.FrameConfig, Watermark: at(10), Shape: &logs.Shape{}, Gaps: []market.Gap{{FromMs: at(10), ToMs: at(10), State: market.GapRemoved}}})
	apply(&logs.Frame{Kind: logs.FrameBars, Watermark: at(20)})
	want := []Span{{at(0), at(10), "empty"}, {at(10), at(40), "unknown"}}
	if d := cmp.Diff(want, c.spans(0, at(0), at(40), nil)); d != "" {
		t.Error("while it is away: ", d)
	}
	apply(&logs.Frame{Kind: logs.FrameConfig, Watermark: at(30), Shape: &logs.Shape{Symbols: []logs.ShapeSymbol{{Name: "SPY", SinceMs: at(30)}}}})
	apply(&logs.Frame{Kind: logs.FrameBars, Watermark: at(35)})
	want = []Span{{at(0), at(10), "empty"}, {at(10), at(30), "unknown"}, {at(30), at(35), "empty"}, {at(35), at(40), "unknown"}}
	if d := cmp.Diff(want, c.spans(0, at(0), at(40), nil)); d != "" {
		t.Error("when it is back: ", d)
	}
	apply(&logs.Frame{Kind: logs.FrameConfig, Watermark: at(40), Shape: with}) // the same shape, or another, says nothing new
	if d := cmp.Diff(want[:3], c.spans(0, at(0), at(35), nil)); d != "" {
		t.Error(d)
	}
}

// TestNotEmptyBeforeItCloses: a minute that waits for late trades is unknown, and so is what the last longer bar of a feed reaches
// beyond its last minute.
func TestNotEmptyBeforeItCloses(t *testing.T) {
	at := func(m int64) int64 { return t0 + m*60_000 }
	c := newCoverage()
	apply := func(f *logs.Frame) { c.Apply(f, func(string) uint32 { return 0 }) }
	shape := &logs.Shape{CloseGraceMs: 60_000, Symbols: []logs.ShapeSymbol{{Name: "SPY", SinceMs: at(0)}}}
	apply(&logs.Frame{Kind: logs.FrameConfig, Watermark: at(0), Shape: shape})
	apply(&logs.Frame{Kind: logs.FrameBars, Watermark: at(10)})
	want := []Span{{at(0), at(9), "empty"}, {at(9), at(12), "unknown"}}
	if d := cmp.Diff(want, c.spans(0, at(0), at(12), nil)); d != "" {
		t.Error("in its grace: ", d)
	}
	apply(&logs.Frame{Kind: logs.FrameBars, Watermark: market.EndOfFeed, Records: []market.Record{
		{Timeframe: market.M1, StartMs: at(10), EndMs: at(11)}, {Timeframe: market.M5, StartMs: at(10), EndMs: at(15)}}})
	want = []Span{{at(0), at(10), "empty"}, {at(10), at(11), "traded"}, {at(11), at(15), "unknown"}}
	if d := cmp.Diff(want, c.spans(0, at(0), at(15), []market.Bar{{StartMs: at(10)}})); d != "" {
		t.Error("at the end: ", d)
	}
}

// TestSpansAgainstModel looks at each minute by itself.
func TestSpansAgainstModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		c := newCoverage()
		since, until := t0+rnd.Int64N(50)*10_000, t0+(400+rnd.Int64N(100))*10_000
		c.Apply(&logs.Frame{Kind: logs.FrameConfig, Watermark: until, Shape: &logs.Shape{Symbols: []logs.ShapeSymbol{{Name: "SPY", SinceMs: since}}}}, func(string) uint32 { return 0 })
		var gaps []market.Gap
		for range rnd.IntN(8) {
			from := t0 + rnd.Int64N(500)*10_000
			gaps = append(gaps, market.Gap{FromMs: from, ToMs: from + rnd.Int64N(60)*10_000})
		}
		c.Apply(&logs.Frame{Gaps: gaps}, nil)
		var bars []market.Bar
		for m := range int64(90) {
			if rnd.IntN(2) == 0 {
				bars = append(bars, market.Bar{StartMs: t0 + m*60_000})
			}
		}
		from := t0 + rnd.Int64N(100)*10_000
		to := from + 1 + rnd.Int64N(500)*10_000
		for _, s := range c.spans(0, from, to, bars) {
			for at := s.FromMs; at < s.ToMs; at = min(s.ToMs, at-at%60_000+60_000) {
				minute, want := at-at%60_000, "empty"
				for i := range bars {
					if bars[i].StartMs == minute {
						want = "traded"
					}
				}
				for _, g := range gaps {
					if g.FromMs < minute+60_000 && g.ToMs > minute {
						want = "unknown"
					}
				}
				if minute+60_000 <= since || minute+60_000 > until {
					want = "unknown"
				}
				if s.State != want {
					t.Fatalf("minute %d is %s, want %s", (minute-t0)/60_000, s.State, want)
				}
			}
		}
	}
}
