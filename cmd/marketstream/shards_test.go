package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/eventsource"
	"github.com/marketstream/marketstream/streamer/market"
)

// inventedDoc is a document with n symbols that begins hours ago.
func inventedDoc(n, seedBars int, timeframes string) (doc string, symbols []string) {
	for i := range n {
		symbols = append(symbols, fmt.Sprintf("S%03d", i))
	}
	return fmt.Sprintf(`apiVersion: marketstream.dev/v1alpha1
kind: MarketStream
metadata: {name: spread}
spec:
  symbols: [%s]
  timeframes: [%s]
  feed: {synthetic: {seed: 7, ticksPerSecond: 1}}
  stream: {seedBars: %d}
  history: {ringCapacity: 1000}
`, strings.Join(symbols, ", "), timeframes, seedBars), symbols
}

// page reads a page of a symbol's history that ends in the past, so that it does not change.
func (p *process) page(symbol, tf string, before int64) (string, error) {
	q := url.Values{"symbol": {symbol}, "timeframe": {tf}, "limit": {"50"}, "before": {fmt.Sprint(before)}}
	client := http.Client{Timeout: guard}
	res, err := client.Get(p.url + "/api/history?" + q.Encode())
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, body)
	}
	return string(body), err
}

// same compares what pods say of a symbol with what was said before; text of a pod that is
// being killed does not count.
type same struct {
	mu    sync.Mutex
	first map[string]string
	reads atomic.Int64
}

func (s *same) check(t *testing.T, p *process, what, text string) {
	s.reads.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if was, ok := s.first[what]; !ok {
		s.first[what] = text
	} else if was != text {
		t.Errorf("%s: %s differs:\n%.300s\nnot\n%.300s", p.name, what, text, was)
	}
}

// seedUntil is the bars of a seed that end at or before a time, and begin after another.
func (p *process) seedUntil(t *testing.T, symbols []string, after, before int64) (string, error) {
	bars, err := p.seed(url.Values{"symbols": {strings.Join(symbols, ",")}, "timeframe": {"1m,5m"}, "seed": {"60"}})
	if err != nil {
		return "", err
	}
	return strings.Join(slices.DeleteFunc(bars, func(text string) bool {
		b := parseBar(t, text)
		return b.End > before || b.Start < after
	}), "\n"), nil
}

// TestRingsAreSpread: three pods share the rings, each serves history and seeds of every symbol
// with the others' text, also while a fourth joins and one is killed.
func TestRingsAreSpread(t *testing.T) {
	doc, symbols := inventedDoc(60, 240, "1m, 5m")
	c := startCluster(t, doc, 0, "--max-store", "8Gi", "--max-memory", "1Gi")
	for _, name := range []string{"a", "b", "c"} {
		c.pod(name)
	}
	c.spread(3, 120)
	for _, p := range c.pods {
		if held := p.report().Rings.Held; held < 120/3/2 || held > 120*2/3 {
			t.Errorf("%s has %d rings of 120", p.name, held)
		}
	}
	c.allRead()
	before := (time.Now().UnixMilli()/300_000)*300_000 - 300_000
	told := &same{first: map[string]string{}}
	look := func(p *process, symbol string) error {
		for _, tf := range []string{"1m", "5m"} {
			text, err := p.page(symbol, tf, before)
			if err != nil {
				return fmt.Errorf("history of %s %s: %w", symbol, tf, err)
			}
			told.check(t, p, symbol+" "+tf, text)
		}
		return nil
	}
	seed := func(p *process, n int) error {
		text, err := p.seedUntil(t, symbols[n*20:n*20+20], before-1_800_000, before)
		if err == nil {
			told.check(t, p, fmt.Sprint("seed ", n), text)
		}
		return err
	}
	for _, p := range c.pods {
		for _, symbol := range symbols {
			if err := look(p, symbol); err != nil {
				t.Error(p.name, err)
			}
		}
		for n := range 3 {
			if err := seed(p, n); err != nil {
				t.Error(p.name, err)
			}
		}
	}
	if n := strings.Count(told.first["S007 1m"], `"seq"`); n < 40 {
		t.Errorf("history has %d bars: %s", n, told.first["S007 1m"])
	}
	if n := strings.Count(told.first["seed 0"], "\n"); n < 20*(25+5) {
		t.Errorf("a seed has %d bars", n)
	}
	for _, p := range c.pods {
		if n := p.metric("ring_forwards_total", `"ok"`); n == 0 {
			t.Errorf("%s asked nobody", p.name)
		}
		if sent, read := p.metric("ring_sent_bytes_total", ""), p.metric("log_read_bytes_total", ""); sent == 0 || read == 0 {
			t.Errorf("%s sent %v bytes of rings and read %v of BARS", p.name, sent, read)
		}
		if n := p.metric("ring_forwards_total", `"log"`) + p.metric("ring_forwards_total", `"failed"`); n > 0 {
			t.Errorf("%s read BARS for %v rings", p.name, n)
		}
	}

	var killed atomic.Pointer[process]
	stop := make(chan struct{})
	var readers sync.WaitGroup
	first := slices.Clone(c.pods) // others join meanwhile
	for i := range 3 {
		readers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			for {
				select {
				case <-stop:
					return
				default:
				}
				p := first[rnd.IntN(3)]
				err := look(p, symbols[rnd.IntN(60)])
				if rnd.IntN(8) == 0 {
					err = errors.Join(err, seed(p, rnd.IntN(3)))
				}
				if err != nil && p != killed.Load() {
					t.Error(p.name, err)
				}
			}
		})
	}
	reads := told.reads.Load()
	d, serves := c.launch("d")
	select {
	case <-serves:
	case <-time.After(guard):
		t.Error("a pod that joins does not serve: ", d.text())
	}
	c.spread(4, 120)
	killed.Store(c.pods[1])
	c.pods[1].kill()
	c.spread(3, 120)
	close(stop)
	readers.Wait()
	t.Logf("%d reads while a pod joined and one was killed; d: %v rings in; a: %v in, %v out, read from BARS %v", told.reads.Load()-reads,
		d.metric("ring_moves_total", `"in"`), c.pods[0].metric("ring_moves_total", `"in"`), c.pods[0].metric("ring_moves_total", `"out"`),
		c.pods[0].metric("ring_forwards_total", `"log"`))
	for _, symbol := range symbols {
		if err := look(d, symbol); err != nil {
			t.Error("d", err)
		}
	}
}

