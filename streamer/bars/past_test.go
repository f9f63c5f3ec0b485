package bars

import (
	"cmp"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/streamer/market"
)

// randomMinute is a record with anything that one may hold.
func randomMinute(rnd *rand.Rand, startMs int64) market.Record {
	r := market.Record{Timeframe: market.M1, StartMs: startMs, EndMs: startMs + minuteMs,
		PriceScale: uint8(rnd.IntN(19)), VolumeScale: uint8(rnd.IntN(19)), Flags: market.Flags(rnd.IntN(16)), Rev: uint32(rnd.IntN(3)),
		Volume: market.Int128{Hi: int64(rnd.Uint64()) >> rnd.IntN(64), Lo: rnd.Uint64() >> rnd.IntN(64)}, N: rnd.Int64() >> rnd.IntN(64)}
	if rnd.IntN(4) > 0 {
		r.Notional = market.Int128{Hi: int64(rnd.Uint64()) >> rnd.IntN(64), Lo: rnd.Uint64()}
	}
	if rnd.IntN(2) == 0 {
		r.Volume.Hi = 0
	}
	for _, p := range []*market.Prices{&r.Prices, &r.Daily} {
		p.Has = market.PriceFlags(rnd.IntN(8))
		if p.Has&market.HasRange != 0 {
			p.High, p.Low = rnd.Int64()-math.MaxInt64/2, int64(rnd.Uint64())
		}
		if p.Has&market.HasEnds != 0 {
			p.Open, p.Close = int64(rnd.Uint64()), rnd.Int64N(100)
			p.First = market.Stamp{Time: startMs*nsPerMs + rnd.Int64N(minuteNs), Order: rnd.Uint64()}
			p.Last = market.Stamp{Time: startMs*nsPerMs + rnd.Int64N(minuteNs), Order: rnd.Uint64N(100)}
		}
	}
	return r
}

// TestPast: records come back as they were, in order, with the newest of each minute.
func TestPast(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	var p past
	want := make(map[int64]market.Record)
	for n := range 2000 {
		start := base + int64(rnd.IntN(200))*minuteMs
		if n < 100 {
			start = base + int64(n)*minuteMs
		}
		r := randomMinute(rnd, start)
		p.put(&r)
		want[start] = r
		if n%500 == 499 {
			from := base + int64(n/50)*minuteMs
			p.cut(from)
			maps.DeleteFunc(want, func(start int64, _ market.Record) bool { return start < from })
		}
		if n%100 > 0 {
			continue
		}
		var got []market.Record
		p.each(func(r *market.Record) bool { got = append(got, *r); return true })
		sorted := slices.SortedFunc(maps.Values(want), func(a, b market.Record) int { return cmp.Compare(a.StartMs, b.StartMs) })
		if d := gocmp.Diff(sorted, got); d != "" {
			t.Fatalf("after %d:\n%s", n, d)
		}
		for m := base - minuteMs; m < base+202*minuteMs; m += minuteMs {
			var r market.Record
			w, ok := want[m]
			if found := p.find(m, &r); found != ok || r != w {
				t.Fatalf("minute %d: found %v, want %v", m, found, ok)
			}
		}
	}
	p.cut(base + 1000*minuteMs)
	if p.find(p.last, new(market.Record)) || len(p.buf) > 0 {
		t.Error("not empty")
	}
}

// TestPastBytes says what a symbol costs that trades in every minute of a day of regular hours.
func TestPastBytes(t *testing.T) {
	for _, c := range []struct {
		name string
		unit int64 // of times
		most float64
	}{{"ms", nsPerMs, 24}, {"ns", 1, 30}} {
		rnd := rand.New(rand.NewPCG(1, 1))
		var p past
		price, order := int64(18_000), uint64(1_000_000)
		for m := range int64(390) {
			r := market.Record{Timeframe: market.M1, StartMs: base + m*minuteMs, EndMs: base + m*minuteMs + minuteMs}
			for range 1 + rnd.IntN(100) {
				price += rnd.Int64N(9) - 4
				order += 1 + rnd.Uint64N(1000)
				e := market.Entry{Time: r.StartMs*nsPerMs + rnd.Int64N(minuteNs)/c.unit*c.unit, Order: order,
					Price: market.Decimal{Coef: price, Scale: 2}, Size: market.Decimal{Coef: 1 + rnd.Int64N(500)}}
				if err := r.AddTrade(&e, market.UseAll); err != nil {
					t.Fatal(err)
				}
			}
			p.put(&r)
		}
		per := float64(len(p.buf)) / 390
		t.Logf("times in %s: %.1f bytes a minute (%d of room for %d), a Record has %d", c.name, per, cap(p.buf), len(p.buf), unsafe.Sizeof(market.Record{}))
		if per > c.most {
			t.Errorf("times in %s: %.1f bytes a minute, want at most %v", c.name, per, c.most)
		}
	}
}
