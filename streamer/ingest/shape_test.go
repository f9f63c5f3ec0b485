package ingest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// TestSymbolsComeAndGo says what becomes of a partition's symbols when the document changes: what
// the log remembers of them, and which gaps it has.
func TestSymbolsComeAndGo(t *testing.T) {
	const hour = int64(1_709_647_200_000)
	at := func(minute, seconds int64) int64 { return hour + minute*60_000 + seconds*1000 }
	p := market.PartitionOf("SPY") // BACpB's too
	if market.PartitionOf("BACpB") != p {
		t.Fatal("they have two partitions")
	}
	table := &market.SymbolTable{}
	name := func(n uint32) string { return table.Name(n) }
	spec := testSpec(t)
	spec.Timeframes = []market.Timeframe{market.M1, market.H1}
	spec.CloseGraceMs = 2000
	head := Head{}
	type gap struct {
		Symbol   string
		From, To int64
		State    market.GapState
	}
	// become puts a document into effect after the log's last frame at a place and watermark.
	become := func(offset uint64, watermark int64, symbols ...string) (gaps []gap) {
		t.Helper()
		head.Frame = &logs.Frame{Watermark: watermark}
		spec.Symbols = symbols
		n, found := spec.shape(p, &head, offset, watermark, table)
		head.Shape = n
		for _, g := range found {
			gaps = append(gaps, gap{name(g.Symbol), g.FromMs, g.ToMs, g.State})
		}
		return gaps
	}
	check := func(what string, got, want any) {
		t.Helper()
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", what, d)
		}
	}
	n, _ := spec.shape(p, &head, 0, 0, table)
	head.Shape = n
	check("one joins", become(100, at(10, 2), "SPY", "BACpB"), []gap{{"BACpB", hour, at(10, 2), market.GapOpen}})
	check("spelled otherwise", become(200, at(20, 2), "SPY", "BACPB"), []gap(nil))
	check("its place", head.Shape.Symbols, []logs.ShapeSymbol{{Name: "BACPB", SinceOffset: 100, SinceMs: at(10, 2)}, {Name: "SPY"}})
	check("it leaves", become(300, at(31, 2), "SPY"), []gap{{"BACpB", at(31, 0), at(31, 0), market.GapRemoved}})
	check("and is back before anything closed", become(300, at(31, 2), "spy", "BACpB"), []gap(nil))
	check("its place then", head.Shape.Symbols, []logs.ShapeSymbol{{Name: "BACpB", SinceOffset: 100, SinceMs: at(10, 2)}, {Name: "spy"}})
	check("it leaves again, before its minute closes", become(400, at(41, 1), "SPY"), []gap{{"BACpB", at(40, 0), at(40, 0), market.GapRemoved}})
	check("another joins", become(450, at(43, 0), "SPY", "BACpc"), []gap(nil)) // in another partition
	check("and it is back", become(500, at(44, 2), "SPY", "bacPB"), []gap{{"BACpB", at(40, 0), at(44, 2), market.GapOpen}})
	check("its place after that", head.Shape.Symbols, []logs.ShapeSymbol{{Name: "SPY"}, {Name: "bacPB", SinceOffset: 500, SinceMs: at(44, 2)}})
	check("nothing is remembered of it", len(head.Shape.Removed), 0)
	check("all leave", become(600, at(50, 2)), []gap{{"BACpB", at(50, 0), at(50, 0), market.GapRemoved}, {"SPY", at(50, 0), at(50, 0), market.GapRemoved}})
	check("one is back, to a partition that begins anew", become(600, at(50, 2), "SPY"), []gap{{"SPY", at(50, 0), at(50, 2), market.GapOpen}})
	if same, gaps := spec.shape(p, &head, 900, at(59, 2), table); !cmp.Equal(same, head.Shape) || gaps != nil {
		t.Error("the same document makes another shape: ", cmp.Diff(head.Shape, same))
	}
	for i := range logs.MaxRemoved + 5 {
		head.Shape.Removed = append(head.Shape.Removed, logs.RemovedSymbol{ShapeSymbol: logs.ShapeSymbol{Name: "X"}, UntilMs: int64(i)})
	}
	become(700, at(55, 2))
	if n := len(head.Shape.Removed); n != logs.MaxRemoved || head.Shape.Removed[n-1].Name != "SPY" {
		t.Errorf("%d removed symbols are remembered, the last is %s", n, head.Shape.Removed[n-1].Name)
	}
}
