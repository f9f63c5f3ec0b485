package main

import (
	"net/url"
	"strconv"
	"testing"

	"github.com/marketstream/marketstream/streamer/eventsource"
)

// oldClient speaks as the browser client of the server that this replaces did: one last
// seq for each symbol; bars at or below it are dropped; a bar that skips one is a gap, for
// which history is asked. It knows nothing of cursors.
type oldClient struct {
	t        *testing.T
	p        *process
	symbols  []string
	lastSeq  map[string]int64
	seen     map[string]int // by symbol and seq: how often a bar was taken
	gaps     int
	requests int
	resyncs  int
	kinds    map[string]int
}

func newOldClient(t *testing.T, p *process, symbols ...string) *oldClient {
	return &oldClient{t: t, p: p, symbols: symbols, lastSeq: map[string]int64{}, seen: map[string]int{}, kinds: map[string]int{}}
}

// query is what it asks for: sinceSeq is the smallest of its last ones.
func (o *oldClient) query() url.Values {
	q := url.Values{"symbols": {""}, "timeframe": {"1m"}}
	since := int64(-1)
	for i, s := range o.symbols {
		if i > 0 {
			q.Set("symbols", q.Get("symbols")+",")
		}
		q.Set("symbols", q.Get("symbols")+s)
		if last, ok := o.lastSeq[s]; ok && (since < 0 || last < since) {
			since = last
		}
	}
	if since >= 0 {
		q.Set("sinceSeq", strconv.FormatInt(since, 10))
	}
	return q
}

// handle takes one event.
func (o *oldClient) handle(e eventsource.Event, lower map[string]string) {
	o.kinds[e.Type]++
	if e.Type != "bar" {
		return
	}
	b := parseBar(o.t, e.Data)
	symbol := lower[b.Symbol]
	last, known := o.lastSeq[symbol]
	if known && b.Seq <= last {
		if b.Seq < last-50 { // far behind: it would have resynchronised
			o.resyncs++
		}
		return
	}
	if known && b.Seq > last+1 {
		o.gaps++
		o.requests++
		for _, h := range o.p.history(url.Values{"symbol": {symbol}, "timeframe": {"1m"}, "sinceSeq": {strconv.FormatInt(last, 10)}, "limit": {"1000"}}) {
			if h.Seq < b.Seq {
				o.take(symbol, h.Seq)
			}
		}
	}
	o.take(symbol, b.Seq)
	o.lastSeq[symbol] = b.Seq
}

func (o *oldClient) take(symbol string, seq int64) {
	o.seen[symbol+" "+strconv.FormatInt(seq, 10)]++
}

// TestOldClient lets the old client follow an hour of synthetic trades, run fast, with five
// reconnects: no gap, no duplicate, no resync.
func TestOldClient(t *testing.T) {
	doc := write(t, "synthetic.yaml", `apiVersion: marketstream.dev/v1alpha1
kind: MarketStream
metadata: {name: old}
spec:
  symbols: [SPY, QQQ]
  feed: {synthetic: {seed: 7, speed: "240"}}
  stream: {ticks: Enabled, heartbeatInterval: 1s}
`)
	lower := map[string]string{"SPY": "spy", "QQQ": "qqq"}
	for name, symbols := range map[string][]string{"one symbol": {"spy"}, "two symbols": {"spy", "qqq"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, doc)
			o := newOldClient(t, p, symbols...)
			var first, last int64
			for part := 1; part <= 6; part++ {
				c := mustConnect(t, p.url, o.query(), "")
				c.until(t, "ten more minutes", func(e eventsource.Event) bool {
					o.handle(e, lower)
					last = o.lastSeq[symbols[0]]
					if first == 0 {
						first = last
					}
					// the seed of a first connection holds 50 minutes before the hour begins
					return e.Type == "bar" && last >= first+49+int64(part)*10
				})
				c.close()
			}
			for _, kind := range []string{"bootstrap", "epoch", "bar", "microbar", "tick", "ping"} {
				if o.kinds[kind] == 0 {
					t.Errorf("no %s in an hour", kind)
				}
			}
			if o.gaps != 0 || o.resyncs != 0 || o.requests != 0 {
				t.Errorf("%d gaps, %d resyncs, %d requests for history; want none", o.gaps, o.resyncs, o.requests)
			}
			for bar, n := range o.seen {
				if n != 1 {
					t.Errorf("%s was taken %d times", bar, n)
				}
			}
			if len(o.seen) < 100*len(symbols) {
				t.Errorf("only %d bars", len(o.seen))
			}
			t.Logf("%d bars, %v", len(o.seen), o.kinds)
		})
	}
}

// TestOldClientOnEmptyMinutes lets it follow real trades with empty minutes: it makes at most one
// request for each run of them.
func TestOldClientOnEmptyMinutes(t *testing.T) {
	trades := binanceTrades(t)
	p := start(t, replayDoc(t, trades, "Max", "", "XRPETH"))
	o := newOldClient(t, p, "xrpeth")
	o.lastSeq["xrpeth"] = 1570752000000/60000 - 1
	runs, want := 0, venueBars(t, "bars_1m.csv")
	for start := range want {
		if want[start-60000] == "" && start != 1570752000000 {
			runs++
		}
	}
	c := mustConnect(t, p.url, o.query(), "")
	c.until(t, "the last bar", func(e eventsource.Event) bool {
		o.handle(e, map[string]string{"XRPETH": "xrpeth"})
		return len(o.seen) == len(want)
	})
	if o.requests > runs || o.resyncs > 0 {
		t.Errorf("%d requests for %d runs of empty minutes, %d resyncs", o.requests, runs, o.resyncs)
	}
	for bar, n := range o.seen {
		if n != 1 {
			t.Errorf("%s was taken %d times", bar, n)
		}
	}
	t.Logf("%d requests for %d runs of empty minutes", o.requests, runs)
}
