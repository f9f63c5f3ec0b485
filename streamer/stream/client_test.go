package stream

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/eventsource"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// slow opens a stream over a socket with a small buffer that nobody reads.
func (w *world) slow(query string) *net.TCPConn {
	w.t.Helper()
	raw, err := net.Dial("tcp", w.server.Listener.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	conn := raw.(*net.TCPConn)
	w.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetReadBuffer(64 << 10); err != nil {
		w.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET /stream/market?%s HTTP/1.1\r\nHost: x\r\n\r\n", query); err != nil {
		w.t.Fatal(err)
	}
	return conn
}

func reader(t testing.TB, conn net.Conn) *eventsource.Reader {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(guard)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return eventsource.NewReader(res.Body, "")
}

// TestSlowClient stops reading while far more is published than sockets hold: memory stays
// bounded, another client is not held up, and when it reads again it gets every bar.
func TestSlowClient(t *testing.T) {
	const minutes = 30_000
	w := newWorld(t, Options{TailBytes: 64 << 20})
	w.fill(1)
	conn := w.slow("symbols=AAA&events=bar&seed=0")
	eventually(t, "the slow client is in", func() bool { return w.Hub.Connections() == 1 })
	quick := w.connect("symbols=AAA&events=bar&seed=0", "")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	go func() {
		for i := int64(1); i <= minutes; i++ {
			w.minute(i, "AAA")
		}
	}()
	for i := int64(1); i <= minutes; i++ {
		if e := quick.next("bar"); !strings.Contains(e.Data, fmt.Sprintf(`"seq":%d,`, market.Seq(t0)+i)) {
			t.Fatalf("the quick client got %s at %d", e.Data, i)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("heap grew by %d KiB, of which the shared tail has %d KiB", (int64(after.HeapAlloc)-int64(before.HeapAlloc))>>10, w.tail.size()>>10)
	r := reader(t, conn)
	for i := int64(1); i <= minutes; {
		e, err := r.Next()
		if err != nil {
			t.Fatalf("at %d: %v", i, err)
		}
		if e.Type != "bar" {
			continue
		}
		if !strings.Contains(e.Data, fmt.Sprintf(`"seq":%d,`, market.Seq(t0)+i)) {
			t.Fatalf("the slow client got %s at %d", e.Data, i)
		}
		i++
	}
}

// stuck is a connection that takes nothing.
type stuck struct{}

func (stuck) TryWrite([]byte) (int, error)      { return 0, nil }
func (stuck) Write([]byte, time.Duration) error { return nil }
func (stuck) Alive() bool                       { return true }
func (stuck) Close()                            {}

// TestLeftIsBounded: what is kept for a client that does not read is one write, whatever comes.
func TestLeftIsBounded(t *testing.T) {
	w := newWorld(t, Options{})
	w.fill(3000)
	l, set := newLoop(w.Hub), w.settings.Load()
	q := &query{symbols: []*SymbolConfig{set.byName["AAA"]}, timeframes: []market.Timeframe{market.M1}, want: wantBars}
	c := w.newClient(stuck{}, q, set)
	c.at = place{0, whole}
	for range 10 {
		if !l.serve(c, set, 0, time.Now(), true) || !c.blocked {
			t.Fatal("the client is gone, or its socket took something")
		}
		w.minute(3000, "AAA")
	}
	if n := cap(c.left); n < writeBytes || n > 2*writeBytes {
		t.Errorf("%d bytes are kept", n)
	}
}

// TestDropsAgree overruns the tick buffers of a client that does not read: what it lost is
// the same in the metrics, in its pings and in the log.
func TestDropsAgree(t *testing.T) {
	const sent = 60_000
	w := newWorld(t, Options{}, func(c *Config) { c.HeartbeatInterval = time.Second })
	w.fill(1)
	conn := w.slow("symbols=AAA&events=tick&seed=0")
	eventually(t, "somebody wants ticks", func() bool { return w.WantsTicks(0) })
	for i := range sent {
		w.Tick(&market.Entry{Symbol: 0, Time: (t0 + int64(i)) * 1e6, Price: market.Decimal{Coef: int64(i)}, Size: market.Decimal{Coef: 1}})
		if i%500 == 0 {
			runtime.Gosched()
		}
	}
	r := reader(t, conn)
	got, pinged, last := 0, 0, -1
	for last != sent-1 || pinged+got < sent {
		e, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		switch e.Type {
		case "tick":
			var tick struct{ Price int }
			if err := json.Unmarshal([]byte(e.Data), &tick); err != nil || tick.Price <= last {
				t.Fatalf("%v: %s after %d", err, e.Data, last)
			}
			last = tick.Price
			got++
		case "ping":
			var ping struct{ Dropped int }
			if err := json.Unmarshal([]byte(e.Data), &ping); err != nil {
				t.Fatal(err)
			}
			pinged += ping.Dropped
		}
	}
	w.mu.Lock()
	counted := w.dropped["AAA tick"]
	w.mu.Unlock()
	logged := 0
	for _, line := range w.logged() {
		if m := regexp.MustCompile(`"msg"="sse_backpressure_drop" "dropped"=(\d+) "cap"=10 "symbol"="AAA"`).FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			logged += n
		}
	}
	t.Logf("%d of %d ticks came, %d were dropped", got, sent, counted)
	if counted == 0 || counted != pinged || counted != logged || got+counted != sent {
		t.Errorf("dropped: metrics %d, pings %d, log %d; %d came of %d", counted, pinged, logged, got, sent)
	}
}

// TestMicrobars sends states faster than a client's beat: it gets the newest of each symbol,
// one for each beat, and the current one on connect; none after its bar has closed.
func TestMicrobars(t *testing.T) {
	w := newWorld(t, Options{})
	w.fill(1)
	state := func(close int64) {
		b := market.Bar{Timeframe: market.M1, StartMs: t0 + 60_000, EndMs: t0 + 120_000, Open: 1, High: close, Low: 1, Close: close, Volume: market.Int128From(close)}
		five := b
		five.Timeframe, five.StartMs, five.EndMs = market.M5, t0, t0+300_000
		w.State(&market.State{Symbol: 0, TsMs: t0 + 60_000 + close, Micro: b, Forming: []market.Bar{five}})
	}
	state(1)
	c := w.connect("symbols=AAA&timeframe=1m,5m&events=microbar,forming", "")
	if e := c.next("microbar"); e.Data != `{"symbol":"AAA","ts":1709649060001,"ohlcv":{"o":1,"h":1,"l":1,"c":1,"v":1},"bar_start":1709649060000}` || e.HasID {
		t.Error(e.Data)
	}
	for _, tf := range []string{"1m", "5m"} {
		if e := c.next("forming"); !strings.Contains(e.Data, `"timeframe":"`+tf+`"`) {
			t.Error(e.Data)
		}
	}
	for i := int64(2); i <= 2000; i++ {
		state(i)
	}
	n := 0
	for e := c.next("microbar"); ; e = c.next("microbar") {
		if n++; strings.Contains(e.Data, `"c":2000,`) {
			break
		}
	}
	if n > 50 {
		t.Errorf("%d microbars for 2000 states sent at once", n)
	}
	w.minute(1, "AAA") // closes it
	state(2001)        // comes late
	late := w.connect("symbols=AAA&events=microbar,bar&seed=1", "")
	late.next("bar")
	w.minute(2, "AAA")
	if e := late.next("bar", "microbar"); e.Type != "bar" {
		t.Errorf("the state of a closed bar: %s", e.Data)
	}
}

// TestErrors has every answer other than a stream.
func TestErrors(t *testing.T) {
	w := newWorld(t, Options{})
	w.fill(1)
	for _, c := range []struct {
		query string
		code  int
		want  string
	}{
		{"", 400, "symbols: name at least one"},
		{"symbols=,", 400, "symbols: name at least one"},
		{"symbols=AAA,BBB,CCC,DDD", 400, "at most 3"},
		{"symbols=AAA,NOPE", 404, `"NOPE"`},
		{"symbols=AAA&timeframe=7m", 400, `"7m" is none of those of this stream: 1m 5m`},
		{"symbols=AAA&timeframe=1h", 400, `"1h" is none of those of this stream: 1m 5m`},
		{"symbols=AAA&events=bars", 400, `"bars" is none of bar, microbar, tick, forming`},
		{"symbols=AAA&seed=-1", 400, "seed"},
		{"symbols=AAA&sinceSeq=x", 400, "sinceSeq"},
	} {
		res, err := http.Get(w.server.URL + "/stream/market?" + c.query)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		var e struct {
			Error struct {
				Code    int
				Message string
			}
		}
		if err := json.Unmarshal(body, &e); err != nil || res.StatusCode != c.code || e.Error.Code != c.code || !strings.Contains(e.Error.Message, c.want) {
			t.Errorf("%s: %d %s, want %d with %q", c.query, res.StatusCode, body, c.code, c.want)
		}
	}
	res, err := http.Post(w.server.URL+"/stream/market?symbols=AAA", "", nil)
	if err != nil || res.StatusCode != 405 {
		t.Errorf("POST: %v %v", err, res.Status)
	}
	_ = res.Body.Close()
}

// TestPostponed: an EventSource gets over 429 and 503, since it does not see them.
func TestPostponed(t *testing.T) {
	w := newWorld(t, Options{}, func(c *Config) { c.MaxConnections = 1 })
	w.fill(1)
	keep := w.connect("symbols=AAA", "")
	keep.next("bar")
	try := func(accept, extra string) (*http.Response, string) {
		req, _ := http.NewRequest(http.MethodGet, w.server.URL+"/stream/market?symbols=AAA"+extra, nil)
		req.Header.Set("Accept", accept)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		return res, string(body)
	}
	check := func(code int) {
		t.Helper()
		res, body := try("text/event-stream", "")
		if res.StatusCode != 200 || !strings.HasPrefix(body, "retry: ") || !strings.Contains(body, fmt.Sprintf(`event: status`+"\n"+`data: {"code":%d`, code)) {
			t.Errorf("%d as a stream: %s %s", code, res.Status, body)
		}
		for accept, extra := range map[string]string{"text/event-stream": "&errors=http", "*/*": ""} {
			if res, body := try(accept, extra); res.StatusCode != code || res.Header.Get("Retry-After") == "" {
				t.Errorf("%d by %s%s: %s %s", code, accept, extra, res.Status, body)
			}
		}
	}
	check(429)
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	defer cancel()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		w.Drain(ctx, 200*time.Millisecond)
	}()
	eventually(t, "it drains", w.draining.Load)
	check(503)
	for {
		if _, err := keep.Next(); err != nil {
			break
		}
	}
	if keep.Retry() < time.Second {
		t.Errorf("a drained stream ends with retry %v", keep.Retry())
	}
	<-drained
}

// TestReconfigure changes what is carried while a stream is open.
func TestReconfigure(t *testing.T) {
	w := newWorld(t, Options{})
	w.fill(1)
	c := w.connect("symbols=AAA", "")
	c.next("bar")
	next := w.config
	next.Symbols = append(next.Symbols[1:3:3], SymbolConfig{Number: w.symbols.Intern("EEE"), Name: "EEE"})
	w.Configure(next)
	w.append(&logs.Frame{Kind: logs.FrameConfig, Partition: uint8(market.PartitionOf("AAA")),
		Gaps: []market.Gap{{Symbol: 0, FromMs: t0 + 60_000, ToMs: t0 + 60_000, State: market.GapRemoved}}})
	if e := c.next("gap", "bar"); e.Data != `{"symbol":"AAA","fromMs":1709649060000,"toMs":1709649060000,"fromSeq":28494151,"toSeq":28494151,"state":"removed","reason":"unknown"}` {
		t.Error(e.Data)
	}
	w.minute(3, "EEE")
	w.connect("symbols=EEE", "").next("bar")
}

// TestStatus tells of the feed once for each change.
func TestStatus(t *testing.T) {
	w := newWorld(t, Options{})
	w.fill(1)
	c := w.connect("symbols=AAA", "")
	c.next("bar")
	for range 3 {
		w.Status(Status{State: "connected", Session: "rth"})
	}
	if e := c.next("status"); e.Data != `{"source":"synthetic","state":"connected","session":"rth"}` || e.HasID {
		t.Error(e.Data)
	}
	w.Status(Status{State: "ended", Reason: "the recording has ended", Session: "rth"})
	if e := c.next("status"); e.Data != `{"source":"synthetic","state":"ended","session":"rth","reason":"the recording has ended"}` {
		t.Error(e.Data)
	}
}

// TestThroughHTTP2 serves where a connection cannot be taken over.
func TestThroughHTTP2(t *testing.T) {
	w := newWorld(t, Options{})
	w.fill(3)
	server := httptest.NewUnstartedServer(w.Hub)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	res, err := server.Client().Get(server.URL + "/stream/market?symbols=AAA&cursor=" + epoch + ".0.0.00000000")
	if err != nil {
		t.Fatal(err)
	}
	if res.ProtoMajor != 2 {
		t.Fatal(res.Proto)
	}
	r := eventsource.NewReader(res.Body, "")
	for n := 0; n < 3; {
		e, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == "bar" {
			n++
		}
	}
	_ = res.Body.Close()
}

// TestPeerGone: a client that has left is noticed, and its place is free.
func TestPeerGone(t *testing.T) {
	w := newWorld(t, Options{}, func(c *Config) { c.HeartbeatInterval = 100 * time.Millisecond })
	w.fill(1)
	c := w.connect("symbols=AAA", "")
	c.next("bar")
	c.close()
	eventually(t, "it is gone", func() bool { return w.Hub.Connections() == 0 })
}

// FuzzQuery: any request gets a stream's query or an error that says what is wrong.
func FuzzQuery(f *testing.F) {
	for _, q := range []string{"symbols=SPY", "symbols=spy,qqq&timeframe=1m,5m&events=bar,tick&seed=3&sinceSeq=5", "symbols=%00", "symbols=SPY&cursor=abc.1.2.00000003", "timeframe=;&symbols=,,"} {
		f.Add(q, "abc.1.2.00000003")
	}
	set := newSettings(Config{Symbols: []SymbolConfig{{Number: 1, Name: "SPY"}, {Number: 2, Name: "QQQ"}}, Timeframes: []market.Timeframe{market.M1}, MaxSymbolsPerConnection: 2})
	f.Fuzz(func(t *testing.T, query, lastID string) {
		r := httptest.NewRequest(http.MethodGet, "/stream/market", nil)
		r.URL.RawQuery = query
		r.Header.Set("Last-Event-ID", lastID)
		q, err := parseQuery(r, set)
		if err != nil && (err.Message == "" || err.Code < 400) {
			t.Errorf("%q: %d %q", query, err.Code, err.Message)
		}
		if err == nil && (len(q.symbols) == 0 || len(q.symbols) > 2 || len(q.timeframes) == 0 || q.seed > maxSeed) {
			t.Errorf("%q: %+v", query, q)
		}
	})
}
