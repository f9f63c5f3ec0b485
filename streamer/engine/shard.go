package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/marketstream/marketstream/streamer/httperr"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/peer"
	"github.com/marketstream/marketstream/streamer/pods"
	"github.com/marketstream/marketstream/streamer/ring"
	"github.com/marketstream/marketstream/streamer/shard"
)

// meetFor is how long a pod that starts listens for the others, so that it loads its own
// rings and no more: each is heard twice.
const meetFor = 2*pods.AnnounceEvery + 200*time.Millisecond

// meet listens for the other pods while others things are done; heard waits until they had the time to be
// heard, and returns the warm ones.
func (e *Engine) meet(ctx context.Context) (heard func() []string) {
	if e.opts.Remote == nil {
		return func() []string { return nil }
	}
	var mu sync.Mutex
	members := pods.NewMembers(e.opts.Pod)
	until := time.NewTimer(meetFor)
	stop, err := e.backbone.Peers().Listen(func(data []byte) {
		var a pods.Announcement
		if json.Unmarshal(data, &a) == nil && a.Pod != "" && a.Pod != e.opts.Pod {
			mu.Lock()
			defer mu.Unlock()
			members.Hear(time.Now(), a)
		}
	})
	return func() []string {
		defer until.Stop()
		if err != nil {
			e.log.Info("the other pods are not heard; all rings are loaded for now", "reason", err.Error())
			return nil
		}
		select {
		case <-until.C:
		case <-ctx.Done():
		}
		stop()
		mu.Lock()
		defer mu.Unlock()
		return members.In(pods.Warm)
	}
}

// makeShard makes what spreads the rings: alone, all are here and nobody is asked.
func (e *Engine) makeShard(reader *logs.Reader, rings *ring.Set, epoch string) error {
	o := shard.Options{Self: e.opts.Pod, Rings: rings, Symbols: e.symbols, Frames: reader, Epoch: epoch, Tag: e.view.tags.get,
		Loaded: e.ringsLoaded, Metrics: shardMetrics{e.metrics}, Log: e.log.WithName("shard")}
	if r := e.opts.Remote; r != nil {
		keys, err := peer.NewKeys(r.Credentials)
		if err != nil {
			return fmt.Errorf("--backbone-credentials: %w", err)
		}
		e.asking = peer.NewClient(keys)
		o.Peers = e.asking
		e.asked = peer.NewServer(peer.ServerOptions{Keys: keys, Rings: rings, Symbols: e.symbols, Epoch: epoch, Tag: e.view.tags.get})
	}
	e.shard = shard.New(o)
	e.view.shard = e.shard
	return nil
}

// ringsLoaded announces the set of pods whose share of the rings is here.
func (e *Engine) ringsLoaded(id string) {
	if old := e.loaded.Swap(&id); old == nil || *old != id {
		e.keeper.Loaded(e.work, id)
	}
}

// podsChanged takes who is alive and who holds what.
func (e *Engine) podsChanged(v pods.View) {
	e.pods.Store(&v)
	e.shard.Update(v)
}

// serveRings answers other pods once there is something to answer with.
func (e *Engine) serveRings(w http.ResponseWriter, r *http.Request) {
	if !e.assembled.Load() || e.asked == nil {
		httperr.New(http.StatusServiceUnavailable, "this pod has no rings for others yet").Write(w)
		return
	}
	e.asked.ServeHTTP(w, r)
}
