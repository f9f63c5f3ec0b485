package engine

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/marketstream/marketstream/streamer/eventsource"
)

// reload edits the document and waits until it is in effect.
func (r *running) reload(document string) {
	r.t.Helper()
	before := strings.Count(r.log(), "was reloaded")
	r.edit(document)
	eventually(r.t, "it is in effect", func() bool { return strings.Count(r.log(), "was reloaded") > before })
}

// TestRemovedAndBack: a symbol that was away for a moment is unknown for that moment, and the bars
// that touch it are partial; what was observed before stays known.
func TestRemovedAndBack(t *testing.T) {
	doc := strings.Replace(invented, "[1m, 5m]", "[1m, 1h]", 1)
	r := serve(t, doc, "")
	in := r.connect("symbols=BBB&events=bar&timeframe=1m,1h&seed=0")
	// While it invents the past, a moment of ours is an hour of its.
	eventually(t, "the log has caught up", func() bool {
		last := r.history("symbol=BBB&timeframe=1m&limit=1")
		st := r.status()
		return len(last) == 1 && (last[0].Seq+1)*60_000 > st.Feed.WatermarkMs-2*60_000 && st.Feed.State == "connected"
	})
	r.reload(strings.Replace(doc, "[AAA, BBB]", "[AAA]", 1))
	r.reload(doc)
	type gap struct {
		FromMs, ToMs  int64
		State, Reason string
	}
	next := func() (g gap) {
		for {
			e, err := in.Next()
			if err != nil {
				t.Fatal(err)
			}
			if e.Type == "gap" {
				if err := json.Unmarshal([]byte(e.Data), &g); err != nil {
					t.Fatal(err)
				}
				return g
			}
		}
	}
	away, back := next(), next()
	if away.State != "removed" || back.State != "open" || back.Reason != "symbol_added" || back.FromMs != away.FromMs {
		t.Errorf("%+v %+v", away, back)
	}
	if wide := back.ToMs - back.FromMs; wide > 3*60_000 || wide <= 0 {
		t.Errorf("%d ms are unknown", wide)
	}
	var spans []struct {
		FromMs, ToMs int64
		State        string
	}
	if err := json.Unmarshal(r.get(fmt.Sprintf("%s/api/coverage?symbol=BBB&from=%d&to=%d", r.url, away.FromMs-40*60_000, away.FromMs)), &spans); err != nil {
		t.Fatal(err)
	}
	for _, s := range spans {
		if s.State == "unknown" {
			t.Errorf("%d minutes before it left are unknown", (s.ToMs-s.FromMs)/60_000)
		}
	}
}

// TestSpelledOtherwise: a symbol whose case changes in the document goes on under its new spelling,
// everywhere, and nothing of it is unknown.
func TestSpelledOtherwise(t *testing.T) {
	doc := strings.Replace(invented, "ticksPerSecond: 2", "ticksPerSecond: 2, speed: \"20\"", 1)
	r := serve(t, doc, "")
	in := r.connect("symbols=aaa&seed=1&timeframe=1m,5m")
	until := func(types ...string) eventsource.Event {
		t.Helper()
		for {
			e, err := in.Next()
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range types {
				if e.Type == want {
					return e
				}
			}
		}
	}
	if e := until("bar"); !strings.Contains(e.Data, `"symbol":"AAA"`) {
		t.Error(e.Data)
	}
	until("microbar")
	r.get(r.url + "/api/history?symbol=aaa&limit=2") // encoded, and kept
	r.reload(strings.Replace(doc, "[AAA, BBB]", "[aAa, BBB]", 1))
	for e := until("microbar", "gap"); !strings.Contains(e.Data, `"symbol":"aAa"`); e = until("microbar", "gap") {
		if e.Type == "gap" {
			t.Fatal(e.Data)
		}
	}
	if body := string(r.get(r.url + "/api/history?symbol=aaa&limit=2")); strings.Contains(body, "AAA") || !strings.Contains(body, "aAa") {
		t.Error(body)
	}
	again := r.connect("symbols=AAA&seed=0&events=bar,microbar")
	for _, want := range []string{"bootstrap", "epoch", "microbar"} {
		e, err := again.Next()
		for err == nil && e.Type == "status" {
			e, err = again.Next()
		}
		if err != nil || e.Type != want || !strings.Contains(e.Data, `aAa`) || strings.Contains(e.Data, "AAA") {
			t.Errorf("%s %s %v, want %s", e.Type, e.Data, err, want)
		}
	}
	last := int64(0)
	eventually(t, "a bar has closed", func() bool {
		for _, b := range r.history("symbol=aaa&limit=2") {
			if b.Partial || b.Symbol != "aAa" {
				t.Fatalf("%+v", b)
			}
			if last == 0 {
				last = b.Seq
			} else if b.Seq > last+1 {
				return true
			}
		}
		return false
	})
}

// TestMetricsOfTheGone: what is measured of a symbol or timeframe goes with it.
func TestMetricsOfTheGone(t *testing.T) {
	doc := invented + "  history: {ringCapacity: 10}\n"
	r := serve(t, doc, "")
	rings := func(labels string) string {
		return r.metric("ring_size{"+labels+"}") + " " + r.metric("ring_evictions_total{"+labels+"}")
	}
	for _, labels := range []string{`symbol="AAA",timeframe="1m"`, `symbol="BBB",timeframe="1m"`, `symbol="BBB",timeframe="5m"`} {
		eventually(t, "it is measured: "+labels, func() bool { size, evicted, _ := strings.Cut(rings(labels), " "); return size == "10" && evicted != "" })
	}
	r.reload(strings.NewReplacer("[AAA, BBB]", "[aAa]", "[1m, 5m]", "[1m]").Replace(doc))
	for _, labels := range []string{`symbol="AAA",timeframe="1m"`, `symbol="BBB",timeframe="1m"`, `symbol="BBB",timeframe="5m"`} {
		eventually(t, "it is gone: "+labels, func() bool { return rings(labels) == " " })
	}
	if size, _, _ := strings.Cut(rings(`symbol="aAa",timeframe="1m"`), " "); size != "10" {
		t.Errorf("%q bars of what is there", size)
	}
}
