package ingest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/metrics"
)

// keptTicks keeps the batches of one partition.
type keptTicks struct {
	noTicks
	batches [][]byte
}

func (k *keptTicks) Publish(_ context.Context, _ int, data []byte) (logs.Ack, error) {
	k.batches = append(k.batches, slices.Clone(data))
	return done{}, nil
}

func (k *keptTicks) Read(_ context.Context, _ int, fn func([]byte) error) error {
	for _, b := range k.batches {
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}

// opened is a writer of SPY's partition, of a venue with gapless ids.
func opened(t *testing.T, log *memory, ticks *keptTicks, token uint64) *Writer {
	t.Helper()
	return openedAs(t, log, ticks, token, testSpec(t))
}

// openedAs is the same under a document; nil: it carries no symbol.
func openedAs(t *testing.T, log *memory, ticks *keptTicks, token uint64, spec *Spec) *Writer {
	t.Helper()
	table := &market.SymbolTable{}
	env := &Env{Bars: log, Ticks: ticks, Symbols: table, Metrics: metrics.New("test"), Log: logr.Discard(), Heads: headsOf(log, table)}
	w, err := openWriters(context.Background(), env, spec, &feed.Traits{Gapless: true},
		[]Claim{{Partition: market.PartitionOf("SPY"), Token: token, Gate: always{}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(w) == 0 {
		return nil
	}
	return w[0]
}

const refoldMinute = int64(1_709_649_000_000) // ms

// refold is a partition that is written, and taken over.
type refold struct {
	t     *testing.T
	log   memory
	ticks keptTicks
	w     *Writer
}

func tradeAt(id uint64, ms int64) market.Entry {
	return market.Entry{Kind: market.Trade, ID: id, Order: id, Time: ms * 1e6, Price: market.MustDecimal("1.5"), Size: market.MustDecimal("2")}
}

func markAt(ms int64) market.Entry {
	return market.Entry{Kind: market.Mark, Symbol: market.AllSymbols, Time: ms * 1e6}
}

func (r *refold) say(entries ...market.Entry) {
	r.t.Helper()
	for i := range entries {
		entries[i].Symbol = r.w.env.Symbols.Intern("SPY")
	}
	if err := r.w.process(context.Background(), entries); err != nil {
		r.t.Fatal(err)
	}
}

// fill fills the only gap, which must end before an id, with the trades from one id on, a second apart.
func (r *refold) fill(before, from uint64) {
	r.t.Helper()
	gaps := r.w.fold.OpenGaps(nil)
	if len(gaps) != 1 || gaps[0].BeforeID != before {
		r.t.Fatalf("gaps %v, want one before %d", gaps, before)
	}
	f := &fill{gap: gaps[0], done: make(chan error, 1)}
	f.gap.State = market.GapRepaired
	for id := from; id < before; id++ {
		f.trades = append(f.trades, tradeAt(id, refoldMinute+int64(id-100)*1000))
	}
	if err := r.w.fill(context.Background(), f); err != nil {
		r.t.Fatal(err)
	}
}

// last is the newest record of the minute.
func (r *refold) last() (last market.Record) {
	r.t.Helper()
	for _, e := range r.log.entries {
		frame, err := logs.DecodeFrame(e.Data)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, x := range frame.Records {
			if x.StartMs == refoldMinute {
				last = x
			}
		}
	}
	return last
}

// begun is a partition whose open minute has five trades that filled the gap at its beginning, and one that came.
func begun(t *testing.T) *refold {
	t.Helper()
	r := &refold{t: t}
	r.w = opened(t, &r.log, &r.ticks, 1)
	r.say(market.Entry{Kind: market.Seen, ID: 105, Time: (refoldMinute + 10_000) * 1e6}, markAt(refoldMinute+10_000))
	r.fill(106, 101)
	r.say(tradeAt(106, refoldMinute+11_000), markAt(refoldMinute+12_000)) // the gap is repaired: a frame
	return r
}

// TestTakenOverAfterFill: a gap's trades may be the first of a minute that is still open. Whoever takes the partition
// over then begins in the middle of the batch that filled it, and counts them all.
func TestTakenOverAfterFill(t *testing.T) {
	r := begun(t)
	r.w = opened(t, &r.log, &r.ticks, 2)
	r.say(tradeAt(107, refoldMinute+13_000), markAt(refoldMinute+70_000))
	if got := r.last(); got.N != 7 || got.Flags != 0 {
		t.Errorf("%+v, want a whole minute of 7 trades", got)
	}
}

// TestTicksLost: TICKS is gone, with what the open minute was made of: all of it is a gap, also what had filled one,
// and what fills it counts though the minute was closed meanwhile.
func TestTicksLost(t *testing.T) {
	for _, closed := range []bool{false, true} {
		r := begun(t)
		r.ticks.batches = nil
		r.w = opened(t, &r.log, &r.ticks, 2)
		r.say(tradeAt(107, refoldMinute+13_000), markAt(refoldMinute+14_000))
		if closed {
			r.say(markAt(refoldMinute + 70_000))
			if got := r.last(); got.N != 1 || got.Flags != market.Partial {
				t.Errorf("%+v, want a partial minute of one trade", got)
			}
		}
		r.w = opened(t, &r.log, &r.ticks, 3) // what was not lost since is not asked for again
		r.fill(107, 101)
		r.say(markAt(refoldMinute+120_000), markAt(refoldMinute+180_000))
		if got := r.last(); got.N != 7 || got.Flags != 0 {
			t.Errorf("closed %v: %+v, want a whole minute of 7 trades", closed, got)
		}
	}
}

// TestTicksLostInPart: TICKS has lost its beginning, and has what came after the checkpoint: that counts, also for the
// one after who took over.
func TestTicksLostInPart(t *testing.T) {
	r := begun(t)
	r.say(tradeAt(107, refoldMinute+12_500), tradeAt(108, refoldMinute+13_000), markAt(refoldMinute+13_100))
	r.ticks.batches = r.ticks.batches[len(r.ticks.batches)-1:]
	r.w = opened(t, &r.log, &r.ticks, 2)
	r.say(markAt(refoldMinute + 14_000)) // the gap is in a frame
	r.w = opened(t, &r.log, &r.ticks, 3)
	r.fill(107, 101)
	r.say(markAt(refoldMinute + 70_000))
	if got := r.last(); got.N != 8 || got.Flags != 0 {
		t.Errorf("%+v, want a whole minute of 8 trades", got)
	}
}

// TestCarriedAgain: a symbol that was carried before comes back: what the log has is not asked for again, and the rest as soon
// as the venue has named its newest trade.
func TestCarriedAgain(t *testing.T) {
	r := begun(t)
	r.say(tradeAt(107, refoldMinute+13_000), markAt(refoldMinute+61_000))
	for i, symbols := range [][]string{nil, {"SPY"}} {
		spec := testSpec(t)
		spec.Symbols, spec.Timeframes = symbols, []market.Timeframe{market.M5}
		spec.Generation.Generation = int64(i + 2)
		r.w = openedAs(t, &r.log, &r.ticks, uint64(i+2), spec)
	}
	r.say(market.Entry{Kind: market.Seen, ID: 130, Time: (refoldMinute + 90_000) * 1e6}, markAt(refoldMinute+91_000))
	gaps := r.w.fold.OpenGaps(nil)
	if len(gaps) != 1 || gaps[0].FromMs != refoldMinute+13_000 || gaps[0].AfterID != 107 || gaps[0].BeforeID != 131 {
		t.Errorf("gaps %+v, want one from the newest trade that the log has", gaps)
	}
}

// TestSeenTime: an id that a venue named and that did not come is missing up to when it was named: what came later,
// and is missing too, came after that.
func TestSeenTime(t *testing.T) {
	c := newContinuity([]uint32{0}, func(ns int64) int64 { return ns })
	var out []market.Entry
	for _, e := range []market.Entry{tradeAt(1, 1000), {Kind: market.Seen, ID: 3, Time: 2000e6}, {Kind: market.Seen, ID: 5, Time: 4000e6}, tradeAt(7, 6000)} {
		out = c.admit(out, &e)
	}
	got := ""
	for _, e := range out {
		if e.Kind == market.Hole {
			got += fmt.Sprintf("(%d,%d) %d to %d\n", e.AfterID(), e.BeforeID(), e.Time/1e6, e.Until/1e6)
		}
	}
	if want := "(1,4) 1000 to 2000\n(3,7) 2000 to 6000\n"; got != want {
		t.Errorf("holes\n%swant\n%s", got, want)
	}
}
