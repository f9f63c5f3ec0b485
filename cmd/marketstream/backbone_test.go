package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketstream/marketstream/streamer/backbone"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/logs/logtest"
)

var streamsMade atomic.Int64

// ownName gives a test's stream a name that no other has.
func ownName(o *backbone.RemoteOptions) {
	o.Name, o.MaxBytes, o.TicksBytes = fmt.Sprintf("suite-%d", streamsMade.Add(1)), 192<<20, 16<<20
}

// copyStore puts a copy of a store that no process has open beside it, or back.
func copyStore(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// TestOneNode runs the suites against one process that is killed with -9 and started again.
func TestOneNode(t *testing.T) {
	again := func(n *node, while func()) {
		n.kill()
		if while != nil {
			while()
		}
		n.start()
		n.ready()
	}
	hooks := func(t *testing.T, n *node) (restart, keep, rewind func()) {
		kept := filepath.Join(t.TempDir(), "kept")
		return func() { again(n, nil) }, func() { again(n, func() { copyStore(t, n.store, kept) }) }, func() { again(n, func() { copyStore(t, kept, n.store) }) }
	}
	begin := func(t *testing.T) *node {
		n := alone(t)
		n.start()
		n.ready()
		return n
	}
	t.Run("log", func(t *testing.T) {
		logtest.Run(t, func(t *testing.T) logtest.Subject {
			n := begin(t)
			restart, keep, rewind := hooks(t, n)
			age := time.Duration(0)
			if filepath.Base(t.Name()) == "aged_out" {
				age = time.Second
			}
			over := func(hook func()) func() logs.Log {
				return func() logs.Log {
					hook()
					return dialNodes(t, []*node{n}).Bars()
				}
			}
			b := dialNodes(t, []*node{n}, func(o *backbone.RemoteOptions) { o.Retention = age })
			return logtest.Subject{Log: b.Bars(), Reopen: over(restart), Keep: over(keep), Rewind: over(rewind), Age: age}
		})
	})
	t.Run("registry", func(t *testing.T) {
		logtest.RunRegistry(t, func(t *testing.T) logtest.RegistrySubject {
			n := begin(t)
			restart, keep, rewind := hooks(t, n)
			return logtest.RegistrySubject{Registry: dialNodes(t, []*node{n}).Registry(), Restart: restart, Keep: keep, Rewind: rewind}
		})
	})
	t.Run("ticks", func(t *testing.T) {
		logtest.RunTicks(t, func(t *testing.T) logtest.TicksSubject {
			n := begin(t)
			restart, _, _ := hooks(t, n)
			return logtest.TicksSubject{Ticks: dialNodes(t, []*node{n}).Ticks(), Restart: restart}
		})
	})
}

// leaderOf is the node that leads a stream.
func leaderOf(t *testing.T, nodes []*node, stream string) *node {
	t.Helper()
	urls := ""
	for _, n := range nodes {
		urls += "nats://" + n.listen + ","
	}
	nc, err := nats.Connect(urls[:len(urls)-1], nats.Token("the-token"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	var found *node
	eventually(t, stream+" has a leader", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s, err := js.Stream(ctx, stream)
		if err != nil || s.CachedInfo().Cluster == nil {
			return false
		}
		for _, n := range nodes {
			if n.name == s.CachedInfo().Cluster.Leader {
				found = n
			}
		}
		return found != nil
	})
	return found
}

// TestThreeNodes runs the suites against three processes; where it asks for a restart, the
// leader is killed with -9, and starts again while the others go on.
func TestThreeNodes(t *testing.T) {
	nodes := newNodes(t, "--max-memory", "4Gi", "--max-store", "16Gi", "--replicas", "3")
	for _, n := range nodes {
		n.start()
	}
	for _, n := range nodes {
		n.ready()
	}
	killLeader := func(t *testing.T, kind, name string) {
		n := leaderOf(t, nodes, kind+"_default_"+name)
		n.kill()
		n.start()
	}
	open := func(t *testing.T) (*backbone.Backbone, string) {
		name := ""
		return dialNodes(t, nodes, ownName, func(o *backbone.RemoteOptions) { name = o.Name }), name
	}
	t.Run("log", func(t *testing.T) {
		logtest.Run(t, func(t *testing.T) logtest.Subject {
			b, name := open(t)
			return logtest.Subject{Log: b.Bars(), Reopen: func() logs.Log {
				killLeader(t, "BARS", name)
				answersAgain(t, b)
				return b.Bars()
			}}
		})
	})
	t.Run("registry", func(t *testing.T) {
		logtest.RunRegistry(t, func(t *testing.T) logtest.RegistrySubject {
			b, name := open(t)
			return logtest.RegistrySubject{Registry: b.Registry(), Restart: func() { killLeader(t, "CTL", name); answersAgain(t, b) }}
		})
	})
	t.Run("ticks", func(t *testing.T) {
		logtest.RunTicks(t, func(t *testing.T) logtest.TicksSubject {
			b, name := open(t)
			return logtest.TicksSubject{Ticks: b.Ticks(), Restart: func() {
				leader := leaderOf(t, nodes, "TICKS_default_"+name)
				others := slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return n == leader })
				for _, n := range append(others, leader) { // the one that we are connected to is among them
					n.kill()
					n.start()
					n.ready()
				}
			}}
		})
	})
	t.Run("leader killed in the middle", func(t *testing.T) {
		b, name := open(t)
		ctx, cancel := context.WithTimeout(t.Context(), guard)
		defer cancel()
		c := &chain{t: t, log: b.Bars()}
		done := make(chan error, 1)
		killed := make(chan struct{})
		go func() {
			for i := 0; i < 400; i++ {
				if i == 200 {
					close(killed)
				}
				if err := c.add(ctx, fmt.Appendf(nil, "entry %d", i)); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		<-killed
		killLeader(t, "BARS", name)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		c.check(b.Bars())
		t.Logf("the longest append took %s", c.worst())
	})
	t.Run("all killed", func(t *testing.T) {
		b, _ := open(t)
		c := &chain{t: t, log: b.Bars()}
		for i := range 50 {
			if err := c.add(t.Context(), fmt.Appendf(nil, "entry %d", i)); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range nodes {
			n.kill()
		}
		for _, n := range nodes {
			n.start()
		}
		if err := c.add(t.Context(), []byte("after")); err != nil {
			t.Fatal(err)
		}
		c.check(b.Bars())
	})
	t.Run("stopped politely", func(t *testing.T) {
		b, name := open(t)
		c := &chain{t: t, log: b.Bars()}
		for i := range 50 {
			if i == 25 {
				leaderOf(t, nodes, "BARS_default_"+name).stop()
			}
			if err := c.add(t.Context(), fmt.Appendf(nil, "entry %d", i)); err != nil {
				t.Fatal(err)
			}
		}
		c.check(b.Bars())
		t.Logf("the longest append took %s", c.worst())
	})
}

// answersAgain waits until both streams have a leader.
func answersAgain(t *testing.T, b *backbone.Backbone) {
	t.Helper()
	eventually(t, "the nodes answer again", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), guard)
		defer cancel()
		_, err := b.Bars().Bounds(ctx)
		_, err2 := b.Registry().List(ctx)
		return err == nil && err2 == nil
	})
}

// TestSecondSignal: a second signal ends a node at once, whatever it waits for.
func TestSecondSignal(t *testing.T) {
	nodes := newNodes(t, "--replicas", "3")
	nodes[0].start()
	nodes[0].until("waiting")
	again := time.NewTicker(sameSignal / 2)
	defer again.Stop()
	limit := time.After(guard)
	for over := false; !over; { // the second that counts comes half a second after the first
		_ = nodes[0].cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-nodes[0].ended:
			over = true
		case <-again.C:
		case <-limit:
			t.Fatal(nodes[0].text())
		}
	}
	if _, err := os.Stat(filepath.Join(nodes[0].store, "node.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a node that found nobody has begun a generation: %v", err)
	}
}
