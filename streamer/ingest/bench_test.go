package ingest

import (
	"context"
	"fmt"
	"sync"
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
			src, p := startPlane(b, ctx, bb, 20_000)
			offset, at := uint64(0), int64(1_709_649_000_000)
			mark := func(ms int64) {
				offset++
				src.put(b, &market.Entry{Kind: market.Mark, Symbol: market.AllSymbols, Time: ms * 1e6, Offset: offset})
				if err := src.sink.Flush(); err != nil {
					b.Fatal(err)
				}
			}
			var used time.Duration
			for b.Loop() {
				b.StopTimer()
				for s := range uint32(20_000) {
					offset++
					e := market.Entry{Kind: market.Trade, Symbol: s, Time: at * 1e6, Price: market.Decimal{Coef: int64(10_000 + s), Scale: 2}, Size: market.Decimal{Coef: 7}, Offset: offset, Order: offset}
					src.put(b, &e)
				}
				at += 60_000
				mark(at) // everything is folded
				settle(b, p, at)
				b.StartTimer()
				before := cpu()
				mark(at + 2000)
				settle(b, p, at+2000)
				used += cpu() - before
			}
			b.ReportMetric(float64(used.Microseconds())/1000/float64(b.N), "cpu-ms/close")
		})
	}
}

// hand is a source that says what its test puts.
type hand struct{ sink chan feed.Sink }

func (h *hand) SetSymbols([]feed.Symbol) {}
func (h *hand) Close() error             { return nil }
func (h *hand) Run(ctx context.Context, _ market.SourcePosition, _ uint64, sink feed.Sink) error {
	h.sink <- sink
	<-ctx.Done()
	return ctx.Err()
}

// putter puts entries for a hand, from the test's goroutine.
type putter struct{ sink feed.Sink }

func (p *putter) put(b *testing.B, e *market.Entry) {
	if err := p.sink.Put(e); err != nil {
		b.Fatal(err)
	}
}

// startPlane starts a plane that holds every partition, over n symbols.
func startPlane(b *testing.B, ctx context.Context, bb *backbone.Backbone, n int) (*putter, *Plane) {
	b.Helper()
	table := &market.SymbolTable{}
	env := &Env{Bars: bb.Bars(), Ticks: bb.Ticks(), Symbols: table, Metrics: metrics.New("bench"), Log: logr.Discard(), Heads: headsOf(bb.Bars(), table)}
	spec := testSpec(b)
	spec.CloseGraceMs, spec.Symbols = 2000, nil
	for i := range n {
		spec.Symbols = append(spec.Symbols, fmt.Sprintf("S%05d", i))
		table.Intern(spec.Symbols[i])
	}
	src := &hand{sink: make(chan feed.Sink, 1)}
	p := NewPlane(PlaneOptions{Env: env, Source: src, Spec: spec, Status: func(feed.Status) {},
		Ended: func(_ int, err error) { b.Error(err) }, Failed: func(err error) { b.Error(err) }})
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { p.Run(ctx) })
	b.Cleanup(func() {
		cancel()
		done.Wait()
	})
	p.claimAll()
	return &putter{<-src.sink}, p
}

// claimAll claims every partition at once, so that they are opened together.
func (p *Plane) claimAll() {
	p.mu.Lock()
	for i := range p.parts {
		p.parts[i] = &part{lane: p.newLane(), claim: &Claim{Partition: i, Token: 1, Gate: always{}}}
	}
	p.mu.Unlock()
	p.wake()
}

// settle waits until every writer has reached a watermark.
func settle(b *testing.B, p *Plane, ms int64) {
	b.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for _, x := range p.parts {
		for x.writer.Progress().WatermarkMs < ms {
			<-tick.C
		}
	}
}
