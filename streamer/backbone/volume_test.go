package backbone

import (
	"testing"
	"time"
)

// TestRestarts: a server that goes on refusing to store is started again ever more rarely, and at once
// when it had stored for a while.
func TestRestarts(t *testing.T) {
	var r restarts
	now := time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	begin, starts := now, []time.Duration{}
	for ; now.Sub(begin) < 10*time.Minute; now = now.Add(guardEvery) {
		if r.due(now) {
			starts = append(starts, now.Sub(begin))
		}
	}
	if len(starts) < 10 || len(starts) > 20 || starts[0] != 0 || starts[1] != guardEvery {
		t.Errorf("started again at %v", starts)
	}
	r.well(now)
	if r.due(now) {
		t.Error("started again at once, though it has stored for a moment only")
	}
	now = now.Add(2 * longestPause)
	r.well(now)
	if !r.due(now) || !r.due(now.Add(guardEvery)) {
		t.Error("the pause is still long, though it has stored for a while")
	}
}

// TestStoppedForGood: the guard, which may hold a server while it is stopped, does not start it again.
func TestStoppedForGood(t *testing.T) {
	n := mustStart(t, testNodes(t, 1)[0])
	eventually(t, "it is ready", n.Ready)
	s := n.serving()
	if err := n.Stop(nil); err != nil {
		t.Fatal(err)
	}
	if s.start() == nil {
		s.halt()
		t.Error("a server that was stopped for good was started again")
	}
}
