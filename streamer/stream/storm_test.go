package stream

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// id is the cursor after an event of a frame.
func (w *world) id(seq uint64, index int) string {
	return logs.Cursor{Epoch: epoch, Seq: seq, Index: index, Tag: uint32(seq)*7919 + 1}.String()
}

// TestInTheMiddleOfTheFrameBefore: a client that has one of the two bars of the last frame that
// is no longer in memory is behind, and is served by a sweep.
func TestInTheMiddleOfTheFrameBefore(t *testing.T) {
	w := newWorld(t, Options{TailBytes: 20 * 1100})
	var before uint64
	for n := int64(0); ; n++ {
		w.minute(n, "AAA")
		inMemory, _ := w.tail.oldest()
		if before = inMemory.seq; n > 50 && len(w.frames[before].Records) == 2 {
			break
		}
	}
	c := w.connect("symbols=AAA&timeframe=1m,5m", w.id(before, 0))
	if e := c.next("bar", "reset"); e.ID != w.id(before, 1) {
		t.Fatalf("%s %s %s, want %s", e.Type, e.ID, e.Data, w.id(before, 1))
	}
	if e := c.next("bar", "reset"); e.ID != w.id(before+1, 0) {
		t.Fatalf("%s %s %s, want %s", e.Type, e.ID, e.Data, w.id(before+1, 0))
	}
}

