package feed_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/marketstream/marketstream/streamer/bars"
	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
)

var equateEmpty = cmpopts.EquateEmpty()

const (
	startMs  = int64(1_709_640_000_000) // a whole hour
	minuteMs = int64(60_000)
	trades   = 600 // one a second: ten minutes
	endMs    = startMs + trades*1000
	symbols  = 2
)

// line is a source of a trade a second in one symbol after the other, at the half seconds,
// with a price that says which it is; the watermark moves at whole seconds too.
type line struct{}

func (line) SetSymbols([]feed.Symbol) {}
func (line) Close() error             { return nil }

func (line) Run(_ context.Context, from market.SourcePosition, _ uint64, sink feed.Sink) error {
	var marks feed.Marker
	for i := int64(1); i <= trades; i++ {
		e := market.Entry{Kind: market.Trade, Symbol: uint32(i % symbols), Time: (startMs + i*1000 - 500) * 1e6, Offset: uint64(i),
			Order: uint64(i), ID: uint64(i), Price: market.Decimal{Coef: 1000 + i}, Size: market.Decimal{Coef: 1}}
		if e.Offset <= from.Offset {
			marks.Skip(e.Time, e.Offset)
			continue
		}
		if err := marks.Step(sink, (startMs+(i-1)*1000)*1e6, e.Offset-1); err != nil {
			return err
		}
		if err := marks.Put(sink, &e); err != nil {
			return err
		}
	}
	return marks.End(sink)
}

// rewindable is a line that knows where to begin.
type rewindable struct{ line }

func (rewindable) Before(ns int64) market.SourcePosition {
	return market.SourcePosition{Offset: uint64(max((ns/1e6-startMs)/1000-1, 0))}
}

// folder folds what a source says.
type folder struct {
	fold    *bars.Fold
	closes  []bars.Close
	entries []market.Entry
	status  []feed.State
}

func newFolder(frames ...bars.Close) *folder {
	cfg := bars.Config{Timeframes: []market.Timeframe{market.M5}, CloseGraceMs: 1000, RevisionWindowMs: 15 * minuteMs}
	for i, name := range []string{"AAA", "BBB"} {
		cfg.Symbols = append(cfg.Symbols, bars.Symbol{Number: uint32(i), Name: name})
	}
	f := &folder{fold: bars.New(cfg)}
	for i := range frames {
		f.fold.Restore(&frames[i])
	}
	return f
}

func (f *folder) Put(e *market.Entry) error {
	f.entries = append(f.entries, *e)
	if c := f.fold.Entry(e, market.Position{Source: market.SourcePosition{Offset: e.Offset}}); c != nil {
		f.closes = append(f.closes, bars.Close{Records: slices.Clone(c.Records), Gaps: slices.Clone(c.Gaps), Watermark: c.Watermark, Applied: c.Applied, Open: c.Open})
	}
	return nil
}
func (f *folder) Flush() error         { return nil }
func (f *folder) Status(s feed.Status) { f.status = append(f.status, s.State) }

func folded(t *testing.T, s feed.Source, from market.SourcePosition, frames ...bars.Close) *folder {
	t.Helper()
	f := newFolder(frames...)
	if err := s.Run(context.Background(), from, 0, f); err != nil {
		t.Fatal(err)
	}
	return f
}

// bar is where a record is.
type bar struct {
	symbol uint32
	tf     market.Timeframe
	minute int64
}

// final is the newest record of each bar, without its rev and flags.
func (f *folder) final() map[bar]market.Record {
	out := make(map[bar]market.Record)
	for _, c := range f.closes {
		for _, r := range c.Records {
			at := bar{r.Symbol, r.Timeframe, (r.StartMs - startMs) / minuteMs}
			r.Rev, r.Flags = 0, 0
			out[at] = r
		}
	}
	return out
}

