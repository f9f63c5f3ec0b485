package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/ring"
)

const t0 = int64(1_709_596_800_000) // 2024-03-05 00:00 UTC

// vendor is an Upstream that fails on cue and counts how often each page is asked for.
type vendor struct {
	mu    sync.Mutex
	asked map[string]int
	fault func(n int) error // of the n-th request
	delay chan struct{}     // requests wait until it is closed
	total atomic.Int64
	empty bool
}

// Records implements Upstream: one trade a minute, but none on the second day of a week.
func (v *vendor) Records(ctx context.Context, symbol string, from, to int64) ([]market.Record, error) {
	n := int(v.total.Add(1))
	v.mu.Lock()
	v.asked[fmt.Sprint(symbol, from)]++
	fault, delay := v.fault, v.delay
	v.mu.Unlock()
	if delay != nil {
		select {
		case <-delay:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrUpstream, ctx.Err())
		}
	}
	if fault != nil {
		if err := fault(n); err != nil {
			return nil, err
		}
	}
	var out []market.Record
	if v.empty || from/86_400_000%7 == 1 {
		return nil, nil
	}
	for at := from; at < to && at < t0; at += 60_000 {
		out = append(out, minute(at))
	}
	return out, nil
}

func minute(at int64) market.Record {
	r := market.Record{Timeframe: market.M1, StartMs: at, EndMs: at + 60_000}
	for i := range int64(3) {
		e := market.Entry{Time: (at + i*1000) * 1e6, Price: market.Decimal{Coef: 10_000 + (at/60_000+i)%97, Scale: 2}, Size: market.Decimal{Coef: 1 + i}}
		if err := r.AddTrade(&e, market.UseAll); err != nil {
			panic(err)
		}
	}
	return r
}

type world struct {
	*Service
	t      *testing.T
	vendor *vendor
	rings  *ring.Set
	server *httptest.Server
	frames []*logs.Frame
	counts sync.Map
	seq    atomic.Uint64

	reading atomic.Int64  // scans under way
	hold    chan struct{} // scans wait until it is closed
	alone   bool          // there is no vendor
}

var tfs = []market.Timeframe{market.M1, market.M5, market.M15, market.H1, market.D1}

func newWorld(t *testing.T, capacity int) *world {
	t.Helper()
	w := &world{t: t, vendor: &vendor{asked: map[string]int{}}, rings: ring.NewSet(capacity)}
	w.rings.Carry([]uint32{0}, tfs)
	w.Service = New(Options{Rings: w.rings, Frames: w, Upstream: w.vendor, Catalog: w, Metrics: w, Log: logr.Discard(), Timeout: time.Minute,
		Position: func() logs.Cursor { return logs.Cursor{Epoch: "e", Seq: w.seq.Load()} }})
	w.server = httptest.NewServer(w.Handler())
	t.Cleanup(w.server.Close)
	return w
}

// live closes n minutes from t0 on: rings, log and coverage.
func (w *world) live(n int64) {
	shape := &logs.Frame{Kind: logs.FrameConfig, Partition: uint8(market.PartitionOf("SPY")), Watermark: t0,
		Shape: &logs.Shape{Symbols: []logs.ShapeSymbol{{Name: "SPY", SinceMs: t0}}}}
	w.apply(shape)
	sums := map[market.Timeframe]*market.Record{}
	for i := range n {
		r := minute(t0 + i*60_000)
		f := &logs.Frame{Kind: logs.FrameBars, Partition: shape.Partition, Watermark: r.EndMs, Records: []market.Record{r}}
		for _, tf := range tfs[1:] {
			s := sums[tf]
			if s == nil {
				s = &market.Record{Timeframe: tf}
				s.StartMs, s.EndMs = w.Session().Period(tf, r.StartMs)
				sums[tf] = s
			}
			if err := s.Merge(&r); err != nil {
				w.t.Fatal(err)
			}
			if r.EndMs == s.EndMs {
				f.Records = append(f.Records, *s)
				delete(sums, tf)
			}
		}
		w.apply(f)
	}
}

