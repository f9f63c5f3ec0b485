package market

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

// counted is a trade with the uses that its conditions leave it, in a minute that lies
// outside regular hours or not.
type counted struct {
	Entry
	use      Use
	minute   int64
	extended bool
}

// model is what a record must come to, made from all its trades at once with big numbers.
type model struct {
	priceScale, volumeScale uint8
	volume, notional        *big.Rat
	n                       int64
	high, low               *big.Rat
	open, close             *Entry
	weak                    bool
}

func modelOf(trades []counted, tf Timeframe) model {
	trades = slices.Clone(trades) // open and close point into it
	m := model{volume: new(big.Rat), notional: new(big.Rat)}
	var strong, weak []*Entry
	parts := make(map[int64]bool) // minutes of which something counts
	for pass := range 2 {
		for i := range trades {
			c := &trades[i]
			use := c.use
			if !c.extended {
				use &= useMinute
			}
			rng, ends, weakEnds := use&UseRange != 0, use&UseEnds != 0, use&UseWeakEnds != 0
			if tf == D1 && c.extended {
				rng, ends, weakEnds = use&UseDayRange != 0, use&UseDayEnds != 0, use&UseDayWeakEnds != 0
			}
			if use&UseVolume != 0 || rng || ends || weakEnds {
				parts[c.minute] = true
			}
			if pass == 0 {
				continue
			}
			if use != 0 && parts[c.minute] {
				m.priceScale, m.volumeScale = max(m.priceScale, c.Price.Scale), max(m.volumeScale, c.Size.Scale)
			}
			price, size := c.Price.rat(), c.Size.rat()
			if use&UseVolume != 0 {
				m.volume.Add(m.volume, size)
				m.notional.Add(m.notional, new(big.Rat).Mul(price, size))
				m.n++
			}
			if rng && (m.high == nil || price.Cmp(m.high) > 0) {
				m.high = price
			}
			if rng && (m.low == nil || price.Cmp(m.low) < 0) {
				m.low = price
			}
			switch {
			case ends:
				strong = append(strong, &c.Entry)
			case weakEnds:
				weak = append(weak, &c.Entry)
			}
		}
	}
	if len(strong) == 0 {
		strong, m.weak = weak, len(weak) > 0
	}
	byStamp := func(a, b *Entry) int { return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Order, b.Order)) }
	if len(strong) > 0 {
		m.open, m.close = slices.MinFunc(strong, byStamp), slices.MaxFunc(strong, byStamp)
	}
	return m
}

func (m model) check(t *testing.T, what string, r *Record) {
	t.Helper()
	if r.PriceScale != m.priceScale || r.VolumeScale != m.volumeScale || r.N != m.n {
		t.Fatalf("%s: scales %d %d, n %d; want %d %d, %d", what, r.PriceScale, r.VolumeScale, r.N, m.priceScale, m.volumeScale, m.n)
	}
	same := func(field string, got, want *big.Rat) {
		t.Helper()
		if got.Cmp(want) != 0 {
			t.Fatalf("%s: %s is %s, want %s", what, field, got.FloatString(20), want.FloatString(20))
		}
	}
	same("volume", scaled(r.Volume, r.VolumeScale), m.volume)
	same("notional", scaled(r.Notional, r.PriceScale+r.VolumeScale), m.notional)
	p := &r.Prices
	if (p.Has&HasRange != 0) != (m.high != nil) || (p.Has&HasEnds != 0) != (m.open != nil) || (p.Has&WeakEnds != 0) != m.weak {
		t.Fatalf("%s: has %b; want high %v, open %v, weak %v", what, p.Has, m.high, m.open, m.weak)
	}
	price := func(coef int64) *big.Rat { return Decimal{coef, r.PriceScale}.rat() }
	if m.high != nil {
		same("high", price(p.High), m.high)
		same("low", price(p.Low), m.low)
	}
	if m.open != nil {
		same("open", price(p.Open), m.open.Price.rat())
		same("close", price(p.Close), m.close.Price.rat())
		if (p.First != Stamp{m.open.Time, m.open.Order}) || (p.Last != Stamp{m.close.Time, m.close.Order}) {
			t.Fatalf("%s: first %v, last %v", what, p.First, p.Last)
		}
	}
	b, ok := r.Bar()
	if ok != (m.high != nil && m.open != nil) || ok && b.HasVWAP != (m.volume.Sign() > 0) {
		t.Fatalf("%s: served %v, with VWAP %v", what, ok, b.HasVWAP)
	}
	if ok && b.HasVWAP {
		q := new(big.Rat).Quo(m.notional, m.volume)
		q.Mul(q, new(big.Rat).SetInt64(pow10[m.priceScale+2]))
		want, _ := quoHalfEven(q.Num(), 0, q.Denom())
		if b.VWAP != want.Int64() {
			t.Fatalf("%s: vwap %d, want %d", what, b.VWAP, want)
		}
	}
}