// partial are the bars that are partial at the end, revised those that have revisions.
func (f *folder) partial() (partial, revised map[bar]bool) {
	partial, revised = make(map[bar]bool), make(map[bar]bool)
	for _, c := range f.closes {
		for _, r := range c.Records {
			at := bar{r.Symbol, r.Timeframe, (r.StartMs - startMs) / minuteMs}
			delete(partial, at)
			if r.Flags&market.Partial != 0 {
				partial[at] = true
			}
			if r.Rev > 0 {
				revised[at] = true
			}
		}
	}
	return partial, revised
}

func (f *folder) gaps() (out []market.Gap) {
	for _, c := range f.closes {
		out = append(out, c.Gaps...)
	}
	return out
}

// broken is a line with one fault over [from, to) seconds.
func broken(kind feed.FaultKind, from, to int64) feed.Source {
	return feed.Break(rewindable{}, feed.Faults{Seed: 3, Faults: []feed.Fault{
		{Kind: kind, From: (startMs + from*1000) * 1e6, To: (startMs + to*1000) * 1e6}}})
}

// TestFaultGap: what is left out is said by a Hole; it is a gap of each symbol, and the
// bars that touch it are partial; all others are as they would have been.
func TestFaultGap(t *testing.T) {
	whole := folded(t, line{}, market.SourcePosition{})
	f := folded(t, broken(feed.FaultGap, 170, 200), market.SourcePosition{})
	var want []market.Gap
	for s := range uint32(symbols) {
		want = append(want, market.Gap{Symbol: s, FromMs: startMs + 170_000, ToMs: startMs + 200_000, Reason: market.GapDisconnect})
	}
	if d := cmp.Diff(want, f.gaps()); d != "" {
		t.Error(d)
	}
	wantPartial := make(map[bar]bool)
	for s := range uint32(symbols) {
		for _, b := range []bar{{s, market.M1, 2}, {s, market.M1, 3}, {s, market.M5, 0}} {
			wantPartial[b] = true
		}
	}
	partial, _ := f.partial()
	if d := cmp.Diff(wantPartial, partial); d != "" {
		t.Error(d)
	}
	got := f.final()
	for b, w := range whole.final() {
		missing := int64(0)
		if wantPartial[b] {
			missing = map[int64]int64{2: 5, 3: 10, 0: 15}[b.minute]
		}
		if g := got[b]; g.N != w.N-missing || missing == 0 && g != w {
			t.Errorf("%+v: %d trades of %d, want %d less", b, g.N, w.N, missing)
		}
	}
}

// TestFaultDisorder: the same trades in another order; bars that were closed before all
// came are revised, and in the end every bar is as it would have been.
func TestFaultDisorder(t *testing.T) {
	whole := folded(t, line{}, market.SourcePosition{})
	f := folded(t, broken(feed.FaultDisorder, 100, 290), market.SourcePosition{})
	if d := cmp.Diff(whole.final(), f.final()); d != "" {
		t.Error(d)
	}
	partial, revised := f.partial()
	if len(partial) > 0 || len(f.gaps()) > 0 {
		t.Errorf("partial %v, gaps %v", partial, f.gaps())
	}
	if !revised[bar{0, market.M1, 2}] || f.fold.Stats().Late == 0 {
		t.Errorf("revised %v, %+v: want late trades", revised, f.fold.Stats())
	}
	for i, e := range f.entries { // places rise all the same
		if i > 0 && e.Offset < f.entries[i-1].Offset {
			t.Fatalf("place %d after %d", e.Offset, f.entries[i-1].Offset)
		}
	}
}

// TestFaultDuplicate: trades that come twice change nothing.
func TestFaultDuplicate(t *testing.T) {
	whole := folded(t, line{}, market.SourcePosition{})
	f := folded(t, broken(feed.FaultDuplicate, 100, 200), market.SourcePosition{})
	if d := cmp.Diff(whole.closes, f.closes); d != "" {
		t.Error(d)
	}
	if n := f.fold.Stats().Duplicates; n != 100 || len(f.entries) != len(whole.entries)+100 {
		t.Errorf("%d duplicates, %d entries more", n, len(f.entries)-len(whole.entries))
	}
}