func (w *world) apply(f *logs.Frame) {
	w.frames = append(w.frames, f)
	for i := range f.Records {
		if b, ok := f.Records[i].Bar(); ok {
			w.rings.Apply(f.Records[i].Symbol, &b)
		}
	}
	w.Coverage().Apply(f, func(string) uint32 { return 0 })
	w.rings.SetApplied(w.seq.Add(1))
}

func (w *world) Frames(ctx context.Context, from uint64, fn func(uint64, *logs.Frame) error) error {
	if from > 1 {
		w.count("reads of what is new")
	} else {
		w.count("scans")
	}
	if n := w.reading.Add(1); n > 1 {
		w.count("scans side by side")
	}
	defer w.reading.Add(-1)
	if w.hold != nil {
		select {
		case <-w.hold:
		case <-ctx.Done():
			w.count("scans given up")
			return ctx.Err()
		}
	}
	for i, f := range w.frames[from-1:] {
		if err := fn(from+uint64(i), f); err != nil {
			return err
		}
	}
	return nil
}
func (w *world) Lookup(s string) (Symbol, bool) {
	return Symbol{Name: "SPY"}, strings.EqualFold(s, "SPY")
}
func (w *world) Symbols() []Symbol              { return []Symbol{{Name: "SPY"}} }
func (w *world) Timeframes() []market.Timeframe { return tfs }
func (w *world) Session() market.Session {
	cal, err := market.LookupCalendar("AlwaysOpen")
	if err != nil {
		w.t.Fatal(err)
	}
	return market.Session{Calendar: cal}
}
func (w *world) Status() Status        { return Status{Source: "test", Session: "rth", Epoch: "e"} }
func (w *world) UpstreamEnabled() bool { return !w.alone }
func (w *world) count(name string) {
	n, _ := w.counts.LoadOrStore(name, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
}
func (w *world) Requested(result string)     { w.count("requested " + result) }
func (w *world) Coalesced()                  { w.count("coalesced") }
func (w *world) VendorRequest(result string) { w.count("vendor " + result) }
func (w *world) VendorEmpty(symbol, tf string) {
	w.count("empty " + symbol + " " + tf)
}
func (w *world) n(name string) int64 {
	n, ok := w.counts.Load(name)
	if !ok {
		return 0
	}
	return n.(*atomic.Int64).Load()
}

func (w *world) get(path string, headers ...string) (*http.Response, string) {
	req, _ := http.NewRequest(http.MethodGet, w.server.URL+path, nil)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := (&http.Transport{DisableCompression: true}).RoundTrip(req)
	if err != nil {
		w.t.Error(err)
		return &http.Response{Header: http.Header{}}, ""
	}
	body, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	return res, string(body)
}

func seqs(t *testing.T, body string) (out []int64) {
	t.Helper()
	var bars []struct{ Seq int64 }
	if err := json.Unmarshal([]byte(body), &bars); err != nil {
		t.Fatalf("%v: %.200s", err, body)
	}
	for _, b := range bars {
		out = append(out, b.Seq)
	}
	return out
}

// TestCoalesced sends 586 identical requests at once: the vendor is asked once for each page.
func TestCoalesced(t *testing.T) {
	w := newWorld(t, 5000)
	w.live(10)
	w.vendor.delay = make(chan struct{})
	var wait sync.WaitGroup
	bodies := make([]string, 586)
	for i := range bodies {
		wait.Go(func() { _, bodies[i] = w.get("/api/history?symbol=spy&limit=500") })
	}
	eventually(t, func() bool { return w.vendor.total.Load() > 0 })
	close(w.vendor.delay)
	wait.Wait()
	if n := w.vendor.total.Load(); n != 1 {
		t.Errorf("the vendor was asked %d times, want once", n)
	}
	for i := range bodies {
		if bodies[i] != bodies[0] {
			t.Fatalf("answer %d differs", i)
		}
	}
	got := seqs(t, bodies[0])
	if len(got) != 500 || got[499] != market.Seq(t0)+9 || got[0] != market.Seq(t0)+9-499 {
		t.Errorf("%d bars, %d to %d", len(got), got[0], got[len(got)-1])
	}
	t.Logf("586 requests, %d to the vendor", w.vendor.total.Load())
}

// TestSwitching changes timeframes under load: no page is ever asked for twice.
func TestSwitching(t *testing.T) {
	w := newWorld(t, 5000)
	w.live(10)
	var wait sync.WaitGroup
	for g := range 16 {
		wait.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 1))
			for range 40 {
				tf := tfs[rnd.IntN(4)]
				res, body := w.get(fmt.Sprintf("/api/history?symbol=SPY&timeframe=%s&limit=%d&before=%d", tf, 1+rnd.IntN(80), t0-rnd.Int64N(3*86_400_000)))
				if res.StatusCode != 200 {
					t.Errorf("%s: %s", res.Status, body)
				}
			}
		})
	}
	wait.Wait()
	w.vendor.mu.Lock()
	defer w.vendor.mu.Unlock()
	for page, n := range w.vendor.asked {
		if n > 1 {
			t.Errorf("%s was asked for %d times", page, n)
		}
	}
	t.Logf("640 requests, %d pages", len(w.vendor.asked))
}

