package stream

import (
	"strings"
	"testing"

	"github.com/marketstream/marketstream/streamer/market"
)

// TestDemand: a hub wants of the partitions what its open streams do, and no more.
func TestDemand(t *testing.T) {
	told := make(chan struct{}, 16)
	w := newWorld(t, Options{Demanded: func() { told <- struct{}{} }}, func(c *Config) { c.Symbols[1].Ticks = TicksDisabled })
	bit := func(symbols ...string) (m uint16) {
		for _, s := range symbols {
			m |= 1 << market.PartitionOf(s)
		}
		return m
	}
	want := func(what string, states, ticks uint16) {
		t.Helper()
		<-told
		eventually(t, what, func() bool {
			s, k := w.Demand()
			return s == states && k == ticks
		})
	}
	if s, k := w.Demand(); s != 0 || k != 0 {
		t.Fatalf("without streams: %b, %b", s, k)
	}
	a := w.connect("symbols=AAA,BBB", "")
	want("everything of AAA, no ticks of BBB", bit("AAA", "BBB"), bit("AAA"))
	b := w.connect("symbols=AAA,CCC&events=bar,tick", "")
	want("ticks of CCC", bit("AAA", "BBB"), bit("AAA", "CCC"))
	bars := w.connect("symbols=DDD&events=bar", "")
	forming := w.connect("symbols=DDD&events=forming", "")
	want("forming bars of DDD", bit("AAA", "BBB", "DDD"), bit("AAA", "CCC"))
	for _, c := range []*testClient{a, b, bars, forming} {
		c.close()
	}
	w.Hub.Close() // as clients that go
	eventually(t, "nothing is wanted", func() bool {
		s, k := w.Demand()
		return s == 0 && k == 0
	})
}

// TestForget: open bars of a partition that is no longer listened to are not shown to who comes later.
func TestForget(t *testing.T) {
	w := newWorld(t, Options{})
	m := w.record("AAA", market.M1, 5, 100)
	micro, _ := m.Bar()
	for _, s := range []string{"AAA", "BBB"} {
		w.State(&market.State{Symbol: w.symbols.Intern(s), TsMs: micro.StartMs, Micro: micro})
	}
	w.Forget(market.PartitionOf("AAA"))
	if e := w.connect("symbols=AAA,BBB&events=microbar", "").next("microbar"); !strings.Contains(e.Data, `"BBB"`) {
		t.Errorf("%s", e.Data)
	}
}
