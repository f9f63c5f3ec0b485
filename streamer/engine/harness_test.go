package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"

	"github.com/marketstream/marketstream/api/podreport"
	v1alpha1 "github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/streamer/eventsource"
)

// guard is against hanging.
const guard = time.Minute

// invented is a document of invented trades; what comes after it is of its spec.
const invented = `apiVersion: marketstream.dev/v1alpha1
kind: MarketStream
metadata: {name: demo}
spec:
  symbols: [AAA, BBB]
  timeframes: [1m, 5m]
  feed: {synthetic: {seed: 1, ticksPerSecond: 2}}
  stream: {seedBars: 60}
`

// running is an engine on real sockets whose document may be edited.
type running struct {
	t             *testing.T
	url, internal string
	input         atomic.Pointer[Input]
	unreadable    atomic.Bool
	lines         atomic.Pointer[string]
	ended         chan error
	stop          context.CancelFunc
}

// serve runs a document and waits until it serves.
func serve(t *testing.T, document, dir string) *running {
	t.Helper()
	doc, err := v1alpha1.Decode([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	r, ready := launch(t, document, Options{Document: doc, DataDir: dir})
	select {
	case <-ready:
	case err := <-r.ended:
		r.ended <- err
		t.Fatal("it ended: ", err)
	case <-time.After(guard):
		t.Fatal("it is not ready")
	}
	return r
}

// launch runs what is to be read as a document.
func launch(t *testing.T, document string, o Options) (r *running, ready chan struct{}) {
	t.Helper()
	r = &running{t: t, ended: make(chan error, 1)}
	r.edit(document)
	var at [2]net.Listener
	var err error
	for i := range at {
		if at[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	r.url, r.internal = "http://"+at[0].Addr().String(), "http://"+at[1].Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	ready = make(chan struct{})
	hurry := make(chan struct{})
	close(hurry)
	log := funcr.New(func(_, args string) {
		for {
			old := r.lines.Load()
			text := args + "\n"
			if old != nil {
				text = *old + text
			}
			if r.lines.CompareAndSwap(old, &text) {
				return
			}
		}
	}, funcr.Options{})
	o.Input, o.Public, o.Internal, o.Version, o.Log = *r.input.Load(), at[0], at[1], "test", log
	o.Ready = func() { close(ready) }
	o.Read = func() (Input, error) {
		if r.unreadable.Load() {
			return Input{}, fmt.Errorf("it is on a disk that is not there")
		}
		return *r.input.Load(), nil
	}
	go func() { r.ended <- Run(ctx, o, hurry) }()
	t.Cleanup(r.end)
	return r, ready
}

// end stops it, and waits.
func (r *running) end() {
	r.stop()
	select {
	case err := <-r.ended:
		r.ended <- err
	case <-time.After(guard):
		r.t.Error("it does not end")
	}
}

func (r *running) edit(document string) { r.input.Store(&Input{Document: []byte(document)}) }

func (r *running) log() string {
	if s := r.lines.Load(); s != nil {
		return *s
	}
	return ""
}

func (r *running) get(url string) []byte {
	r.t.Helper()
	res, err := http.Get(url)
	if err != nil {
		r.t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || res.StatusCode != http.StatusOK {
		r.t.Fatalf("%s: %s %v %s", url, res.Status, err, body)
	}
	return body
}

func (r *running) status() (report podreport.Report) {
	r.t.Helper()
	if err := json.Unmarshal(r.get(r.internal+"/status"), &report); err != nil {
		r.t.Fatal(err)
	}
	return report
}

// metric is the value of a metric, as it stands on the page; "" if it is not there.
func (r *running) metric(name string) string {
	r.t.Helper()
	for line := range bytes.Lines(r.get(r.internal + "/metrics")) {
		if value, ok := strings.CutPrefix(string(line), name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// bar is what of a bar tests look at.
type bar struct {
	Symbol, Timeframe string
	Seq               int64
	Partial           bool
}

func (r *running) history(query string) (bars []bar) {
	r.t.Helper()
	if err := json.Unmarshal(r.get(r.url+"/api/history?"+query), &bars); err != nil {
		r.t.Fatal(err)
	}
	return bars
}

func (r *running) connect(query string) *eventsource.Reader {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	r.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/stream/market?"+query, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		r.t.Fatal(query, ": ", res.Status)
	}
	return eventsource.NewReader(res.Body, "")
}

// seed returns the bars that come before what is live: those without an id.
func (r *running) seed(query string) (bars []bar) {
	r.t.Helper()
	in := r.connect("events=bar&" + query)
	for {
		e, err := in.Next()
		switch {
		case err != nil:
			r.t.Fatal(err)
		case e.Type == "ping" || e.HasID:
			return bars
		case e.Type == "bar":
			var b bar
			if err := json.Unmarshal([]byte(e.Data), &b); err != nil {
				r.t.Fatal(err)
			}
			bars = append(bars, b)
		}
	}
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(guard)
	for !cond() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("waited in vain until ", what)
		}
	}
}