// TestRollUpsAreExact compares rolled-up pages with those merged from the minutes.
func TestRollUpsAreExact(t *testing.T) {
	w := newWorld(t, 50) // rings evict, so the log is read
	w.live(300)
	for _, tf := range tfs[:4] {
		bars, err := w.Bars(context.Background(), Request{Symbol: Symbol{Name: "SPY"}, Timeframe: tf, Query: ring.Query{Limit: 400}})
		if err != nil {
			t.Fatal(err)
		}
		for i := range bars {
			want := market.Record{Timeframe: tf, StartMs: bars[i].StartMs, EndMs: bars[i].EndMs}
			for at := bars[i].StartMs; at < bars[i].EndMs; at += 60_000 {
				r := minute(at)
				if err := want.Merge(&r); err != nil {
					t.Fatal(err)
				}
			}
			b, _ := want.Bar()
			if d := cmp.Diff(string(b.AppendJSON(nil, "SPY")), string(bars[i].AppendJSON(nil, "SPY"))); d != "" {
				t.Fatalf("%s bar %d:\n%s", tf, i, d)
			}
			if i > 0 && bars[i].StartMs != bars[i-1].EndMs && bars[i-1].EndMs/86_400_000%7 != 1 { // the vendor's empty day
				t.Errorf("%s: a hole before %d", tf, bars[i].StartMs)
			}
		}
		if len(bars) != 400 {
			t.Errorf("%s: %d bars, want 400", tf, len(bars))
		}
	}
}

// TestVendorFails: nothing is made up; what is here is served, else 502 or 504.
func TestVendorFails(t *testing.T) {
	w := newWorld(t, 5000)
	w.vendor.fault = func(int) error { return fmt.Errorf("%w: 500 Internal Server Error", ErrUpstream) }
	if res, body := w.get("/api/history?symbol=SPY&limit=5"); res.StatusCode != 502 || !strings.Contains(body, "the vendor failed") {
		t.Errorf("%s %s", res.Status, body)
	}
	w.live(3)
	if res, body := w.get("/api/history?symbol=SPY&limit=5"); res.StatusCode != 200 || len(seqs(t, body)) != 3 {
		t.Errorf("%s %s", res.Status, body)
	}
	if w.n("vendor error") == 0 || w.n("requested upstream_error") != 1 {
		t.Error("the metrics do not say so")
	}
	slow := newWorld(t, 5000)
	slow.opts.Timeout = 50 * time.Millisecond // before it serves
	slow.vendor.delay = make(chan struct{})
	path := "/api/history?symbol=SPY&limit=5&before=" + fmt.Sprint(t0-86_400_000)
	if res, body := slow.get(path); res.StatusCode != 504 || slow.n("requested timeout") != 1 {
		t.Errorf("%s %s", res.Status, body)
	}
	close(slow.vendor.delay)
	eventually(t, func() bool { // the flight that timed out has to land first
		res, body := slow.get(path)
		return res.StatusCode == 200 && len(seqs(t, body)) == 5
	})
}

