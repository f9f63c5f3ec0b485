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
	if n := strings.Count(r.log(), "is not run"); n != 5 {
		t.Errorf("%d lines of refused documents, want one for each of 5:\n%s", n, r.log())
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
