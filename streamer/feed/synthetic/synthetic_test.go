package synthetic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/streamer/bars"
	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
)

var errEnough = errors.New("enough")

// sink keeps the trades of a stretch of event time and ends the run after it.
type sink struct {
	until  int64 // ms
	trades []market.Entry
	marks  []int64
	state  []feed.State
}

func (s *sink) Put(e *market.Entry) error {
	if e.Kind == market.Mark {
		s.marks = append(s.marks, e.Time/1e6)
		if e.Time/1e6 >= s.until {
			return errEnough
		}
		return nil
	}
	s.trades = append(s.trades, *e)
	return nil
}
func (s *sink) Flush() error          { return nil }
func (s *sink) Status(st feed.Status) { s.state = append(s.state, st.State) }

func symbols(names ...string) (out []feed.Symbol) {
	for i, n := range names {
		out = append(out, feed.Symbol{Number: uint32(i), Name: n})
	}
	return out
}

const t0 = int64(1_709_640_000_000)

// invent runs a source over [from, until) of event time.
func invent(t *testing.T, opts Options, from uint64, until int64, names ...string) []market.Entry {
	t.Helper()
	opts.Largest, opts.Speed = market.H1, feed.Max
	s := New(opts)
	s.SetSymbols(symbols(names...))
	out := &sink{until: until}
	if err := s.Run(context.Background(), market.SourcePosition{Offset: from}, 0, out); !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	return out.trades
}

func place(ms int64) uint64 { return uint64(ms/stepMs) << stepShift }

// TestReproducible: a seed's first trades are these, on every machine.
func TestReproducible(t *testing.T) {
	trades := invent(t, Options{Seed: 1, TicksPerSecond: 20}, place(t0), t0+600, "SPY")
	var got []string
	for _, e := range trades[:6] {
		got = append(got, fmt.Sprint((e.Time-t0*1e6)/1e6, " ", e.Price, " ", e.Size, " ", e.Side))
	}
	want := []string{"86 268.37 58 sell", "122 268.4 300 buy", "171 268.36 200 sell", "216 268.39 50 buy", "415 268.38 6 buy", "571 268.37 89 sell"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestRestart goes on from every place as the first run did; a symbol that joins changes no other.
func TestRestart(t *testing.T) {
	opts := Options{Seed: 4, TicksPerSecond: 30}
	whole := invent(t, opts, place(t0), t0+2000, "AAA", "BBB")
	for i := range whole {
		if i > 0 && whole[i].Offset <= whole[i-1].Offset {
			t.Fatalf("place %d after %d", whole[i].Offset, whole[i-1].Offset)
		}
		got := invent(t, opts, whole[i].Offset, t0+2000, "AAA", "BBB")
		if d := cmp.Diff(append([]market.Entry{}, whole[i+1:]...), append([]market.Entry{}, got...)); d != "" {
			t.Fatalf("after %d:\n%s", whole[i].Offset, d)
		}
	}
	count := 0
	more := invent(t, opts, place(t0), t0+2000, "AAA", "BBB", "CCC")
	for _, e := range more {
		if e.Symbol < 2 {
			w := whole[count]
			if e.Time != w.Time || e.Price != w.Price || e.Size != w.Size {
				t.Fatalf("with a third symbol: %+v, was %+v", e, w)
			}
			count++
		}
	}
	if count != len(whole) || len(more) == count {
		t.Errorf("%d of %d", count, len(whole))
	}
}

// TestRates: the mean is what was asked for, the day has the shape of a U, a burst is 40
// times the mean, and every symbol trades every minute.
func TestRates(t *testing.T) {
	g := newGenerator(1, "SPY", 20)
	day := int64(19_700) * stepsInDay
	var total, midnight, noon, burst int64
	for step := day; step < day+stepsInDay; step++ {
		n := g.count(step)
		total += n
		burst = max(burst, n)
		switch hour := step % stepsInDay * stepMs / 3_600_000; hour {
		case 0:
			midnight += n
		case 12:
			noon += n
		}
		if step%600 == 599 {
			minute := int64(0)
			for s := step - 599; s <= step; s++ {
				minute += g.count(s)
			}
			if minute == 0 {
				t.Fatalf("no trade in the minute before step %d", step)
			}
		}
	}
	mean := float64(total) / 86_400
	t.Logf("%.2f trades a second; first hour %d, thirteenth %d; most in 100 ms %d", mean, midnight, noon, burst)
	if mean < 19 || mean > 21.5 {
		t.Errorf("%.2f trades a second, want 20", mean)
	}
	if ratio := float64(midnight) / float64(noon); ratio < 3 || ratio > 4.2 {
		t.Errorf("the day's ends trade %.1f times its middle", ratio)
	}
	if burst < 79 || burst > 81 {
		t.Errorf("a burst of %d in 100 ms, want 40 × the mean of 2", burst)
	}
}

// TestStart begins at a whole timeframe in the past, catches up at once, and then keeps pace.
func TestStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Seed: 1, TicksPerSecond: 5, Speed: 2, SeedBars: 50, Largest: market.H1})
		s.SetSymbols(symbols("SPY"))
		began := time.Now()
		out := &sink{until: began.UnixMilli() + 10_000}
		if err := s.Run(context.Background(), market.SourcePosition{}, 0, out); !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		if first := out.marks[0]; first%3_600_000 != 0 || first > began.UnixMilli()-50*60_000 || first <= began.UnixMilli()-110*60_000 {
			t.Errorf("it begins at %d", first)
		}
		if took := time.Since(began); took < 4900*time.Millisecond || took > 5100*time.Millisecond {
			t.Errorf("10 s of event time at twice the pace took %v", took)
		}
		if d := cmp.Diff([]feed.State{feed.CatchingUp, feed.Connected}, out.state); d != "" {
			t.Error(d)
		}
	})
}