// TestOneCancelled: a request that is given up does not take the others' answer with it.
func TestOneCancelled(t *testing.T) {
	w := newWorld(t, 5000)
	w.vendor.delay = make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	r := Request{Symbol: Symbol{Name: "SPY"}, Timeframe: market.M1, Query: ring.Query{Limit: 3, BeforeMs: t0 - 86_400_000*3}}
	first := make(chan error, 1)
	go func() {
		_, err := w.Bars(ctx, r)
		first <- err
	}()
	eventually(t, func() bool { return w.vendor.total.Load() == 1 })
	second := make(chan int, 1)
	go func() {
		bars, _ := w.Bars(context.Background(), r)
		second <- len(bars)
	}()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(w.vendor.delay)
	if n := <-second; n != 3 {
		t.Errorf("%d bars", n)
	}
}

// TestETag: a strong ETag covers rev; a page that was revised is sent again.
func TestETag(t *testing.T) {
	w := newWorld(t, 5000)
	w.live(5)
	const path = "/api/history?symbol=SPY&limit=3"
	first, _ := w.get(path)
	tag := first.Header.Get("ETag")
	if tag == "" || strings.HasPrefix(tag, "W/") || first.Header.Get("Cache-Control") != "no-cache" || first.Header.Get("X-Market-Cursor") != "e.6.0.00000000" {
		t.Errorf("%v", first.Header)
	}
	if again, body := w.get(path, "If-None-Match", tag); again.StatusCode != 304 || body != "" {
		t.Errorf("%s %s", again.Status, body)
	}
	r := minute(t0 + 4*60_000)
	r.Rev = 1
	w.apply(&logs.Frame{Kind: logs.FrameBars, Partition: uint8(market.PartitionOf("SPY")), Records: []market.Record{r}})
	revised, body := w.get(path, "If-None-Match", tag)
	if revised.StatusCode != 200 || revised.Header.Get("ETag") == tag || !strings.Contains(body, `"rev":1`) {
		t.Errorf("%s %s %s", revised.Status, revised.Header.Get("ETag"), body)
	}
}

// TestForms has CSV and compression.
func TestForms(t *testing.T) {
	w := newWorld(t, 5000)
	w.live(60)
	_, body := w.get("/api/history?symbol=SPY&limit=1&timeframe=1h", "Accept", "text/csv")
	const want = "symbol,timeframe,seq,bar_start,bar_end,open,high,low,close,volume,vwap,n,rev,partial,date\n" +
		"SPY,1h,28493280,1709596800000,1709600400000,100.15,100.76,100.15,100.76,360,100.4583,180,0,false,\n"
	if body != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	day := []market.Bar{{StartMs: 1_709_600_400_000, EndMs: 1_709_686_800_000, Timeframe: market.D1, Flags: market.Partial, Rev: 2, N: 1}}
	if got := string(encodeCSV(day, "SPY")); !strings.HasSuffix(got, ",1,2,true,2024-03-05\n") {
		t.Errorf("a day: %s", got)
	}
	for _, coding := range []string{"gzip", "zstd"} {
		res, body := w.get("/api/history?symbol=SPY&limit=50", "Accept-Encoding", coding)
		if res.Header.Get("Content-Encoding") != coding || len(body) > 5000 {
			t.Errorf("%s: %v, %d bytes", coding, res.Header, len(body))
		}
	}
}

