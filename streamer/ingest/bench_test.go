package ingest

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/backbone"
	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/metrics"
)

// cpu is what the process has used so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkClose20000 closes 20,000 1m bars at once, in 16 frames: in memory, and in files
// that are synced. It reports the CPU of everything that the close costs.
func BenchmarkClose20000(b *testing.B) {
	for _, kind := range []string{"memory", "synced"} {
		b.Run(kind, func(b *testing.B) {
			dir := ""
			if kind == "synced" {
				dir = b.TempDir()
			}
			ctx := context.Background()
			bb, err := backbone.Open(ctx, backbone.Options{Namespace: "bench", Name: "close", Dir: dir, Log: logr.Discard()})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = bb.Close() }()
			pipe, writers := startWriters(b, ctx, bb, 20_000)
			offset, at := uint64(0), int64(1_709_649_000_000)
			mark := func(ms int64) {
				offset++
				if err := pipe.Put(&market.Entry{Kind: market.Mark, Symbol: market.AllSymbols, Time: ms * 1e6, Offset: offset}); err != nil {
					b.Fatal(err)
				}
				if err := pipe.Flush(); err != nil {
					b.Fatal(err)
				}
			}
			var used time.Duration
			for b.Loop() {
				b.StopTimer()
				for s := range uint32(20_000) {
					offset++
					e := market.Entry{Kind: market.Trade, Symbol: s, Time: at * 1e6, Price: market.Decimal{Coef: int64(10_000 + s), Scale: 2}, Size: market.Decimal{Coef: 7}, Offset: offset, Order: offset}
					if err := pipe.Put(&e); err != nil {
						b.Fatal(err)
					}
				}
				at += 60_000
				mark(at) // everything is folded
				settle(b, writers, at)
				b.StartTimer()
				before := cpu()
				mark(at + 2000)
				settle(b, writers, at+2000)
				used += cpu() - before
			}
			b.ReportMetric(float64(used.Microseconds())/1000/float64(b.N), "cpu-ms/close")
			pipe.Close()
		})
	}
}

// startWriters starts a pipeline over n symbols.
func startWriters(b *testing.B, ctx context.Context, bb *backbone.Backbone, n int) (*Pipeline, []*Writer) {
	b.Helper()
	env := &Env{Bars: bb.Bars(), Ticks: bb.Ticks(), Symbols: &market.SymbolTable{}, Metrics: metrics.New("bench"), Log: logr.Discard(), Token: 1}
	spec := &Spec{Timeframes: []market.Timeframe{market.M1}, ConditionsName: "None", CloseGraceMs: 2000, RevisionMs: 900_000}
	var err error
	if spec.Session.Calendar, err = market.LookupCalendar("AlwaysOpen"); err != nil {
		b.Fatal(err)
	}
	if spec.Conditions, err = market.LookupConditions("None"); err != nil {
		b.Fatal(err)
	}
	for i := range n {
		spec.Symbols = append(spec.Symbols, fmt.Sprintf("S%05d", i))
		env.Symbols.Intern(spec.Symbols[i])
	}
	r, err := Restore(ctx, env, spec, Heads{})
	if err != nil {
		b.Fatal(err)
	}
	for _, w := range r.Writers {
		go func() {
			if err := w.Run(ctx); err != nil {
				b.Error(err)
			}
		}()
	}
	return NewPipeline(r.Writers, func(feed.Status) {}), r.Writers
}

// settle waits until every writer has reached a watermark.
func settle(b *testing.B, writers []*Writer, ms int64) {
	b.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for _, w := range writers {
		for w.Progress().WatermarkMs < ms {
			<-tick.C
		}
	}
}