// TestBegin: a new log's place is chosen once, and a Run from there says the same whenever
// it is begun, later too.
func TestBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Seed: 1, TicksPerSecond: 5, Speed: feed.Max, SeedBars: 3, Largest: market.H1})
		s.SetSymbols(symbols("SPY"))
		first := func(from market.SourcePosition) market.Entry {
			out := &sink{until: time.Now().UnixMilli()}
			if err := s.Run(context.Background(), from, 0, out); !errors.Is(err, errEnough) {
				t.Fatal(err)
			}
			return out.trades[0]
		}
		begin := s.Begin(time.Now())
		want := first(market.SourcePosition{}) // a log of now
		if got := first(begin); got != want || begin.Offset == 0 {
			t.Errorf("from %d: %+v, want %+v", begin.Offset, got, want)
		}
		<-time.After(2 * time.Hour) // of the bubble
		if got := first(begin); got != want {
			t.Errorf("two hours later: %+v, want %+v", got, want)
		}
		if got := first(market.SourcePosition{}); got == want {
			t.Error("a log of two hours later begins at the same place")
		}
	})
}

// folder folds what a source says and keeps what closes.
type folder struct {
	fold   *bars.Fold
	until  int64 // ms
	closes []bars.Close
}

func (f *folder) Put(e *market.Entry) error {
	if c := f.fold.Entry(e, market.Position{Source: market.SourcePosition{Offset: e.Offset}}); c != nil {
		f.closes = append(f.closes, bars.Close{Records: slices.Clone(c.Records), Gaps: slices.Clone(c.Gaps), Watermark: c.Watermark, Applied: c.Applied, Open: c.Open})
	}
	if e.Kind == market.Mark && e.Time/1e6 >= f.until {
		return errEnough
	}
	return nil
}
func (f *folder) Flush() error       { return nil }
func (f *folder) Status(feed.Status) {}

// TestSymbolJoins: after every close a symbol joins. Places that a log keeps mean the same
// then, so the bars of the others are what they would have been; without a grace too, where
// everything up to the last step is closed.
func TestSymbolJoins(t *testing.T) {
	for _, graceMs := range []int64{0, 2000} {
		const minutes = 6
		run := func(frames []bars.Close, from market.SourcePosition, names ...string) []bars.Close {
			cfg := bars.Config{Timeframes: []market.Timeframe{market.M2}, CloseGraceMs: graceMs, RevisionWindowMs: 900_000}
			for _, s := range symbols(names...) {
				sym := bars.Symbol{Number: s.Number, Name: s.Name}
				if s.Name == "AAB" && len(frames) > 0 {
					sym.SinceOffset = frames[len(frames)-1].Applied.Source.Offset
				}
				cfg.Symbols = append(cfg.Symbols, sym)
			}
			out := &folder{fold: bars.New(cfg), until: t0 + minutes*60_000 + graceMs}
			for i := range frames {
				out.fold.Restore(&frames[i])
			}
			s := New(Options{Seed: 7, TicksPerSecond: 40, Speed: feed.Max, Largest: market.H1})
			s.SetSymbols(symbols(names...))
			if err := s.Run(context.Background(), from, 0, out); !errors.Is(err, errEnough) {
				t.Fatal(err)
			}
			return out.closes
		}
		whole := run(nil, market.SourcePosition{Offset: place(t0)}, "AAA", "BBB")
		if len(whole) < minutes {
			t.Fatalf("%d closes", len(whole))
		}
		for k := range whole[:len(whole)-1] {
			got := run(whole[:k+1], whole[k].Open.Source, "AAA", "BBB", "AAB") // its trades come before those of BBB
			joined := 0
			for i := range got {
				got[i].Records = slices.DeleteFunc(got[i].Records, func(r market.Record) bool {
					if r.Symbol == 2 {
						joined++
					}
					return r.Symbol == 2
				})
				for j := range got[i].Records { // a trade's place is its order, and has moved
					unplaced(&got[i].Records[j])
				}
			}
			want := slices.Clone(whole[k+1:])
			for i := range want {
				want[i].Records = slices.Clone(want[i].Records)
				for j := range want[i].Records {
					unplaced(&want[i].Records[j])
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Fatalf("a grace of %d ms, after close %d:\n%s", graceMs, k, d)
			}
			if joined == 0 {
				t.Errorf("after close %d: no bar of the symbol that joined", k)
			}
		}
	}
}

func unplaced(r *market.Record) { r.Prices.First.Order, r.Prices.Last.Order = 0, 0 }

func BenchmarkStep(b *testing.B) {
	names := make([]string, 100)
	for i := range names {
		names[i] = fmt.Sprint("S", i)
	}
	s := New(Options{Seed: 1, TicksPerSecond: 20})
	s.SetSymbols(symbols(names...))
	r := run{Source: s, sink: &counter{}}
	step := t0 / stepMs
	b.ReportAllocs()
	for b.Loop() {
		if err := r.step(step); err != nil {
			b.Fatal(err)
		}
		step++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(r.sink.(*counter).n), "ns/trade")
}

type counter struct{ n int }

func (c *counter) Put(*market.Entry) error { c.n++; return nil }
func (c *counter) Flush() error            { return nil }
func (c *counter) Status(feed.Status)      {}
