package bars

import (
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/streamer/market"
)

// said is a trade, for tests that say few.
func said(symbol uint32, offset uint64, ms int64, cents int64) market.Entry {
	return market.Entry{Kind: market.Trade, Symbol: symbol, Time: ms * nsPerMs, Offset: offset, Order: offset, ID: offset,
		Price: market.Decimal{Coef: cents, Scale: 2}, Size: market.Decimal{Coef: 1}}
}

func marked(ms int64, offset uint64) market.Entry {
	return market.Entry{Kind: market.Mark, Time: ms * nsPerMs, Offset: offset}
}

// restoredFrom is a fold under cfg that has the frames.
func restoredFrom(cfg Config, frames ...Close) *Fold {
	f := New(cfg)
	for i := range frames {
		f.Restore(&frames[i])
	}
	return f
}

// lines is what closes hold, a bar a line.
func lines(closes []Close) string {
	var b strings.Builder
	for _, c := range closes {
		for _, r := range c.Records {
			fmt.Fprintf(&b, "%v %d+%d n=%d rev=%d flags=%d\n", r.Timeframe, r.Symbol, (r.StartMs-base)/minuteMs, r.N, r.Rev, r.Flags)
		}
		for _, g := range c.Gaps {
			fmt.Fprintf(&b, "gap %d+%d %v\n", g.Symbol, (g.FromMs-base)/minuteMs, g.Reason)
		}
	}
	return b.String()
}

func graceConfig(t *testing.T, graceMs int64) Config {
	cfg := usConfig(t, "AAA", "BBB")
	cfg.Timeframes = []market.Timeframe{market.M5}
	cfg.CloseGraceMs = graceMs
	return cfg
}

// TestShorterGrace: minutes and longer bars that waited for the old grace are still open in
// the log; under a shorter one they close with the next watermark, with all that they had.
func TestShorterGrace(t *testing.T) {
	cfg := graceConfig(t, 10_000)
	entries := []market.Entry{said(0, 1, base, 100), marked(base+70_000, 1), // a close, so that there is a frame
		said(0, 2, base+4*minuteMs, 101), said(0, 3, base+5*minuteMs-1, 102),
		{Kind: market.Hole, Symbol: 1, Time: base * nsPerMs, Until: (base + 1) * nsPerMs, Offset: 4}, marked(base+5*minuteMs+2000, 4)}
	frames := run(New(cfg), entries)
	if len(frames) != 2 {
		t.Fatalf("%d frames", len(frames))
	}
	f := restoredFrom(graceConfig(t, 500), frames...)
	rest := append(after(entries, frames[1].Open.Source.Offset), marked(base+5*minuteMs+2100, 4))
	if d := gocmp.Diff("1m 0+4 n=2 rev=0 flags=0\n5m 0+0 n=3 rev=0 flags=0\n", lines(run(f, rest))); d != "" {
		t.Error(d)
	}
}

// TestLongerGrace: what the log has closed stays closed under a longer grace; what comes to it is a revision.
func TestLongerGrace(t *testing.T) {
	cfg := graceConfig(t, 0)
	frames := run(New(cfg), []market.Entry{said(0, 1, base+4*minuteMs, 101), said(1, 2, base+3*minuteMs, 100), marked(base+5*minuteMs, 2)})
	got := run(restoredFrom(graceConfig(t, 10_000), frames...), []market.Entry{
		said(0, 3, base+5*minuteMs-1, 103), // its minute and its 5m bar are in the log
		said(1, 4, base+5*minuteMs-1, 104), // its minute is new, its 5m bar is in the log
		marked(base+5*minuteMs+10_000, 4)})
	want := "5m 0+0 n=2 rev=1 flags=0\n1m 0+4 n=2 rev=1 flags=0\n1m 1+4 n=1 rev=0 flags=0\n5m 1+0 n=2 rev=1 flags=0\n"
	if d := gocmp.Diff(want, sortedLines(got)); d != "" {
		t.Error(d)
	}
}

// sortedLines puts the bars of symbol 0 first.
func sortedLines(closes []Close) string {
	var first, second string
	for _, l := range strings.SplitAfter(lines(closes), "\n") {
		if strings.Contains(l, " 0+") {
			first += l
		} else {
			second += l
		}
	}
	return first + second
}

