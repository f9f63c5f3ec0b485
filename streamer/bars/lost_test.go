package bars

import (
	"testing"

	"github.com/marketstream/marketstream/streamer/market"
)

// TestLostTakesTheGapsInIt: what the open minutes were made of cannot be read again, and is asked for as a whole. A gap that was
// open in them is not asked for beside that: its trades would count twice. One that began in a closed minute ends with it.
func TestLostTakesTheGapsInIt(t *testing.T) {
	const minute = int64(1_709_649_000_000)
	cfg := usConfig(t, "AAA")
	cfg.GaplessIDs, cfg.Refills = true, true
	f := New(cfg)
	f.Restore(&Close{Watermark: minute + 31_000, Gaps: []market.Gap{
		{FromMs: minute - 5_000, ToMs: minute + 2_000, AfterID: 6890, BeforeID: 6893, Reason: market.GapDisconnect, State: market.GapOpen},
		{FromMs: minute + 28_827, ToMs: minute + 29_265, AfterID: 6902, BeforeID: 6905, Reason: market.GapDisconnect, State: market.GapOpen},
	}})
	f.Lost([]market.Gap{{FromMs: minute, ToMs: minute + 29_265, BeforeID: 6905, Reason: market.GapReread}}, market.Position{})
	got := f.OpenGaps(nil)
	want := []market.Gap{
		{FromMs: minute - 5_000, ToMs: minute, AfterID: 6890, Reason: market.GapDisconnect, State: market.GapOpen},
		{FromMs: minute, ToMs: minute + 29_265, BeforeID: 6905, Reason: market.GapReread, State: market.GapOpen},
	}
	if len(got) != len(want) {
		t.Fatalf("open gaps %+v, want %+v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("open gap %+v, want %+v", got[i], want[i])
		}
	}
}
