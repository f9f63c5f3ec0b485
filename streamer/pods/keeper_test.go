package pods

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/backbone"
	"github.com/marketstream/marketstream/streamer/market"
)

// guard is a limit against hanging.
const guard = 2 * time.Minute

// ledger is what all holders of a test have in common: who writes what, by which token.
type ledger struct {
	mu     sync.Mutex
	tokens [market.Partitions]uint64
	grants [market.Partitions]*Grant
	writes map[string]int // partitions by pod
	faults []string
}

// fakeHolder notes what its keeper says.
type fakeHolder struct {
	pod string
	*ledger
	has [market.Partitions]*Grant
}

func (h *fakeHolder) Floor(context.Context, int) (uint64, error) { return 0, nil }
func (h *fakeHolder) Prepare(int)                                {}
func (h *fakeHolder) Forget(int)                                 {}

func (h *fakeHolder) Start(g *Grant, _ Reason) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := g.Partition
	if g.Token <= h.tokens[p] {
		h.faults = append(h.faults, fmt.Sprintf("partition %d: token %d after %d", p, g.Token, h.tokens[p]))
	}
	if old := h.grants[p]; old != nil && old.Token != g.Token && old.Valid() {
		h.faults = append(h.faults, fmt.Sprintf("partition %d: token %d is given while %d may still write", p, g.Token, old.Token))
	}
	h.tokens[p], h.grants[p], h.has[p] = g.Token, g, g
	h.writes[h.pod]++
}

func (h *fakeHolder) end(p int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.has[p] != nil {
		if h.grants[p] == h.has[p] {
			h.grants[p] = nil
		}
		h.has[p] = nil
		h.writes[h.pod]--
	}
}

func (h *fakeHolder) Release(_ context.Context, p int) { h.end(p) }
func (h *fakeHolder) Lost(p int)                       { h.end(p) }

// counts are the partitions of the pods that have any.
func (l *ledger) counts() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]int)
	for pod, n := range l.writes {
		if n > 0 {
			out[pod] = n
		}
	}
	return out
}

type testPod struct {
	stop, hurry func()
	done        chan struct{}
}

func startPod(t *testing.T, bb *backbone.Backbone, l *ledger, name string, connections int) *testPod {
	t.Helper()
	k := NewKeeper(Options{Pod: name, Registry: bb.Registry(), Peers: bb.Peers(), Holder: &fakeHolder{pod: name, ledger: l}, Log: logr.Discard()})
	ctx, cancel := context.WithCancel(context.Background())
	hurry := make(chan struct{})
	p := &testPod{stop: cancel, hurry: sync.OnceFunc(func() { close(hurry) }), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		if err := k.Run(ctx, guard, hurry); err != nil {
			t.Error(err)
		}
	}()
	k.Set(ctx, Warm, connections)
	t.Cleanup(func() {
		p.stop()
		p.hurry()
		<-p.done
	})
	return p
}

// until waits until the pods have so many partitions.
func until(t *testing.T, l *ledger, want map[string]int) {
	t.Helper()
	limit := time.After(guard)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if got := l.counts(); fmt.Sprint(got) == fmt.Sprint(want) {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("partitions: %v, want %v", l.counts(), want)
		}
	}
}

// TestKeepers: pods that come, leave and die share the partitions over a real NATS; tokens
// rise, and nobody is given a partition that another may still write.
func TestKeepers(t *testing.T) {
	bb, err := backbone.Open(t.Context(), backbone.Options{Namespace: "test", Name: "pods", Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bb.Close() })
	l := &ledger{writes: make(map[string]int)}
	a := startPod(t, bb, l, "a", 16)
	until(t, l, map[string]int{"a": 16})
	startPod(t, bb, l, "b", 16)
	until(t, l, map[string]int{"a": 8, "b": 8})
	c := startPod(t, bb, l, "c", 16)
	counts := map[string]int{}
	for _, pod := range Assign([]string{"a", "b", "c"}, 16) {
		counts[pod]++
	}
	until(t, l, counts)
	a.stop() // it hands over and leaves
	<-a.done
	until(t, l, map[string]int{"b": 8, "c": 8})
	c.stop() // it dies: nothing is given back
	c.hurry()
	<-c.done
	until(t, l, map[string]int{"b": 16})

	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.faults {
		t.Error(f)
	}
}

// TestOneConnection: where the account allows one connection, one pod has all partitions.
func TestOneConnection(t *testing.T) {
	bb, err := backbone.Open(t.Context(), backbone.Options{Namespace: "test", Name: "pods", Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bb.Close() })
	l := &ledger{writes: make(map[string]int)}
	pods := []string{"a", "b", "c"}
	for _, p := range pods {
		startPod(t, bb, l, p, 1)
	}
	until(t, l, map[string]int{Assign(pods, 1)[0]: 16})
}
