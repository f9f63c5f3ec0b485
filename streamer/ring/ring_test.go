package ring

import (
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/marketstream/marketstream/streamer/market"
)

const t0 = int64(1_709_649_000_000)

func randomBar(rnd *rand.Rand, prev market.Bar, start int64) market.Bar {
	b := market.Bar{Timeframe: market.M1, StartMs: start, EndMs: start + 60_000, PriceScale: 2, VolumeScale: 0,
		Open: prev.Close + rnd.Int64N(7) - 3, N: 1 + rnd.Int64N(2000), HasVWAP: true}
	b.Close = b.Open + rnd.Int64N(41) - 20
	b.High, b.Low = max(b.Open, b.Close)+rnd.Int64N(15), min(b.Open, b.Close)-rnd.Int64N(15)
	b.Volume = market.Int128From(b.N * (50 + rnd.Int64N(200)))
	b.VWAP = (b.High+b.Low)*50 + rnd.Int64N(300) - 150
	return b
}

// TestAgainstModel compares the ring with a map over random upserts, revisions, evictions,
// voids and changes of scale.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		capacity := 1 + rnd.IntN(600)
		set := NewSet(capacity)
		set.Carry([]uint32{7}, []market.Timeframe{market.M1})
		model := map[int64]market.Bar{}
		lost := int64(-1) // bars up to here were evicted
		next := t0
		for range 2500 {
			start := next
			switch rnd.IntN(10) {
			case 0:
				next += 60_000 * rnd.Int64N(300)
				start = next
			case 1, 2:
				start = next - 60_000*rnd.Int64N(400)
			}
			b := randomBar(rnd, model[start-60_000], start)
			b.Rev = uint32(rnd.IntN(3))
			switch rnd.IntN(20) {
			case 0, 5, 6, 7:
				b.Flags = market.Void
			case 1:
				b.PriceScale, b.VolumeScale = 4, 8
			case 2:
				b.Volume = market.Int128{Hi: 5, Lo: 9}
			case 3:
				b.EndMs -= 1000
			case 4:
				b.HasVWAP, b.VWAP = false, 0
			}
			set.Apply(7, &b)
			if old, ok := model[start]; start > lost && (!ok || b.Rev >= old.Rev) {
				model[start] = b
			}
			next = max(next, start+60_000)
			starts := slices.Sorted(maps.Keys(model))
			for len(starts) > capacity {
				delete(model, starts[0])
				lost = starts[0]
				starts = starts[1:]
			}
			if rnd.IntN(50) != 0 {
				continue
			}
			q := Query{Limit: rnd.IntN(700) * rnd.IntN(2)}
			if rnd.IntN(2) == 0 {
				q.BeforeMs = next - 60_000*rnd.Int64N(500)
			}
			if rnd.IntN(3) == 0 {
				q.HasAfter, q.AfterSeq, q.Oldest = true, market.Seq(next)-rnd.Int64N(500), rnd.IntN(2) == 0
			}
			var want []market.Bar
			for _, s := range starts {
				b := model[s]
				if b.Flags&market.Void == 0 && (q.BeforeMs == 0 || b.EndMs <= q.BeforeMs) && (!q.HasAfter || b.Seq() > q.AfterSeq) {
					want = append(want, b)
				}
			}
			if q.Limit > 0 && len(want) > q.Limit {
				if q.Oldest {
					want = want[:q.Limit]
				} else {
					want = want[len(want)-q.Limit:]
				}
			}
			got, _ := set.Read(7, market.M1, q, nil)
			if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("seed %d, capacity %d, %+v:\n%s", seed, capacity, q, d)
			}
		}
	}
}

// TestBytesPerBar fills rings of 5,000 bars and wants at most 24 bytes of heap for each.
func TestBytesPerBar(t *testing.T) {
	const symbols, capacity = 60, 5000
	rnd := rand.New(rand.NewPCG(1, 1))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	set := NewSet(capacity)
	numbers := make([]uint32, symbols)
	for i := range numbers {
		numbers[i] = uint32(i)
	}
	set.Carry(numbers, []market.Timeframe{market.M1})
	for _, sym := range numbers {
		prev := market.Bar{Close: 58_010}
		for k := range int64(capacity + 200) {
			b := randomBar(rnd, prev, t0+60_000*k)
			set.Apply(sym, &b)
			prev = b
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	perBar := float64(after.HeapAlloc-before.HeapAlloc) / (symbols * capacity)
	t.Logf("%.1f bytes a bar all told", perBar)
	if perBar > 24 {
		t.Errorf("%.1f bytes a bar, want at most 24", perBar)
	}
	runtime.KeepAlive(set)
}

func BenchmarkApply(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 1))
	set := NewSet(5000)
	set.Carry([]uint32{0}, []market.Timeframe{market.M1})
	prev := market.Bar{Close: 58_010}
	b.ReportAllocs()
	for k := 0; b.Loop(); k++ {
		bar := randomBar(rnd, prev, t0+60_000*int64(k))
		set.Apply(0, &bar)
		prev = bar
	}
}

func BenchmarkRead1000(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 1))
	set := NewSet(5000)
	set.Carry([]uint32{0}, []market.Timeframe{market.M1})
	prev := market.Bar{Close: 58_010}
	for k := range int64(6000) {
		bar := randomBar(rnd, prev, t0+60_000*k)
		set.Apply(0, &bar)
		prev = bar
	}
	var dst []market.Bar
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = set.Read(0, market.M1, Query{Limit: 1000}, dst[:0])
	}
}
