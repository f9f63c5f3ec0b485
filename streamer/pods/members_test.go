package pods

import (
	"slices"
	"testing"
	"time"
)

// TestMembers: who is not heard is dead; while we do not hear ourselves nobody dies.
func TestMembers(t *testing.T) {
	at := time.Unix(1000, 0)
	m := NewMembers("a")
	seq := uint64(0)
	hear := func(ms int, pods ...string) {
		t.Helper()
		for _, p := range pods {
			seq++
			m.Hear(at.Add(time.Duration(ms)*time.Millisecond), Announcement{Pod: p, State: Warm, Seq: seq})
		}
		m.Bury()
	}
	want := func(pods ...string) {
		t.Helper()
		if got := m.In(Warm); !slices.Equal(got, pods) {
			t.Fatalf("alive: %v, want %v", got, pods)
		}
	}
	hear(0, "a", "b", "c")
	want("a", "b", "c")
	for ms := 500; ms <= 2000; ms += 500 {
		hear(ms, "a", "b") // c is silent
		want("a", "b", "c")
	}
	hear(2500, "a", "b")
	want("a", "b") // c has been silent for more than 2 s in which we heard ourselves
	if !m.Away(at.Add(4100*time.Millisecond)) || m.Away(at.Add(3900*time.Millisecond)) {
		t.Error("the backbone is away once we do not hear ourselves")
	}
	hear(12_500, "a") // back after 10 s without anything
	want("a", "b")
	hear(13_000, "a")
	hear(14_500, "a")
	want("a", "b")
	hear(15_000, "a")
	want("a") // b did not come back

	if m.Hear(at, Announcement{Pod: "a", State: Draining, Seq: 1}) {
		t.Error("an old announcement counts")
	}
	again := Announcement{Pod: "a", State: Joining, Seq: 1, StartedMs: 5}
	if !m.Hear(at.Add(15_050*time.Millisecond), again) || len(m.In(Joining)) != 1 {
		t.Error("one that was started again under its name is not heard")
	}
	seq++
	if m.Hear(at.Add(15_060*time.Millisecond), Announcement{Pod: "a", State: Warm, Seq: seq}) {
		t.Error("the last word of the one before counts")
	}
	seq++
	if !m.Hear(at.Add(15_100*time.Millisecond), Announcement{Pod: "a", State: Left, Seq: seq, StartedMs: 5}) || len(m.All()) != 0 {
		t.Error("who leaves is gone at once")
	}
}