// TestSince never has older bars, and an empty array where there is nothing.
func TestSince(t *testing.T) {
	w := newWorld(t, 5000)
	w.live(20)
	at := market.Seq(t0)
	for _, c := range []struct {
		query string
		first int64
		n     int
	}{
		{fmt.Sprint("sinceSeq=", at+15), at + 16, 4},
		{fmt.Sprint("limit=2&sinceSeq=", at+15), at + 16, 2},
		{fmt.Sprint("sinceSeq=", at+19), 0, 0},
		{fmt.Sprint("sinceSeq=", at+500), 0, 0},
		{fmt.Sprint("limit=4&before=", t0+600_000), at + 6, 4},
		{fmt.Sprint("limit=30&sinceSeq=", at-11), at - 10, 30},
	} {
		_, body := w.get("/api/history?symbol=SPY&" + c.query)
		got := seqs(t, body)
		if len(got) != c.n || c.n > 0 && got[0] != c.first {
			t.Errorf("%s: %v", c.query, got)
		}
	}
	if _, body := w.get(fmt.Sprint("/api/history?symbol=SPY&sinceSeq=", at+500)); body != "[]\n" {
		t.Errorf("%q, want a bare empty array", body)
	}
}

// TestCursorWaits: a page with a cursor holds everything up to it.
func TestCursorWaits(t *testing.T) {
	w := newWorld(t, 5000)
	w.live(5)
	next := w.seq.Load() + 1
	got := make(chan string, 1)
	go func() {
		_, body := w.get(fmt.Sprintf("/api/history?symbol=SPY&limit=1&cursor=e.%d.0.00000000", next))
		got <- body
	}()
	w.apply(&logs.Frame{Kind: logs.FrameBars, Partition: uint8(market.PartitionOf("SPY")), Records: []market.Record{minute(t0 + 5*60_000)}})
	if s := seqs(t, <-got); len(s) != 1 || s[0] != market.Seq(t0)+5 {
		t.Error(s)
	}
}

