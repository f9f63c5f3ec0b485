package ring

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/marketstream/marketstream/streamer/market"
)

// closed is a log: bars of some symbols, minute by minute, with revisions of earlier ones.
func closed(rnd *rand.Rand, symbols uint32, minutes int64) (log []entry) {
	revs := map[[2]int64]uint32{}
	for m := range minutes {
		for sym := range symbols {
			if rnd.IntN(5) > 0 {
				log = append(log, entry{sym, minuteBar(m, 0, rnd.Int64N(100))})
			}
			if back := m - rnd.Int64N(40); back >= 0 && rnd.IntN(10) == 0 {
				k := [2]int64{int64(sym), back}
				revs[k]++
				log = append(log, entry{sym, minuteBar(back, revs[k], rnd.Int64N(100))})
			}
		}
	}
	return log
}

type entry struct {
	symbol uint32
	bar    market.Bar
}

func minuteBar(m int64, rev uint32, price int64) market.Bar {
	const t0 = 1_709_596_800_000
	return market.Bar{Timeframe: market.M1, StartMs: t0 + m*60_000, EndMs: t0 + (m+1)*60_000, Rev: rev,
		Open: price, High: price + 2, Low: price - 2, Close: price + 1, N: 1, Volume: market.Int128From(1)}
}

// TestLoad: rings that were loaded while bars came are those that were there all the time,
// and nothing of them was to be seen before.
func TestLoad(t *testing.T) {
	tfs := []market.Timeframe{market.M1}
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		log := closed(rnd, 3, 300)
		whole, set := NewSet(150), NewSet(150)
		whole.Carry([]uint32{0, 1, 2}, tfs)
		set.Carry([]uint32{0}, tfs)
		begin := rnd.IntN(len(log))
		end := begin + rnd.IntN(len(log)-begin) // what is stored when the pass begins
		for i := range log {
			whole.Apply(log[i].symbol, &log[i].bar)
		}
		for i := range log[:begin] {
			set.Apply(log[i].symbol, &log[i].bar)
		}
		if got := set.Lacking([]uint32{0, 1, 2}, tfs); len(got) != 2 {
			t.Fatalf("lacking %v", got)
		}
		l := set.Load([]uint32{0, 1, 2}, tfs)
		var live sync.WaitGroup
		live.Go(func() {
			for i := range log[begin:] {
				set.Apply(log[begin+i].symbol, &log[begin+i].bar)
			}
		})
		for i := range log[:end] {
			l.Apply(log[i].symbol, &log[i].bar)
		}
		if _, info := set.Read(1, market.M1, Query{}, nil); !info.Missing {
			t.Fatal("a ring is read before it is whole")
		}
		if rnd.IntN(2) == 0 {
			live.Wait() // else they go on while the rings are put in place
		}
		if n, ok := l.Done(); n != 2 || !ok {
			t.Fatalf("%d rings, %v", n, ok)
		}
		live.Wait()
		for sym := range uint32(3) {
			want, was := whole.Read(sym, market.M1, Query{}, nil)
			got, is := set.Read(sym, market.M1, Query{}, nil)
			if !slices.Equal(want, got) || was.Len != is.Len || was.OldestSeq != is.OldestSeq || was.Evicted != is.Evicted {
				t.Fatalf("seed %d, symbol %d: %+v and %d bars, want %+v and %d", seed, sym, is, len(got), was, len(want))
			}
		}
	}
}

// TestLoadIsVoid: what is loaded is not put into a set that was emptied, or begins another.
func TestLoadIsVoid(t *testing.T) {
	tfs := []market.Timeframe{market.M1}
	for what, fn := range map[string]func(*Set){"emptied": (*Set).Reset, "another": func(s *Set) { s.Load([]uint32{2}, tfs) },
		"carries": func(s *Set) { s.Carry([]uint32{1}, tfs) }} {
		s := NewSet(10)
		l := s.Load([]uint32{1}, tfs)
		b := minuteBar(1, 0, 5)
		l.Apply(1, &b)
		fn(s)
		if _, ok := l.Done(); ok {
			t.Errorf("%s: it was put in place", what)
		}
		if bars, _ := s.Read(1, market.M1, Query{}, nil); len(bars) > 0 {
			t.Errorf("%s: %v", what, bars)
		}
	}
}

// TestDropAndKeep: rings go by symbol, and by what is carried.
func TestDropAndKeep(t *testing.T) {
	s := NewSet(10)
	s.Carry([]uint32{1, 2, 3}, []market.Timeframe{market.M1, market.M5})
	if n := s.Drop(2); n != 2 {
		t.Errorf("%d rings were dropped", n)
	}
	s.Keep([]uint32{1, 2}, []market.Timeframe{market.M1, market.M2})
	if got := s.Symbols(); len(got) != 1 || got[0] != 1 {
		t.Errorf("%v are left", got)
	}
	if _, info := s.Read(1, market.M5, Query{}, nil); !info.Missing {
		t.Error("a timeframe stays")
	}
	if _, info := s.Read(1, market.M2, Query{}, nil); !info.Missing {
		t.Error("an empty ring was made")
	}
}
