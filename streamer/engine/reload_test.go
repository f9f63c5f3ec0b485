package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfigError: a document that cannot be run is said to be so until one comes that can, the one
// in effect too.
func TestConfigError(t *testing.T) {
	r := serve(t, invented, "")
	revision := r.status().ConfigRevision
	failed := func(doc, want string) {
		t.Helper()
		r.edit(doc)
		eventually(t, "it says "+want, func() bool { return strings.Contains(r.status().ConfigError, want) })
		if got := r.status().ConfigRevision; got != revision {
			t.Errorf("%s: revision %s is in effect", want, got)
		}
	}
	cleared := func() {
		t.Helper()
		eventually(t, "it is mended", func() bool { return r.status().ConfigError == "" })
	}
	failed("spec: {", "YAML")
	r.edit(invented)
	cleared()
	failed("  \n", "empty") // at the second look
	r.edit(invented)
	cleared()
	failed(strings.Replace(invented, "[1m, 5m]", "[1m, 7m]", 1), "7m")
	failed(strings.NewReplacer("[1m, 5m]", "[1m, 7m]", "ticksPerSecond: 2", "ticksPerSecond: many").Replace(invented),
		"spec.feed.synthetic.ticksPerSecond: Invalid value: \"many\": want a whole number\nspec.timeframes[1]: Unsupported value: \"7m\"")
	if both := `mistakes"=["spec.feed.synthetic.ticksPerSecond: Invalid value: \"many\": want a whole number" "spec.timeframes[1]:`; !strings.Contains(r.log(), both) {
		t.Error("the log does not tell both mistakes:\n", r.log())
	}
	failed("", "empty")
	better := strings.Replace(invented, "[1m, 5m]", "[1m, 15m]", 1)
	r.edit(better)
	cleared()
	if got := r.status().ConfigRevision; got == revision {
		t.Error("the mended document is not in effect")
	}
	r.unreadable.Store(true)
	eventually(t, "it says that it can't be read", func() bool { return strings.Contains(r.status().ConfigError, "not there") })
	r.unreadable.Store(false)
	cleared()
	if n := strings.Count(r.log(), "is not run"); n != 6 {
		t.Errorf("%d lines of refused documents, want one for each of 6:\n%s", n, r.log())
	}
}

// recorded writes a recording of n seconds and returns a document that replays it.
func recorded(t *testing.T, file string, n int) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("symbol,ts,price,size,side,id,conditions\n")
	for i := range n {
		fmt.Fprintf(&b, "AAA,%d,%d.5,1,,%d,\n", 1_709_649_000_000+int64(i)*1000, 100+i%7, i+1)
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`apiVersion: marketstream.dev/v1alpha1
kind: MarketStream
metadata: {name: demo}
spec:
  symbols: [AAA]
  timeframes: [1m, 5m]
  feed: {replay: {path: %s, speed: "100", rebase: Keep}}
`, file)
}

// TestReloadEndsNothing: a document that a running process cannot take up, and one whose recording
// has gone meanwhile, leave it serving what it has, to open streams too.
func TestReloadEndsNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "trades.csv")
	doc := recorded(t, file, 3600)
	r := serve(t, doc, "")
	open := r.connect("symbols=AAA")
	eventually(t, "bars are there", func() bool { return len(r.history("symbol=AAA&limit=3")) == 3 })
	for what, edited := range map[string]string{
		"spec.feed":                  strings.Replace(invented, "[AAA, BBB]", "[AAA]", 1),
		"spec.bars.session.calendar": doc + "  bars: {session: {calendar: USEquities}}\n",
		"metadata.name":              strings.Replace(doc, "name: demo", "name: other", 1),
	} {
		r.edit(edited)
		eventually(t, "it refuses "+what, func() bool { return strings.Contains(r.status().ConfigError, what) })
		r.edit(doc)
		eventually(t, "it is mended", func() bool { return r.status().ConfigError == "" })
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	r.reload(strings.Replace(doc, "[1m, 5m]", "[1m, 5m, 15m]", 1))
	eventually(t, "the feed has failed", func() bool { return r.status().Feed.State == "failed" })
	if n := len(r.history("symbol=AAA&limit=3")); n != 3 {
		t.Errorf("%d bars are served after it", n)
	}
	for e, err := open.Next(); !strings.Contains(e.Data, `"failed"`); e, err = open.Next() {
		if err != nil {
			t.Fatal("the open stream: ", err)
		}
	}
	select {
	case err := <-r.ended:
		t.Error("it ended: ", err)
	default:
	}
}

