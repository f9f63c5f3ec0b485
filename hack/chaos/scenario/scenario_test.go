package scenario

import (
	"slices"
	"testing"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/system"
)

// TestNamed: every scenario is found by its name, shapes a system, and none has another's.
func TestNamed(t *testing.T) {
	seen := make(map[string]bool)
	for _, e := range all() {
		if seen[e.Name] {
			t.Errorf("%s: there are two", e.Name)
		}
		seen[e.Name] = true
		s, clients, err := Named(e.Name)
		if err != nil || clients < 1 {
			t.Fatalf("%s: %d clients, %v", e.Name, clients, err)
		}
		o := system.Options{NodeCount: 3}
		s.Shape(&o)
		if len(o.Always) == 0 || o.SlotCount < o.PodCount || o.PodCount < 1 || len(o.TimeframesAlways) == 0 {
			t.Errorf("%s: %d symbols, %d of %d pods", e.Name, len(o.Always), o.PodCount, o.SlotCount)
		}
	}
	if _, _, err := Named("nothing"); err == nil {
		t.Error("a scenario that is none: want an error")
	}
}

// TestMostInSecond: a second is half open, wherever it begins.
func TestMostInSecond(t *testing.T) {
	for _, c := range []struct {
		at   []int64
		want int
	}{
		{nil, 0},
		{[]int64{5}, 1},
		{[]int64{0, 999, 1000}, 2},
		{[]int64{0, 400, 1300, 1399, 1400, 5000}, 3},
	} {
		if got := mostInSecond(c.at); got != c.want {
			t.Errorf("%v: %d, want %d", c.at, got, c.want)
		}
	}
	if got := spread([]time.Duration{3 * time.Second, time.Second, 2 * time.Second}); got != "median 2.00 s, worst 3.00 s of 3" {
		t.Error(got)
	}
	if names := symbols(2); !slices.Equal(names, []string{"S0000-USD", "S0001-USD"}) {
		t.Error(names)
	}
}
