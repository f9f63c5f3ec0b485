package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/eventsource"
	"github.com/marketstream/marketstream/streamer/feed/coinbase/coinbasetest"
)

// TestFeedStateAnywhere: how the feed is doing is known on a pod that takes nothing in, as on the one that does.
func TestFeedStateAnywhere(t *testing.T) {
	vendor, err := coinbasetest.Start(coinbasetest.Options{Products: []coinbasetest.Product{{Name: "BTC-USD", PerSecond: 5, Price: "100.00"}}, Past: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vendor.Close() })
	c := startCluster(t, fmt.Sprintf("apiVersion: marketstream.dev/v1alpha1\nkind: MarketStream\nmetadata: {name: feeds}\nspec:\n  symbols: [BTC-USD]\n"+
		"  feed: {coinbase: {endpoint: %q, restEndpoint: %q}}\n", vendor.URL(), vendor.RESTURL()), 2)
	var idle *process
	by := c.holders(15)
	for _, p := range c.pods {
		if p != by[15] {
			idle = p
		}
	}
	state := func(p *process) string {
		var s struct{ State string }
		if err := json.Unmarshal(p.get(p.url, "/api/market/status", 200), &s); err != nil {
			t.Fatal(err)
		}
		return s.State
	}
	all := func(want string) func() bool {
		return func() bool { return state(c.pods[0]) == want && state(c.pods[1]) == want }
	}
	eventually(t, "both pods tell that it is connected", all("connected"))
	if r, ok := idle.reported(); !ok || r.Feed.State != "connected" || r.Feed.Own != "" {
		t.Errorf("the idle pod's report: %+v", r.Feed)
	}
	if r, ok := by[15].reported(); !ok || r.Feed.Own != "connected" {
		t.Errorf("the holder's report: %+v", r.Feed)
	}
	stream := mustConnect(t, idle.url, url.Values{"symbols": {"BTC-USD"}}, "")
	defer stream.close()
	told := func(state string) {
		t.Helper()
		stream.until(t, "an event of state "+state, func(e eventsource.Event) bool {
			return e.Type == "status" && strings.Contains(e.Data, `"state":"`+state+`"`)
		})
	}
	vendor.RefuseFor(time.Hour, 0)
	vendor.DropAll()
	told("disconnected")
	vendor.RefuseFor(0, 0)
	told("connected")
	eventually(t, "both pods tell that it is connected again", all("connected"))
}
