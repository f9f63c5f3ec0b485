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

// meetFor is how long a pod that starts listens for the others before it loads: each is heard twice.
const meetFor = 2*pods.AnnounceEvery + 200*time.Millisecond

// meeting listens for the other pods from the start of the process until its keeper does:
// who takes itself to be alone would load all rings.
type meeting struct {
	began time.Time
	stop  func()

	mu    sync.Mutex
	heard map[string]met
}

type met struct {
	pods.Announcement
	at time.Time
}

// meet begins a meeting; in one process there is nobody to meet.
func (e *Engine) meet() (*meeting, error) {
	m := &meeting{began: time.Now(), stop: func() {}, heard: make(map[string]met)}
	if e.opts.Remote == nil {
		return m, nil
	}
	stop, err := e.backbone.Peers().Listen(func(data []byte) {
		var a pods.Announcement
		if json.Unmarshal(data, &a) == nil && a.Pod != "" && a.Pod != e.opts.Pod {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.heard[a.Pod] = met{a, time.Now()}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("listening for the other pods: %w", err)
	}
	m.stop = stop
	return m, nil
}

// warm waits until every pod had the time to be heard twice, and returns who may hold things.
func (m *meeting) warm(ctx context.Context, e *Engine) (names []string) {
	if e.opts.Remote != nil {
		t := time.NewTimer(time.Until(m.began.Add(meetFor)))
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	for _, a := range m.all() {
		if a.State == pods.Warm {
			names = append(names, a.Pod)
		}
	}
	return names
}

// all returns who was heard and is not dead since.
func (m *meeting) all() (out []pods.Announcement) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.heard {
		if a.State != pods.Left && time.Since(a.at) < pods.DeadAfter {
			out = append(out, a.Announcement)
		}
	}
	return out
}

// makeShard makes what spreads the rings: alone, all are here and nobody is asked.
func (e *Engine) makeShard(reader *logs.Reader, rings *ring.Set, epoch string) error {
	o := shard.Options{Self: e.opts.Pod, Rings: rings, Symbols: e.symbols, Frames: reader, Epoch: epoch, Tag: e.view.tags.get,
		Since: e.view.sinceSymbol, Reached: e.view.reached,
		Loaded: e.ringsLoaded, Metrics: shardMetrics{e.metrics}, Log: e.log.WithName("shard")}
	if r := e.opts.Remote; r != nil {
		keys, err := peer.NewKeys(r.Credentials)
		if err != nil {
			return fmt.Errorf("--backbone-credentials: %w", err)
		}
		e.asking = peer.NewClient(keys)
		o.Peers = e.asking
		e.asked = peer.NewServer(peer.ServerOptions{Keys: keys, Rings: rings, Symbols: e.symbols, Epoch: epoch, Tag: e.view.tags.get,
			Sent: func(n int) { e.metrics.RingSent.Add(float64(n)) }})
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
	e.judgeFeed()
	e.shard.Update(v)
}

// serveRings answers other pods once there is something to answer with.
func (e *Engine) serveRings(w http.ResponseWriter, r *http.Request) {
	if !e.assembled.Load() || e.asked == nil {
		noRings(w)
		return
	}
	e.asked.ServeHTTP(w, r)
}

func noRings(w http.ResponseWriter) {
	httperr.New(http.StatusServiceUnavailable, "this pod has no rings for others yet").Write(w)
}