// TestOverflowBesideAnotherGap: what an overflow in a closing minute marks is written with
// it, also when the Close has another gap already.
func TestOverflowBesideAnotherGap(t *testing.T) {
	frames := run(New(graceConfig(t, 0)), []market.Entry{said(1, 1, base+3*minuteMs, 100), marked(base+5*minuteMs, 1)})
	huge := said(1, 2, base+5*minuteMs-1, 0)
	huge.Price = market.Decimal{Coef: 1 << 62} // does not fit a bar that has cents
	f := restoredFrom(graceConfig(t, 10_000), frames...)
	got := run(f, []market.Entry{huge,
		{Kind: market.Hole, Symbol: 0, Time: base * nsPerMs, Until: (base + 1) * nsPerMs, Offset: 3},
		marked(base+5*minuteMs+10_000, 3)})
	want := "1m 1+4 n=1 rev=0 flags=1\n5m 1+0 n=1 rev=1 flags=1\ngap 0+0 unknown\ngap 1+4 overflow\n"
	if d := gocmp.Diff(want, lines(got)); d != "" {
		t.Error(d)
	}
	if len(f.pending) > 0 {
		t.Errorf("%d revisions wait", len(f.pending))
	}
}

// TestGapAtAMarkAfterRestart: a Mark may stand at the place where the log ends; what closes
// at it is new, its gaps too.
func TestGapAtAMarkAfterRestart(t *testing.T) {
	huge := said(0, 2, base+minuteMs, 0)
	huge.Price = market.Decimal{Coef: 1 << 62}
	entries := []market.Entry{said(0, 1, base, 100), huge, marked(base+minuteMs, 2), marked(base+2*minuteMs, 2)}
	whole := run(New(graceConfig(t, 0)), entries)
	if len(whole) != 2 {
		t.Fatalf("%d frames", len(whole))
	}
	f := restoredFrom(graceConfig(t, 0), whole[0])
	if d := gocmp.Diff(lines(whole[1:]), lines(run(f, append(after(entries, whole[0].Open.Source.Offset), entries[3])))); d != "" {
		t.Error(d)
	}
}

// TestJoiningTimeframe: a period of a timeframe that joins may have begun before anything was known of a
// symbol: its bar is partial, also once the gap at the beginning is filled; the next one is whole.
func TestJoiningTimeframe(t *testing.T) {
	began := base + 5*minuteMs // 5m: from here on; 3m: two minutes into a period
	cfg := graceConfig(t, 0)
	cfg.GaplessIDs = true
	hole := func(state market.GapState) market.Entry {
		return market.Entry{Kind: market.Hole, State: state, Symbol: 0, Time: began * nsPerMs, Until: (began + 1000) * nsPerMs, Reason: market.GapStart, ID: 7}
	}
	frames := run(New(cfg), []market.Entry{hole(market.GapOpen), said(0, 7, began+2000, 100), marked(began+3000, 7)})
	if len(frames) != 1 || len(frames[0].Gaps) != 1 {
		t.Fatalf("frames %v", frames)
	}
	cfg.Timeframes = append(cfg.Timeframes, market.M3)
	got := run(restoredFrom(cfg, frames...), []market.Entry{said(0, 7, began+2000, 100), said(0, 8, began+3000, 101),
		hole(market.GapFilling), said(0, 6, began+500, 99), hole(market.GapRepaired), marked(began+minuteMs, 8),
		said(0, 9, began+minuteMs, 102), marked(began+4*minuteMs, 9)})
	partial := ""
	for _, c := range got {
		for _, r := range c.Records {
			if r.Flags&market.Partial != 0 {
				partial += fmt.Sprintf("%v +%d\n", r.Timeframe, (r.StartMs-base)/minuteMs)
			}
		}
	}
	if partial != "3m +3\n" {
		t.Errorf("partial:\n%s\nof\n%s", partial, lines(got))
	}
}

// TestFillByID: what fills a gap is known by its id: the gap's times may be those of heartbeats.
func TestFillByID(t *testing.T) {
	cfg := graceConfig(t, 0)
	cfg.GaplessIDs = true
	hole := func(state market.GapState) market.Entry {
		return market.Entry{Kind: market.Hole, State: state, Symbol: 0, Time: (base + 5000) * nsPerMs, Until: (base + 6000) * nsPerMs,
			Reason: market.GapDisconnect, Order: 2, ID: 4}
	}
	entries := []market.Entry{said(0, 2, base+1000, 100), hole(market.GapOpen), said(0, 4, base+6000, 100), marked(base+minuteMs, 4),
		hole(market.GapFilling), said(0, 3, base+4900, 101), hole(market.GapRepaired), marked(base+2*minuteMs, 4)}
	for i := range entries {
		entries[i].Offset = 0 // a vendor has none
	}
	var last market.Record
	frames := run(New(cfg), entries[:4])
	for i := range frames {
		frames[i].AppliedIDs, frames[i].OpenIDs = []LastTrade{{ID: 4}}, []LastTrade{{ID: 4}}
	}
	for _, c := range run(restoredFrom(cfg, frames...), entries[4:]) {
		for _, r := range c.Records {
			last = r
		}
	}
	if last.N != 3 || last.Flags != 0 || last.Rev != 1 {
		t.Errorf("%+v, want a whole minute of 3 trades, a revision", last)
	}
}