// TestSweepNeverGoesBack lets a client come back from the log's beginning at every window of a
// sweep: the sweep goes on to its end, and one more serves them all.
func TestSweepNeverGoesBack(t *testing.T) {
	w := newWorld(t, Options{TailBytes: 20 * 1100})
	w.windowBytes = 20 * 600
	w.fill(100)
	const most = 12
	var mu sync.Mutex
	var late []*testClient
	w.mu.Lock()
	seen := uint64(0)
	w.onFrame = func(seq uint64) {
		mu.Lock()
		defer mu.Unlock()
		if seq < seen+25 || len(late) == most {
			return
		}
		seen = seq
		late = append(late, w.connect("symbols=AAA", w.id(0, 0)))
		eventually(t, "a loop has it", func() bool {
			n := int64(0)
			for _, l := range w.loops {
				n += l.count.Load()
			}
			return n == int64(len(late)+1)
		})
	}
	w.mu.Unlock()
	first := w.connect("symbols=AAA", w.id(0, 0))
	for range 101 {
		first.next("bar", "gap")
	}
	mu.Lock()
	clients := late
	mu.Unlock()
	for _, c := range clients {
		for range 101 {
			c.next("bar", "gap")
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t.Logf("%d late clients, %d sweeps, %d frames read of %d", len(clients), w.sweeps, w.read, w.last)
	if len(clients) < most || w.sweeps > 2 || w.read > 3*int(w.last) {
		t.Errorf("%d late clients, %d sweeps, %d frames read of %d", len(clients), w.sweeps, w.read, w.last)
	}
}

// TestLogLost: what a waiting client needs has aged out of the log meanwhile.
func TestLogLost(t *testing.T) {
	w := newWorld(t, Options{TailBytes: 20 * 1100})
	w.fill(100)
	w.mu.Lock()
	w.first = 200
	w.mu.Unlock()
	c := w.connect("symbols=AAA,DDD", w.id(100, 0))
	if e := c.next("bar", "reset"); e.Type != "reset" || e.Data != `{"reason":"cursor_too_old"}` {
		t.Fatalf("%s %s", e.Type, e.Data)
	}
	for range 6 {
		c.next("bar")
	}
	good := w.connect("symbols=AAA,BBB,CCC", w.id(250, 0)) // the log still has what this one needs
	if e := good.next("bar", "reset", "gap"); e.Type != "bar" || !e.HasID {
		t.Errorf("%s %s", e.Type, e.Data)
	}
}

// TestLogLostWhileRead: the log's beginning passes the sweep that reads it. What was between is gone: the
// client is reset, instead of being given the rest as if nothing were missing.
func TestLogLostWhileRead(t *testing.T) {
	w := newWorld(t, Options{TailBytes: 20 * 1100})
	w.fill(100)
	w.mu.Lock()
	w.onFrame = func(seq uint64) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if seq == 150 {
			w.first = 200
		}
	}
	w.mu.Unlock()
	c := w.connect("symbols=AAA,DDD", w.id(100, 0))
	if e := c.next("bar", "gap", "reset"); e.Type != "reset" || e.Data != `{"reason":"cursor_too_old"}` {
		t.Fatalf("%s %s %s", e.Type, e.ID, e.Data)
	}
}

// TestDrainSpread: clients that are to leave and can't, because their sockets are full, are
// counted among those that leave.
func TestDrainSpread(t *testing.T) {
	w := newWorld(t, Options{Loops: 1})
	w.fill(1)
	l, set := newLoop(w.Hub), w.settings.Load()
	q := &query{symbols: []*SymbolConfig{set.byName["AAA"]}, timeframes: []market.Timeframe{market.M1}, want: wantBars}
	last, _ := w.tail.last()
	for i := range 100 {
		c := w.newClient(stuck{}, q, set)
		c.at = last.end()
		c.blocked = i%10 == 0
		if c.blocked {
			c.left = []byte("x")
		}
		l.clients = append(l.clients, c)
		w.open.Add(1)
	}
	l.count.Store(100)
	w.loops = append(w.loops[:0:0], l) // it runs by hand
	for _, step := range []struct {
		share float64
		stay  int
	}{{1, 100}, {0.5, 50}, {0.5, 50}, {0.5, 50}, {0.2, 20}, {0.2, 20}, {0, 0}, {0, 0}} {
		w.keep([]int64{100}, step.share)
		for range 3 {
			l.pass(true)
		}
		stay := 0
		for _, c := range l.clients {
			if !c.leaving {
				stay++
			}
		}
		if stay != step.stay {
			t.Fatalf("%d stay at %v, want %d", stay, step.share, step.stay)
		}
	}
	w.loops = nil
	w.open.Store(0)
}

// TestStatusVersions: two statuses never have one version.
func TestStatusVersions(t *testing.T) {
	w := newWorld(t, Options{})
	const each = 3000
	var wait sync.WaitGroup
	for g := range 4 {
		wait.Go(func() {
			for i := range each {
				w.Status(Status{State: fmt.Sprint(g, " ", i)})
			}
		})
	}
	wait.Wait()
	if v := w.status.Load().version; v != 4*each {
		t.Errorf("%d versions of %d statuses", v, 4*each)
	}
}

// TestHorizonHoldsMemory: what is in memory is within reach, however old it is, and a
// truncation leaves the two in step.
func TestHorizonHoldsMemory(t *testing.T) {
	w := newWorld(t, Options{})
	began := time.Now()
	for seq := uint64(1); seq <= 50; seq++ {
		w.tail.append(newEntry(seq, &logs.Frame{Partition: 1, Tag: uint32(seq)}, began.Add(time.Duration(seq)*10*time.Minute)))
	}
	inMemory, reach := w.tail.oldest()
	if reach != (place{0, whole}) || inMemory != reach {
		t.Errorf("in memory from %v, in reach from %v", inMemory, reach)
	}
	for seq := uint64(50); ; seq-- {
		w.tail.truncate(seq)
		inMemory, reach = w.tail.oldest()
		if m, ok := w.tail.last(); ok != (seq > 0) || m.seq != seq {
			t.Errorf("the last is %d, want %d", m.seq, seq)
		}
		if seq == 0 {
			break
		}
	}
	if inMemory != beginning || reach != beginning {
		t.Errorf("nothing is there from %v, %v", inMemory, reach)
	}
}

// TestOldAndTruncated: frames of hours ago are in memory when the log loses its newer ones.
func TestOldAndTruncated(t *testing.T) {
	w := newWorld(t, Options{})
	for seq := uint64(1); seq <= 20; seq++ {
		w.tail.append(newEntry(seq, &logs.Frame{Partition: 1}, time.Now().Add(time.Duration(seq)*time.Hour)))
	}
	w.Truncate(3)
	w.tail.oldest()
	if _, behind := w.tail.after(place{1, whole}, nil, 5); behind {
		t.Error("frame 2 is not in memory")
	}
}

// TestCommon finds where a log was cut that has been written again past it.
func TestCommon(t *testing.T) {
	for cut := uint64(0); cut <= 31; cut++ {
		w := newWorld(t, Options{})
		want := min(cut, 30)
		if cut%3 == 0 { // its beginning has aged out, but is in memory
			if w.first = 10; want < w.first {
				want = 0
			}
		}
		for n := range int64(30) {
			w.minute(n, "AAA")
		}
		w.mu.Lock()
		for seq := cut + 1; seq <= w.last; seq++ {
			f := *w.frames[seq]
			f.Tag++
			w.frames[seq] = &f
			if seq > 28 && cut%2 == 0 {
				delete(w.frames, seq)
			}
		}
		w.mu.Unlock()
		got, err := w.Common(context.Background())
		if err != nil || got != want {
			t.Errorf("cut at %d: %d %v, want %d", cut, got, err, want)
		}
	}
}

// TestStormReadsNothing: clients that come back within reach cost no read of the log.
func TestStormReadsNothing(t *testing.T) {
	w := newWorld(t, Options{})
	w.fill(100)
	for i := range 50 {
		if e := w.connect("symbols=AAA", w.id(w.last-uint64(i)-10, 0)).next("bar", "gap", "reset"); e.Type == "reset" {
			t.Fatal(e.Data)
		}
	}
	w.tail.mu.Lock() // all but the newest leave memory, and stay within reach
	w.tail.entries = w.tail.entries[len(w.tail.entries)-5:]
	w.tail.mu.Unlock()
	for i := range 50 {
		if e := w.connect("symbols=AAA", w.id(w.last-uint64(i)-100, 0)).next("bar", "gap", "reset"); e.Type == "reset" {
			t.Fatal(e.Data)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gets != 0 {
		t.Errorf("%d frames were read to check 100 cursors", w.gets)
	}
}

// TestAhead: a client that comes from a pod that has more is not reset.
func TestAhead(t *testing.T) {
	w := newWorld(t, Options{})
	w.aheadWait = guard
	w.fill(3)
	last := w.last
	c := make(chan *testClient, 1)
	go func() { c <- w.connect("symbols=AAA", w.id(last+2, 0)) }()
	eventually(t, "it is in", func() bool { return w.Hub.Connections() == 1 })
	other := w.connect("symbols=AAA", "") // nobody waits for it
	other.next("bar")
	for n := range int64(3) {
		w.minute(10+n, "AAA")
	}
	if e := (<-c).next("bar", "reset"); e.ID != w.id(last+3, 0) {
		t.Errorf("%s %s %s", e.Type, e.ID, e.Data)
	}
}

// TestAheadEndsWithHub: waiting for what does not come ends with the hub.
func TestAheadEndsWithHub(t *testing.T) {
	w := newWorld(t, Options{})
	w.aheadWait = guard
	w.fill(1)
	c := w.connect("symbols=AAA", w.id(w.last+2, 0))
	began := w.Hub.Connections()
	w.Hub.Close()
	if _, err := c.Next(); err == nil {
		t.Error("an event of a hub that is closed")
	}
	eventually(t, "it is gone", func() bool { return w.Hub.Connections() < began })
}

// TestSeedsAreAskedOnce for all symbols and timeframes of a client.
func TestSeedsAreAskedOnce(t *testing.T) {
	w := newWorld(t, Options{})
	w.fill(10)
	c := w.connect("symbols=BBB,AAA&timeframe=1m,5m&seed=1", "")
	for _, want := range []string{"BBB 1m", "BBB 5m", "AAA 1m", "AAA 5m"} {
		name, tf, _ := strings.Cut(want, " ")
		if e := c.next("bar"); !strings.Contains(e.Data, `"symbol":"`+name+`","timeframe":"`+tf+`"`) || e.HasID {
			t.Errorf("%s, want %s", e.Data, want)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seeds != 1 {
		t.Errorf("%d questions", w.seeds)
	}
}

// recorder is a connection that keeps what is written.
type recorder struct {
	stuck
	mu  sync.Mutex
	all strings.Builder
}

func (r *recorder) TryWrite(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.Write(p)
}

func (r *recorder) Write(p []byte, _ time.Duration) error {
	_, err := r.TryWrite(p)
	return err
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.String()
}

// TestStateAfterReset: whoever is reset has forgotten the open bars too.
func TestStateAfterReset(t *testing.T) {
	w := newWorld(t, Options{})
	w.fill(5)
	state := func() {
		b := market.Bar{Timeframe: market.M1, StartMs: t0 + 6*60_000, EndMs: t0 + 7*60_000, Open: 1, High: 1, Low: 1, Close: 1, Volume: market.Int128From(1)}
		w.State(&market.State{Symbol: 0, TsMs: b.StartMs + 5, Micro: b})
	}
	state()
	reset := w.connect("symbols=AAA&events=bar,microbar,forming", w.id(w.last, 7)) // beyond its frame
	reset.next("reset")
	reset.next("microbar")
	reset.next("forming")

	set := w.settings.Load()
	out := &recorder{}
	tooOld := w.newClient(out, &query{symbols: []*SymbolConfig{set.byName["AAA"]}, timeframes: []market.Timeframe{market.M1}, want: wantBars | wantMicrobars | wantForming}, set)
	tooOld.state = w.states.version.Load() // it has them
	w.open.Add(1)
	w.reseat(tooOld, "cursor_too_old")
	eventually(t, "a forming bar comes", func() bool { return strings.Contains(out.String(), "event: forming") })
	if got := out.String(); strings.Count(got, "event: reset") != 1 || strings.Count(got, "event: microbar") != 1 || strings.Count(got, "event: bar\n") != 3 {
		t.Error(got)
	}

	open := w.connect("symbols=AAA&events=bar,microbar,forming", "")
	open.next("microbar")
	open.next("forming")
	w.Truncate(w.last - 3)
	state() // the writers say it again
	open.next("reset")
	open.next("bar")
	open.next("microbar")
	open.next("forming")
}

// TestHead has the headers of a stream, and takes no place.
func TestHead(t *testing.T) {
	w := newWorld(t, Options{})
	w.fill(1)
	for query, code := range map[string]int{"symbols=AAA": 200, "symbols=NOPE": 404} {
		res, err := http.Head(w.server.URL + "/stream/market?" + query)
		if err != nil || res.StatusCode != code {
			t.Fatalf("%s: %v %s", query, err, res.Status)
		}
		if err := res.Body.Close(); err != nil || code == 200 && res.Header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%v %v", err, res.Header)
		}
	}
	if n := w.Hub.Connections(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// TestDeadlineOfTheServer: a stream outlives what the server gives an answer.
func TestDeadlineOfTheServer(t *testing.T) {
	w := newWorld(t, Options{}, func(c *Config) { c.HeartbeatInterval = 50 * time.Millisecond })
	w.fill(1)
	for _, http2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(rw).SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			w.ServeHTTP(rw, r)
		}))
		server.EnableHTTP2 = http2
		if http2 {
			server.StartTLS()
		} else {
			server.Start()
		}
		res, err := server.Client().Get(server.URL + "/stream/market?symbols=AAA")
		if err != nil {
			t.Fatal(err)
		}
		buf, n := make([]byte, 4096), 0
		for n < 10 {
			m, err := res.Body.Read(buf)
			if err != nil {
				t.Fatalf("HTTP/2 %v: after %d pings: %v", http2, n, err)
			}
			n += strings.Count(string(buf[:m]), "event: ping")
		}
		_ = res.Body.Close()
		server.Close()
	}
}

// TestStatesGrowRarely: symbols that come one by one do not copy all that are there each time.
func TestStatesGrowRarely(t *testing.T) {
	var s states
	grown := 0
	for n := range uint32(20_000) {
		before := s.cells.Load()
		s.put(&market.State{Symbol: n, Micro: market.Bar{StartMs: t0}})
		if s.cells.Load() != before {
			grown++
		}
	}
	for n := range uint32(20_000) {
		if snap := s.newer(n, 0); snap == nil || snap.state.Symbol != n {
			t.Fatalf("the state of symbol %d is %v", n, snap)
		}
	}
	if most := int(math.Log2(20_000)) + 2; grown > most {
		t.Errorf("grown %d times, want at most %d", grown, most)
	}
}
