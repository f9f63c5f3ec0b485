package coinbasetest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func start(t *testing.T, opts Options) *Vendor {
	t.Helper()
	v, err := Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// manual are options of a vendor that does nothing by itself.
var manual = Options{Products: []Product{{Name: "BTC-USD", Price: "100.00"}, {Name: "ETH-USD", FirstID: 500}}, Tick: -1, RequestsPerSecond: -1}

// TestHistoryHangsOnSeed: the same seed gives the same trades, ids are gapless, times rise.
func TestHistoryHangsOnSeed(t *testing.T) {
	var all [3][]Trade
	for i, seed := range []uint64{1, 1, 2} {
		opts := manual
		opts.Seed = seed
		v := start(t, opts)
		if err := v.Make("ETH-USD", 1000); err != nil {
			t.Fatal(err)
		}
		all[i], _ = v.Trades("ETH-USD", 0, 0)
		for k, x := range all[i] {
			if x.ID != 500+uint64(k) || x.TimeNs%1000 != 0 || k > 0 && x.TimeNs <= all[i][k-1].TimeNs || x.Price.Coef <= 0 || x.Size.Coef <= 0 {
				t.Fatalf("trade %d is %+v", k, x)
			}
		}
	}
	same := func(a, b []Trade) bool {
		return slices.EqualFunc(a, b, func(x, y Trade) bool { return x.Price == y.Price && x.Size == y.Size && x.Taker == y.Taker })
	}
	if !same(all[0], all[1]) || same(all[0], all[2]) {
		t.Error("trades do not hang on the seed alone")
	}
}

// TestSchedule: trades come at their rate, by the clock that was given, and no more are kept than wanted.
func TestSchedule(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	v := start(t, Options{Products: []Product{{Name: "BTC-USD", PerSecond: 100}}, Tick: -1, Now: func() time.Time { return now }, Past: 10 * time.Second, Keep: 2000})
	if n, _ := v.Newest("BTC-USD"); n != 1000 {
		t.Errorf("%d trades of the past, want 1000", n)
	}
	now = now.Add(time.Second)
	v.Step()
	trades, _ := v.TradesBetween("BTC-USD", now.Add(-time.Second), now)
	if len(trades) != 100 {
		t.Errorf("%d trades in a second, want 100", len(trades))
	}
	if err := v.Burst("BTC-USD", 500, 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	now = now.Add(50 * time.Millisecond)
	v.Step()
	if n, _ := v.Newest("BTC-USD"); n < 1350 || n > 1361 {
		t.Errorf("newest %d in the middle of a burst", n)
	}
	now = now.Add(time.Minute)
	v.Step()
	all, _ := v.Trades("BTC-USD", 0, 0)
	if len(all) < 2000 || len(all) > 2500 || all[len(all)-1].ID != 7605 {
		t.Errorf("%d trades are kept, up to %d", len(all), all[len(all)-1].ID)
	}
}

// TestPages: newest first, below after, above before, with the headers, as Coinbase has it.
func TestPages(t *testing.T) {
	v := start(t, manual)
	if err := v.Make("BTC-USD", 1500); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"limit=3": "1500..1498", "": "1500..501", "limit=5000": "1500..501", "limit=2&after=10": "9..8", "after=3": "2..1", "after=1": "",
		"after=99999&limit=1": "1500..1500", "before=1498": "1500..1499", "before=1500": "", "limit=0": "1500..1500",
	} {
		resp, err := http.Get(v.RESTURL() + "/products/BTC-USD/trades?" + query)
		if err != nil {
			t.Fatal(err)
		}
		var page []struct {
			ID   uint64 `json:"trade_id"`
			Size string `json:"size"`
			Time string `json:"time"`
		}
		err = json.NewDecoder(resp.Body).Decode(&page)
		_ = resp.Body.Close()
		got := ""
		if len(page) > 0 {
			got = fmt.Sprintf("%d..%d", page[0].ID, page[len(page)-1].ID)
			if h := resp.Header; h.Get("Cb-Before")+".."+h.Get("Cb-After") != got || len(page) != int(page[0].ID-page[len(page)-1].ID)+1 {
				t.Errorf("%s: headers %v, %d trades", query, h, len(page))
			}
			if _, decimals, _ := strings.Cut(page[0].Size, "."); len(decimals) != 8 {
				t.Errorf("size %q", page[0].Size)
			}
		}
		if err != nil || got != want || resp.StatusCode != 200 {
			t.Errorf("%q: %s, %d, %v; want %s", query, got, resp.StatusCode, err, want)
		}
	}
	for query, want := range map[string]int{"/products/X/trades": 404, "/products/BTC-USD/trades?after=x": 400, "/x": 404} {
		resp, err := http.Get(v.RESTURL() + query)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", query, resp.StatusCode, want)
		}
	}
}

