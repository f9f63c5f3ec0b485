package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
)

// TestMoveNodes takes a backbone from one node to three and back while it is written and
// tailed, and kills it at each step. No entry is lost, comes twice or changes its sequence.
func TestMoveNodes(t *testing.T) {
	nodes := newNodes(t)
	// It was always alone: --cluster-listen and --routes come later.
	cluster := append([]string(nil), nodes[0].args[:4]...)
	nodes[0].args = nodes[0].args[4:]
	nodes[0].start("--replicas", "1")
	nodes[0].ready()
	b := dialNodes(t, nodes)
	ctx, cancel := context.WithCancel(t.Context())
	c := &chain{t: t, log: b.Bars()}
	rnd := rand.New(rand.NewPCG(1, 5))
	for range 24 { // so that a copy takes its time
		data := make([]byte, 2<<20)
		for i := range data {
			data[i] = byte(rnd.Uint32())
		}
		if err := c.add(ctx, data); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Registry().Put(ctx, "token", 0, []byte(`{"token":7}`)); err != nil {
		t.Fatal(err)
	}
	kv, err := b.Registry().Get(ctx, "token")
	if err != nil {
		t.Fatal(err)
	}

	// Written and tailed all the time.
	var work sync.WaitGroup
	var tailed []uint64
	var tails atomic.Int64
	enough, written := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(written)
		for i := 0; ; i++ {
			if err := c.add(ctx, fmt.Appendf(nil, "entry %d", i)); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-time.After(5 * time.Millisecond):
			case <-enough:
				return
			}
		}
	}()
	work.Go(func() {
		err := b.Bars().Tail(ctx, 1, func(e logs.Entry) error {
			tailed = append(tailed, e.Seq)
			tails.Add(1)
			return nil
		})
		if ctx.Err() == nil {
			t.Error("the tail ended: ", err)
		}
	})

	nodes[0].stop()
	nodes[1].start("--replicas", "3")
	nodes[2].start("--replicas", "3")
	three := append([]string{"--replicas", "3"}, cluster...)
	killed := func(args []string, done string, steps ...string) {
		t.Helper()
		for _, step := range steps {
			nodes[0].start(args...)
			line := nodes[0].until(step, done)
			nodes[0].kill()
			t.Logf("killed at %q: %s", line, nodes[0].stepOf())
		}
		nodes[0].start(args...)
	}
	killed(three, "serves generation 2 of 3", "moves to 3 nodes", "starts generation", "verify BARS", "copy BARS", "compare BARS", "copy CTL", "compare CTL", "verified", "moved to generation")
	for _, n := range nodes {
		n.ready()
	}
	check := func(what string, replicas int) {
		t.Helper()
		var got logs.KeyValue
		eventually(t, "the registry answers", func() bool {
			var err error
			got, err = b.Registry().Get(ctx, "token")
			return err == nil
		})
		if got.Revision != kv.Revision || string(got.Value) != string(kv.Value) {
			t.Errorf("%s: %+v, want %+v", what, got, kv)
		}
		if s := nodes[0].status(); s.Replicas != replicas {
			t.Errorf("%s: %+v", what, s)
		}
	}
	check("three nodes", 3)
	eventually(t, "the old store is gone", func() bool { return !exists(nodes[0].store, "g1") && exists(nodes[0].store, "g2") })

	nodes[0].stop()
	one := append([]string{"--replicas", "1"}, cluster...)
	killed(one, "serves generation 3 of 1", "moves to 1 nodes", "close", "seal", "copy BARS", "compare BARS", "copy CTL", "verified", "moved to generation")
	nodes[0].ready()
	check("one node", 1)
	for _, n := range nodes[1:] {
		n.until("the backbone is the first node alone")
		n.stop()
	}
	eventually(t, "the old stores are gone", func() bool {
		return !exists(nodes[0].store, "g2") && exists(nodes[0].store, "g3") && !exists(nodes[1].store, "g2") && !exists(nodes[2].store, "g2")
	})
	close(enough)
	<-written
	c.check(b.Bars())
	eventually(t, "all is tailed", func() bool { return tails.Load() >= int64(len(c.at)) })
	cancel()
	work.Wait()
	if len(tailed) != len(c.at) {
		t.Errorf("%d entries were tailed, %d were added", len(tailed), len(c.at))
	}
	for i, seq := range tailed {
		if i < len(c.at) && seq != c.at[i] {
			t.Fatalf("entry %d was tailed at %d, added at %d", i, seq, c.at[i])
		}
	}
	t.Log(nodes[0].text())
	t.Logf("%d entries, the longest append took %s", len(c.at), c.worst())
}

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}
