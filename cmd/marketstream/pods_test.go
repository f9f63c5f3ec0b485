package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/eventsource"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// fastDoc is an invented market in which a minute lasts a second.
const fastDoc = `apiVersion: marketstream.dev/v1alpha1
kind: MarketStream
metadata: {name: fast}
spec:
  symbols: [SPY, QQQ, AAPL, MSFT, NVDA, TSLA, BTC-USD, ETH-USD]
  timeframes: [1m, 5m, 15m]
  feed: {synthetic: {seed: 7, ticksPerSecond: 2, speed: "60"}}
  bars: {closeGrace: 2s}
  stream: {seedBars: 30}
`

var fastSymbols = []string{"SPY", "QQQ", "AAPL", "MSFT", "NVDA", "TSLA", "BTC-USD", "ETH-USD"}

func fastPartitions() []int {
	var out []int
	for _, s := range fastSymbols {
		out = append(out, market.PartitionOf(s))
	}
	return out
}

// watcher follows all symbols at one pod and notes when each bar came.
type watcher struct {
	t     *testing.T
	conn  *conn
	query url.Values
	last  map[string]int64 // seq by symbol and timeframe
	seen  map[string]bool  // bars by key and rev
}

func watch(t *testing.T, p *process, timeframes string) *watcher {
	t.Helper()
	w := &watcher{t: t, query: url.Values{"symbols": {strings.Join(fastSymbols, ",")}, "timeframe": {timeframes}, "events": {"bar"}, "seed": {"0"}},
		last: make(map[string]int64), seen: make(map[string]bool)}
	w.conn = mustConnect(t, p.url, w.query, "")
	return w
}

// next returns the next bar with an id, and checks that it is the one after the last of its
// symbol and timeframe, and new.
func (w *watcher) next() bar {
	w.t.Helper()
	e := w.conn.until(w.t, "a bar", func(e eventsource.Event) bool { return e.Type == "bar" || e.Type == "reset" })
	if e.Type == "reset" {
		w.t.Fatal("a reset")
	}
	b := parseBar(w.t, e.Data)
	if k := fmt.Sprint(b.key(), " ", b.Rev); w.seen[k] {
		w.t.Fatalf("twice: %s", k)
	} else {
		w.seen[k] = true
	}
	series := b.Symbol + " " + b.Timeframe
	step := int64(1)
	if b.Timeframe == "5m" {
		step = 5
	}
	if last, ok := w.last[series]; ok && b.Rev == 0 && b.Seq != last+step {
		w.t.Fatalf("%s: seq %d after %d", series, b.Seq, last)
	}
	if b.Partial {
		w.t.Fatalf("partial: %s", e.Data)
	}
	w.last[series] = max(w.last[series], b.Seq)
	return b
}

// all follows the bars until each symbol had a minute.
func (w *watcher) all() {
	w.t.Helper()
	for _, symbol := range fastSymbols {
		for w.last[symbol+" 1m"] == 0 {
			w.next()
		}
	}
}

// pauseOf follows the bars of symbols until each has closed more than n minutes after from, and returns
// the longest time between two bars of one of them.
func (w *watcher) pauseOf(symbols []string, n int64) time.Duration {
	w.t.Helper()
	at := make(map[string]time.Time)
	from := make(map[string]int64)
	for _, s := range symbols {
		at[s], from[s] = time.Now(), w.last[s+" 1m"]
	}
	longest := time.Duration(0)
	defer func() {
		if w.t.Failed() {
			w.t.Logf("%v from %v: last %v", symbols, from, w.last)
		}
	}()
	for left := len(symbols); left > 0; {
		b := w.next()
		was, ours := at[b.Symbol]
		if !ours || b.Timeframe != "1m" {
			continue
		}
		longest = max(longest, time.Since(was))
		at[b.Symbol] = time.Now()
		if b.Seq == from[b.Symbol]+n {
			left--
		}
	}
	return longest
}

// symbolsOf are the symbols whose partition a pod holds.
func symbolsOf(holders map[int]*process, p *process) (out []string) {
	for _, s := range fastSymbols {
		if holders[market.PartitionOf(s)] == p {
			out = append(out, s)
		}
	}
	return out
}

