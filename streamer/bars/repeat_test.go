package bars

import (
	"testing"

	"github.com/marketstream/marketstream/streamer/market"
)

// TestRepeat: after Repeat the states of all open minutes come again, once, though nothing changed.
func TestRepeat(t *testing.T) {
	f, entries := foldOf(t, 3)
	offset := uint64(0)
	say(f, entries, &offset, base*nsPerMs)
	states := func() (n int) {
		f.Changed(func(*market.State) { n++ })
		return n
	}
	all := states()
	if n := states(); all != 3 || n != 0 {
		t.Fatalf("%d states, then %d", all, n)
	}
	f.Repeat()
	if n := states(); n != all {
		t.Errorf("%d states again, want %d", n, all)
	}
	if n := states(); n != 0 {
		t.Errorf("%d states once more", n)
	}
}
