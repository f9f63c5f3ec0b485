package history

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/ring"
)

// TestNobodyReads asks for a page of megabytes and reads none of it: the handler ends.
func TestNobodyReads(t *testing.T) {
	w := newWorld(t, 60_000)
	w.alone = true
	w.opts.WriteTimeout = 50 * time.Millisecond
	w.minutes(0, 50_000, 0)
	handler, ended := w.Handler(), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	raw, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	if err := raw.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(raw, "GET /api/history?symbol=SPY&limit=50000 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("a client that reads nothing holds the handler and its page")
	}
}

// TestVary: what others vary by stays.
func TestVary(t *testing.T) {
	w := newWorld(t, 5000)
	w.live(3)
	handler := w.Handler()
	rec := httptest.NewRecorder()
	rec.Header().Add("Vary", "Origin")
	handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/api/history?symbol=SPY&limit=3", nil))
	for _, want := range []string{"Origin", "Accept", "Accept-Encoding"} {
		if got := rec.Header().Values("Vary"); !slices.Contains(got, want) {
			t.Errorf("Vary: %q, want %s in it", got, want)
		}
	}
}

// TestHead answers as GET does, without the body.
func TestHead(t *testing.T) {
	w := newWorld(t, 5000)
	w.live(90)
	for path, code := range map[string]int{"/api/history?symbol=SPY&limit=60": 200, "/api/history?symbol=SPY": 200, "/api/history": 400, "/api/symbols": 200,
		"/api/market/status": 200, fmt.Sprintf("/api/coverage?symbol=SPY&from=%d&to=%d", t0, t0+600_000): 200} {
		get, _ := w.get(path)
		res, err := http.Head(w.server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil || res.StatusCode != code || res.ContentLength > 0 && get.ContentLength > 0 && res.ContentLength != get.ContentLength {
			t.Errorf("%s: %v %s, %d bytes; GET has %d", path, err, res.Status, res.ContentLength, get.ContentLength)
		}
		for _, h := range []string{"Content-Type", "Cache-Control", "X-Epoch-Id", "X-Market-Cursor"} {
			if res.Header.Get(h) != get.Header.Get(h) {
				t.Errorf("%s: %s %q, GET has %q", path, h, res.Header.Get(h), get.Header.Get(h))
			}
		}
	}
	req, _ := http.NewRequest(http.MethodPut, w.server.URL+"/api/history", nil)
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("PUT: %v %s, allowed are %q", err, res.Status, res.Header.Get("Allow"))
	}
	_ = res.Body.Close()
}

// TestSinceWithoutVendor: after a seq nothing may be missing in the middle.
func TestSinceWithoutVendor(t *testing.T) {
	w := newWorld(t, 10)
	w.vendor.fault = func(int) error { return fmt.Errorf("%w: 500 Internal Server Error", ErrUpstream) }
	w.live(50)
	since := func(seq int64) string { return fmt.Sprint("/api/history?symbol=SPY&sinceSeq=", seq) }
	if res, body := w.get(since(market.Seq(t0) - 100)); res.StatusCode != 502 {
		t.Errorf("%s %.100s", res.Status, body)
	}
	if res, body := w.get(since(market.Seq(t0) + 20)); res.StatusCode != 200 || len(seqs(t, body)) != 29 {
		t.Errorf("the log has all: %s %.100s", res.Status, body)
	}
	if res, body := w.get("/api/history?symbol=SPY&limit=100"); res.StatusCode != 200 || len(seqs(t, body)) != 50 {
		t.Errorf("the newest are served: %s %.100s", res.Status, body)
	}
}

// TestEmptyVendorIsAskedAgain: that the vendor had nothing is not remembered with the ring.
func TestEmptyVendorIsAskedAgain(t *testing.T) {
	w := newWorld(t, 5000)
	w.live(3)
	w.vendor.empty = true
	ask := func() int64 {
		before := w.vendor.total.Load()
		w.get("/api/history?symbol=SPY&limit=4")
		return w.vendor.total.Load() - before
	}
	if n := ask(); n == 0 {
		t.Fatal("the vendor was not asked")
	}
	w.pages.clear() // a minute later
	if n := ask(); n == 0 {
		t.Error("an answer for which the vendor was asked is kept for as long as the ring stays as it is")
	}
}

// counting are rings that count what is asked and read.
type counting struct {
	*ring.Set
	calls, bars atomic.Int64
}

func (c *counting) Answer(ctx context.Context, seq uint64, asks []ring.Ask) ([]ring.Answer, error) {
	c.calls.Add(1)
	out, err := c.Set.Answer(ctx, seq, asks)
	for i := range out {
		c.bars.Add(int64(len(out[i].Bars)))
	}
	return out, err
}

// TestSymbolsReadWhatChanged: two questions for all symbols together, and bars only of those
// that have new ones.
func TestSymbolsReadWhatChanged(t *testing.T) {
	w := newWorld(t, 5000)
	rings := &counting{Set: w.rings}
	w.opts.Rings = rings
	w.minutes(-100, 3, 0)
	_, first := w.get("/api/symbols")
	if calls, bars := rings.calls.Swap(0), rings.bars.Swap(0); calls != 2 || bars != 2 {
		t.Errorf("%d calls, %d bars: want 2 and 2", calls, bars)
	}
	_, again := w.get("/api/symbols")
	if calls, bars := rings.calls.Swap(0), rings.bars.Swap(0); calls > 2 || bars != 0 || again != first {
		t.Errorf("%d calls, %d bars: want 2 and 0: %s", calls, bars, again)
	}
	w.minutes(3, 4, 0)
	if _, body := w.get("/api/symbols"); rings.bars.Load() != 2 || body == first {
		t.Errorf("%d bars: %s", rings.bars.Load(), body)
	}
}

// TestETagCompressed: the ETag of a page in every encoding is a 304 when it comes back, from
// whoever accepts another encoding then, too.
func TestETagCompressed(t *testing.T) {
	w := newWorld(t, 5000)
	w.live(100)
	const path = "/api/history?symbol=SPY&limit=50"
	encodings := []string{"gzip", "zstd", "identity"}
	tags := map[string]bool{}
	for _, encoding := range encodings {
		res, _ := w.get(path, "Accept-Encoding", encoding)
		tag := res.Header.Get("ETag")
		if got := res.Header.Get("Content-Encoding"); res.StatusCode != 200 || got != strings.TrimSuffix(encoding, "identity") || tags[tag] {
			t.Errorf("%s: %s, encoded %q, ETag %s", encoding, res.Status, got, tag)
		}
		tags[tag] = true
		for _, accept := range encodings {
			for _, header := range []string{tag, "W/" + tag, `"other", ` + tag} {
				if again, body := w.get(path, "Accept-Encoding", accept, "If-None-Match", header); again.StatusCode != 304 || body != "" {
					t.Errorf("%s of %s again, accepting %s: %s", header, encoding, accept, again.Status)
				}
			}
		}
	}
}