// TestFaultSilence: nothing is said, so nothing closes; the status says it.
func TestFaultSilence(t *testing.T) {
	whole := folded(t, line{}, market.SourcePosition{})
	f := folded(t, broken(feed.FaultSilence, 100, 400), market.SourcePosition{})
	for _, e := range f.entries {
		if ms := e.Time / 1e6; ms >= startMs+100_000 && ms < startMs+400_000 {
			t.Fatalf("it said %+v", e)
		}
	}
	for _, c := range f.closes {
		if c.Watermark >= startMs+100_000 && c.Watermark < startMs+400_000 {
			t.Errorf("a close at %d", c.Watermark)
		}
	}
	if len(f.gaps()) > 0 || len(f.closes) == len(whole.closes) {
		t.Errorf("gaps %v, %d closes of %d", f.gaps(), len(f.closes), len(whole.closes))
	}
	if d := cmp.Diff([]feed.State{feed.Silent, feed.Connected}, f.status); d != "" {
		t.Error(d)
	}
}

// TestFaultsAfterRestart: a broken source goes on from every close as it did the first
// time, one that can rewind and one that cannot; so bars are what they would have been.
func TestFaultsAfterRestart(t *testing.T) {
	for _, kind := range []feed.FaultKind{feed.FaultGap, feed.FaultDisorder, feed.FaultDuplicate, feed.FaultSilence} {
		for _, inner := range []feed.Source{line{}, rewindable{}} {
			faults := feed.Faults{Seed: 5}
			for _, s := range []int64{30, 115, 179, 240, 420} {
				faults.Faults = append(faults.Faults, feed.Fault{Kind: kind, From: (startMs + s*1000) * 1e6, To: (startMs + (s+25)*1000) * 1e6})
			}
			s := feed.Break(inner, faults)
			whole := folded(t, s, market.SourcePosition{})
			for k := range whole.closes {
				rest := folded(t, s, whole.closes[k].Open.Source, whole.closes[:k+1]...)
				if d := cmp.Diff(whole.closes[k+1:], rest.closes, equateEmpty); d != "" {
					t.Fatalf("fault %d, %T, after close %d of %d (applied %d, open %d):\n%s", kind, inner, k, len(whole.closes),
						whole.closes[k].Applied.Source.Offset, whole.closes[k].Open.Source.Offset, d)
				}
			}
		}
	}
}

// TestEmptyGap: a gap in which the source had nothing is a gap, also after a crash where its
// Hole stands at the place of the last trade.
func TestEmptyGap(t *testing.T) {
	s := feed.Break(line{}, feed.Faults{Faults: []feed.Fault{{Kind: feed.FaultGap, From: (startMs + 121_100) * 1e6, To: (startMs + 121_300) * 1e6}}})
	whole := folded(t, s, market.SourcePosition{})
	if len(whole.gaps()) != symbols {
		t.Fatalf("gaps %v", whole.gaps())
	}
	atHole := false
	for k := range whole.closes {
		atHole = atHole || whole.closes[k].Applied.Source.Offset == 121
		rest := folded(t, s, whole.closes[k].Open.Source, whole.closes[:k+1]...)
		if d := cmp.Diff(whole.closes[k+1:], rest.closes, equateEmpty); d != "" {
			t.Fatalf("after close %d:\n%s", k, d)
		}
	}
	if !atHole {
		t.Error("no crash at the hole")
	}
	for from, want := range map[uint64]int{120: 1, 121: 1, 122: 0} {
		holes := 0
		for _, e := range folded(t, s, market.SourcePosition{Offset: from}).entries {
			if e.Kind == market.Hole {
				holes++
			}
		}
		if holes != want {
			t.Errorf("from %d: %d holes, want %d", from, holes, want)
		}
	}
}
