package ingest

import (
	"context"
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
	table := &market.SymbolTable{}
	env := &Env{Bars: log, Ticks: ticks, Symbols: table, Metrics: metrics.New("test"), Log: logr.Discard(), Heads: headsOf(log, table)}
	w, err := openWriters(context.Background(), env, testSpec(t), &feed.Traits{Gapless: true},
		[]Claim{{Partition: market.PartitionOf("SPY"), Token: token, Gate: always{}}})
	if err != nil {
		t.Fatal(err)
	}
	return w[0]
}

// TestTakenOverAfterFill: a gap's trades may be the first of a minute that is still open. Whoever takes the partition
// over then begins in the middle of the batch that filled it, and counts them all.
func TestTakenOverAfterFill(t *testing.T) {
	const minute = int64(1_709_649_000_000) // ms
	ctx := context.Background()
	log, ticks := &memory{}, &keptTicks{}
	trade := func(id uint64, ms int64) market.Entry {
		return market.Entry{Kind: market.Trade, ID: id, Order: id, Time: ms * 1e6, Price: market.MustDecimal("1.5"), Size: market.MustDecimal("2")}
	}
	mark := func(ms int64) market.Entry {
		return market.Entry{Kind: market.Mark, Symbol: market.AllSymbols, Time: ms * 1e6}
	}
	say := func(w *Writer, entries ...market.Entry) {
		t.Helper()
		for i := range entries {
			entries[i].Symbol = w.env.Symbols.Intern("SPY")
		}
		if err := w.process(ctx, entries); err != nil {
			t.Fatal(err)
		}
	}
	w := opened(t, log, ticks, 1)
	say(w, market.Entry{Kind: market.Seen, ID: 105, Time: (minute + 10_000) * 1e6}, mark(minute+10_000))
	gaps := w.fold.OpenGaps(nil)
	if len(gaps) != 1 || gaps[0].BeforeID != 106 {
		t.Fatalf("gaps %v, want one before 106", gaps)
	}
	f := &fill{gap: gaps[0], done: make(chan error, 1)}
	f.gap.State = market.GapRepaired
	for id := uint64(101); id <= 105; id++ {
		f.trades = append(f.trades, trade(id, minute+int64(id-100)*1000))
	}
	if err := w.fill(ctx, f); err != nil {
		t.Fatal(err)
	}
	say(w, trade(106, minute+11_000), mark(minute+12_000)) // the gap is repaired: a frame

	w = opened(t, log, ticks, 2)
	say(w, trade(107, minute+13_000), mark(minute+70_000))
	last, _ := log.lastOf(w.Partition)
	frame, err := logs.DecodeFrame(last.Data)
	if err != nil {
		t.Fatal(err)
	}
	if len(frame.Records) != 1 || frame.Records[0].N != 7 || frame.Records[0].Flags != 0 {
		t.Errorf("records %+v, want one whole minute of 7 trades", frame.Records)
	}
}
