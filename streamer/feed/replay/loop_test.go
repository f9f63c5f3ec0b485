package replay

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
)

// looped replays in loops from a place and stops after so many entries.
func looped(t *testing.T, opts Options, from uint64, entries int) (out []market.Entry) {
	t.Helper()
	opts.Speed, opts.Loop = feed.Max, true
	s := &sink{after: entries}
	if err := opened(t, opts, "SPY", "QQQ").Run(context.Background(), market.SourcePosition{Offset: from}, 0, s); !errors.Is(err, errStop) {
		t.Fatal(err)
	}
	return s.trades()
}

func times(trades []market.Entry) (ms []int64) {
	for _, e := range trades {
		ms = append(ms, e.Time/1e6)
	}
	return ms
}

// TestLoops: every loop is later by the fewest whole longest timeframes, and goes on from
// any place as the first run did.
func TestLoops(t *testing.T) {
	path := file(t, t.TempDir(), "a.csv", two)
	whole := looped(t, Options{Path: path}, 0, 40)
	want := []int64{1000, 1150, 1149, 1350, 61_000, 61_150, 61_149, 61_350, 121_000}
	if d := cmp.Diff(want, times(whole)[:len(want)]); d != "" {
		t.Fatal(d)
	}
	for i := range whole[:12] {
		got := looped(t, Options{Path: path}, whole[i].Offset, 12)
		if d := cmp.Diff(whole[i+1:i+1+len(got)], got); d != "" {
			t.Fatalf("after %x:\n%s", whole[i].Offset, d)
		}
	}
}

// TestLoopsOfALog: what the log keeps holds, whatever the longest timeframe is now.
func TestLoopsOfALog(t *testing.T) {
	path := file(t, t.TempDir(), "a.csv", two)
	s := opened(t, Options{Path: path, Loop: true, Largest: market.M5})
	loopMs, err := s.LoopMs(context.Background())
	if err != nil || loopMs != 300_000 {
		t.Fatalf("a loop of %d ms, %v; want 300000", loopMs, err)
	}
	place := uint64(3)<<loopShift | 1
	before := looped(t, Options{Path: path, Largest: market.M5, LoopMs: loopMs}, place, 12)
	for _, tf := range []market.Timeframe{market.M1, market.D1} {
		after := looped(t, Options{Path: path, Largest: tf, LoopMs: loopMs}, place, 12)
		if d := cmp.Diff(before, after); d != "" {
			t.Errorf("with %v as the longest:\n%s", tf, d)
		}
	}
	if ms, err := opened(t, Options{Path: path}).LoopMs(context.Background()); ms != 0 || err != nil {
		t.Errorf("without loops: %d, %v", ms, err)
	}
}

// TestLoopTooShort: a recording that has grown beyond its loops would say times that fall back.
func TestLoopTooShort(t *testing.T) {
	path := file(t, t.TempDir(), "a.csv", two)
	for _, loopMs := range []int64{350, -1} {
		out := &sink{after: 100}
		err := opened(t, Options{Path: path, Loop: true, Speed: feed.Max, LoopMs: loopMs}, "SPY").Run(context.Background(), market.SourcePosition{}, 0, out)
		if err == nil || !strings.Contains(err.Error(), "it is 350 ms long") || out.status[len(out.status)-1].State != feed.Failed {
			t.Errorf("%d ms: %v", loopMs, err)
		}
	}
	if got := looped(t, Options{Path: path, LoopMs: 351}, 0, 20); got[4].Time != 1351e6 {
		t.Errorf("the second loop begins at %d", got[4].Time)
	}
}
