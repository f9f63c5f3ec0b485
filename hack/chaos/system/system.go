// Package system is a whole MarketStream on one machine, out of real processes: nodes of a backbone,
// streamers, the scripted vendor, and between any two parts a link that can be broken. It starts
// and stops them by their ids and looks at them all the time.
//
// (Nodes tell each other their own addresses, so a link between two that is cut may be gone around.)
package system

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/link"
	"github.com/marketstream/marketstream/hack/chaos/timeline"
	"github.com/marketstream/marketstream/streamer/feed/coinbase/coinbasetest"
)

// Options say what runs.
type Options struct {
	Binary    string // of marketstream
	Dir       string // for stores, documents and logs
	NodeCount int    // 1 or 3
	// FirstAlone starts node-0 alone, as one that never heard of others.
	FirstAlone bool
	PodCount   int // at the beginning
	SlotCount  int // pods at most
	// Always are the symbols that are carried always, Fickle those that come and go; TimeframesAlways likewise.
	Always, Fickle                     []string
	TimeframesAlways, TimeframesFickle []string
	PerSecond                          float64 // trades of a symbol
	// Feed is spec.feed where it is not the scripted vendor, and Stream more of spec.stream, as YAML in one line: "seedBars: 90".
	Feed, Stream string
	// Past is how long before its start the vendor's trades begin: 20 minutes.
	Past time.Duration
	// Drain is how long the streams of a pod are given: 3 s.
	Drain time.Duration
	Seed  uint64
	// StoreSize mounts a file system of so many bytes for each node's store; 0: none is mounted.
	StoreSize int64
	// PodBytes and NodeBytes bound the memory of a process.
	PodBytes, NodeBytes int64
	Timeline            *timeline.Timeline
	// Bad is told what must not be.
	Bad func(who, what string)
}

// System is what runs.
type System struct {
	Options
	// Rewinds counts how often stores were put back: each may reset a client once.
	Rewinds atomic.Int64
	Vendor  *coinbasetest.Vendor
	Nodes   []*Node
	Slots   []*Pod
	Peaks   Peaks
	began   time.Time

	balancer *link.Link
	served   served
	mounts   []string
	token    string

	docMu      sync.Mutex
	symbols    []string
	timeframes []string
	generation int

	ending  context.CancelFunc
	looking sync.WaitGroup
}

const (
	defaultPast  = 20 * time.Minute
	defaultDrain = 3 * time.Second
)

// Start starts everything, and waits until as many pods are ready as there are.
func Start(ctx context.Context, o Options) (_ *System, err error) {
	if o.Past == 0 {
		o.Past = defaultPast
	}
	if o.Drain == 0 {
		o.Drain = defaultDrain
	}
	s := &System{Options: o, began: time.Now()}
	s.served.pods = make(map[string]string)
	s.symbols, s.timeframes = append(append([]string(nil), o.Always...), o.Fickle...), append([]string(nil), o.TimeframesAlways...)
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	products := []coinbasetest.Product{}
	for i, name := range s.symbols {
		if o.Feed != "" {
			break
		}
		products = append(products, coinbasetest.Product{Name: name, PerSecond: o.PerSecond, Price: fmt.Sprintf("%d.%02d", 10+37*i, i)})
	}
	if s.Vendor, err = coinbasetest.Start(coinbasetest.Options{Seed: o.Seed, Products: products, Past: o.Past, RequestsPerSecond: 40, RequestBurst: 40}); err != nil {
		return nil, err
	}
	s.token = filepath.Join(o.Dir, "token")
	if err := os.WriteFile(s.token, []byte(fmt.Sprintf("t%016x", rand.Uint64())), 0o600); err != nil {
		return nil, err
	}
	ports, err := freePorts(o.NodeCount*3 + o.SlotCount*2)
	if err != nil {
		return nil, err
	}
	for i := range o.NodeCount {
		s.Nodes = append(s.Nodes, newNode(s, i, ports[3*i:3*i+3]))
	}
	for _, n := range s.Nodes {
		if err := n.connect(); err != nil {
			return nil, err
		}
	}
	ports = ports[3*o.NodeCount:]
	for i := range o.SlotCount {
		p, err := newPod(s, i, ports[2*i:2*i+2])
		if err != nil {
			return nil, err
		}
		s.Slots = append(s.Slots, p)
	}
	if s.balancer, err = link.NewChoosing("127.0.0.1:0", s.choose); err != nil {
		return nil, err
	}
	if err := s.publish(); err != nil {
		return nil, err
	}
	looking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.ending = cancel
	s.looking.Go(func() { s.look(looking) })
	for _, n := range s.Nodes {
		if err := n.Start(); err != nil {
			return nil, err
		}
		if o.FirstAlone {
			break
		}
	}
	for _, p := range s.Slots[:o.PodCount] {
		if err := p.Start(); err != nil {
			return nil, err
		}
	}
	return s, s.AwaitReady(ctx, 90*time.Second)
}

// URL is where clients come in.
func (s *System) URL() string { return "http://" + s.balancer.Addr() }

// Ready returns the pods that are ready.
func (s *System) Ready() (out []*Pod) {
	for _, p := range s.Slots {
		if p.ready.Load() {
			out = append(out, p)
		}
	}
	return out
}

// Running returns the pods that run.
func (s *System) Running() (out []*Pod) {
	for _, p := range s.Slots {
		if p.Running() {
			out = append(out, p)
		}
	}
	return out
}

// AwaitReady waits until every pod and node that runs is ready.
func (s *System) AwaitReady(ctx context.Context, within time.Duration) error {
	limit := time.After(within)
	for {
		waiting := ""
		for _, n := range s.Nodes {
			if why := n.Unready(); why != "" && n.Running() {
				waiting = n.Name() + ": " + why
			}
		}
		for _, p := range s.Running() {
			if !p.ready.Load() {
				waiting = p.Name() + " is not ready"
			}
		}
		if waiting == "" && len(s.Ready()) > 0 {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-limit:
			return fmt.Errorf("after %s: %s", within, waiting)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close stops everything.
func (s *System) Close() {
	if s.ending != nil {
		s.ending()
		s.looking.Wait()
	}
	for _, p := range s.Slots {
		p.Kill()
		p.close()
	}
	for _, n := range s.Nodes {
		n.Kill()
		n.close()
	}
	if s.balancer != nil {
		s.balancer.Close()
	}
	if s.Vendor != nil {
		_ = s.Vendor.Close()
	}
	for _, m := range s.mounts {
		if err := unmount(m); err != nil {
			s.Timeline.Say("system", "%s stays mounted: %v", m, err)
		}
	}
}

// freePorts finds ports below those that the system gives to connections, so that a process that
// starts again finds its own free.
func freePorts(n int) (out []int, err error) {
	const from, to = 15_000, 32_000
	port := from + rand.IntN(to-from)
	for range to - from {
		if port++; port == to {
			port = from
		}
		l, lerr := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if lerr != nil {
			err = lerr
			continue
		}
		_ = l.Close()
		if out = append(out, port); len(out) == n {
			return out, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("%d free ports from %d to %d: want %d", len(out), from, to, n), err)
}

func local(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
