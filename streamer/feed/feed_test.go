package feed

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/streamer/market"
)

// taken is a sink that keeps what it is given.
type taken struct {
	entries []market.Entry
	status  []Status
	err     error // of Put
}

func (s *taken) Put(e *market.Entry) error {
	s.entries = append(s.entries, *e)
	return s.err
}
func (s *taken) Flush() error     { return nil }
func (s *taken) Status(st Status) { s.status = append(s.status, st) }

// heard is the kinds, times in ms and offsets of entries.
func heard(entries []market.Entry) (out [][3]int64) {
	for _, e := range entries {
		out = append(out, [3]int64{int64(e.Kind), e.Time / 1e6, int64(e.Offset)})
	}
	return out
}

func at(ms int64, offset uint64) *market.Entry {
	return &market.Entry{Kind: market.Trade, Time: ms * 1e6, Offset: offset}
}

// TestMarker: a Mark comes before the entry that reaches the next 100 ms, also one that is
// not said; late entries move nothing; what is skipped says nothing.
func TestMarker(t *testing.T) {
	const trade, mark = int64(market.Trade), int64(market.Mark)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var out taken
	var m Marker
	m.Skip(1_050e6, 3)
	must(m.Put(&out, at(1_099, 4)))
	must(m.Put(&out, at(1_100, 5)))
	must(m.Put(&out, at(1_020, 6)))
	must(m.Pass(&out, 1_399e6, 7))
	must(m.Pass(&out, 1_399e6, 8))
	must(m.Put(&out, at(1_399, 9)))
	must(m.Step(&out, 1_500e6, 20))
	must(m.Put(&out, at(1_510, 21)))
	must(m.Step(&out, 1_500e6, 30)) // not a new one
	must(m.End(&out))
	want := [][3]int64{{trade, 1_099, 4}, {mark, 1_100, 4}, {trade, 1_100, 5}, {trade, 1_020, 6}, {mark, 1_300, 6}, {trade, 1_399, 9},
		{mark, 1_500, 20}, {trade, 1_510, 21}, {mark, market.EndOfFeed, 30}}
	if d := cmp.Diff(want, heard(out.entries)); d != "" {
		t.Error(d)
	}
	if m.Moves(1_599e6) || !m.Moves(1_600e6) {
		t.Error("the next step is at 1600")
	}
	if e := out.entries[1]; e.Symbol != market.AllSymbols {
		t.Errorf("a mark of symbol %d", e.Symbol)
	}
	full := taken{err: errors.New("full")}
	if err := m.Put(&full, at(9_000, 40)); !errors.Is(err, full.err) || len(full.entries) != 1 {
		t.Errorf("%v after %d entries: want the sink's error after the mark", err, len(full.entries))
	}
}

func TestParseSpeed(t *testing.T) {
	for text, want := range map[string]Speed{"1": 1, "2.5": 2.5, "0.001": 0.001, "1000000": 1e6, ".5": 0.5, "Max": Max} {
		if got, err := ParseSpeed(text); got != want || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "0.0009", "1000000.1", "-1", "+1", "1e3", "0x1p4", "1_0", "NaN", "Inf", "max", " 1", "1 ", "1.2.3", "."} {
		if got, err := ParseSpeed(text); err == nil || !strings.Contains(err.Error(), "from 0.001 to 1000000") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// paced waits for event times, in ms, and returns after which wall times, in ms, they came
// and how often it was going to wait.
func paced(t *testing.T, speed Speed, times ...int64) (walls []int64, waits int) {
	t.Helper()
	p := NewPacer(speed, func() error { waits++; return nil })
	began := time.Now()
	for _, ms := range times {
		if err := p.Wait(context.Background(), ms*1e6); err != nil {
			t.Fatal(err)
		}
		walls = append(walls, time.Since(began).Milliseconds())
	}
	return walls, waits
}

// TestPacer: the first event time is now, the others follow at the speed; what is less than
// a millisecond away or in the past does not wait.
func TestPacer(t *testing.T) {
	const day = 86_400_000
	for _, c := range []struct {
		name  string
		speed Speed
		times []int64
		walls []int64
		waits int
	}{
		{"as it was", 1, []int64{5_000, 5_000, 5_100, 5_050, 6_000}, []int64{0, 0, 100, 100, 1_000}, 2},
		{"ten times", 10, []int64{0, 1_000, 1_005, 2_000}, []int64{0, 100, 100, 200}, 2},
		{"a hundredth", 0.01, []int64{0, 10}, []int64{0, 1_000}, 1},
		{"as fast as it goes", Max, []int64{0, day, 400 * day}, []int64{0, 0, 0}, 0},
		{"over a weekend", 1, []int64{0, 3 * day}, []int64{0, 3 * day}, 1},
		{"slow over years", 0.001, []int64{0, day}, []int64{0, 1_000 * day}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				walls, waits := paced(t, c.speed, c.times...)
				if d := cmp.Diff(c.walls, walls); d != "" || waits != c.waits {
					t.Errorf("%d waits, want %d\n%s", waits, c.waits, d)
				}
			})
		})
	}
}

// TestPacerEnds: a wait ends with its context, or with the error of what comes before it.
func TestPacerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("full")
		p := NewPacer(1, func() error { return full })
		p.Anchor(0, time.Now())
		if err := p.Wait(context.Background(), 1e9); !errors.Is(err, full) {
			t.Error(err)
		}
		p = NewPacer(1, func() error { return nil })
		p.Anchor(0, time.Now())
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		began := time.Now()
		if err := p.Wait(ctx, math.MaxInt64); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