// TestReloadSaysNothing: a reload after which the feed goes on as before is no event to clients.
func TestReloadSaysNothing(t *testing.T) {
	doc := strings.Replace(invented, "seedBars: 60", "seedBars: 60, heartbeatInterval: 1s", 1)
	r := serve(t, doc, "")
	in := r.connect("symbols=AAA&events=bar&seed=0")
	pings := func(n int, quiet bool) {
		t.Helper()
		for n > 0 {
			e, err := in.Next()
			switch {
			case err != nil:
				t.Fatal(err)
			case e.Type == "status" && quiet:
				t.Error(e.Data)
			case e.Type == "ping":
				n--
			}
		}
	}
	eventually(t, "it has settled", func() bool { return strings.Count(r.log(), `"state"="connected"`) == 1 })
	pings(3, false)
	r.reload(strings.Replace(doc, "[1m, 5m]", "[1m, 5m, 15m]", 1))
	eventually(t, "the feed began again", func() bool { return strings.Count(r.log(), `"state"="connected"`) == 2 })
	pings(3, true)
}

// TestExpectedCounters: counters of what has not happened yet are there, at zero, and those of a
// timeframe from its reload on.
func TestExpectedCounters(t *testing.T) {
	r := serve(t, strings.Replace(invented, "[1m, 5m]", "[5m]", 1), "")
	for _, name := range []string{`bars_revised_total{timeframe="1m"}`, `bars_revised_total{timeframe="5m"}`, `feed_gaps_total{reason="late_trade"}`, `feed_gaps_total{reason="disconnect"}`} {
		if got := r.metric(name); got != "0" {
			t.Errorf("%s is %q, want 0", name, got)
		}
	}
	r.reload(strings.Replace(invented, "[1m, 5m]", "[5m, 4h]", 1))
	if got := r.metric(`bars_closed_total{timeframe="4h"}`); got != "0" {
		t.Errorf("of 4h %q bars have closed", got)
	}
}

// TestEndedWatermark: after the end of a recording the watermark that is told is the time of its last
// trade, also once the log is all that is left of it, and not the log's sentinel.
func TestEndedWatermark(t *testing.T) {
	dir := t.TempDir()
	doc := strings.Replace(recorded(t, filepath.Join(dir, "trades.csv"), 600), `speed: "100"`, `speed: Max`, 1)
	const last = 1_709_649_000_000 + 599*1000
	for range 2 {
		r := serve(t, doc, filepath.Join(dir, "log"))
		eventually(t, "the last trade is told", func() bool {
			s := r.status()
			return s.Feed.State == "ended" && s.Feed.WatermarkMs == last && len(s.Partitions) > 0
		})
		for _, p := range r.status().Partitions {
			if p.Symbols > 0 && p.WatermarkMs != last || p.WatermarkMs > last {
				t.Errorf("partition %d is told to be at %d", p.ID, p.WatermarkMs)
			}
		}
		if got, want := string(r.get(r.url+"/api/market/status")), fmt.Sprintf(`"state":"ended","watermarkMs":%d,`, last); !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
		r.end()
	}
}

// TestRecordingGrew: what was appended to a recording whose end the log has comes too late, and the
// log says so.
func TestRecordingGrew(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "trades.csv")
	doc := strings.Replace(recorded(t, file, 600), `speed: "100"`, `speed: Max`, 1)
	run := func() *running { // until the end is in the log: the feed says that it has ended when it has sent it
		r := serve(t, doc, filepath.Join(dir, "log"))
		eventually(t, "the recording has ended", func() bool { return r.status().Feed.State == "ended" })
		eventually(t, "the log has its end", func() bool { return len(r.history("symbol=AAA&limit=50")) == 10 })
		return r
	}
	const say = "goes on after the end that the log has"
	for _, same := range []bool{false, true} {
		r := run()
		if strings.Contains(r.log(), say) {
			t.Errorf("of a recording that is as it was (%v): %s", same, r.log())
		}
		r.end()
	}
	recorded(t, file, 900)
	r := run()
	eventually(t, "it says what becomes of it", func() bool { return strings.Count(r.log(), say) == 1 })
}
