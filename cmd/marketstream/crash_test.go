package main

import (
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/eventsource"
)

var leanQuery = url.Values{"symbols": {"AIG,BAC,IBM"}, "timeframe": {"1m,5m,15m,1h,1d"}, "events": {"bar"}}

// lastBar is the last one of leanTrades' day: 1d closes when the feed has ended.
func lastBars(e eventsource.Event, seen map[string]bool) bool {
	if e.Type == "bar" && strings.Contains(e.Data, `"timeframe":"1d"`) {
		seen[strings.SplitN(e.Data, `"`, 5)[3]] = true
	}
	return len(seen) == 3
}

// undisturbed replays the trades at full speed in one run and returns what its log holds:
// each revision of each bar, in order.
func undisturbed(t *testing.T, trades string) (sequence []string, lastSeq int) {
	t.Helper()
	p := start(t, replayDoc(t, trades, "Max", leanSpec, "AIG", "BAC", "IBM"))
	q := url.Values{"cursor": {p.epoch() + ".0.0.00000000"}}
	for k, v := range leanQuery {
		q[k] = v
	}
	c := mustConnect(t, p.url, q, "")
	seen := make(map[string]bool)
	c.until(t, "the last bar", func(e eventsource.Event) bool {
		if e.Type == "bar" {
			b := parseBar(t, e.Data)
			sequence = append(sequence, b.key()+": "+b.values())
		}
		return lastBars(e, seen)
	})
	return sequence, cursorSeq(t, c.LastID())
}

