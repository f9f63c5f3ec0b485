package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/marketstream/marketstream/api/podreport"
	v1alpha1 "github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/streamer/backbone"
	"github.com/marketstream/marketstream/streamer/logs"
)

// code is the status of a GET.
func (r *running) code(url string) int {
	r.t.Helper()
	res, err := http.Get(url)
	if err != nil {
		r.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode
}

// TestWaits: without a document it waits for one, tries again what did not begin, and ends nothing.
func TestWaits(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	r, ready := launch(t, " \n", Options{DataDir: dir, TemplateRevision: "2"})
	refused := func(reason, says string) {
		t.Helper()
		var s podreport.Report
		eventually(t, reason, func() bool {
			s = r.status()
			return s.ConfigReason == reason && strings.Contains(s.ConfigError, says)
		})
		if s.Schema != v1alpha1.SchemaLevel || s.TemplateRevision != "2" || s.Ready {
			t.Errorf("%+v", s)
		}
		if code := r.code(r.internal + "/readyz"); code != http.StatusServiceUnavailable {
			t.Errorf("%s: /readyz says %d", reason, code)
		}
	}
	refused(podreport.ConfigUnreadable, "the document is empty")
	r.unreadable.Store(true)
	refused(podreport.ConfigUnreadable, "it is on a disk that is not there")
	r.unreadable.Store(false)
	r.edit(strings.Replace(invented, "seedBars: 60", "seedBars: -1", 1))
	refused(podreport.ConfigInvalid, "spec.stream.seedBars")
	missing := filepath.Join(t.TempDir(), "trades.csv")
	recorded := strings.Replace(invented, "synthetic: {seed: 1, ticksPerSecond: 2}", fmt.Sprintf("replay: {path: %q}", missing), 1)
	r.edit(recorded)
	refused(podreport.ConfigStartFailed, "trades.csv: there is no such file")
	if code := r.code(r.url + "/api/symbols"); code != http.StatusServiceUnavailable {
		t.Errorf("clients are told %d", code)
	}
	if err := os.WriteFile(missing, []byte("symbol,ts,price,size\nAAA,1709640000256,52.87,200\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	<-ready
	if s := r.status(); s.ConfigError != "" || s.ConfigReason != "" {
		t.Errorf("it serves and says %+v", s)
	}
	r.edit(invented)
	eventually(t, "another kind of feed is refused", func() bool { return r.status().ConfigReason == podreport.ConfigDataOfAnotherFeed })
	if code := r.code(r.internal + "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz says %d", code)
	}
	r.end()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
	r.ended <- nil
}

// TestReasons: each kind of error has its word, however it is wrapped.
func TestReasons(t *testing.T) {
	_, _, later := v1alpha1.DecodeRunnable([]byte(strings.Replace(invented, "synthetic: {seed: 1, ticksPerSecond: 2}", "kraken: {}", 1)), v1alpha1.OnePod)
	_, _, wrong := v1alpha1.DecodeRunnable([]byte(strings.Replace(invented, "synthetic: {seed: 1, ticksPerSecond: 2}", "kraken: {}, synthetic: {}", 1)), v1alpha1.OnePod)
	for want, err := range map[string]error{
		podreport.ConfigNotAvailable: later, podreport.ConfigInvalid: wrong,
		podreport.ConfigForeignLog:        fmt.Errorf("x: %w", ErrOtherOwner),
		podreport.ConfigDataOfAnotherFeed: fmt.Errorf("x: %w: %w", ErrOtherFeed, v1alpha1.Mistakes{"y"}),
		podreport.ConfigNeedsRestart:      fmt.Errorf("x: %w: %w", errNeedsRestart, v1alpha1.Mistakes{"y"}),
		podreport.ConfigBackboneUnfit:     errors.Join(fmt.Errorf("x: %w", backbone.ErrUnfit)),
		podreport.ConfigStartFailed:       context.DeadlineExceeded,
	} {
		if got := reasonOf(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}

// TestLongestMessage: what a stream may append at once is bounded in steps, so that one symbol more is no other bound.
func TestLongestMessage(t *testing.T) {
	bound := func(symbols int) int64 {
		var names []string
		for i := range symbols {
			names = append(names, fmt.Sprintf("S%d", i))
		}
		list, err := json.Marshal(names)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := v1alpha1.Decode([]byte(strings.Replace(invented, "[AAA, BBB]", string(list), 1)))
		if err != nil {
			t.Fatal(err)
		}
		set, err := newSettings(doc, Input{})
		if err != nil {
			t.Fatal(err)
		}
		return longestMessage(set)
	}
	// 20,000 symbols are some 1,300 to a partition, of two timeframes.
	if few, many := bound(2), bound(20_000); few != leastMessage || many != 1<<20 || bound(2) != bound(100) || many < 1250*2*logs.MaxRecord {
		t.Errorf("%d for few, %d for many", few, many)
	}
}
