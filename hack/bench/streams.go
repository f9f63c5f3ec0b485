package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/metrics"
	"github.com/marketstream/marketstream/streamer/stream"
)

const (
	symbols   = 500
	perClient = 20
	rate      = 4 // states of a symbol a second
	lasting   = 10 * time.Second
)

// report is what the clients' process says of a run.
type report struct {
	Events   int64   `json:"events"`
	P50, P99 float64 // ms from a trade to its client
}

// nothing stands in for seeds, the log and what needs none of them here.
type nothing struct{}

func (nothing) Bars(context.Context, uint64, stream.SeedQuery, func(uint32, []market.Bar) error) error {
	return nil
}
func (nothing) Frames(context.Context, uint64, func(uint64, *logs.Frame) error) error { return nil }
func (nothing) Get(context.Context, uint64) (*logs.Frame, error)                      { return nil, logs.ErrGone }

type counts struct{ *metrics.Set }

func (c counts) Connections(int)                     {}
func (c counts) Events(string, int)                  {}
func (c counts) Dropped(string, string, string, int) {}
func (c counts) Delivery(s float64)                  { c.Set.Delivery.Observe(s) }
func (c counts) Resumed(string)                      {}
func (c counts) BeatsSkipped(int)                    {}
func (c counts) Sweep()                              {}
func (c counts) Rejected(int)                        {}
func (c counts) TailBytes(int)                       {}

// streams measures a hub: n clients of 20 of 500 symbols, states 4 times a second, then ticks.
func streams(n int) error {
	table := &market.SymbolTable{}
	cfg := stream.Config{Source: "bench", Timeframes: []market.Timeframe{market.M1}, MicrobarInterval: 250 * time.Millisecond,
		FlushInterval: 100 * time.Millisecond, HeartbeatInterval: 15 * time.Second, MaxConnections: 10 * n, MaxSymbolsPerConnection: 200}
	for i := range symbols {
		cfg.Symbols = append(cfg.Symbols, stream.SymbolConfig{Number: table.Intern(symbol(i)), Name: symbol(i), Ticks: stream.TicksEnabled, BufferCapacity: 1000})
	}
	hub := stream.NewHub(stream.Options{Log: logr.Discard(), Metrics: counts{metrics.New("bench")}, Symbols: table, Frames: nothing{}, Seeds: nothing{}, Epoch: "bench"})
	hub.Configure(cfg)
	hub.Publish(1, &logs.Frame{Kind: logs.FrameOwner})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: hub, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	defer func() {
		hub.Close()
		_ = server.Close()
	}()
	for _, per := range []int{1, perClient} {
		bytes, err := idle(l.Addr().String(), n, per)
		if err != nil {
			return err
		}
		row(fmt.Sprintf("user memory per idle connection of %d symbols, bytes", per), strconv.Itoa(bytes), strconv.Itoa(1024+80*(per-1)))
	}
	for _, run := range []struct {
		events, what, goal string
		per                int
		say                func(i int, now time.Time)
	}{
		{"microbar", "microbar deliveries per CPU-second, 250 ms beat", "700000", perClient, func(i int, now time.Time) {
			b := market.Bar{Timeframe: market.M1, StartMs: now.UnixMilli(), EndMs: now.UnixMilli() + 60_000, Open: 58_010, High: 58_090, Low: 58_005, Close: 58_060 + int64(i%7), PriceScale: 2, Volume: market.Int128From(120_340)}
			hub.State(&market.State{Symbol: uint32(i), TsMs: now.UnixMilli(), Micro: b})
		}},
		{"tick", "tick deliveries per CPU-second, 100 ms gather", "450000", perClient, func(i int, now time.Time) {
			hub.Tick(&market.Entry{Kind: market.Trade, Symbol: uint32(i), Time: now.UnixNano(), Side: market.SideBuy, Price: market.Decimal{Coef: 58_011, Scale: 2}, Size: market.Decimal{Coef: 100}})
		}},
	} {
		used, rep, err := measure(hub, l.Addr().String(), n, run.per, run.events, run.say)
		if err != nil {
			return err
		}
		row(run.what, fmt.Sprintf("%.0f", float64(rep.Events)/used.Seconds()), run.goal)
		row("  trade → client p50, p99 in ms", fmt.Sprintf("%.0f, %.0f", rep.P50, rep.P99), "")
		row("  delivered of what was due", fmt.Sprintf("%.1f %%", 100*float64(rep.Events)/(float64(n*perClient*rate)*lasting.Seconds())), "")
	}
	return nil
}

// crowd is clients in a process of their own.
type crowd struct {
	cmd   *exec.Cmd
	in    io.Closer
	lines *bufio.Reader
}

