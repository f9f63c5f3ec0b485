package bars

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/marketstream/marketstream/streamer/market"
)

var base = int64(1_709_649_000_000) // 2024-03-05 14:30 UTC, 09:30 in New York

func usConfig(t testing.TB, symbols ...string) Config {
	t.Helper()
	cal, err := market.LookupCalendar("USEquities")
	if err != nil {
		t.Fatal(err)
	}
	cond, err := market.LookupConditions("USEquities")
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Timeframes: []market.Timeframe{market.M1, market.M5, market.M15, market.H1, market.D1},
		Session: market.Session{Calendar: cal}, Conditions: cond, CloseGraceMs: 2000, RevisionWindowMs: 15 * minuteMs}
	for i, s := range symbols {
		c.Symbols = append(c.Symbols, Symbol{Number: uint32(i), Name: s})
	}
	return c
}

// randomEntries is a day's worth of trouble: late and disordered trades, cancels, holes,
// duplicates, sparse stretches, conditions, two scales of prices.
func randomEntries(rnd *rand.Rand, symbols, n int) []market.Entry {
	type timed struct {
		arrive int64
		early  bool // its time moves no watermark
		e      market.Entry
	}
	var all []timed
	now := base - 30*minuteMs
	for i := range n {
		step := rnd.Int64N(3000)
		switch rnd.IntN(60) {
		case 0:
			step = rnd.Int64N(8 * minuteMs)
		case 1:
			if rnd.IntN(8) == 0 {
				step = rnd.Int64N(9 * 60 * minuteMs)
			}
		}
		now += step
		e := market.Entry{Kind: market.Trade, Symbol: uint32(rnd.IntN(symbols)), Time: now*nsPerMs + rnd.Int64N(nsPerMs),
			Price: market.Decimal{Coef: 10_000 + rnd.Int64N(300), Scale: uint8(2 + rnd.IntN(2))},
			Size:  market.Decimal{Coef: 1 + rnd.Int64N(500), Scale: uint8(rnd.IntN(2))}, ID: uint64(i + 1), Order: uint64(i + 1)}
		switch rnd.IntN(12) {
		case 0:
			e.Conditions = 1 << 12
		case 1:
			e.Conditions = 1 << []int{37, 10, 15, 38, 2}[rnd.IntN(5)]
		}
		late := int64(0)
		switch rnd.IntN(20) {
		case 0:
			late = rnd.Int64N(5 * minuteMs)
		case 1:
			late = rnd.Int64N(20 * minuteMs)
		case 2:
			late = rnd.Int64N(3000)
		}
		early := rnd.IntN(40) == 0
		if early {
			e.Time += (4*minuteMs + rnd.Int64N(3*minuteMs)) * nsPerMs
			if rnd.IntN(4) == 0 {
				e.Time += rnd.Int64N(3*24*60) * minuteNs
			}
		}
		all = append(all, timed{now + late, early, e})
		switch rnd.IntN(100) {
		case 0:
			all = append(all, timed{now + late + 1, early, e}) // twice
		case 1, 2:
			c := e
			c.Kind = market.Cancel
			all = append(all, timed{now + late + rnd.Int64N(4*minuteMs), early, c})
		case 3:
			if rnd.IntN(6) == 0 {
				all = append(all, timed{now, false, market.Entry{Kind: market.Hole, Symbol: market.AllSymbols, Time: (now - rnd.Int64N(90_000)) * nsPerMs, Until: now * nsPerMs, Reason: market.GapDisconnect}})
			}
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].arrive < all[j].arrive })
	var out []market.Entry
	high := int64(0)
	for _, a := range all {
		if step := a.e.Time / nsPerMs / 100 * 100; step > high && a.e.Kind == market.Trade && !a.early {
			high = step
			out = append(out, market.Entry{Kind: market.Mark, Time: step * nsPerMs, Offset: uint64(len(out))})
		}
		out = append(out, a.e)
	}
	place := uint64(0)
	for i := range out { // marks and holes take the place of the entry before them, as feeds have it
		if out[i].Kind != market.Mark && out[i].Kind != market.Hole {
			place = uint64(i + 1)
		}
		out[i].Offset = place
	}
	return append(out, market.Entry{Kind: market.Mark, Time: market.EndOfFeed * nsPerMs, Offset: place})
}

func run(f *Fold, entries []market.Entry) []Close {
	token := f.restoredTick.Token + 1 // whoever goes on has a new one
	var out []Close
	for i := range entries {
		at := market.Position{Tick: market.TickPosition{Token: token, Batch: 1, Index: uint32(i + 1)},
			Source: market.SourcePosition{Offset: entries[i].Offset}}
		if c := f.Entry(&entries[i], at); c != nil {
			out = append(out, Close{Records: slices.Clone(c.Records), Gaps: slices.Clone(c.Gaps),
				Watermark: c.Watermark, Applied: c.Applied, Open: c.Open})
		}
	}
	return out
}

// after is what a source says when it goes on after offset: marks and holes that stand
// there once more.
func after(entries []market.Entry, offset uint64) []market.Entry {
	i := 0
	for i < len(entries) {
		e := &entries[i]
		if e.Offset > offset || e.Offset == offset && (e.Kind == market.Mark || e.Kind == market.Hole) {
			break
		}
		i++
	}
	return entries[i:]
}

// TestCrashAfterEveryClose restores a fold from the closes so far, at every one of them,
// and lets it go on from the source: what it closes then is what an undisturbed fold does.
func TestCrashAfterEveryClose(t *testing.T) {
	ignoreTicks := cmpopts.IgnoreFields(market.Position{}, "Tick") // TICKS is lost with the process
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			cfg := usConfig(t, "AAA", "BBB", "CCC")
			cfg.Session.Hours = []market.Hours{market.HoursExtended, market.HoursRegular, market.HoursContinuous}[seed%3]
			cfg.Session.Anchor = market.Anchor(seed % 2)
			entries := randomEntries(rnd, 3, 900)
			undisturbed := New(cfg)
			want := run(undisturbed, entries)
			if len(want) < 5 {
				t.Fatalf("only %d closes", len(want))
			}
			for k := range want {
				f := New(cfg)
				for i := range want[:k+1] {
					f.Restore(&want[i])
				}
				got := run(f, after(entries, want[k].Open.Source.Offset))
				if d := cmp.Diff(want[k+1:], got, ignoreTicks, cmpopts.EquateEmpty()); d != "" {
					t.Fatalf("after close %d of %d (watermark %d, applied %d, open %d):\n%s", k, len(want),
						want[k].Watermark, want[k].Applied.Source.Offset, want[k].Open.Source.Offset, d)
				}
			}
			t.Logf("%d closes, %+v", len(want), undisturbed.Stats())
		})
	}
}
