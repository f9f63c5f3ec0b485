package bars

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/streamer/market"
)

// TestTradeFarAhead: it is taken out at the next Close, counted and a gap; after that a
// restart begins where the open minutes do.
func TestTradeFarAhead(t *testing.T) {
	year := int64(365 * 24 * 60)
	for _, c := range []struct {
		name    string
		minutes int64 // ahead
		refused uint64
		want    string
	}{
		{"by less than five minutes", 6, 0, "1m 0+0 n=1 rev=0 flags=0\n"}, // four from the watermark at the close
		{"by more", 7, 1, "1m 0+0 n=1 rev=0 flags=0\ngap 0+7 early_trade\n"},
		{"by a year", year, 1, "1m 0+0 n=1 rev=0 flags=0\ngap 0+525600 early_trade\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := New(graceConfig(t, 2000))
			entries := []market.Entry{marked(base, 0), said(0, 1, base, 100), said(0, 2, base+c.minutes*minuteMs, 900)}
			if got := run(f, entries); len(got) > 0 {
				t.Fatal("closed before a mark")
			}
			if st, ok := f.State(0); !ok || c.refused > 0 && (st.Micro.Close != 100 || st.TsMs != base) {
				t.Errorf("state %+v, %v: want the trade that is on time", st, ok)
			}
			got := run(f, []market.Entry{marked(base+minuteMs+2000, 2)})
			if d := gocmp.Diff(c.want, lines(got)); d != "" {
				t.Error(d)
			}
			if f.Stats().TooEarly != c.refused {
				t.Errorf("%+v", f.Stats())
			}
			got = run(f, []market.Entry{said(0, 3, base+90_000, 101), marked(base+2*minuteMs+2000, 3)})
			if open := got[0].Open.Source.Offset; (open < 3) != (c.refused == 0) {
				t.Errorf("a restart begins after %d", open)
			}
		})
	}
}

// TestWatermarkThatStood: trades of a live feed come before the watermark of a connection
// moves; whatever it was before, they are judged by what it is then. A weekend of a replay
// passes in the same way.
func TestWatermarkThatStood(t *testing.T) {
	weekend := base + 3*24*60*minuteMs
	for name, entries := range map[string][]market.Entry{
		"live":   {said(0, 1, base, 100), marked(base+62_000, 1), said(0, 2, weekend, 101), said(0, 3, weekend+1000, 102), marked(weekend+1000, 3), marked(weekend+62_000, 3)},
		"replay": {marked(base, 0), said(0, 1, base, 100), marked(base+62_000, 1), marked(weekend, 1), said(0, 2, weekend, 101), said(0, 3, weekend+1000, 102), marked(weekend+62_000, 3)},
	} {
		f := New(graceConfig(t, 2000))
		want := "1m 0+0 n=1 rev=0 flags=0\n5m 0+0 n=1 rev=0 flags=0\n1m 0+4320 n=2 rev=0 flags=0\n"
		if d := gocmp.Diff(want, lines(run(f, entries))); d != "" || f.Stats().TooEarly > 0 {
			t.Errorf("%s: %+v\n%s", name, f.Stats(), d)
		}
	}
}

// TestEarlyTradeAndItsMinute: when the time comes, the minute has what came on time, and is
// partial; after a restart too.
func TestEarlyTradeAndItsMinute(t *testing.T) {
	entries := []market.Entry{marked(base, 0), said(0, 1, base, 100), said(0, 2, base+10*minuteMs, 900), marked(base+minuteMs, 2),
		said(0, 3, base+10*minuteMs, 101), marked(base+10*minuteMs+30_000, 3), said(1, 4, base+10*minuteMs+31_000, 50),
		said(0, 5, base+10*minuteMs+32_000, 102), marked(base+11*minuteMs, 5)}
	cfg := graceConfig(t, 0)
	whole := run(New(cfg), entries)
	want := "1m 0+0 n=1 rev=0 flags=0\ngap 0+10 early_trade\n" + // trade 2; trade 3 is not early any more when the next Close comes
		"5m 0+0 n=1 rev=0 flags=0\n1m 0+10 n=2 rev=0 flags=1\n1m 1+10 n=1 rev=0 flags=0\n"
	if d := gocmp.Diff(want, lines(whole)); d != "" {
		t.Fatal(d)
	}
	for k := range whole {
		rest := run(restoredFrom(cfg, whole[:k+1]...), after(entries, whole[k].Open.Source.Offset))
		if d := gocmp.Diff(lines(whole[k+1:]), lines(rest)); d != "" {
			t.Errorf("after close %d:\n%s", k, d)
		}
	}
}

// TestCrashAtAHole: a hole that stands at the very place where the log ends was not in it;
// one that was is not written twice.
func TestCrashAtAHole(t *testing.T) {
	cfg := graceConfig(t, 0)
	hole := market.Entry{Kind: market.Hole, Symbol: market.AllSymbols, Time: (base + 61_000) * nsPerMs, Until: (base + 62_000) * nsPerMs, Offset: 1, Reason: market.GapDisconnect}
	last := []market.Entry{said(0, 2, base+65_000, 101), marked(base+2*minuteMs, 2)}
	for name, entries := range map[string][]market.Entry{
		"after the close":  append([]market.Entry{said(0, 1, base, 100), marked(base+minuteMs, 1), hole}, last...),
		"before the close": append([]market.Entry{said(0, 1, base, 100), hole, marked(base+62_000, 1)}, last...),
	} {
		whole := run(New(cfg), entries)
		if whole[0].Applied.Source.Offset != hole.Offset {
			t.Fatalf("%s: applied %d", name, whole[0].Applied.Source.Offset)
		}
		rest := run(restoredFrom(cfg, whole[0]), after(entries, whole[0].Open.Source.Offset))
		if d := gocmp.Diff(lines(whole[1:]), lines(rest)); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}