// TestCoverage tells the three kinds of empty period apart.
func TestCoverage(t *testing.T) {
	w := newWorld(t, 5000)
	w.live(5)
	p := uint8(market.PartitionOf("SPY"))
	w.apply(&logs.Frame{Kind: logs.FrameBars, Partition: p, Watermark: t0 + 12*60_000, Gaps: []market.Gap{{FromMs: t0 + 8*60_000, ToMs: t0 + 9*60_000}}})
	_, body := w.get(fmt.Sprintf("/api/coverage?symbol=SPY&from=%d&to=%d", t0-60_000, t0+14*60_000))
	var got []Span
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	at := func(m int64) int64 { return t0 + m*60_000 }
	want := []Span{{at(-1), at(0), "unknown"}, {at(0), at(5), "traded"}, {at(5), at(8), "empty"}, {at(8), at(9), "unknown"}, {at(9), at(12), "empty"}, {at(12), at(14), "unknown"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	w.apply(&logs.Frame{Kind: logs.FrameBars, Partition: p, Gaps: []market.Gap{{FromMs: t0 + 8*60_000, ToMs: t0 + 9*60_000, State: market.GapRepaired}}})
	if _, body := w.get(fmt.Sprintf("/api/coverage?symbol=SPY&from=%d&to=%d", at(5), at(12))); !strings.HasPrefix(body, fmt.Sprintf(`[{"fromMs":%d,"toMs":%d,"state":"empty"}]`, at(5), at(12))) {
		t.Error(body)
	}
}

// TestOthers has the other answers under /api/.
func TestOthers(t *testing.T) {
	w := newWorld(t, 5000)
	w.live(3)
	if _, body := w.get("/api/market/status"); !strings.HasPrefix(body, `{"source":"test","reason":"","session":"rth"`) {
		t.Error(body)
	}
	if _, body := w.get("/api/symbols"); !strings.Contains(body, `{"symbol":"SPY","description":"SPY","priceScale":2,"timezone":"UTC","session":"Extended","lastClose":100.19,"from":1709596800000}`) {
		t.Error(body)
	}
	for body, code := range map[string]int{`{"symbol":"spy"}`: 200, `{"symbol":"NOPE"}`: 404, `{`: 400, `{"symbol":""}`: 400} {
		res, err := http.Post(w.server.URL+"/api/symbols/subscribe", "application/json", strings.NewReader(body))
		if err != nil || res.StatusCode != code {
			t.Errorf("%s: %v %v", body, err, res.Status)
		}
		got, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if code == 200 && string(got) != `{"already":true,"ok":true}`+"\n" {
			t.Errorf("%s", got)
		}
	}
}

// TestErrors has every answer to bad input.
func TestErrors(t *testing.T) {
	w := newWorld(t, 5000)
	for path, want := range map[string]string{
		"/api/history":                                                             "400 symbol: name one",
		"/api/history?symbol=NOPE":                                                 `404 symbol: this stream does not carry "NOPE"`,
		"/api/history?symbol=SPY&timeframe=7m":                                     `400 timeframe: "7m" is none of those of this stream: 1m 5m 15m 1h 1d`,
		"/api/history?symbol=SPY&timeframe=2h":                                     `400 timeframe: "2h" is none`,
		"/api/history?symbol=SPY&limit=0":                                          `400 limit: "0": want a whole number from 1 to 50000`,
		"/api/history?symbol=SPY&limit=50001":                                      `400 limit: "50001"`,
		"/api/history?symbol=SPY&before=x":                                         `400 before: "x": want Unix milliseconds`,
		"/api/history?symbol=SPY&before=0":                                         `400 before: "0": want Unix milliseconds, from 1 to`,
		"/api/history?symbol=SPY&from=0":                                           `400 from: /api/history does not know it; want before=ms`,
		"/api/history?symbol=SPY&to=1":                                             `400 to: /api/history does not know it`,
		"/api/coverage?symbol=SPY&from=0&to=1":                                     `400 from: "0": want Unix milliseconds, from 1 to`,
		"/api/history?symbol=SPY&sinceSeq=1.5":                                     `400 sinceSeq: "1.5"`,
		"/api/history?symbol=SPY&sinceSeq=99999999999":                             `400 sinceSeq: "99999999999": want the seq of the last bar seen, a whole number to 4223371679 `,
		"/api/history?symbol=SPY,QQQ":                                              `400 symbol: "SPY,QQQ": want one`,
		"/api/history?symbol=SPY&cursor=x":                                         `400 cursor: malformed cursor "x"`,
		"/api/coverage?symbol=SPY&from=1":                                          `400 to: ""`,
		"/api/coverage?symbol=SPY&from=5&to=3":                                     `400 from, to: 5, 3`,
		"/api/coverage?symbol=SPY&from=1&to=999999999999":                          `400 from, to`,
		"/api/coverage?symbol=SPY&from=9223372036854775800&to=9223372036854775807": "400 from: ",
		"/api/nothing":                                                             "404 there is nothing at /api/nothing",
		"/api/symbols/subscribe":                                                   "405 method GET: want POST",
	} {
		res, body := w.get(path)
		var e struct {
			Error struct {
				Code    int
				Message string
			}
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil || e.Error.Code != res.StatusCode ||
			!strings.HasPrefix(fmt.Sprint(res.StatusCode, " ", e.Error.Message), want) {
			t.Errorf("%s: %s %s, want %s", path, res.Status, body, want)
		}
	}
}

// FuzzHistoryQuery: any request is read, or refused with a sentence.
func FuzzHistoryQuery(f *testing.F) {
	for _, q := range []string{"symbol=SPY", "symbol=spy&timeframe=1h&limit=3&before=1709596800000", "symbol=SPY&cursor=e.1.0.00000000&sinceSeq=-3", "symbol=%ff", "limit=;"} {
		f.Add(q)
	}
	cal, err := market.LookupCalendar("AlwaysOpen")
	if err != nil {
		f.Fatal(err)
	}
	_ = cal
	s := New(Options{Rings: ring.NewSet(1), Catalog: &world{}, Metrics: &world{}, Position: func() logs.Cursor { return logs.Cursor{} }})
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/api/history", nil)
		r.URL.RawQuery = query
		q, err := s.parseHistory(r)
		if err != nil && (err.Code < 400 || err.Message == "") {
			t.Errorf("%q: %+v", query, err)
		}
		if err == nil && (q.Limit < 1 || q.Limit > maxLimit || !q.Timeframe.Valid()) {
			t.Errorf("%q: %+v", query, q)
		}
	})
}

func eventually(t *testing.T, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !cond() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("waited in vain")
		}
	}
}
