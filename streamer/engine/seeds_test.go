package engine

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSeedsReachTheLog: what a stream begins with is what history has, not only what the rings do.
func TestSeedsReachTheLog(t *testing.T) {
	doc := strings.Replace(invented, "seedBars: 60", "seedBars: 60, heartbeatInterval: 1s", 1) + "  history: {ringCapacity: 10}\n"
	r := serve(t, doc, "")
	same := func(query, page string) {
		t.Helper()
		for _, symbol := range []string{"AAA", "BBB"} {
			before := r.history("symbol=" + symbol + page)
			got := r.seed("symbols=" + symbol + query)
			if cmp.Equal(got, r.history("symbol="+symbol+page)) {
				continue // a bar may have closed before
			}
			if d := cmp.Diff(before, got); d != "" {
				t.Errorf("%s%s:\n%s", symbol, query, d)
			}
		}
	}
	eventually(t, "the past is there", func() bool {
		return len(r.history("symbol=AAA&sinceSeq=1")) > 55 && len(r.history("symbol=BBB&sinceSeq=1")) > 55
	})
	same("&sinceSeq=1", "&sinceSeq=1")
	same("&seed=30", "&limit=30")
	if n := len(r.seed("symbols=AAA,BBB&timeframe=1m,5m&seed=40")); n < 2*40+2*12 {
		t.Errorf("a seed of 40 of two symbols and two timeframes has %d bars", n)
	}

	r.edit(strings.Replace(doc, "[1m, 5m]", "[1m, 5m, 15m]", 1))
	eventually(t, "the timeframe is there", func() bool { return strings.Contains(r.log(), "was reloaded") })
	if n := len(r.history("symbol=AAA&timeframe=15m")); n < 3 {
		t.Errorf("%d bars of the new timeframe in history", n)
	}
	same("&timeframe=15m", "&timeframe=15m&limit=60")
	same("&timeframe=15m&sinceSeq=1", "&timeframe=15m&sinceSeq=1")
}
