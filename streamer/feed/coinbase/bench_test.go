package coinbase

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/feed/coinbase/coinbasetest"
	"github.com/marketstream/marketstream/streamer/feed/socket"
	"github.com/marketstream/marketstream/streamer/market"
)

// drain is a sink that only counts, and says when it has n trades.
type drain struct {
	n    int
	full chan struct{}
}

func (d *drain) Put(e *market.Entry) error {
	if e.Kind == market.Trade {
		if d.n--; d.n == 0 {
			close(d.full)
		}
	}
	return nil
}

func (d *drain) Flush() error       { return nil }
func (d *drain) Status(feed.Status) {}

// turns returns frames of 200 trades and 200 heartbeats, and what takes them all: through the
// queue, the parser, the watermark, into a sink that counts.
func turns(t testing.TB) (frames int, turn func(), src *Source) {
	t.Helper()
	s, err := New(Options{})
	do(t, err)
	c := &socket.Conn{Frames: socket.NewQueue(1 << 20)}
	x := newSession(s, c, &drain{n: 1 << 60}, feed.NewWatermark(0))
	x.ctx = context.Background()
	x.products["BTC-USD"] = &product{name: "BTC-USD", number: 1, carried: true, state: confirmed}
	x.order = []*product{x.products["BTC-USD"]}
	var texts [][]byte
	for i := range 200 {
		texts = append(texts, fmt.Appendf(nil, `{"type":"match","trade_id":%d,"maker_order_id":"27fff20b-af29-4f45-8744-56dd1ef57dc0","taker_order_id":"1da6ce16-c8da-4732-9f71-6049f4c6aaf8","side":"sell","size":"0.04","price":"43210.55","product_id":"BTC-USD","sequence":1004,"time":"2021-04-17T16:43:30.%06dZ"}`, i+1, i))
		texts = append(texts, fmt.Appendf(nil, `{"type":"heartbeat","sequence":90,"last_trade_id":%d,"product_id":"BTC-USD","time":"2021-04-17T16:43:30.%06dZ"}`, i+1, i))
	}
	spare := &socket.Block{}
	return len(texts), func() {
		for _, f := range texts {
			c.Frames.Push(f, s.opts.now())
		}
		b, _ := c.Frames.Take(spare)
		if err := x.block(b); err != nil {
			t.Fatal(err)
		}
		if err := x.flush(); err != nil {
			t.Fatal(err)
		}
		b.Reset()
		spare = b
	}, s
}

// TestSessionAllocates: between the socket and the sink nothing is allocated for a trade.
func TestSessionAllocates(t *testing.T) {
	frames, turn, s := turns(t)
	turn()
	turn()
	if n := testing.AllocsPerRun(50, turn); n != 0 {
		t.Errorf("%v allocations for %d frames", n, frames)
	}
	if st := s.Stats(); st.Trades < 52*200 || st.BadFrames != 0 {
		t.Errorf("%+v", st)
	}
}

// BenchmarkSession is a frame from the queue's entrance to the sink.
func BenchmarkSession(b *testing.B) {
	frames, turn, _ := turns(b)
	turn()
	b.ReportAllocs()
	for b.Loop() {
		turn()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*frames), "ns/frame")
}

// BenchmarkSocket is the whole way: a vendor's socket to the sink. The vendor makes its trades
// before and writes them in the same process, so its writing is in the time, not in the figures of
// allocations alone.
func BenchmarkSocket(b *testing.B) {
	v := vendor(b, coinbasetest.Options{SlowBytes: 1 << 40})
	s := source(b, v, nil)
	s.SetSymbols(symbols("BTC-USD"))
	d := &drain{n: b.N, full: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Run(ctx, market.SourcePosition{}, 0, d)
	}()
	covered(b, s, "BTC-USD")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	for left := b.N; left > 0; left -= 1000 {
		do(b, v.Make("BTC-USD", min(left, 1000)))
	}
	<-d.full
	b.StopTimer()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N), "allocs/trade")
	cancel()
	<-done
}