// TestPeerHangs: a pod that is stopped, but not dead to the others yet, holds nobody up for
// long: what it has comes from BARS.
func TestPeerHangs(t *testing.T) {
	doc, symbols := inventedDoc(20, 240, "1m")
	c := startCluster(t, doc, 0, "--max-store", "8Gi", "--max-memory", "1Gi")
	a, b := c.pod("a"), c.pod("b")
	c.spread(2, 20)
	c.allRead()
	before := (time.Now().UnixMilli()/60_000)*60_000 - 120_000
	told := &same{first: map[string]string{}}
	for _, symbol := range symbols {
		text, err := b.page(symbol, "1m", before)
		if err != nil {
			t.Fatal(err)
		}
		told.check(t, b, symbol, text)
	}
	if err := b.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for _, symbol := range symbols {
		text, err := a.page(symbol, "1m", before)
		if err != nil {
			t.Fatal(symbol, err)
		}
		told.check(t, a, symbol, text)
	}
	if n := a.metric("ring_forwards_total", `"log"`); n == 0 {
		t.Error("nothing came from BARS")
	}
	if err := b.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	c.spread(2, 20)
}

// TestMemoryFalls: with more pods each has less of the rings, in bytes.
func TestMemoryFalls(t *testing.T) {
	const symbols, rings = 300, 900
	doc, _ := inventedDoc(symbols, 240, "1m, 2m, 3m")
	c := startCluster(t, doc, 0, "--max-store", "8Gi", "--max-memory", "1Gi")
	first := 0
	for n := 1; n <= 4; n++ {
		c.pod(fmt.Sprint("pod-", n))
		c.spread(n, rings)
		if n == 1 {
			c.allRead()
		} else if n == 3 {
			continue
		}
		most, sum := 0, 0
		eventually(t, "those that moved are let go", func() bool {
			most, sum = 0, 0
			for _, p := range c.pods {
				b := p.report().Rings.Bytes
				most, sum = max(most, b), sum+b
			}
			return n == 1 || sum < first*23/20
		})
		if n == 1 {
			first = sum
		}
		t.Logf("%d pods: %d bytes at most in one, %.2f of those of one alone; %d in all", n, most, float64(most)/float64(first), sum)
		if most > first*13/10/n || sum < first*9/10 {
			t.Errorf("%d pods: %d bytes in one, %d in all, %d alone", n, most, sum, first)
		}
	}
}

// TestListening: a pod listens to the partitions that its clients want, and to nothing without
// clients; who comes first gets the open bars at once, whichever pod has the partition.
func TestListening(t *testing.T) {
	doc, symbols := inventedDoc(40, 60, "1m")
	c := startCluster(t, doc, 0, "--max-store", "8Gi", "--max-memory", "1Gi")
	a, b := c.pod("a"), c.pod("b")
	c.allRead()
	for _, p := range c.pods {
		if l := p.report().Listening; len(l.States)+len(l.Ticks) > 0 {
			t.Errorf("%s listens to %+v without clients", p.name, l)
		}
	}
	for _, p := range []*process{a, b} {
		c := mustConnect(t, p.url, url.Values{"symbols": {symbols[0] + "," + symbols[1]}, "events": {"microbar"}}, "")
		for _, symbol := range symbols[:2] {
			c.until(t, "the open bar of "+symbol, func(e eventsource.Event) bool { return strings.Contains(e.Data, symbol) })
		}
		want := []int{market.PartitionOf(symbols[0]), market.PartitionOf(symbols[1])}
		slices.Sort(want)
		eventually(t, fmt.Sprint(p.name, " listens to ", want), func() bool {
			l := p.report().Listening
			return slices.Equal(l.States, slices.Compact(want)) && len(l.Ticks) == 0
		})
		c.close()
	}
	eventually(t, "nobody listens", func() bool { return len(a.report().Listening.States)+len(b.report().Listening.States) == 0 })
}
