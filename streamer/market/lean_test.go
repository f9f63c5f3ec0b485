package market

import (
	"fmt"
	"testing"
)

// What QuantConnect published of three shares in October 2013; see the data's README.
var leanDays = []struct{ symbol, date string }{
	{"aig", "2013-10-07"}, {"aig", "2013-10-11"}, {"bac", "2013-10-07"}, {"ibm", "2013-10-07"},
}

func leanRows(t *testing.T, symbol, date, kind string) [][]string {
	t.Helper()
	compact := date[:4] + date[5:7] + date[8:]
	return sharedZip(t, "equities-lean-2013", fmt.Sprintf("%s_%s_%s.zip", symbol, compact, kind))
}

// leanBars reads bars as records, by their start: milliseconds after midnight, open, high,
// low, close in 1/10,000 and volume.
func leanBars(t *testing.T, symbol, date, kind string) map[int64]*Record {
	t.Helper()
	midnight := ny(t, date+" 00:00")
	bars := make(map[int64]*Record)
	for i, row := range leanRows(t, symbol, date, kind) {
		var v [6]int64
		for k := range v {
			v[k] = atoi(t, row[k], 10)
		}
		start := midnight + v[0]
		if bars[start] != nil {
			t.Fatalf("%s %s %s: row %d: two bars at %s", symbol, date, kind, i, clock(t, start))
		}
		at := Stamp{Time: start * 1e6}
		bars[start] = &Record{Timeframe: M1, StartMs: start, PriceScale: 4, Volume: Int128From(v[5]), N: 1,
			Prices: Prices{Open: v[1], High: v[2], Low: v[3], Close: v[4], First: at, Last: at, Has: HasRange | HasEnds}}
	}
	return bars
}

func prices(r *Record) [4]string {
	s := func(v int64) string { return string(AppendDecimal(nil, v, r.PriceScale)) }
	return [4]string{s(r.Prices.Open), s(r.Prices.High), s(r.Prices.Low), s(r.Prices.Close)}
}

// The vendor's 1s bars merge into the vendor's 1m bars: open, high, low and close of every
// minute but the two that hold the auctions.
func TestLeanSecondsMergeIntoMinutes(t *testing.T) {
	s := us(t, HoursExtended, AnchorClock)
	for _, day := range leanDays {
		seconds := leanBars(t, day.symbol, day.date, "second")
		minutes := leanBars(t, day.symbol, day.date, "minute")
		got := make(map[int64]*Record)
		for _, second := range seconds { // in the random order of a map
			start, end := s.Period(M1, second.StartMs)
			into := got[start]
			if into == nil {
				into = &Record{Timeframe: M1, StartMs: start, EndMs: end}
				got[start] = into
			}
			if err := into.Merge(second); err != nil {
				t.Fatal(err)
			}
		}
		auctions := map[int64]bool{ny(t, day.date+" 09:30"): true, ny(t, day.date+" 15:59"): true}
		equal, excepted := 0, 0
		for start, want := range minutes {
			r := got[start]
			switch {
			case auctions[start]:
				excepted++
			case r == nil:
				t.Errorf("%s: no minute %s", day.symbol, clock(t, start))
			case prices(r) != prices(want):
				t.Errorf("%s %s: %v, want %v", day.symbol, clock(t, start), prices(r), prices(want))
			default:
				equal++
			}
		}
		for start := range got {
			if minutes[start] == nil && !auctions[start] {
				t.Errorf("%s: the vendor has no minute %s", day.symbol, clock(t, start))
			}
		}
		if excepted != 2 || equal < 300 {
			t.Errorf("%s %s: %d minutes equal, %d excepted", day.symbol, day.date, equal, excepted)
		}
		t.Logf("%s %s: %d seconds, %d of %d minutes equal, 2 auction minutes left out", day.symbol, day.date, len(seconds), equal, len(minutes)-2)
	}
}

// LEAN's condition bits that matter here, and the ids that they are.
var leanConditions = map[int64]uint{0x1: 0, 0x20: 14, 0x40: 25, 0x80: 8, 0x2000: 12, 0x1000000: 15, 0x4000000: 16, 0x20000000: 41}

const leanClosingAuction = 0x80

// Minute volume from the vendor's ticks equals the vendor's in at least 99.7 % of minutes,
// when official opens and closes count nowhere and the closing auction's print, stamped
// up to two minutes late, goes to the minute of the auction.
func TestLeanMinuteVolumeFromTicks(t *testing.T) {
	s := us(t, HoursExtended, AnchorClock)
	table := conditionsOf(t, "USEquities")
	equal, all := 0, 0
	for _, day := range leanDays {
		midnight, last := ny(t, day.date+" 00:00"), ny(t, day.date+" 15:59")
		got := make(map[int64]*Record)
		ticks := leanRows(t, day.symbol, day.date, "tick")
		for i, row := range ticks {
			ms := midnight + atoi(t, row[0], 10)
			flags := atoi(t, row[4], 16)
			e := Entry{Kind: Trade, Time: ms * 1e6, Order: uint64(i), Price: MustDecimal(row[1] + "e-4"), Size: MustDecimal(row[2])}
			for bit, id := range leanConditions {
				if flags&bit != 0 {
					e.Conditions |= 1 << id
				}
			}
			if start, _ := s.Period(M1, ms); flags&leanClosingAuction != 0 && start >= last && start <= last+2*msMinute {
				ms = last
			}
			start, end := s.Period(M1, ms)
			r := got[start]
			if r == nil {
				r = &Record{Timeframe: M1, StartMs: start, EndMs: end}
				got[start] = r
			}
			if err := r.AddTrade(&e, table.Use(e.Conditions, s.OutsideRegular(ms))); err != nil {
				t.Fatal(err)
			}
		}
		minutes := leanBars(t, day.symbol, day.date, "minute")
		same := 0
		for start, want := range minutes {
			if r := got[start]; r != nil && r.Volume == want.Volume {
				same++
			} else if r == nil {
				t.Logf("%s %s: none, want %v", day.symbol, clock(t, start), want.Volume)
			} else {
				t.Logf("%s %s: %v, want %v", day.symbol, clock(t, start), r.Volume, want.Volume)
			}
		}
		for start, r := range got {
			if minutes[start] == nil && !r.Volume.IsZero() {
				t.Logf("%s %s: %v, the vendor has no such minute", day.symbol, clock(t, start), r.Volume)
				all++
			}
		}
		t.Logf("%s %s: %d ticks, %d of %d minutes equal", day.symbol, day.date, len(ticks), same, len(minutes))
		equal, all = equal+same, all+len(minutes)
	}
	t.Logf("%d of %d minutes equal: %.2f %%", equal, all, 100*float64(equal)/float64(all))
	if float64(equal) < 0.997*float64(all) {
		t.Errorf("only %d of %d minutes have the vendor's volume", equal, all)
	}
}
