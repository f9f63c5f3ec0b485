package ingest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// vendorSpec is a document whose feed is a vendor's.
func vendorSpec(t *testing.T, source string, generation int64) *Spec {
	spec := testSpec(t)
	spec.Source, spec.Feed, spec.Generation.Generation = source, logs.FeedVendor, generation
	return spec
}

// openedBy opens SPY's partition under a document, with a source of some traits.
func (r *refold) openedBy(token uint64, spec *Spec, traits feed.Traits) {
	r.t.Helper()
	env := *opened(r.t, &memory{}, &keptTicks{}, 1).env
	env.Bars, env.Ticks, env.Heads = &r.log, &r.ticks, headsOf(&r.log, env.Symbols)
	w, err := openWriters(context.Background(), &env, spec, &traits, []Claim{{Partition: market.PartitionOf("SPY"), Token: token, Gate: always{}}})
	if err != nil || len(w) != 1 {
		r.t.Fatalf("%d writers, %v", len(w), err)
	}
	r.w = w[0]
}

// gapsOf are what the log says of gaps of a reason.
func (r *refold) gapsOf(reason market.GapReason) []market.Gap {
	_, gaps := lastRecords(r.t, &r.log)
	return slices.DeleteFunc(gaps, func(g market.Gap) bool { return g.Reason != reason })
}

var gapless = feed.Traits{Gapless: true}

// changed is a partition whose vendor was changed: "a" closed the first minute, and the second is open with a trade; trades of "a" are missing.
func changed(t *testing.T) *refold {
	r := &refold{t: t}
	r.openedBy(1, vendorSpec(t, "a", 1), gapless)
	r.say(tradeAt(1000, refoldMinute+1000), tradeAt(1005, refoldMinute+30_000), markAt(refoldMinute+60_000))
	r.say(tradeAt(1006, refoldMinute+61_000), markAt(refoldMinute+62_000))
	r.openedBy(2, vendorSpec(t, "b", 2), gapless)
	return r
}

// TestOtherVendor: another vendor goes on where one ended: what lies between is a gap, which it fills; the minute that was open
// is made of its trades alone, and what is closed stands.
func TestOtherVendor(t *testing.T) {
	for _, restart := range []bool{false, true} {
		r := changed(t)
		if restart {
			r.openedBy(3, vendorSpec(t, "b", 2), gapless)
		}
		// Its newest trade lies in a closed minute; its ids are lower than the other's were.
		r.say(tradeAt(40, refoldMinute+50_000), markAt(refoldMinute+63_000))
		r.say(tradeAt(45, refoldMinute+90_000), markAt(refoldMinute+91_000))
		if restart {
			r.openedBy(4, vendorSpec(t, "b", 2), gapless)
		}
		change := r.gapsOf(market.GapSourceChange)
		if len(change) != 1 || change[0].FromMs != refoldMinute+60_000 || change[0].BeforeID != 41 || change[0].State != market.GapOpen {
			t.Fatalf("restart %v: gaps %+v, want one from the end of what was closed", restart, change)
		}
		open := r.w.fold.OpenGaps(nil)
		if len(open) != 2 || open[0].AfterID != 0 || open[1].AfterID != 40 || open[1].BeforeID != 45 {
			t.Fatalf("restart %v: open %+v, want the change and what b left out", restart, open)
		}
		for i, trades := range [][]market.Entry{nil, {tradeAt(41, refoldMinute+70_000), tradeAt(42, refoldMinute+71_000), tradeAt(43, refoldMinute+72_000), tradeAt(44, refoldMinute+73_000)}} {
			f := &fill{gap: open[i], trades: trades, done: make(chan error, 1)}
			f.gap.State = market.GapRepaired
			for k := range f.trades {
				f.trades[k].Symbol = open[i].Symbol
			}
			if err := r.w.fill(context.Background(), f); err != nil {
				t.Fatal(err)
			}
		}
		r.say(tradeAt(46, refoldMinute+95_000), markAt(refoldMinute+120_000))
		if restart {
			r.openedBy(5, vendorSpec(t, "b", 2), gapless)
		}
		r.say(markAt(refoldMinute + 180_000))
		records, _ := lastRecords(t, &r.log)
		if got := records[market.M1][refoldMinute]; got.N != 2 || got.Flags != market.Partial {
			t.Errorf("restart %v: %+v, want the closed minute as it was, with a's gap", restart, got)
		}
		if got := records[market.M1][refoldMinute+60_000]; got.N != 6 || got.Flags != 0 {
			t.Errorf("restart %v: %+v, want a whole minute of b's 6 trades", restart, got)
		}
		lost := r.gapsOf(market.GapDisconnect)
		if lost = slices.DeleteFunc(lost, func(g market.Gap) bool { return g.AfterID != 1000 }); len(lost) != 2 || lost[1].State != market.GapUnrepairable {
			t.Errorf("restart %v: %+v, want a's gap open, then said to be unrepairable, once", restart, lost)
		}
		if n := len(r.gapsOf(market.GapSourceChange)); n != 2 {
			t.Errorf("restart %v: %d records of the change, want open and repaired", restart, n)
		}
	}
}

// TestOtherVendorWithoutIDs: of a vendor without gapless ids, what lies before its first mark was not observed.
func TestOtherVendorWithoutIDs(t *testing.T) {
	r := changed(t)
	r.openedBy(3, vendorSpec(t, "b", 2), feed.Traits{})
	r.say(tradeAt(40, refoldMinute+50_000), tradeAt(41, refoldMinute+80_000), markAt(refoldMinute+90_000))
	r.openedBy(4, vendorSpec(t, "b", 2), feed.Traits{})
	r.say(markAt(refoldMinute+95_000), markAt(refoldMinute+130_000))
	records, _ := lastRecords(t, &r.log)
	if got := records[market.M1][refoldMinute+60_000]; got.N != 1 || got.Flags != market.Partial {
		t.Errorf("%+v, want a partial minute of b's trade", got)
	}
	if got := records[market.M1][refoldMinute]; got.N != 2 {
		t.Errorf("%+v, want the closed minute as it was", got)
	}
	if got := r.gapsOf(market.GapSourceChange); len(got) != 1 || got[0].FromMs != refoldMinute+60_000 || got[0].ToMs != refoldMinute+90_000 {
		t.Errorf("gaps %+v, want one up to the first mark", got)
	}
}

// TestSourceMayChange: a vendor may follow a vendor; invented and recorded data is that of one source for ever, and a document that does not
// know the new vendor yet is not run.
func TestSourceMayChange(t *testing.T) {
	var heads Heads
	heads[3] = Head{Frame: &logs.Frame{ConfigGeneration: logs.ConfigGeneration{Generation: 5}}, Shape: &logs.Shape{Source: "x:1"}}
	claims := []Claim{{Partition: 3}}
	for _, c := range []struct {
		feed       logs.FeedClass
		source     string
		generation int64
		want       error
	}{
		{logs.FeedVendor, "x:1", 4, nil},
		{logs.FeedVendor, "x:2", 5, nil},
		{logs.FeedVendor, "x:2", 4, errOlder},
		{logs.FeedReplay, "x:1", 6, nil},
		{logs.FeedReplay, "x:2", 6, ErrOtherSource},
		{logs.FeedSynthetic, "x:2", 6, ErrOtherSource},
	} {
		spec := &Spec{Source: c.source, Feed: c.feed}
		spec.Generation.Generation = c.generation
		if err := sameSource(&heads, spec, claims); !errors.Is(err, c.want) {
			t.Errorf("%s %s of generation %d: %v, want %v", c.feed, c.source, c.generation, err, c.want)
		}
	}
}