func scaled(x Int128, scale uint8) *big.Rat {
	return new(big.Rat).SetFrac(x.Big(), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
}

// randomTrades makes trades over six minutes, the last three outside regular hours; some
// share a time, and few prices make many ties.
func randomTrades(r *rand.Rand, table *ConditionTable) []counted {
	common := []uint64{0, 0, 1, 1 << 14, 1 << 37, 1 << 12, 1<<12 | 1<<37, 1 << 10, 1<<12 | 1<<10, 1 << 38, 1<<12 | 1<<38, 1 << 15, 1 << 32, 1<<12 | 1<<2}
	trades := make([]counted, 1+r.IntN(24))
	scales := 1 + r.IntN(7)
	for i := range trades {
		c := &trades[i]
		c.minute = int64(r.IntN(6))
		c.extended = c.minute > 2
		price := Decimal{5_000_000 + r.Int64N(40), uint8(r.IntN(scales))}
		if r.IntN(6) == 0 {
			price = Decimal{1 + r.Int64N(3), uint8(r.IntN(scales))}
		}
		size := Decimal{1 + r.Int64N(500), uint8(r.IntN(scales))}
		c.Entry = Entry{Kind: Trade, Time: (c.minute*60 + r.Int64N(4)) * 1e9, Order: uint64(i), Price: MustDecimal(price.String()), Size: MustDecimal(size.String()),
			Conditions: common[r.IntN(len(common))]}
		c.use = table.Use(c.Conditions, c.extended)
	}
	return trades
}

func recordOf(t *testing.T, tf Timeframe, extended bool, trades []counted) *Record {
	t.Helper()
	r := &Record{Timeframe: tf}
	if extended {
		r.Flags |= Extended
	}
	for i := range trades {
		if err := r.AddTrade(&trades[i].Entry, trades[i].use); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// Folding in any order, merging 1m records in any order, and merging them early and
// updating them as more trades come all end at what the trades come to.
func TestMergeIsFold(t *testing.T) {
	r := newRand(t)
	table := conditionsOf(t, "USEquities")
	for round := range 3000 {
		trades := randomTrades(r, table)
		for _, extended := range []bool{false, true} {
			minute := slices.DeleteFunc(slices.Clone(trades), func(c counted) bool { return c.extended != extended })
			want := modelOf(minute, M1)
			for range 3 {
				r.Shuffle(len(minute), func(i, j int) { minute[i], minute[j] = minute[j], minute[i] })
				want.check(t, fmt.Sprintf("round %d, 1m, extended %v", round, extended), recordOf(t, M1, extended, minute))
			}
		}
		for _, tf := range []Timeframe{M5, D1} {
			want := modelOf(trades, tf)
			for range 3 {
				r.Shuffle(len(trades), func(i, j int) { trades[i], trades[j] = trades[j], trades[i] })
				what := fmt.Sprintf("round %d, %v", round, tf)
				want.check(t, what+" merged", mergedOf(t, r, tf, trades))
				want.check(t, what+" updated", updatedOf(t, r, tf, trades))
			}
		}
	}
}

// mergedOf merges the 1m records of trades in random order.
func mergedOf(t *testing.T, r *rand.Rand, tf Timeframe, trades []counted) *Record {
	t.Helper()
	into := &Record{Timeframe: tf}
	for _, minute := range r.Perm(6) {
		part := slices.DeleteFunc(slices.Clone(trades), func(c counted) bool { return c.minute != int64(minute) })
		if err := into.Merge(recordOf(t, M1, minute > 2, part)); err != nil {
			t.Fatal(err)
		}
	}
	return into
}

// updatedOf takes the trades one by one as late ones: each makes a revision of its 1m
// record, which updates the record above.
func updatedOf(t *testing.T, r *rand.Rand, tf Timeframe, trades []counted) *Record {
	t.Helper()
	into := &Record{Timeframe: tf}
	minutes := make(map[int64]*Record)
	for i := range trades {
		c := &trades[i]
		old := minutes[c.minute]
		newer := &Record{Timeframe: M1}
		if c.extended {
			newer.Flags |= Extended
		}
		if old != nil {
			*newer = *old
		}
		err := newer.AddTrade(&c.Entry, c.use)
		if err == nil && old == nil {
			err = into.Merge(newer)
		} else if err == nil && r.IntN(3) > 0 {
			err = into.Update(old, newer)
		} else if err == nil {
			continue // gathered with a later one, or below
		}
		if err != nil {
			t.Fatal(err)
		}
		minutes[c.minute] = newer
	}
	for _, minute := range r.Perm(6) {
		old := minutes[int64(minute)]
		part := slices.DeleteFunc(slices.Clone(trades), func(c counted) bool { return c.minute != int64(minute) })
		last := recordOf(t, M1, minute > 2, part)
		var err error
		if old == nil {
			err = into.Merge(last)
		} else {
			err = into.Update(old, last)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return into
}

// A cancelled trade leaves volume, count and notional as if it had never been, and says
// so when it may have set a price: where it does not, the prices are right too.
func TestRemoveTrade(t *testing.T) {
	r := newRand(t)
	table := conditionsOf(t, "USEquities")
	untouched := 0
	for range 20_000 {
		extended := r.IntN(2) == 0
		trades := slices.DeleteFunc(randomTrades(r, table), func(c counted) bool { return c.extended != extended })
		if len(trades) == 0 {
			continue
		}
		got := recordOf(t, M1, extended, trades)
		gone := r.IntN(len(trades))
		touched, err := got.RemoveTrade(&trades[gone].Entry, trades[gone].use)
		if err != nil {
			t.Fatal(err)
		}
		want := recordOf(t, M1, extended, slices.Delete(slices.Clone(trades), gone, gone+1))
		if scaled(got.Volume, got.VolumeScale).Cmp(scaled(want.Volume, want.VolumeScale)) != 0 || got.N != want.N ||
			scaled(got.Notional, got.PriceScale+got.VolumeScale).Cmp(scaled(want.Notional, want.PriceScale+want.VolumeScale)) != 0 {
			t.Fatalf("volume %v, n %d; want %v, %d", got.Volume, got.N, want.Volume, want.N)
		}
		if touched {
			continue
		}
		untouched++
		if !want.rescale(got.PriceScale, got.VolumeScale) || got.Prices != want.Prices || got.Daily != want.Daily {
			t.Fatalf("said to touch no price:\n%+v\n%+v", got, want)
		}
	}
	t.Logf("%d cancels touched no price", untouched)
	odd := Entry{Time: 5, Price: MustDecimal("999"), Size: MustDecimal("1")}
	one := recordOf(t, M1, false, []counted{{Entry: Entry{Time: 5, Price: MustDecimal("10"), Size: MustDecimal("1")}, use: UseAll}, {Entry: odd, use: UseVolume}})
	if touched, err := one.RemoveTrade(&odd, UseVolume); touched || err != nil {
		t.Errorf("an odd lot never sets a price: %v, %v", touched, err)
	}
	if touched, _ := one.RemoveTrade(&Entry{Time: 5, Price: MustDecimal("10"), Size: MustDecimal("1")}, UseAll); !touched || one.N != 0 || !one.Volume.IsZero() {
		t.Errorf("the only trade: %v, %+v", touched, one)
	}
}

// Whatever does not fit leaves the record as it was, to the bit.
func TestOverflowLeavesRecordUnchanged(t *testing.T) {
	r := newRand(t)
	refused := map[string]int{}
	decimal := func() Decimal {
		return MustDecimal(Decimal{1 + r.Int64N(math.MaxInt64)>>r.IntN(63), uint8(r.IntN(19))}.String())
	}
	big := func(rec *Record) {
		if r.IntN(2) == 0 {
			rec.Volume = Int128{Hi: math.MaxInt64 >> r.IntN(8), Lo: r.Uint64()}
		}
	}
	for range 30_000 {
		var a, b Record
		a.Timeframe = M5
		if r.IntN(4) == 0 {
			b.Flags |= Extended
		}
		for i := range 1 + r.IntN(4) {
			for _, rec := range []*Record{&a, &b} {
				e := Entry{Time: r.Int64N(9), Order: uint64(i), Price: decimal(), Size: decimal()}
				before := *rec
				if err := rec.AddTrade(&e, UseAll); err != nil {
					refused["AddTrade"]++
					if *rec != before {
						t.Fatalf("AddTrade(%v × %v) refused:\n%+v\n%+v", e.Price, e.Size, before, *rec)
					}
				}
				before = *rec
				after := *rec
				if _, err := after.RemoveTrade(&Entry{Price: decimal(), Size: decimal()}, UseAll); err != nil {
					refused["RemoveTrade"]++
					if after != before {
						t.Fatalf("RemoveTrade refused:\n%+v\n%+v", before, after)
					}
				}
			}
		}
		big(&a)
		big(&b)
		before := a
		if err := a.Merge(&b); err != nil {
			refused["Merge"]++
			if a != before {
				t.Fatalf("Merge refused:\n%+v\n%+v", before, a)
			}
		}
		old := b
		big(&b)
		before = a
		if err := a.Update(&old, &b); err != nil {
			refused["Update"]++
			if a != before {
				t.Fatalf("Update refused:\n%+v\n%+v", before, a)
			}
		}
	}
	for _, what := range []string{"AddTrade", "RemoveTrade", "Merge", "Update"} {
		if refused[what] == 0 {
			t.Errorf("%s was never refused", what)
		}
	}
	t.Log(refused)
}

// A volume that no longer fits is refused even if the trade is what brings a larger scale.
func TestOverflowOfVolumeKeepsScale(t *testing.T) {
	r := recordOf(t, M1, false, []counted{{Entry: Entry{Price: MustDecimal("1"), Size: MustDecimal("1")}, use: UseAll}})
	r.Volume = Int128{Hi: math.MaxInt64, Lo: math.MaxUint64}
	before := *r
	if err := r.AddTrade(&Entry{Price: MustDecimal("1.25"), Size: MustDecimal("1")}, UseAll); !errors.Is(err, ErrOverflow) || *r != before {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestNotionalOverflowTakesVWAPOnly(t *testing.T) {
	huge := MustDecimal("9000000000000000000")
	var r Record
	for i := range 3 {
		e := Entry{Time: int64(i), Price: huge, Size: huge}
		if err := r.AddTrade(&e, UseAll); err != nil {
			t.Fatal(err)
		}
	}
	b, ok := r.Bar()
	if !ok || b.HasVWAP || r.Flags != NoNotional || r.Notional != (Int128{}) || r.N != 3 || r.Volume.String() != "27000000000000000000" {
		t.Errorf("%+v", r)
	}
	var fine Record // overflows when a trade brings more decimals
	for i, text := range []string{"9e9", "0.000000001"} {
		e := Entry{Time: int64(i), Price: MustDecimal(text), Size: MustDecimal([]string{"9e18", "1e-18"}[i])}
		if err := fine.AddTrade(&e, UseAll); err != nil {
			t.Fatal(err)
		}
	}
	if fine.Flags != NoNotional || fine.Notional != (Int128{}) || fine.N != 2 || fine.PriceScale != 9 || fine.VolumeScale != 18 {
		t.Errorf("%+v", fine)
	}
	var up Record
	if err := up.Merge(&r); err != nil || up.Flags != NoNotional || up.N != 3 || up.Prices != r.Prices {
		t.Errorf("%v, %+v", err, up)
	}
}

// What counts nowhere leaves no mark, not even a scale: VWAP's decimals hang on it.
func TestNothingCountedChangesNothing(t *testing.T) {
	var r Record
	r.Timeframe = M1
	fine := Entry{Price: MustDecimal("1.23456"), Size: MustDecimal("0.001")}
	before := r
	if err := r.AddTrade(&fine, 0); err != nil || r != before {
		t.Errorf("%v, %+v", err, r)
	}
	if err := r.AddTrade(&fine, UseDayRange|UseDayEnds); err != nil || r != before {
		t.Errorf("uses of the day in regular hours: %v, %+v", err, r)
	}
	if touched, err := r.RemoveTrade(&fine, 0); touched || err != nil || r != before {
		t.Errorf("%v, %v, %+v", touched, err, r)
	}
	if err := r.AddTrade(&fine, UseAll); err != nil {
		t.Fatal(err)
	}
	into := Record{Timeframe: M5}
	void := r
	void.Flags |= Void
	if err := into.Merge(&void); err != nil || into != (Record{Timeframe: M5}) {
		t.Errorf("a void part: %v, %+v", err, into)
	}
}
