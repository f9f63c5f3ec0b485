package main

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/marketstream/marketstream/streamer/eventsource"
	"github.com/marketstream/marketstream/streamer/market"
)

const xrpeth = "crypto-binance-xrpeth-2019/"

// binanceTrades converts the venue's trades to the form that replay reads.
func binanceTrades(t testing.TB) string {
	t.Helper()
	file, err := os.Open(shared(t, xrpeth+"aggtrades.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(unzipped).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	out.WriteString("symbol,ts,price,size,side,id,conditions\n")
	for _, r := range rows[1:] { // agg_id,first_id,last_id,ts_ms,price,qty,buyer_is_maker
		side := "buy"
		if r[6] == "1" {
			side = "sell"
		}
		fmt.Fprintf(&out, "XRPETH,%s,%s,%s,%s,%s,\n", r[3], r[4], r[5], side, r[0])
	}
	return write(t, "xrpeth.csv", out.String())
}

// venueBars reads the venue's own bars, start to "o h l c v"; empty periods are left out.
func venueBars(t testing.TB, name string) map[int64]string {
	t.Helper()
	file, err := os.Open(shared(t, xrpeth+name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	bars := make(map[int64]string)
	for _, r := range rows[1:] { // start_ms,open,high,low,close,volume
		plain := make([]string, 5)
		for i := range plain {
			d, err := market.ParseDecimal(r[i+1])
			if err != nil {
				t.Fatal(err)
			}
			plain[i] = d.String()
		}
		if plain[4] != "0" {
			var start int64
			if _, err := fmt.Sscan(r[0], &start); err != nil {
				t.Fatal(err)
			}
			bars[start] = strings.Join(plain, " ")
		}
	}
	return bars
}

func (b *bar) ohlcv() string {
	return fmt.Sprint(b.OHLCV.O, " ", b.OHLCV.H, " ", b.OHLCV.L, " ", b.OHLCV.C, " ", b.OHLCV.V)
}

// TestVenueBars replays a venue's trades through the whole program and wants the venue's
// own bars, as decimal text, on the stream and in history, and none where nothing traded.
func TestVenueBars(t *testing.T) {
	trades := binanceTrades(t)
	want := map[string]map[int64]string{"1m": venueBars(t, "bars_1m.csv"), "5m": venueBars(t, "bars_5m.csv")}
	if len(want["1m"]) != 2469 || len(want["5m"]) != 706 {
		t.Fatalf("the venue has %d and %d bars", len(want["1m"]), len(want["5m"]))
	}
	doc := replayDoc(t, trades, "Max", "  timeframes: [1m, 5m]\n", "XRPETH")
	p := start(t, doc)

	t.Run("stream", func(t *testing.T) {
		c := mustConnect(t, p.url, url.Values{"symbols": {"xrpeth"}, "timeframe": {"1m,5m"}, "cursor": {p.epoch() + ".0.0.00000000"}}, "")
		got := map[string]map[int64]string{"1m": {}, "5m": {}}
		count := 0
		c.until(t, "the last bar", func(e eventsource.Event) bool {
			if e.Type != "bar" {
				return false
			}
			b := parseBar(t, e.Data)
			if !e.HasID || b.Rev != 0 || b.Partial {
				t.Errorf("%s: id %v, %s", b.key(), e.HasID, b.values())
			}
			got[b.Timeframe][b.Start] = b.ohlcv()
			count++
			return count == 2469+706
		})
		compareBars(t, want, got)
	})
	t.Run("history", func(t *testing.T) {
		got := map[string]map[int64]string{"1m": {}, "5m": {}}
		for tf := range got {
			for _, b := range p.history(url.Values{"symbol": {"XRPETH"}, "timeframe": {tf}, "limit": {"50000"}}) {
				got[tf][b.Start] = b.ohlcv()
			}
		}
		compareBars(t, want, got)
	})
}

func compareBars(t *testing.T, want, got map[string]map[int64]string) {
	t.Helper()
	for tf := range want {
		equal := 0
		for start, w := range want[tf] {
			if got[tf][start] == w {
				equal++
			} else {
				t.Errorf("%s %d: got %q, the venue has %q", tf, start, got[tf][start], w)
			}
		}
		for start, g := range got[tf] {
			if want[tf][start] == "" {
				t.Errorf("%s %d: a bar %q in a period without a trade", tf, start, g)
			}
		}
		t.Logf("%s: %d of %d bars equal", tf, equal, len(want[tf]))
	}
}