// connectCrowd returns once all are connected.
func connectCrowd(addr string, n, per int, events string) (*crowd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &crowd{cmd: exec.Command(self, "clients", "-addr", addr, "-n", strconv.Itoa(n), "-per", strconv.Itoa(per), "-events", events)}
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	c.lines = bufio.NewReader(out)
	if _, err := c.lines.ReadString('\n'); err != nil {
		return nil, fmt.Errorf("the clients: %w", err)
	}
	return c, nil
}

// end ends the clients and returns what they counted.
func (c *crowd) end() (rep report, err error) {
	_ = c.in.Close()
	if err := json.NewDecoder(c.lines).Decode(&rep); err != nil {
		return rep, err
	}
	return rep, c.cmd.Wait()
}

// idle is what a connection more costs: the first ones are there before, so that what is
// allocated once is no client's.
func idle(addr string, n, per int) (int, error) {
	first, err := connectCrowd(addr, n, per, "bar")
	if err != nil {
		return 0, err
	}
	before := memory()
	more, err := connectCrowd(addr, 2*n, per, "bar")
	if err != nil {
		return 0, err
	}
	after := memory()
	_, err = more.end()
	_, err2 := first.end()
	return (after - before) / (2 * n), errors.Join(err, err2)
}

// measure connects clients and says states or ticks for a while.
func measure(hub *stream.Hub, addr string, n, per int, events string, say func(int, time.Time)) (used time.Duration, rep report, err error) {
	for hub.Connections() > 0 { // those of the last run are noticed at their heartbeats
		time.Sleep(50 * time.Millisecond)
	}
	c, err := connectCrowd(addr, n, per, events)
	if err != nil {
		return 0, rep, err
	}
	before := cpu()
	tick := time.NewTicker(time.Second / rate / 25) // states are spread over the interval
	for k := 0; k < int(lasting.Seconds())*rate*25; k++ {
		now := <-tick.C
		for i := k % 25; i < symbols; i += 25 {
			say(i, now)
		}
	}
	tick.Stop()
	time.Sleep(500 * time.Millisecond) // the last beat
	used = cpu() - before
	rep, err = c.end()
	return used, rep, err
}

// memory is the proportional share of this process's memory, in bytes.
func memory() int {
	runtime.GC()
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.Sys - m.HeapReleased)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); f[0] == "Pss:" {
			kb, _ := strconv.Atoi(f[1])
			return kb << 10
		}
	}
	return 0
}

// clients is the process of the clients: it connects, says so, counts until its input ends,
// and reports.
func clients(args []string) {
	fs := flag.NewFlagSet("clients", flag.ExitOnError)
	addr := fs.String("addr", "", "")
	n := fs.Int("n", 0, "")
	per := fs.Int("per", 1, "")
	events := fs.String("events", "", "")
	_ = fs.Parse(args)
	var counted atomic.Int64
	var mu sync.Mutex
	var late []float64
	var conns []net.Conn
	rnd := rand.New(rand.NewPCG(7, 7))
	var wait sync.WaitGroup
	for range *n {
		names := make([]string, 0, *per)
		for _, i := range rnd.Perm(symbols)[:*per] {
			names = append(names, symbol(i))
		}
		c, err := net.Dial("tcp", *addr)
		if err == nil {
			_, err = fmt.Fprintf(c, "GET /stream/market?symbols=%s&events=%s&seed=0 HTTP/1.1\r\nHost: x\r\n\r\n", strings.Join(names, ","), *events)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		conns = append(conns, c)
		ready := make(chan struct{})
		wait.Go(func() { follow(c, "event: "+*events, ready, &counted, &mu, &late) })
		<-ready
	}
	fmt.Println("connected")
	_, _ = os.Stdin.Read(make([]byte, 1))
	for _, c := range conns {
		_ = c.Close()
	}
	wait.Wait()
	slices.Sort(late)
	rep := report{Events: counted.Load()}
	if len(late) > 0 {
		rep.P50, rep.P99 = late[len(late)/2], late[len(late)*99/100]
	}
	_ = json.NewEncoder(os.Stdout).Encode(rep)
}

// follow counts the events of a kind and samples how late they are.
func follow(c net.Conn, kind string, ready chan struct{}, counted *atomic.Int64, mu *sync.Mutex, late *[]float64) {
	buf := make([]byte, 64<<10)
	said := false
	for n := 0; ; n++ {
		k, err := c.Read(buf)
		if err != nil {
			return
		}
		if !said {
			said = true
			close(ready)
		}
		events := bytes.Count(buf[:k], []byte(kind))
		counted.Add(int64(events))
		if at := bytes.Index(buf[:k], []byte(`"ts":`)); events > 0 && at >= 0 && n%8 == 0 {
			end := at + 5
			for end < k && buf[end] >= '0' && buf[end] <= '9' {
				end++
			}
			ts, _ := strconv.ParseInt(string(buf[at+5:end]), 10, 64)
			mu.Lock()
			*late = append(*late, float64(time.Now().UnixMilli()-ts))
			mu.Unlock()
		}
	}
}