// TestHolderKilled: a pod that holds partitions is killed, again and again: another takes
// them over and every bar is closed once, in order; then a polite end and newcomers, whose
// hand-overs nobody notices.
func TestHolderKilled(t *testing.T) {
	c := startCluster(t, fastDoc, 3)
	kills := 3
	if n := os.Getenv("MARKETSTREAM_KILLS"); n != "" {
		if _, err := fmt.Sscan(n, &kills); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			c.tellLogs("fast", fastPartitions()...)
		}
	})
	c.caughtUp()
	w := watch(t, c.pods[0], "1m,5m")
	w.all()
	var killed, handed []time.Duration
	for i := range kills {
		holders := c.holders(fastPartitions()...)
		victim := c.pods[1+i%2] // never the one that w watches
		symbols := symbolsOf(holders, victim)
		victim.kill()
		c.remove(victim)
		if len(symbols) > 0 {
			killed = append(killed, w.pauseOf(symbols, 3))
		}
		c.holders(fastPartitions()...)
		c.add() // it takes its share over from those that are alive
		handed = append(handed, w.pauseOf(fastSymbols, 5))
	}
	leaver := c.pods[1]
	symbols := symbolsOf(c.holders(fastPartitions()...), leaver)
	if err := leaver.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if len(symbols) > 0 {
		handed = append(handed, w.pauseOf(symbols, 5))
	}
	<-leaver.ended
	if leaver.err != nil {
		t.Errorf("SIGTERM: %v\n%s", leaver.err, leaver.text())
	}
	slices.Sort(killed)
	slices.Sort(handed)
	t.Logf("%d kills: the longest time without a bar, of which a minute is 1 s: median %v, worst %v; %d hand-overs: median %v, worst %v",
		len(killed), killed[len(killed)/2].Round(time.Millisecond), killed[len(killed)-1].Round(time.Millisecond),
		len(handed), handed[len(handed)/2].Round(time.Millisecond), handed[len(handed)-1].Round(time.Millisecond))
	for _, d := range killed {
		if d > 10*5*time.Second {
			t.Errorf("no bar for %v after a kill", d)
		}
	}
	c.checkLogs("fast")
}

// checkLogs reads both logs as they lie there: frame numbers of a partition rise by one, tokens
// never fall, and no batch of TICKS that counts comes from a lower token than one before it.
func (c *cluster) checkLogs(name string) (stale int) {
	c.t.Helper()
	t := c.t
	b := c.logsOf(name)
	var number, token [market.Partitions]uint64
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	defer cancel()
	frames := 0
	err := b.Bars().Read(ctx, 1, func(e logs.Entry) error {
		f, err := logs.DecodeFrame(e.Data)
		if err != nil || f.Kind == logs.FrameOwner {
			return err
		}
		frames++
		if f.Number != number[f.Partition]+1 || f.Token < token[f.Partition] {
			t.Errorf("partition %d: frame %d of token %d after frame %d of token %d", f.Partition, f.Number, f.Token, number[f.Partition], token[f.Partition])
		}
		number[f.Partition], token[f.Partition] = f.Number, f.Token
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	batches := 0
	for p := range market.Partitions {
		highest := uint64(0)
		err := b.Ticks().Read(ctx, p, func(data []byte) error {
			batches++
			tok, _, err := logs.PeekBatch(data)
			if tok < highest {
				stale++
			}
			highest = max(highest, tok)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d frames, %d batches, %d of them of a holder that had been taken over", frames, batches, stale)
	return stale
}

// TestHolderPaused: a pod is stopped for ten seconds; others take over; when it wakes it
// writes nothing, neither ticks nor frames, and becomes a pod like any other.
func TestHolderPaused(t *testing.T) {
	c := startCluster(t, fastDoc, 2)
	c.caughtUp()
	w := watch(t, c.pods[0], "1m")
	w.all()
	paused := c.pods[1]
	symbols := symbolsOf(c.holders(fastPartitions()...), paused)
	if len(symbols) == 0 {
		t.Fatal("the pod to pause holds nothing")
	}
	if err := paused.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for stopped := time.Now(); time.Since(stopped) < 10*time.Second; {
		w.next()
	}
	if err := paused.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for range 10 * len(fastSymbols) {
		w.next()
	}
	c.holders(fastPartitions()...)
	if stale := c.checkLogs("fast"); stale > 0 {
		t.Errorf("%d batches of the paused holder lie behind the marker of the one that took over", stale)
	}
	if r, ok := paused.reported(); !ok || len(r.Partitions) == 0 {
		t.Errorf("it did not become a holder again: %+v", r)
	}
}
