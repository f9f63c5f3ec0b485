package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/eventsource"
	"github.com/marketstream/marketstream/streamer/history"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/metrics"
	"github.com/marketstream/marketstream/streamer/ring"
	"github.com/marketstream/marketstream/streamer/shard"
	"github.com/marketstream/marketstream/streamer/stream"
)

// written is a log in memory; what is not written here is not asked of it.
type written struct {
	logs.Log
	entries []logs.Entry // by seq, from 1
	first   uint64       // what comes before it has aged out; 0: nothing has
}

func (l *written) Get(_ context.Context, seq uint64) (logs.Entry, error) {
	if seq == 0 || seq < l.first || seq > uint64(len(l.entries)) {
		return logs.Entry{}, logs.ErrGone
	}
	return l.entries[seq-1], nil
}

func (l *written) Read(_ context.Context, seq uint64, fn func(logs.Entry) error) error {
	for _, e := range l.entries[max(1, seq, l.first)-1:] {
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// Tail ends where the log does, with errEnd.
func (l *written) Tail(ctx context.Context, seq uint64, fn func(logs.Entry) error) error {
	if err := l.Read(ctx, seq, fn); err != nil {
		return err
	}
	return errEnd
}

var errEnd = errors.New("the end")

// write appends n frames of SPY, a minute each; tag tells who wrote them.
func (l *written) write(t *testing.T, n int, tag uint32) {
	t.Helper()
	for range n {
		seq := uint64(len(l.entries) + 1)
		start := int64(1_709_649_000_000) + int64(seq)*60_000
		r := market.Record{Timeframe: market.M1, StartMs: start, EndMs: start + 60_000}
		e := market.Entry{Time: start * 1e6, Price: market.Decimal{Coef: int64(tag)}, Size: market.Decimal{Coef: 1}}
		if err := r.AddTrade(&e, market.UseAll); err != nil {
			t.Fatal(err)
		}
		p := market.PartitionOf("SPY")
		f := &logs.Frame{Kind: logs.FrameBars, Partition: uint8(p), Number: seq, Token: 1, Tag: tag + uint32(seq), Watermark: start + 60_000,
			Symbols: []string{"SPY"}, Records: []market.Record{r}}
		data, err := f.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		l.entries = append(l.entries, logs.Entry{Seq: seq, Partition: p, Data: data})
	}
}

// viewOf is a view of a log that carries SPY, and how to open its stream with a cursor.
func viewOf(t *testing.T, log logs.Log) (v *view, spy uint32, connect func(cursor string) *eventsource.Reader) {
	t.Helper()
	symbols := &market.SymbolTable{}
	reader := &logs.Reader{Log: log, Symbols: symbols}
	rings := ring.NewSet(100)
	v = &view{reader: reader, symbols: symbols, rings: rings, epoch: "e1", changed: make(chan struct{})}
	v.shard = shard.New(shard.Options{Rings: rings, Symbols: symbols, Frames: reader, Metrics: shardMetrics{metrics.New("test")}, Log: logr.Discard()})
	v.history = history.New(history.Options{Rings: rings, Frames: reader, Position: v.Position})
	v.hub = stream.NewHub(stream.Options{Log: logr.Discard(), Metrics: streamMetrics{metrics.New("test")}, Symbols: symbols, Frames: reader,
		Seeds: seeds{v.history, symbols}, Epoch: "e1"})
	t.Cleanup(v.hub.Close)
	spy = symbols.Intern("SPY")
	v.shard.Carry([]uint32{spy}, []market.Timeframe{market.M1})
	v.shard.Begin(nil)
	v.hub.Configure(stream.Config{Symbols: []stream.SymbolConfig{{Number: spy, Name: "SPY"}}, Timeframes: []market.Timeframe{market.M1},
		MicrobarInterval: time.Second, FlushInterval: time.Second, HeartbeatInterval: time.Second, SeedBars: 100, MaxConnections: 9, MaxSymbolsPerConnection: 9})
	server := httptest.NewServer(v.hub)
	t.Cleanup(server.Close)
	return v, spy, func(cursor string) *eventsource.Reader {
		t.Helper()
		res, err := http.Get(server.URL + "/stream/market?symbols=SPY&events=bar&cursor=" + cursor)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		return eventsource.NewReader(res.Body, "")
	}
}

// cursor is behind the bar of a frame that was written with tag.
func cursor(seq uint64, tag uint32) string {
	return logs.Cursor{Epoch: "e1", Seq: seq, Index: 0, Tag: tag + uint32(seq)}.String()
}

// TestAgedOutBeforeItWasRead: the log moved on while nobody read it, and what came next is gone. Rings begin
// again with what it has, and an open stream is reset: neither goes on as if nothing were missing.
func TestAgedOutBeforeItWasRead(t *testing.T) {
	log := &written{}
	v, spy, connect := viewOf(t, log)
	ctx := context.Background()
	log.write(t, 5, 1000)
	if err := v.load(ctx); err != nil {
		t.Fatal(err)
	}
	open := connect(cursor(4, 1000))
	next(t, open, "bar")
	log.write(t, 5, 1000)
	log.first = 8
	var lost []error
	if err := v.follow(ctx, func(err error) { lost = append(lost, err) }); !errors.Is(err, errEnd) {
		t.Fatal(err)
	}
	if len(lost) != 1 || !errors.Is(lost[0], errAgedOut) {
		t.Errorf("told %v", lost)
	}
	bars, _ := v.rings.Read(spy, market.M1, ring.Query{}, nil)
	if got := v.Position().String(); len(bars) != 3 || got != cursor(10, 1000) {
		t.Errorf("%d bars in the ring, and the position is %s", len(bars), got)
	}
	if e := next(t, open, "bar", "reset"); e.Type != "reset" {
		t.Errorf("an open stream: %s %s", e.Type, e.Data)
	}
}

// TestRewoundAndRefilled: the log lost its end, and had other frames at the same places before
// anybody looked: streams and rings have what stands there now, and nothing of what was lost.
func TestRewoundAndRefilled(t *testing.T) {
	log := &written{}
	v, spy, connect := viewOf(t, log)
	ctx := context.Background()
	log.write(t, 10, 1000)
	if err := v.load(ctx); err != nil {
		t.Fatal(err)
	}
	open := connect(cursor(9, 1000))
	next(t, open, "bar")

	log.entries = log.entries[:5]
	log.write(t, 7, 2000) // twelve now
	if err := v.rewind(ctx); err != nil {
		t.Fatal(err)
	}
	if got := v.Position().String(); got != cursor(12, 2000) {
		t.Errorf("the position is %s", got)
	}
	bars, _ := v.rings.Read(spy, market.M1, ring.Query{}, nil)
	for i := range bars {
		if want := map[bool]int64{true: 1000, false: 2000}[i < 5]; bars[i].Close != want {
			t.Errorf("bar %d in the ring is of %d, want %d", i+1, bars[i].Close, want)
		}
	}
	if len(bars) != 12 {
		t.Errorf("%d bars in the ring", len(bars))
	}
	if e := next(t, open, "bar", "reset"); e.Type != "reset" || !strings.Contains(e.Data, "log_rewound") {
		t.Errorf("an open stream: %s %s", e.Type, e.Data)
	}
	if e := next(t, connect(cursor(8, 1000)), "bar", "reset"); e.Type != "reset" {
		t.Errorf("a cursor of what was lost: %s %s", e.Type, e.Data)
	}
	kept := connect(cursor(5, 1000))
	for seq := uint64(6); seq <= 12; seq++ {
		if e := next(t, kept, "bar", "reset"); e.ID != cursor(seq, 2000) || !strings.Contains(e.Data, `"c":2000,`) {
			t.Fatalf("after what is kept: %s %s %s, want %s", e.Type, e.ID, e.Data, cursor(seq, 2000))
		}
	}
}

func next(t *testing.T, r *eventsource.Reader, types ...string) eventsource.Event {
	t.Helper()
	for {
		e, err := r.Next()
		if err != nil {
			t.Fatal(fmt.Errorf("waiting for %v: %w", types, err))
		}
		for _, want := range types {
			if e.Type == want {
				return e
			}
		}
	}
}