// TestControl: every fault is a command by HTTP, arguments that are wrong are named, and what has
// happened can be asked.
func TestControl(t *testing.T) {
	v := start(t, manual)
	ask := func(method, what string) (int, string) {
		req, _ := http.NewRequestWithContext(context.Background(), method, v.RESTURL()+"/control/"+what, nil)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text)
	}
	for _, what := range []string{"limit?n=1&how=evict", "limit-subscriptions?n=4", "drop", "die", "refuse?for=1s&status=503", "cut?bytes=10&connections=2",
		"heartbeats?on=false", "answers?on=false", "pongs?on=false", "skip?product=BTC-USD&n=1", "duplicate?product=BTC-USD&n=1", "disorder?product=ETH-USD&n=2",
		"late?product=ETH-USD&n=1&by=1s", "make?product=BTC-USD&n=7", "burst?product=ETH-USD&n=5&over=1s", "skew?by=-3s", "error?message=a&reason=b", "huge?bytes=100",
		"rest?times=2&status=429&retryafter=3s&delay=1ms&drop=1&hole=2&cut=true&lag=5s", "forget?product=BTC-USD&from=2&to=3"} {
		if code, text := ask("POST", what); code != 200 {
			t.Errorf("%s: %d %s", what, code, text)
		}
	}
	cut, times := v.sockets.Cuts()
	b, e := v.books["BTC-USD"], v.books["ETH-USD"]
	if v.limit != (limit{1, Evict}) || v.subs != 4 || v.refuse.status != 503 || cut != 10 || times != 2 || !v.mute || !v.deaf || !v.pongless ||
		b.duplicate != 0 || b.newest() != 7 || e.disorder != 2 || e.lateBy != time.Second || len(e.bursts) != 1 || v.skew != -3*time.Second ||
		v.rest != (RESTFault{Times: 2, Status: 429, RetryAfter: 3 * time.Second, Delay: time.Millisecond, Drop: 1, Hole: 2, Cut: true, Lag: 5 * time.Second}) ||
		!b.forgotten(3) || b.forgotten(4) {
		t.Errorf("%+v\n%+v\n%+v", v.rest, b, e)
	}
	if len(commands) != 20 {
		t.Errorf("%d commands: try the new ones here", len(commands))
	}
	for what, part := range map[string]string{"nothing": "no command", "skip?product=X&n=1": "want one of BTC-USD, ETH-USD", "skip?product=BTC-USD&n=x": "want a whole number",
		"skew?by=x": "want a duration", "burst?product=BTC-USD&n=0": "want at least 1"} {
		if code, text := ask("POST", what); code < 400 || code > 404 || !strings.Contains(text, part) {
			t.Errorf("%s: %d %s", what, code, text)
		}
	}
	for what, part := range map[string]string{"stats": `"Trades":7`, "newest?product=BTC-USD": "7", "trades?product=BTC-USD&after=5&before=7": `[{"id":6,`,
		"trades?product=BTC-USD&from=1&to=9000000000000000000": `{"id":7,`} {
		if code, text := ask("GET", what); code != 200 || !strings.Contains(text, part) {
			t.Errorf("%s: %d %s", what, code, text)
		}
	}
}

// dial connects as any client does.
func dial(t *testing.T, v *Vendor) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(context.Background(), v.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

func read(t *testing.T, c *websocket.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, text, err := c.Read(ctx)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// TestProtocol: the frames as they were recorded, and what is refused.
func TestProtocol(t *testing.T) {
	v := start(t, manual)
	if err := v.Make("BTC-USD", 1); err != nil {
		t.Fatal(err)
	}
	c := dial(t, v)
	for _, x := range []struct{ say, hear string }{
		{`nonsense`, `{"type":"error","message":"Malformed JSON"}`},
		{`{"type":"subscribe","product_ids":["BTC-USD"]}`, `{"type":"error","message":"Failed to subscribe","reason":"No channels provided"}`},
		{`{"type":"subscribe","product_ids":["BTC-USD"],"channels":["x"]}`, `{"type":"error","message":"Failed to subscribe","reason":"x is not a valid channel"}`},
		{`{"type":"subscribe","product_ids":["BTC-USD","X-Y"],"channels":["matches"]}`, `{"type":"error","message":"Failed to subscribe","reason":"X-Y is not a valid product"}`},
		{`{"type":"subscribe","product_ids":["BTC-USD"],"channels":["matches"]}`, `{"type":"subscriptions","channels":[{"name":"matches","product_ids":["BTC-USD"]}]}`},
	} {
		if err := c.Write(context.Background(), websocket.MessageText, []byte(x.say)); err != nil {
			t.Fatal(err)
		}
		if got := read(t, c); got != x.hear {
			t.Errorf("%s: %s\nwant %s", x.say, got, x.hear)
		}
	}
	if got := read(t, c); !strings.HasPrefix(got, `{"type":"last_match","trade_id":1,"maker_order_id":"`) {
		t.Error(got)
	}
	if err := v.Make("BTC-USD", 1); err != nil {
		t.Fatal(err)
	}
	if got := read(t, c); !strings.HasPrefix(got, `{"type":"match","trade_id":2,"maker_order_id":"`) {
		t.Error(got)
	}
	if err := c.Write(context.Background(), websocket.MessageText, []byte(`{"type":"unsubscribe","product_ids":["BTC-USD"],"channels":["matches"]}`)); err != nil {
		t.Fatal(err)
	}
	if got := read(t, c); got != `{"type":"subscriptions","channels":null}` {
		t.Error(got)
	}
}

// TestSubscribeWithin: a connection that subscribes to nothing is closed.
func TestSubscribeWithin(t *testing.T) {
	opts := manual
	opts.SubscribeWithin = time.Millisecond
	v := start(t, opts)
	if got := read(t, dial(t, v)); !strings.Contains(got, "EOF") {
		t.Error(got)
	}
}

func TestOptionsRefused(t *testing.T) {
	for _, p := range []Product{{}, {Name: "X", Price: "-1"}, {Name: "X", Price: "x"}, {Name: "X", PerSecond: -1}} {
		if v, err := Start(Options{Products: []Product{p}}); err == nil {
			_ = v.Close()
			t.Errorf("%+v is taken", p)
		}
	}
	if _, err := Start(Options{Address: "nowhere"}); err == nil {
		t.Error("an address that is none is taken")
	}
}
