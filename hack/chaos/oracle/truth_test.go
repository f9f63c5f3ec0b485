package oracle

import (
	"testing"

	"github.com/marketstream/marketstream/hack/chaos/clients"
)

// TestTruth: a worked example, by hand.
func TestTruth(t *testing.T) {
	truth := make(Truth)
	const m = 60_000_000_000
	err := truth.Add("X", []Trade{
		{10 * m, "10.5", "1"}, {10*m + 1, "9.25", "2"}, {11*m - 1, "10", "0.5"}, // minute 10
		{11 * m, "0.01", "5"}, {11*m + 5, "0.02", "3"}, // minute 11
	}, []string{"1m", "2m", "5m"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[clients.Key]string{
		{Symbol: "X", Timeframe: "1m", Seq: 10}: "o 10.5 h 10.5 l 9.25 c 10 v 3.5 n 3 vwap 9.7143",
		{Symbol: "X", Timeframe: "1m", Seq: 11}: "o 0.01 h 0.02 l 0.01 c 0.02 v 8 n 2 vwap 0.0138", // 0.01375: to the even digit
		{Symbol: "X", Timeframe: "2m", Seq: 10}: "o 10.5 h 10.5 l 0.01 c 0.02 v 11.5 n 5 vwap 2.9661",
		{Symbol: "X", Timeframe: "5m", Seq: 10}: "o 10.5 h 10.5 l 0.01 c 0.02 v 11.5 n 5 vwap 2.9661",
	}
	for k, w := range want {
		if truth[k] != w {
			t.Errorf("%s: %s, want %s", k, truth[k], w)
		}
	}
	if len(truth) != len(want) {
		t.Errorf("%d bars, want %d", len(truth), len(want))
	}
}
