package ring

import (
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

// model is the ring as a sorted slice.
type model struct {
	bars     []market.Bar
	capacity int
	evicted  bool
}

func (m *model) apply(b market.Bar) {
	at := 0
	for at < len(m.bars) && m.bars[at].StartMs < b.StartMs {
		at++
	}
	switch {
	case at < len(m.bars) && m.bars[at].StartMs == b.StartMs:
		if b.Rev >= m.bars[at].Rev {
			m.bars[at] = b
		}
	case at == 0 && m.evicted: // older than all that are kept
	default:
		m.bars = slices.Insert(m.bars, at, b)
	}
	m.evict()
}

func (m *model) evict() {
	if n := len(m.bars) - m.capacity; n > 0 {
		m.bars, m.evicted = slices.Delete(m.bars, 0, n), true
	}
}

func (m *model) read(q Query) (want []market.Bar) {
	for _, b := range m.bars {
		if b.Flags&market.Void == 0 && (q.BeforeMs == 0 || b.EndMs <= q.BeforeMs) && (!q.HasAfter || b.Seq() > q.AfterSeq) {
			want = append(want, b)
		}
	}
	if n := len(want) - q.Limit; q.Limit > 0 && n > 0 {
		if q.HasAfter && q.Oldest {
			return want[:q.Limit]
		}
		return want[n:]
	}
	return want
}

// TestAgainstModel compares the ring with a slice over random upserts, revisions, evictions,
// voids, changes of scale and of capacity. Bars come with holes between them, and are filled
// in at random, at the end, and, hundreds at a time, about the oldest that is kept.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(10) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		m := &model{capacity: 1 + rnd.IntN(600)}
		set := NewSet(m.capacity)
		set.Carry([]uint32{7}, []market.Timeframe{market.M1})
		next := t0
		apply := func(start int64) {
			b := randomBar(rnd, market.Bar{Close: 58_010}, start)
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
			m.apply(b)
			next = max(next, start+60_000)
		}
		check := func() {
			q := Query{Limit: rnd.IntN(700) * rnd.IntN(2)}
			if rnd.IntN(5) == 0 {
				q.Limit = 1
			}
			if rnd.IntN(2) == 0 {
				q.BeforeMs = next - 60_000*rnd.Int64N(4000)
			}
			if rnd.IntN(3) == 0 {
				q.HasAfter, q.AfterSeq, q.Oldest = true, market.Seq(next)-rnd.Int64N(4000), rnd.IntN(2) == 0
			}
			got, info := set.Read(7, market.M1, q, nil)
			if d := cmp.Diff(m.read(q), got, cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("seed %d, capacity %d, %+v:\n%s", seed, m.capacity, q, d)
			}
			want := Info{Len: len(m.bars), OldestSeq: market.Seq(m.bars[0].StartMs), Evicted: m.evicted, Version: info.Version}
			if info != want {
				t.Fatalf("seed %d: %+v, want %+v", seed, info, want)
			}
			q.Unless = info.Version
			if bars, again := set.Read(7, market.M1, q, nil); len(bars) > 0 || again != info {
				t.Fatalf("seed %d: %d bars of a version that the asker has, %+v", seed, len(bars), again)
			}
		}
		for range 20 {
			step := 60_000 * (1 + rnd.Int64N(5))
			switch n := rnd.IntN(300); rnd.IntN(6) {
			case 0, 1: // on, with holes
				for range n {
					apply(next + step - 60_000)
				}
			case 2: // late, anywhere
				for range n {
					apply(next - 60_000*rnd.Int64N(3000))
				}
			case 3, 4: // late, about the oldest
				oldest := next
				if len(m.bars) > 0 {
					oldest = m.bars[0].StartMs
				}
				for range 300 {
					apply(oldest + 60_000*(rnd.Int64N(1300)-20))
				}
			case 5:
				m.capacity = 1 + rnd.IntN(600)
				m.evict()
				set.SetCapacity(m.capacity)
			}
			for range 3 {
				if len(m.bars) > 0 {
					check()
				}
			}
		}
	}
}

// TestLateIntoOldest fills the chunk that is being evicted until it splits in two.
func TestLateIntoOldest(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 4))
	m := &model{capacity: 128}
	set := NewSet(m.capacity)
	set.Carry([]uint32{7}, []market.Timeframe{market.M1})
	apply := func(start int64) {
		b := randomBar(rnd, market.Bar{Close: 58_010}, start)
		set.Apply(7, &b)
		m.apply(b)
	}
	for i := range int64(129) {
		apply(t0 + i*24_000_000)
	}
	for i := range int64(300) { // each makes room for itself at the front
		apply(t0 + 120*24_000_000 + 60_000*(i+1))
		got, _ := set.Read(7, market.M1, Query{}, nil)
		if d := cmp.Diff(m.bars, got); d != "" {
			t.Fatalf("after %d:\n%s", i, d)
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
