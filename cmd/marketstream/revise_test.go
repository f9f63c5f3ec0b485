package main

import (
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/eventsource"
)

// TestLateTrade sends a trade of 10:00 that comes at 10:07: it revises the 1m bar and the
// 5m, 15m and 1h bars above it, on the stream and in history.
func TestLateTrade(t *testing.T) {
	rows := []string{"symbol,ts,price,size,id"}
	add := func(clock, price, size, id string) {
		ts, err := time.Parse(time.RFC3339, "2024-03-05T"+clock+"Z")
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, strings.Join([]string{"AAA", strconv.FormatInt(ts.UnixMilli(), 10), price, size, id}, ","))
	}
	add("10:00:10.000", "100", "1", "1")
	add("10:00:50.000", "101", "1", "2")
	add("10:05:00.000", "102", "1", "4")
	add("10:07:00.000", "102.5", "1", "5")
	add("10:00:30.000", "105", "2", "3") // late: a new high
	add("10:07:20.000", "102.7", "1", "6")
	add("10:16:00.000", "103", "1", "7")
	add("11:01:00.000", "104", "1", "8")
	doc := replayDoc(t, write(t, "late.csv", strings.Join(rows, "\n")+"\n"), "Max", "  timeframes: [1m, 5m, 15m, 1h]\n", "AAA")
	p := start(t, doc)
	c := mustConnect(t, p.url, url.Values{"symbols": {"AAA"}, "timeframe": {"1m,5m,15m,1h"}, "cursor": {p.epoch() + ".0.0.00000000"}}, "")
	got := map[string][]bar{}
	c.until(t, "the last bar", func(e eventsource.Event) bool {
		if e.Type != "bar" {
			return false
		}
		b := parseBar(t, e.Data)
		got[b.Timeframe+" "+time.UnixMilli(b.Start).UTC().Format("15:04")] = append(got[b.Timeframe+" "+time.UnixMilli(b.Start).UTC().Format("15:04")], b)
		return b.Timeframe == "1h" && b.Start == 1709636400000
	})
	for key, want := range map[string]struct {
		revs    int
		h, v    string
		n       int64
		vwapNow string
	}{
		"1m 10:00":  {2, "105", "4", 3, "102.75"},
		"5m 10:00":  {2, "105", "4", 3, "102.75"},
		"15m 10:00": {1, "105", "7", 6, "102.6"},
		"1h 10:00":  {1, "105", "8", 7, "102.65"},
	} {
		revs := got[key]
		if len(revs) != want.revs {
			t.Errorf("%s: %d revisions on the stream, want %d: %v", key, len(revs), want.revs, revs)
			continue
		}
		last := revs[len(revs)-1]
		if last.Rev != want.revs-1 || last.OHLCV.H.String() != want.h || last.OHLCV.V.String() != want.v || last.N != want.n || last.VWAP.String() != want.vwapNow {
			t.Errorf("%s: %s, want %+v", key, last.values(), want)
		}
		tf, clock, _ := strings.Cut(key, " ")
		found := false
		for _, h := range p.history(url.Values{"symbol": {"AAA"}, "timeframe": {tf}}) {
			if time.UnixMilli(h.Start).UTC().Format("15:04") == clock {
				found = h.values() == last.values()
			}
		}
		if !found {
			t.Errorf("%s: history does not have %s", key, last.values())
		}
	}
}

// TestReload edits the document of a running program: symbols, timeframes, ticks, caps and
// origins change in place, no open stream ends, and a bad edit keeps what was.
func TestReload(t *testing.T) {
	text := `apiVersion: marketstream.dev/v1alpha1
kind: MarketStream
metadata: {name: reload}
spec:
  symbols: [SPY]
  timeframes: [1m]
  feed: {synthetic: {seed: 3, speed: "60"}}
`
	doc := write(t, "reload.yaml", text)
	edit := func(text string) {
		t.Helper()
		if err := os.WriteFile(doc, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, doc)
	c := mustConnect(t, p.url, url.Values{"symbols": {"SPY"}}, "")
	nextBar := func() bar {
		return parseBar(t, c.until(t, "a bar with an id", func(e eventsource.Event) bool { return e.Type == "bar" && e.HasID }).Data)
	}
	before := nextBar()
	p.get(p.url, "/api/history?symbol=QQQ", 404)
	p.get(p.url, "/api/history?symbol=SPY&timeframe=5m", 400)

	edit(strings.NewReplacer("[SPY]", "[SPY, QQQ]", "[1m]", "[1m, 5m]").Replace(text) +
		"  stream: {ticks: Enabled, bufferCapacity: 77, maxConnections: 3}\n  access: {allowedOrigins: ['https://example.test']}\n")
	eventually(t, "QQQ is carried", func() bool { return strings.Contains(string(p.get(p.url, "/api/symbols", 200)), `"QQQ"`) })
	q := mustConnect(t, p.url, url.Values{"symbols": {"qqq"}, "timeframe": {"5m"}, "events": {"bar,tick"}}, "")
	kinds := map[string]bool{}
	q.until(t, "a tick and a 5m bar of the new symbol", func(e eventsource.Event) bool {
		kinds[e.Type] = true
		return kinds["tick"] && kinds["bar"]
	})
	after := nextBar()
	for n := before.Seq + 1; n < after.Seq; n++ {
		t.Errorf("bar %d is missing after the reload", n)
	}

	edit(strings.Replace(text, "seed: 3", "seed: 3, sped: 1", 1))
	eventually(t, "the bad edit shows", func() bool {
		return strings.Contains(string(p.get(p.internal, "/metrics", 200)), "config_reload_errors_total 1")
	})
	if status := string(p.get(p.internal, "/status", 200)); !strings.Contains(status, "sped") {
		t.Errorf("/status does not say what is wrong: %s", status)
	}
	if n := strings.Count(p.text(), "sped"); n != 1 {
		t.Errorf("the log says why %d times, want once:\n%s", n, p.text())
	}
	p.get(p.url, "/api/history?symbol=QQQ", 200) // the configuration before it stays
	next := nextBar()
	if next.Seq != after.Seq+1 {
		t.Errorf("bar %d after %d", next.Seq, after.Seq)
	}
}
