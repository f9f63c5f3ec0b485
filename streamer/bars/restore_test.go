package bars

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/streamer/market"
)

// longerOf merges the newest records of the minutes in frames into the open periods of f,
// by symbol and timeframe.
func longerOf(t *testing.T, f *Fold, frames []Close) map[string]market.Record {
	t.Helper()
	newest := make(map[[2]int64]market.Record)
	for _, c := range frames {
		for _, r := range c.Records {
			if r.Timeframe == market.M1 {
				newest[[2]int64{int64(r.Symbol), r.StartMs}] = r
			}
		}
	}
	out := make(map[string]market.Record)
	for _, r := range newest {
		for _, tf := range f.frames {
			start, end := f.cfg.Session.Period(tf, r.StartMs)
			if end <= f.logEnd {
				continue
			}
			key := fmt.Sprint(r.Symbol, tf)
			l, ok := out[key]
			if !ok {
				l = market.Record{Symbol: r.Symbol, Timeframe: tf, StartMs: start, EndMs: end}
			}
			if err := l.Merge(&r); err != nil {
				t.Fatal(err)
			}
			out[key] = l
		}
	}
	maps.DeleteFunc(out, func(_ string, r market.Record) bool { return !holds(&r) })
	return out
}

func openLonger(f *Fold) map[string]market.Record {
	out := make(map[string]market.Record)
	for i := range f.symbols {
		for _, tf := range f.frames {
			if l := &f.symbols[i].longer[tf]; l.active && holds(&l.Record) {
				out[fmt.Sprint(l.Symbol, tf)] = l.Record
			}
		}
	}
	return out
}

// TestRestoreUnderAnotherWindow: whatever the revision window is, after a restart an open
// longer bar is the merge of its minutes' newest records, each once.
func TestRestoreUnderAnotherWindow(t *testing.T) {
	revised := 0
	for seed := range uint64(6) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		cfg := usConfig(t, "AAA", "BBB", "CCC")
		cfg.Timeframes = []market.Timeframe{market.M1, market.M10, market.M15, market.H4, market.D1}
		frames := run(New(cfg), randomEntries(rnd, 3, 700))
		for _, window := range []int64{0, minuteMs, 15 * minuteMs, 60 * minuteMs} {
			cfg.RevisionWindowMs = window
			f := New(cfg)
			for k := range frames[:len(frames)-1] { // the last is the end of the feed
				f.Restore(&frames[k])
				for _, r := range frames[k].Records {
					if r.Rev > 0 && r.Timeframe == market.M1 {
						revised++
					}
				}
				if d := cmp.Diff(longerOf(t, f, frames[:k+1]), openLonger(f)); d != "" {
					t.Fatalf("seed %d, a window of %d min, after frame %d:\n%s", seed, window/minuteMs, k, d)
				}
			}
		}
	}
	if revised < 100 {
		t.Errorf("only %d revisions", revised)
	}
}

// TestRepairOfAnyMinute: a minute that was made again, with less in it than it had, changes
// the longer bars that are open to just what its minutes make.
func TestRepairOfAnyMinute(t *testing.T) {
	for seed := range uint64(6) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		cfg := usConfig(t, "AAA", "BBB")
		frames := run(New(cfg), randomEntries(rnd, 2, 700))
		frames = frames[:len(frames)-1]
		f := New(cfg)
		var minutes []market.Record
		done := 0
		for k := 0; k < len(frames); k++ {
			f.Restore(&frames[k])
			for _, r := range frames[k].Records {
				if r.Timeframe == market.M1 && r.Flags&market.Void == 0 {
					minutes = append(minutes, r)
				}
			}
			if k%5 != 4 || len(minutes) == 0 || done == 60 {
				continue
			}
			r := minutes[rnd.IntN(len(minutes))]
			if start, _ := cfg.Session.Period(market.D1, f.watermark); r.StartMs < start {
				continue
			}
			made := market.Record{Symbol: r.Symbol, Timeframe: r.Timeframe, Flags: r.Flags & market.Extended, StartMs: r.StartMs, EndMs: r.EndMs, Rev: r.Rev + 20}
			e := market.Entry{Kind: market.Trade, Time: r.StartMs*nsPerMs + rnd.Int64N(minuteNs), Order: rnd.Uint64(),
				Price: market.Decimal{Coef: 10_000 + rnd.Int64N(300), Scale: 2}, Size: market.Decimal{Coef: 1 + rnd.Int64N(9)}}
			if err := made.AddTrade(&e, market.UseAll); err != nil {
				t.Fatal(err)
			}
			repair := frames[k]
			repair.Records, repair.Gaps = []market.Record{made}, nil
			frames = slices.Insert(frames, k+1, repair)
			k++
			done++
			f.Restore(&frames[k])
			if d := cmp.Diff(longerOf(t, f, frames[:k+1]), openLonger(f)); d != "" {
				t.Fatalf("seed %d, after the repair of %d at %d:\n%s", seed, made.StartMs, f.watermark, d)
			}
		}
		if done < 5 {
			t.Errorf("seed %d: only %d repairs", seed, done)
		}
	}
}

// TestLongerIsMergeOfMinutes: live too, whatever is late or cancelled.
func TestLongerIsMergeOfMinutes(t *testing.T) {
	void := 0
	for seed := range uint64(6) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		names := make([]string, 20) // many, so that a minute often has one trade
		for i := range names {
			names[i] = fmt.Sprint("S", i)
		}
		cfg := usConfig(t, names...)
		f := New(cfg)
		var frames []Close
		entries := randomEntries(rnd, len(names), 1500)
		for i := range entries {
			c := run(f, entries[i:i+1])
			if len(c) == 0 || c[0].Watermark == market.EndOfFeed {
				continue
			}
			frames = append(frames, c[0])
			for _, r := range c[0].Records {
				f.logEnd = max(f.logEnd, r.EndMs) // for longerOf
				if r.Flags&market.Void != 0 {
					void++
				}
			}
			if d := cmp.Diff(longerOf(t, f, frames), openLonger(f)); d != "" {
				t.Fatalf("seed %d, at %d:\n%s", seed, f.watermark, d)
			}
		}
	}
	if void < 10 {
		t.Errorf("only %d void records", void)
	}
}
