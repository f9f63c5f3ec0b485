//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/clients"
)

// crowd is how many clients a roll has.
func crowd(t *testing.T) int {
	t.Helper()
	text := os.Getenv("E2E_CLIENTS")
	if text == "" {
		return 500
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("E2E_CLIENTS=%q: want a number of clients", text)
	}
	return n
}

// roll: a new image under hundreds of clients. Pods drain one at a time, and nobody misses a bar or gets one twice.
func roll(t *testing.T, s *suite) {
	ns, k := s.namespace(t, "roll"), s.kube
	k.apply(t, ns, stream("roll", "shards: 2"))
	k.ready(t, ns, "roll")
	p := s.browser.open(t, "roll.e2e.example.test", "/stream/market?symbols=SPY,QQQ&timeframe=1m&events=bar")
	p.first("bar", "SPY", 0)

	n := crowd(t)
	var mu sync.Mutex
	var wrong []string
	note := func(c *clients.Client, what string) {
		mu.Lock()
		defer mu.Unlock()
		wrong = append(wrong, c.Name+": "+what)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all []*clients.Client
	for i := range n {
		all = append(all, clients.Start(ctx, clients.Options{
			Name: fmt.Sprintf("client %d", i), URL: "https://roll.e2e.example.test", TLS: s.tls.config, Lean: true, Silence: 45 * time.Second,
			Symbols: []string{"SPY", "QQQ", "AAPL"}, Timeframes: []string{"1m", "5m"}, Query: map[string][]string{"events": {"bar"}, "seed": {"0"}},
			Pick: func() (string, string) { return s.ip + ":443", "" }, Served: func(string) string { return "" },
			Wrong: note, Reset: func(c *clients.Client, why string) { note(c, "reset: "+why) },
		}))
	}
	eventually(t, hangs, func() string {
		if behind := lacking(all, 2); behind > 0 {
			return fmt.Sprintf("%d clients have no two events yet\n%s", behind, ends(all))
		}
		return ""
	})

	began := time.Now()
	k.do(t, "patch", "marketstream/roll", "-n", ns, "--type=merge", "-p", `{"spec": {"pod": {"image": "`+nextImage+`"}}}`)
	most := 0
	eventually(t, 3*hangs, func() string {
		draining, old := 0, 0
		for _, p := range k.pods(t, ns, streamers) {
			if p.draining() {
				draining++
			}
			if p.Spec.Containers[0].Image != nextImage {
				old++
			}
		}
		most = max(most, draining)
		if old > 0 {
			return fmt.Sprintf("%d pods run the old image", old)
		}
		return ""
	})
	k.ready(t, ns, "roll")
	s.report.figure(t, "clients; seconds for two pods", "%d; %.0f", n, time.Since(began).Seconds())
	s.report.figure(t, "pods that drained at the same time, at most", "%d", most)
	if most > 1 {
		t.Errorf("%d pods drained at the same time", most)
	}
	var counts []int
	for _, c := range all {
		counts = append(counts, len(c.Seen().Events))
	}
	eventually(t, hangs, func() string { // everyone is served by the new pods
		for i, c := range all {
			if len(c.Seen().Events) < counts[i]+4 && c.GaveUp() == "" {
				return c.Name + " gets no more events"
			}
		}
		return ""
	})
	stop()
	for _, c := range all {
		c.Wait()
	}
	for _, w := range wrong[:min(len(wrong), 20)] {
		t.Error(w)
	}
	if len(wrong) > 0 {
		t.Errorf("%d things are wrong", len(wrong))
	}
	bars, visits := compare(t, all)
	s.report.figure(t, "bars of all clients; missing, twice, given up", "%d; 0, 0, 0", bars)
	s.report.figure(t, "connections of a client, mean", "%.2f", float64(visits)/float64(n))
	t.Log(ends(all))
	eventually(t, hangs, func() string {
		if st := p.state(); st.Opened < 2 && st.Errors > 0 {
			return fmt.Sprintf("the browser is not back: %+v", st)
		}
		return ""
	})
	s.report.figure(t, "bars of the browser; given up", "%d; 0", p.kept())
}

// ends says how the connections of clients ended, and how often.
func ends(all []*clients.Client) string {
	count := map[string]int{}
	for _, c := range all {
		for _, v := range c.Seen().Visits {
			took := "not taken: "
			if v.Began {
				took = "taken: "
			}
			count[took+v.End]++
		}
	}
	var out strings.Builder
	for _, k := range slices.Sorted(maps.Keys(count)) {
		fmt.Fprintf(&out, "%6d %s\n", count[k], k)
	}
	return out.String()
}

// lacking counts the clients with fewer events than n.
func lacking(all []*clients.Client, n int) (count int) {
	for _, c := range all {
		if len(c.Seen().Events) < n {
			count++
		}
	}
	return count
}

// compare holds the clients, who all asked for the same, against each other: between its first and its last event each has
// every event that any of them has, once, with the same text.
func compare(t *testing.T, all []*clients.Client) (bars int, visits int64) {
	t.Helper()
	type said struct {
		id  string
		sum uint64
	}
	place := map[string]int{} // of an id among all
	var order []said
	for _, c := range slices.SortedFunc(slices.Values(all), func(a, b *clients.Client) int { return len(b.Seen().Events) - len(a.Seen().Events) }) {
		seen := c.Seen().Events
		if len(order) == 0 { // who has most has the longest stretch
			for _, e := range seen {
				place[e.ID] = len(order)
				order = append(order, said{e.ID, e.Sum})
			}
		}
		bars += len(seen)
		visits += max(1, c.Visits())
		next := -1
		for _, e := range seen {
			at, ok := place[e.ID]
			switch {
			case !ok && (next == -1 || next == len(order)): // before the first or after the last of the longest
				continue
			case !ok:
				t.Errorf("%s has %s, which the others have not", c.Name, e.ID)
				return bars, visits
			case next >= 0 && at != next:
				t.Errorf("%s has %s after %s: %d events are missing or twice", c.Name, e.ID, order[next-1].id, at-next)
				return bars, visits
			case e.Sum != order[at].sum:
				t.Errorf("%s has another text for %s", c.Name, e.ID)
				return bars, visits
			}
			next = at + 1
		}
	}
	return bars, visits
}
