package reports

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketstream/marketstream/api/podreport"
)

const hangs = 30 * time.Second

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(hangs)
	for !ok() {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatal("waited in vain until " + what)
		}
	}
}

// podOf serves a report that the test changes.
func podOf(t *testing.T, body *atomic.Value) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(body.Load().([]byte))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func text(r podreport.Report) []byte {
	b, _ := json.Marshal(r) // plain values
	return b
}

func start(t *testing.T, changed func(context.Context, string)) *Poller {
	t.Helper()
	p := New(Options{Every: 20 * time.Millisecond, Soon: 10 * time.Millisecond, Workers: 2, Changed: changed})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p
}

// TestChanged: what matters is told once, what moves by itself is not.
func TestChanged(t *testing.T) {
	var body atomic.Value
	body.Store(text(podreport.Report{ConfigRevision: "a", Connections: 100}))
	var told atomic.Int64
	p := start(t, func(_ context.Context, stream string) {
		if stream != "ns/us" {
			t.Error(stream)
		}
		told.Add(1)
	})
	p.Set("ns/us", []Target{{UID: "1", URL: podOf(t, &body)}})
	revision := func() string {
		if r := p.Of("ns/us")["1"].Report; r != nil {
			return r.ConfigRevision
		}
		return ""
	}
	eventually(t, "the first report is there", func() bool { return revision() == "a" && told.Load() == 1 })
	body.Store(text(podreport.Report{ConfigRevision: "a", Connections: 105, Log: podreport.LogPositions{AppliedSeq: 9}}))
	eventually(t, "the next one is", func() bool { return p.Of("ns/us")["1"].Report.Log.AppliedSeq == 9 })
	if n := told.Load(); n != 1 {
		t.Errorf("told %d times", n)
	}
	body.Store(text(podreport.Report{ConfigRevision: "b"}))
	eventually(t, "it is told", func() bool { return revision() == "b" && told.Load() == 2 })
	body.Store([]byte("nonsense"))
	eventually(t, "what is no report is told", func() bool { return told.Load() == 3 })
	if a := p.Of("ns/us")["1"]; a.Report == nil || !strings.Contains(a.Err, "not what a pod says") {
		t.Errorf("%+v", a)
	}
	p.Set("ns/us", nil)
	if got := p.Of("ns/us"); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// TestAway: a pod that does not answer says so once, and what it said before stays.
func TestAway(t *testing.T) {
	var told atomic.Int64
	p := start(t, func(context.Context, string) { told.Add(1) })
	var down atomic.Bool
	p.o.Client = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		if down.Load() {
			return nil, errors.New("refused")
		}
		w := httptest.NewRecorder()
		_, _ = w.WriteString(`{"name":"n","ready":true,"replicas":3}`)
		return w.Result(), nil
	})}
	p.Set("ns/us", []Target{{UID: "1", URL: "http://pod/status", Node: true}})
	eventually(t, "the node has reported", func() bool { return told.Load() == 1 })
	down.Store(true)
	eventually(t, "it is away", func() bool { return told.Load() == 2 })
	a := p.Of("ns/us")["1"]
	if a.Node == nil || a.Node.Replicas != 3 || !strings.Contains(a.Err, "refused") {
		t.Errorf("%+v", a)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestSharing: streams that show the same fingerprint find one another, and one is told when another shows it or ceases to.
func TestSharing(t *testing.T) {
	var mu sync.Mutex
	told := make(map[string]int)
	p := start(t, func(_ context.Context, stream string) {
		mu.Lock()
		defer mu.Unlock()
		told[stream]++
	})
	toldOf := func(stream string) int {
		mu.Lock()
		defer mu.Unlock()
		return told[stream]
	}
	shows := func(print string) []byte {
		return text(podreport.Report{Secrets: []podreport.Secret{{Name: "k", State: "loaded", Fingerprint: print}}})
	}
	bodies := make(map[string]*atomic.Value)
	for stream, print := range map[string]string{"a/x": "1", "b/y": "3", "c/z": "2"} {
		bodies[stream] = &atomic.Value{}
		bodies[stream].Store(shows(print))
		p.Set(stream, []Target{{UID: stream, URL: podOf(t, bodies[stream])}})
	}
	eventually(t, "all have reported", func() bool { return toldOf("a/x") == 1 && toldOf("b/y") == 1 && toldOf("c/z") == 1 })
	bodies["b/y"].Store(shows("1"))
	eventually(t, "the other is told", func() bool { return toldOf("a/x") == 2 })
	if got := p.Sharing("a/x", map[string]bool{"1": true}); len(got) != 1 || got[0] != "b/y" {
		t.Error(got)
	}
	bodies["b/y"].Store(shows("3"))
	eventually(t, "the other is told that it ended", func() bool { return toldOf("a/x") == 3 })
	if got := p.Sharing("c/z", map[string]bool{"2": true}); len(got) != 0 || toldOf("c/z") != 1 {
		t.Error(got, toldOf("c/z"))
	}
}

func TestMoved(t *testing.T) {
	for _, c := range []struct {
		from, to int
		want     bool
	}{{100, 110, false}, {100, 111, true}, {100, 90, false}, {100, 89, true}, {0, 0, false}, {0, 1, true}, {1, 0, true}} {
		if got := Moved(c.from, c.to); got != c.want {
			t.Errorf("%d to %d: %t", c.from, c.to, got)
		}
	}
}
