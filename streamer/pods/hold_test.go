package pods

import (
	"testing"
	"time"
)

// TestHold: when a new pod waits for the clients of one that drains.
func TestHold(t *testing.T) {
	now := time.UnixMilli(1_000_000_000)
	ago := func(d time.Duration) int64 { return now.Add(-d).UnixMilli() }
	old := Announcement{Pod: "old", State: Warm, Connections: 100}
	self := Announcement{Pod: "new", State: Warm, Holding: true}
	drain := func(age time.Duration) []Drain {
		return []Drain{{Pod: "gone", AtMs: ago(age), Leaving: 100, Others: 100}}
	}
	for _, c := range []struct {
		name   string
		drains []Drain
		pods   []Announcement
		hold   bool
	}{
		{"nobody drains", nil, []Announcement{old, self}, false},
		{"one drains", drain(time.Second), []Announcement{old, self, {Pod: "gone", State: Draining, Connections: 60}}, true},
		{"it is gone, its clients are not back", drain(time.Second), []Announcement{{Pod: "old", State: Warm, Connections: 189}, self}, true},
		{"90 % are back", drain(time.Second), []Announcement{{Pod: "old", State: Warm, Connections: 190}, self}, false},
		{"some came to the new one", drain(time.Second), []Announcement{{Pod: "old", State: Warm, Connections: 150}, {Pod: "new", State: Warm, Connections: 40, Holding: true}}, false},
		{"after two minutes", drain(2 * time.Minute), []Announcement{old, self}, false},
		{"a lone pod's replacement", drain(time.Second), []Announcement{self}, false},
		{"the other holds too", drain(time.Second), []Announcement{self, {Pod: "new2", State: Warm, Holding: true}}, false},
		{"the other drains too", drain(time.Second), []Announcement{self, {Pod: "gone", State: Draining, Connections: 100}}, false},
		{"it had no clients", []Drain{{Pod: "gone", AtMs: ago(time.Second)}}, []Announcement{old, self}, false},
		{"a clock an hour ahead", []Drain{{Pod: "gone", AtMs: ago(-time.Hour), Leaving: 100}}, []Announcement{old, self}, false},
	} {
		if why := Hold("new", now, c.drains, c.pods); (why != "") != c.hold {
			t.Errorf("%s: %q, want a hold: %v", c.name, why, c.hold)
		}
	}
}
