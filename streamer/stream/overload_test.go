package stream

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/eventsource"
	"github.com/marketstream/marketstream/streamer/market"
)

// TestShed: ticks that gave way before they came here count as dropped, in the metrics and in pings, with those before them
// that were not sent yet; what comes after is sent.
func TestShed(t *testing.T) {
	w := newWorld(t, Options{}, func(c *Config) { c.HeartbeatInterval = 200 * time.Millisecond })
	w.fill(1)
	c := w.connect("symbols=AAA&events=tick&seed=0", "")
	eventually(t, "somebody wants ticks", func() bool { return w.WantsTicks(0) })
	w.Shed(0, 7)
	w.Shed(1, 7) // nobody waits for these
	pinged := 0
	for pinged < 7 {
		var ping struct{ Dropped int }
		if err := json.Unmarshal([]byte(c.next("ping").Data), &ping); err != nil {
			t.Fatal(err)
		}
		pinged += ping.Dropped
	}
	w.Tick(&market.Entry{Symbol: 0, Time: t0 * 1e6, Price: market.Decimal{Coef: 5}, Size: market.Decimal{Coef: 1}})
	c.next("tick")
	w.mu.Lock()
	defer w.mu.Unlock()
	if pinged != 7 || w.dropped["AAA tick"] != 7 || len(w.dropped) != 1 {
		t.Errorf("%d in pings, %v in the metrics, want 7", pinged, w.dropped)
	}
}

// bareSource is an EventSource as browsers have it: it gives up for good at any status but 200 and at any other type; where a stream
// ends it comes back after the time that it was told, with the last id that it saw. It waits a hundredth of that.
type bareSource struct {
	url    string
	dead   atomic.Pointer[string]
	tries  atomic.Int64
	pings  atomic.Int64
	told   sync.Map // codes of status events
	events chan eventsource.Event
}

func (s *bareSource) run(ctx context.Context) {
	retry, last := 3*time.Second, ""
	for ctx.Err() == nil {
		s.tries.Add(1)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
		if err != nil {
			return
		}
		req.Header.Set("Accept", "text/event-stream")
		req.Header.Set("Cache-Control", "no-cache")
		if last != "" {
			req.Header.Set("Last-Event-ID", last)
		}
		res, err := http.DefaultClient.Do(req)
		if err == nil && (res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream")) {
			why := res.Status
			s.dead.Store(&why)
			_ = res.Body.Close()
			return
		}
		if err == nil {
			r := eventsource.NewReader(bufio.NewReader(res.Body), last)
			for {
				e, err := r.Next()
				if err != nil {
					break
				}
				if e.Type == "ping" {
					s.pings.Add(1)
				}
				var status struct{ Code int }
				if e.Type == "status" && json.Unmarshal([]byte(e.Data), &status) == nil {
					s.told.Store(status.Code, true)
				}
				if e.Type == "bar" && e.HasID {
					select {
					case s.events <- e:
					case <-ctx.Done():
					}
				}
			}
			if last = r.LastID(); r.Retry() > 0 {
				retry = r.Retry()
			}
			_ = res.Body.Close()
		}
		t := time.NewTimer(retry / 100)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

func (s *bareSource) was(code int) bool {
	_, told := s.told.Load(code)
	return told
}

// TestBareEventSourceBehindProxy: an EventSource without any code around it, behind a reverse proxy that knows nothing of us, gets over a pod that
// is full and over one that drains, by itself, and misses no bar and gets none twice.
func TestBareEventSourceBehindProxy(t *testing.T) {
	full := func(c *Config) { c.MaxConnections, c.HeartbeatInterval = 1, 100*time.Millisecond }
	a, b := newWorld(t, Options{}, full), newWorld(t, Options{}, full)
	minute := int64(0)
	both := func() {
		a.minute(minute, "AAA")
		b.minute(minute, "AAA")
		minute++
	}
	both()
	var target atomic.Pointer[url.URL]
	to := func(w *world) {
		u, err := url.Parse(w.server.URL)
		if err != nil {
			t.Fatal(err)
		}
		target.Store(u)
	}
	to(a)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target.Load()) }})
	t.Cleanup(proxy.Close)
	taken := a.connect("symbols=AAA", "")
	taken.next("bar")

	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	s := &bareSource{url: proxy.URL + "/stream/market?symbols=AAA&seed=0", events: make(chan eventsource.Event, 100)}
	running.Go(func() { s.run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	next := func(n int64) {
		t.Helper()
		select {
		case e := <-s.events:
			var bar struct {
				Start int64 `json:"bar_start"`
			}
			if err := json.Unmarshal([]byte(e.Data), &bar); err != nil || bar.Start != t0+n*60_000 {
				t.Fatalf("%s, want the bar of minute %d", e.Data, n)
			}
		case <-time.After(guard):
			why := "nothing"
			if p := s.dead.Load(); p != nil {
				why = *p
			}
			t.Fatalf("no bar of minute %d: it gave up at %s", n, why)
		}
	}
	eventually(t, "it was told that the pod is full, and came again", func() bool { return s.was(http.StatusTooManyRequests) && s.tries.Load() > 2 })
	taken.close()
	eventually(t, "it is in", func() bool { return s.pings.Load() > 0 })
	both()
	next(1)

	drained := make(chan struct{})
	go func() {
		defer close(drained)
		a.Drain(ctx, 100*time.Millisecond)
	}()
	eventually(t, "it was told that the pod drains", func() bool { return s.was(http.StatusServiceUnavailable) })
	<-drained
	both()
	to(b)
	next(2)
	both()
	next(3)
	if p := s.dead.Load(); p != nil {
		t.Errorf("it gave up at %s", *p)
	}
}
