package bars

import (
	"math/rand/v2"
	"testing"

	"github.com/marketstream/marketstream/streamer/market"
)

// TestIDSet holds the set to a map, over ids as venues give them.
func TestIDSet(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, next := range map[string]func(i int) uint64{
		"dense":            func(i int) uint64 { return uint64(i) + 1 },
		"dense, disturbed": func(i int) uint64 { return uint64(i^31) + 1 },
		"rising, holes":    func(i int) uint64 { return uint64(i)*7 + 1 },
		"falling":          func(i int) uint64 { return uint64(100_000 - i*3) },
		"hashes":           func(int) uint64 { return random.Uint64() | 1 },
		"few, often":       func(int) uint64 { return random.Uint64N(3000) + 1 },
		"one stride":       func(i int) uint64 { return uint64(20_000-i) << 40 },
	} {
		var s idSet
		known := map[uint64]bool{}
		for i := range 20_000 {
			id := next(i)
			if got := s.has(id); got != known[id] {
				t.Fatalf("%s: at %d has(%d) is %v", name, i, id, got)
			}
			if got := s.add(id); got == known[id] {
				t.Fatalf("%s: at %d add(%d) is %v", name, i, id, got)
			}
			known[id] = true
		}
		if n := len(s.runs); name == "dense, disturbed" && n > 2 {
			t.Errorf("%s: %d runs", name, n)
		}
	}
}

// TestTwiceAfterClose: an id counts once, however many there are and however late it comes again.
func TestTwiceAfterClose(t *testing.T) {
	for name, id := range map[string]func(i int) uint64{
		"text":             func(i int) uint64 { return rand.New(rand.NewPCG(uint64(i), 9)).Uint64() | 1 },
		"a shared counter": func(i int) uint64 { return uint64(i)*3 + 1 },
	} {
		f, entries := foldOf(t, 1)
		const n = 1000
		trades := func(from, to int) {
			for i := from; i < to; i++ {
				e := entries[0]
				e.Time, e.Order, e.ID = base*nsPerMs+int64(i), uint64(i), id(i)
				f.Entry(&e, market.Position{})
			}
		}
		mark := func(ms int64) *Close {
			return f.Entry(&market.Entry{Kind: market.Mark, Time: ms * nsPerMs}, market.Position{})
		}
		trades(0, n)
		if c := mark(base + minuteMs + 2000); c == nil || c.Records[0].N != n {
			t.Fatalf("%s: closed %+v", name, c)
		}
		trades(0, n+2) // two that nobody had
		if got, want := f.Stats(), (Stats{Trades: n, Late: 2, Duplicates: n}); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		if c := mark(base + minuteMs + 60_000); c == nil || c.Records[0].N != n+2 {
			t.Errorf("%s: revised %+v", name, c)
		}
		mark(base + 30*minuteMs)
		if f.idsHeld != 0 {
			t.Errorf("%s: %d ids are held after the window", name, f.idsHeld)
		}
	}
}

// TestIDsAreBounded: past the bound the oldest minutes' ids go first, what is forgotten is counted.
func TestIDsAreBounded(t *testing.T) {
	f, entries := foldOf(t, 3)
	f.mostIDs = 1000
	said := uint64(0)
	minute := func(m int64, n int, first uint64) {
		for i := range n {
			e := entries[i%3]
			said++
			e.Time, e.Order, e.ID = (base+m*minuteMs)*nsPerMs, said, first+uint64(i)*5
			f.Entry(&e, market.Position{})
			if f.idsHeld > f.mostIDs || f.spareRuns > f.mostIDs {
				t.Fatalf("%d ids are held, room for %d more", f.idsHeld, f.spareRuns)
			}
		}
	}
	mark := func(m int64) {
		f.Entry(&market.Entry{Kind: market.Mark, Time: (base + m*minuteMs + 2000) * nsPerMs}, market.Position{})
	}
	for m := range int64(4) { // 1600 ids
		minute(m, 400, 1)
		mark(m + 1)
	}
	if got := f.Stats(); got.Duplicates != 0 || got.ForgottenIDs != 800 {
		t.Errorf("after four minutes: %+v, want 800 ids forgotten", got)
	}
	minute(3, 400, 1) // again, of the newest
	if got := f.Stats(); got.Duplicates != 400 || got.Late != 0 {
		t.Errorf("the newest minute again: %+v", got)
	}
	minute(4, 1500, 1) // more than all closed minutes make room for
	if got := f.Stats(); got.Trades != 1600+1500 || got.ForgottenIDs != 1600+500 {
		t.Errorf("one minute past the bound: %+v", got)
	}
	minute(4, 1500, 1)
	if got := f.Stats(); got.Duplicates != 400+1000 {
		t.Errorf("and again: %+v", got)
	}
}

// BenchmarkTextIDs is 400,000 trades of one symbol and minute whose ids are hashes.
func BenchmarkTextIDs(b *testing.B) {
	b.ReportAllocs()
	const n = 400_000
	for b.Loop() {
		f, entries := foldOf(b, 1)
		random := rand.New(rand.NewPCG(1, 2))
		e := entries[0]
		for i := range n {
			e.Order, e.ID = uint64(i), random.Uint64()|1
			f.Entry(&e, market.Position{})
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/trade")
}
