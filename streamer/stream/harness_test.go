package stream

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"

	"github.com/marketstream/marketstream/streamer/eventsource"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

const (
	guard = time.Minute // against hanging
	epoch = "testepoch1"
	t0    = int64(1_709_649_000_000)
)

// world is a hub with a log, rings and metrics in memory, served over real sockets.
type world struct {
	*Hub
	t       testing.TB
	server  *httptest.Server
	symbols *market.SymbolTable
	config  Config

	mu      sync.Mutex
	frames  map[uint64]*logs.Frame
	first   uint64
	last    uint64
	rings   map[string][]market.Bar
	dropped map[string]int
	resumed map[string]int
	sweeps  int
	skipped int
	seeds   int // questions
	most    int // bars of a symbol in a fill; 0: maxFill
	gets    int // frames read one by one
	read    int // frames read in order
	onFrame func(seq uint64)
	lines   []string
}

func newWorld(t testing.TB, opts Options, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, symbols: &market.SymbolTable{}, frames: map[uint64]*logs.Frame{}, first: 1,
		rings: map[string][]market.Bar{}, dropped: map[string]int{}, resumed: map[string]int{}}
	opts.Metrics, opts.Symbols, opts.Frames, opts.Seeds, opts.Epoch = w, w.symbols, w, w, epoch
	opts.Log = funcr.New(func(_, args string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.lines = append(w.lines, args)
	}, funcr.Options{})
	w.Hub = NewHub(opts)
	w.aheadWait = 50 * time.Millisecond
	w.config = Config{Source: "synthetic", Timeframes: []market.Timeframe{market.M1, market.M5}, MicrobarInterval: 100 * time.Millisecond,
		FlushInterval: 50 * time.Millisecond, HeartbeatInterval: 15 * time.Second, IdleAfter: time.Minute, SeedBars: 3, MaxConnections: 5000, MaxSymbolsPerConnection: 3}
	for _, name := range []string{"AAA", "BBB", "CCC", "DDD"} {
		w.config.Symbols = append(w.config.Symbols, SymbolConfig{Number: w.symbols.Intern(name), Name: name, Ticks: TicksEnabled, BufferCapacity: 10})
	}
	for _, f := range change {
		f(&w.config)
	}
	w.Configure(w.config)
	w.server = httptest.NewServer(w.Hub)
	t.Cleanup(func() {
		w.Hub.Close()
		w.server.Close()
	})
	return w
}

// append makes the next frame of one partition and publishes it.
func (w *world) append(f *logs.Frame) uint64 {
	w.mu.Lock()
	w.last++
	f.Tag = uint32(w.last)*7919 + 1
	seq := w.last
	w.frames[seq] = f
	for i := range f.Records {
		if b, ok := f.Records[i].Bar(); ok {
			key := fmt.Sprint(f.Records[i].Symbol, b.Timeframe)
			w.rings[key] = append(w.rings[key], b)
		}
	}
	w.mu.Unlock()
	w.Publish(seq, f)
	return seq
}

// record is a closed bar; its close tells which it is.
func (w *world) record(symbol string, tf market.Timeframe, minute int64, price int64) market.Record {
	start := t0 + minute*60_000
	r := market.Record{Symbol: w.symbols.Intern(symbol), Timeframe: tf, StartMs: start, EndMs: start + tf.Millis()}
	e := market.Entry{Time: start * 1e6, Price: market.Decimal{Coef: price, Scale: 2}, Size: market.Decimal{Coef: 5}}
	if err := r.AddTrade(&e, market.UseAll); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// minute publishes a frame for each of some symbols, with a 5m bar at every fifth.
func (w *world) minute(n int64, symbols ...string) {
	for _, s := range symbols {
		f := &logs.Frame{Kind: logs.FrameBars, Partition: uint8(market.PartitionOf(s))}
		f.Records = append(f.Records, w.record(s, market.M1, n, 10_000+n))
		if n%5 == 4 {
			f.Records = append(f.Records, w.record(s, market.M5, n-4, 20_000+n))
		}
		w.append(f)
	}
}

// Frames implements Frames.
func (w *world) Frames(ctx context.Context, from uint64, fn func(uint64, *logs.Frame) error) error {
	for seq := max(from, 1); ; seq++ {
		w.mu.Lock()
		seq = max(seq, w.first) // it may rise while the log is read
		f := w.frames[seq]
		w.mu.Unlock()
		if f == nil {
			return ctx.Err()
		}
		w.mu.Lock()
		w.read++
		onFrame := w.onFrame
		w.mu.Unlock()
		if onFrame != nil {
			onFrame(seq)
		}
		if err := fn(seq, f); err != nil {
			return err
		}
	}
}

// Get implements Frames.
func (w *world) Get(_ context.Context, seq uint64) (*logs.Frame, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gets++
	if f := w.frames[seq]; f != nil && seq >= w.first {
		return f, nil
	}
	return nil, logs.ErrGone
}

// Bars implements Seeds.
func (w *world) Bars(_ context.Context, _ uint64, q SeedQuery, fn func(uint32, []market.Bar) error) error {
	w.mu.Lock()
	w.seeds++
	w.mu.Unlock()
	for _, symbol := range q.Symbols {
		for _, tf := range q.Timeframes {
			w.mu.Lock()
			bars := slices.Clone(w.rings[fmt.Sprint(symbol, tf)])
			w.mu.Unlock()
			bars = slices.DeleteFunc(bars, func(b market.Bar) bool { return q.HasAfter && b.Seq() <= q.AfterSeq })
			if w.most > 0 && q.HasAfter {
				q.Limit = w.most
			}
			switch n := len(bars); {
			case n > q.Limit && q.HasAfter:
				return ErrTooMany
			case n > q.Limit:
				bars = bars[n-q.Limit:]
			}
			if err := fn(symbol, bars); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) Connections(int)    {}
func (w *world) Events(string, int) {}
func (w *world) Dropped(symbol, _, event string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dropped[symbol+" "+event] += n
}
func (w *world) Delivery(float64) {}
func (w *world) Resumed(result string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resumed[result]++
}
func (w *world) BeatsSkipped(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.skipped += n
}
func (w *world) Sweep() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sweeps++
}
func (w *world) Rejected(int)  {}
func (w *world) TailBytes(int) {}

func (w *world) logged() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.lines)
}

// testClient is an open stream of a test.
type testClient struct {
	*eventsource.Reader
	t   testing.TB
	res *http.Response
}

func (w *world) connect(query, lastID string) *testClient {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.server.URL+"/stream/market?"+query, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := (&http.Transport{}).RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %s", query, res.Status)
	}
	c := &testClient{Reader: eventsource.NewReader(bufio.NewReader(res.Body), lastID), t: w.t, res: res}
	w.t.Cleanup(func() {
		cancel()
		_ = res.Body.Close()
	})
	return c
}

func (c *testClient) close() { _ = c.res.Body.Close() }

// next returns the next event of some types.
func (c *testClient) next(types ...string) eventsource.Event {
	c.t.Helper()
	for {
		e, err := c.Next()
		if err != nil {
			c.t.Fatalf("waiting for %v: %v", types, err)
		}
		if slices.Contains(types, e.Type) {
			return e
		}
	}
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(guard)
	for !cond() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("waited in vain until ", what)
		}
	}
}
