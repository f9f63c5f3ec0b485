package market

import (
	"fmt"
	"sync"
	"testing"
)

func TestTimeframes(t *testing.T) {
	minutes := map[string]int64{"1m": 1, "2m": 2, "3m": 3, "5m": 5, "10m": 10, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "1d": 1440}
	if len(TimeframeNames()) != len(minutes) {
		t.Errorf("names: %v", TimeframeNames())
	}
	for i, name := range TimeframeNames() {
		tf, err := ParseTimeframe(name)
		if err != nil || int(tf) != i+1 || tf.String() != name || tf.Millis() != minutes[name]*60_000 {
			t.Errorf("%s: %d, %v, %d ms", name, tf, err, tf.Millis())
		}
	}
	for _, name := range []string{"", "1M", "60", "1w", "none"} {
		if tf, err := ParseTimeframe(name); err == nil {
			t.Errorf("%q is %v", name, tf)
		}
	}
	for _, tf := range []Timeframe{0, MaxTimeframe + 1} {
		if tf.Valid() || tf.String() != "none" || tf.Millis() != 0 {
			t.Errorf("%d: %v %v %d", tf, tf.Valid(), tf, tf.Millis())
		}
	}
	for ms, want := range map[int64]int64{0: 0, 59_999: 0, 60_000: 1, -1: -1, -60_000: -1, -60_001: -2, 1762810200000: 29380170} {
		if Seq(ms) != want {
			t.Errorf("Seq(%d) = %d, want %d", ms, Seq(ms), want)
		}
	}
}

// The numbers and names that stand in logs and on the wire.
func TestNumbersThatStandInLogs(t *testing.T) {
	got := fmt.Sprint(Trade, Cancel, Mark, Hole, M1, H1, D1, Partial, Void, Extended, NoNotional, HasRange, HasEnds, WeakEnds,
		UseRange, UseEnds, UseWeakEnds, UseVolume, GapEarlyTrade, GapRemoved, HoursExtended, HoursRegular, HoursContinuous, AnchorClock, AnchorSession)
	if want := "1 2 3 4 1m 1h 1d 1 2 4 8 1 2 4 1 2 4 8 early_trade removed Extended Regular Continuous Clock Session"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if M1 != 1 || H1 != 8 || D1 != 11 || GapSourceChange != 8 || GapEarlyTrade != 9 || GapMissed != 11 || GapMissed.String() != "missed" || HoursContinuous != 2 || AnchorSession != 1 || EndOfFeed != 9223372036854 {
		t.Error("a number changed")
	}
	if got := fmt.Sprint(GapUnknown, GapDisconnect, GapStart, GapSymbolAdded, GapHole, GapLateTrade, GapCancel, GapOverflow, GapSourceChange, GapReason(99)); got != "unknown disconnect start symbol_added hole late_trade cancel overflow source_change unknown" {
		t.Error(got)
	}
	if got := fmt.Sprint(GapOpen, GapRepaired, GapUnrepairable, SideUnknown, SideBuy, SideSell); got != "open repaired unrepairable  buy sell" {
		t.Error(got)
	}
	for symbol, want := range map[string]int{"SPY": 4, "QQQ": 11, "AAPL": 0, "BTC-USD": 15, "BACpB": 4, "": 1} {
		if got := PartitionOf(symbol); got != want {
			t.Errorf("PartitionOf(%q) = %d, want %d", symbol, got, want)
		}
	}
	if PartitionOf("bacPb") != PartitionOf("BACpB") {
		t.Error("the partition hangs on the spelling")
	}
}

func TestPartitionsAreEven(t *testing.T) {
	var n [Partitions]int
	for i := range 16_000 {
		n[PartitionOf(fmt.Sprintf("SYM%d", i))]++
	}
	for p, count := range n {
		if count < 800 || count > 1200 {
			t.Errorf("partition %d has %d of 16000", p, count)
		}
	}
}

func TestSymbolTable(t *testing.T) {
	var table SymbolTable
	if _, ok := table.ID("SPY"); ok || table.Len() != 0 || table.Name(0) != "" {
		t.Error("an empty table knows something")
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 1000 {
				id := table.Intern(fmt.Sprintf("s%d", i))
				if table.Name(id) == "" {
					t.Errorf("number %d has no name", id)
				}
			}
		})
	}
	wg.Wait()
	if table.Len() != 1000 {
		t.Errorf("%d symbols", table.Len())
	}
	seen := make(map[uint32]bool)
	for i := range 1000 {
		id, ok := table.ID(fmt.Sprintf("S%d", i))
		if !ok || seen[id] || table.Name(id) != fmt.Sprintf("s%d", i) || table.Intern(fmt.Sprintf("S%d", i)) != id {
			t.Fatalf("S%d: %d, %v, %q", i, id, ok, table.Name(id))
		}
		seen[id] = true
	}
	if table.Name(1000) != "" || table.Name(AllSymbols) != "" {
		t.Error("a number that nobody has has a name")
	}
}

func TestTickPositionCompare(t *testing.T) {
	ordered := []TickPosition{{}, {0, 0, 1}, {0, 1, 0}, {0, 1, 7}, {1, 0, 0}, {1, 0, 1}, {1, 2, 0}, {2, 1, 1}}
	for i, p := range ordered {
		for j, q := range ordered {
			want := min(max(i-j, -1), 1)
			if got := p.Compare(q); got != want {
				t.Errorf("%v against %v: %d, want %d", p, q, got, want)
			}
		}
	}
}