func cursorSeq(t testing.TB, id string) int {
	t.Helper()
	seq, err := strconv.Atoi(strings.Split(id, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// perSeries splits a sequence by symbol and timeframe.
func perSeries(sequence []string) map[string][]string {
	out := make(map[string][]string)
	for _, s := range sequence {
		f := strings.SplitN(s, " ", 3)
		out[f[0]+" "+f[1]] = append(out[f[0]+" "+f[1]], s)
	}
	return out
}

func compareSequences(t *testing.T, want, got []string) {
	t.Helper()
	w, g := perSeries(want), perSeries(got)
	for series := range w {
		if slices.Equal(w[series], g[series]) {
			continue
		}
		n := 0
		for n < len(w[series]) && n < len(g[series]) && w[series][n] == g[series][n] {
			n++
		}
		at := func(s []string) string {
			if n < len(s) {
				return s[n]
			}
			return "nothing more"
		}
		t.Errorf("%s: %d bars, want %d; at %d:\n got %s\nwant %s", series, len(g[series]), len(w[series]), n, at(g[series]), at(w[series]))
	}
}

// TestKilledAtRandom kills the program at 50 random sequences of BARS and starts it again:
// what a reconnecting client has seen by id over all its connections is exactly what an
// undisturbed run says, nothing twice, nothing missing, in order.
func TestKilledAtRandom(t *testing.T) {
	kills := 50
	if testing.Short() {
		kills = 5
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("MARKETSTREAM_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("MARKETSTREAM_SEED=%d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	trades := leanTrades(t)
	want, last := undisturbed(t, trades)
	targets := rnd.Perm(last - 2)[:kills] // different ones
	for i := range targets {
		targets[i] += 2
	}
	slices.Sort(targets)

	doc := replayDoc(t, trades, "960", leanSpec, "AIG", "BAC", "IBM") // 16 hours in a minute
	data := t.TempDir()
	got, restarts := killAt(t, doc, data, targets)
	t.Logf("%d restarts, %d revisions of bars seen, undisturbed %d", restarts, len(got), len(want))
	compareSequences(t, want, got)
}

// killAt follows a paced replay over a kill at each of the targets to its end.
func killAt(t *testing.T, doc, data string, targets []int) (got []string, restarts int) {
	t.Helper()
	seen := make(map[string]bool)
	p := start(t, doc, "--data", data)
	lastID := p.epoch() + ".0.0.00000000"
	for {
		c, err := connect(p.url, leanQuery, lastID)
		if err != nil {
			t.Fatalf("%v\n%s", err, p.text())
		}
		for {
			e, err := c.Next()
			if err != nil {
				t.Fatalf("%v\n%s", err, p.text())
			}
			lastID = c.LastID()
			switch e.Type {
			case "reset":
				t.Fatalf("reset at %s: %s\n%s", lastID, e.Data, p.text())
			case "bar":
				if !e.HasID {
					t.Fatalf("a bar without an id on a resumed stream: %s", e.Data)
				}
				b := parseBar(t, e.Data)
				got = append(got, b.key()+": "+b.values())
			}
			if lastBars(e, seen) {
				c.close()
				return got, restarts
			}
			if len(targets) > 0 && cursorSeq(t, lastID) >= targets[0] {
				break
			}
		}
		p.kill()
		c.close()
		targets = targets[1:]
		p = start(t, doc, "--data", data)
		restarts++
	}
}

// TestStoppedMidHour stops the program in the middle of an hour and of a day, politely, and
// starts it again: the 1h and 1d bars are those of an undisturbed run.
func TestStoppedMidHour(t *testing.T) {
	trades := leanTrades(t)
	want, last := undisturbed(t, trades)
	doc := replayDoc(t, trades, "3600", leanSpec, "AIG", "BAC", "IBM")
	data := t.TempDir()
	p := start(t, doc, "--data", data)
	first := p.epoch() + ".0.0.00000000"
	c := mustConnect(t, p.url, leanQuery, first)
	c.until(t, "the middle", func(eventsource.Event) bool { return c.LastID() != first && cursorSeq(t, c.LastID()) > last/2 })
	p.stop()

	p = start(t, doc, "--data", data)
	c = mustConnect(t, p.url, leanQuery, first)
	var got []string
	seen := make(map[string]bool)
	c.until(t, "the last bar", func(e eventsource.Event) bool {
		if e.Type == "bar" {
			b := parseBar(t, e.Data)
			got = append(got, b.key()+": "+b.values())
		}
		return lastBars(e, seen)
	})
	compareSequences(t, want, got)
}

// TestRewound puts an older copy of the log in place: a client that comes back with its
// cursor gets a reset and a snapshot, and ends right.
func TestRewound(t *testing.T) {
	trades := leanTrades(t)
	want, last := undisturbed(t, trades)
	doc := replayDoc(t, trades, "3600", leanSpec+"  stream: {seedBars: 1000}\n", "AIG", "BAC", "IBM")
	data := filepath.Join(t.TempDir(), "data")
	p := start(t, doc, "--data", data)
	first := p.epoch() + ".0.0.00000000"
	bars := make(map[string]string) // as a client keeps them: by symbol, timeframe and seq
	read := func(c *conn, stopAt func(eventsource.Event) bool) {
		c.until(t, "the place to stop", func(e eventsource.Event) bool {
			if e.Type == "reset" {
				clear(bars)
			}
			if e.Type == "bar" {
				b := parseBar(t, e.Data)
				bars[b.key()] = b.values()
			}
			return stopAt(e)
		})
	}
	c := mustConnect(t, p.url, leanQuery, first)
	read(c, func(eventsource.Event) bool { return c.LastID() != first && cursorSeq(t, c.LastID()) > last/4 })
	p.stop()
	older := filepath.Join(t.TempDir(), "older")
	if err := os.CopyFS(older, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}

	p = start(t, doc, "--data", data)
	c = mustConnect(t, p.url, leanQuery, c.LastID())
	read(c, func(eventsource.Event) bool { return cursorSeq(t, c.LastID()) > last/2 })
	p.stop()
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(older, data); err != nil {
		t.Fatal(err)
	}

	p = start(t, doc, "--data", data)
	c = mustConnect(t, p.url, leanQuery, c.LastID())
	resets, seen := 0, make(map[string]bool)
	read(c, func(e eventsource.Event) bool {
		if e.Type == "reset" {
			resets++
		}
		return lastBars(e, seen)
	})
	if resets != 1 {
		t.Errorf("%d resets, want 1", resets)
	}
	final := make(map[string]string)
	for _, s := range want {
		key, values, _ := strings.Cut(s, ": ")
		final[key] = values
	}
	if len(bars) != len(final) {
		t.Errorf("the client ends with %d bars, want %d", len(bars), len(final))
	}
	for key, values := range final {
		if bars[key] != values {
			t.Errorf("%s: %s, want %s", key, bars[key], values)
		}
	}
}
