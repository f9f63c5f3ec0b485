package ingest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/metrics"
)

// looseRun runs a plane over a log with a venue whose ids tell nothing.
func looseRun(t *testing.T, log *memory, table *market.SymbolTable, v *venue, token uint64) (stop func()) {
	t.Helper()
	env := &Env{Bars: log, Ticks: noTicks{}, Symbols: table, Metrics: metrics.New("test"), Log: logr.Discard(), Heads: headsOf(log, table)}
	spec := testSpec(t)
	spec.Timeframes = []market.Timeframe{market.M1, market.M5}
	p := NewPlane(PlaneOptions{Env: env, Source: v, Spec: spec, Status: func(feed.Status) {},
		Ended: func(_ int, err error) { t.Error(err) }, Failed: func(err error) { t.Error(err) }})
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { p.Run(ctx) })
	p.Claim(Claim{Partition: market.PartitionOf("SPY"), Token: token, Gate: always{}})
	return sync.OnceFunc(func() { cancel(); done.Wait() })
}

// TestMissedIsRepaired: where ids tell nothing, the minutes that a hole touches are made again of what the venue has, and so are
// those that lie between the log's end and the first mark after a restart. What came by both ways counts once.
func TestMissedIsRepaired(t *testing.T) {
	log, table := &memory{}, &market.SymbolTable{}
	spy := table.Intern("SPY")
	v := &venue{say: make(chan []market.Entry), loose: true}
	stop := looseRun(t, log, table, v, 1)
	defer stop()
	at := func(id uint64, ms int64, price string) market.Entry {
		e := tradeAt(id*1000, ms) // ids skip
		e.Symbol, e.Price = spy, market.MustDecimal(price)
		return e
	}
	const minute = 60_000
	begin := refoldMinute
	missed := at(2, begin+minute+20_000, "20") // nobody said it
	v.mu.Lock()
	v.all = append(v.all, at(1, begin+30_000, "10"), missed)
	v.mu.Unlock()
	v.say <- []market.Entry{at(1, begin+30_000, "10"), markAt(begin + 30_000)}
	v.live(at(3, begin+minute+1000, "11"), markAt(begin+minute+1000),
		market.Entry{Kind: market.Hole, Symbol: market.AllSymbols, Time: (begin + minute + 10_000) * 1e6, Until: (begin + minute + 30_000) * 1e6, Reason: market.GapDisconnect},
		at(4, begin+minute+40_000, "12"), markAt(begin+minute+40_000))
	n := int64(0)
	repaired := func(start int64) func() bool {
		return func() bool {
			if n++; n%20 == 0 { // the watermark goes on
				v.live(markAt(begin + 3*minute + n*50))
			}
			records, gaps := lastRecords(t, log)
			return records[market.M1][start].N > 0 && records[market.M1][start].Flags == 0 &&
				slices.ContainsFunc(gaps, func(g market.Gap) bool {
					return g.Reason == market.GapMissed && g.FromMs == start && g.State == market.GapRepaired
				})
		}
	}
	within(t, "the minute is repaired", repaired(begin+minute))
	records, gaps := lastRecords(t, log)
	if got := records[market.M1][begin+minute]; got.N != 3 || got.Prices.High != 20 || got.Prices.Open != 11 || got.Prices.Close != 12 {
		t.Errorf("%+v, want the 3 trades of the minute", got)
	}
	if got := records[market.M1][begin]; got.N != 1 {
		t.Errorf("%+v, want its trade", got)
	}
	for _, g := range gaps {
		if g.Reason != market.GapMissed || (g.ToMs-g.FromMs) != minute {
			t.Errorf("gap %+v", g)
		}
	}
	stop()

	// A restart: what was traded meanwhile is not said by the source.
	last := records[market.M1][begin+minute].EndMs + 2*minute // of which nothing is known yet
	v.mu.Lock()
	v.all = append(v.all, at(10, last+5_000, "30"), at(11, last+6_000, "31"))
	v.mu.Unlock()
	v2 := &venue{say: make(chan []market.Entry), loose: true, all: v.all}
	defer looseRun(t, log, table, v2, 2)()
	v = v2
	n = (last-begin-3*minute)/50 + 2*minute/50 // marks are past it
	v2.say <- []market.Entry{markAt(begin + 3*minute + n*50)}
	within(t, "the minute of the restart is there", repaired(last))
	records, _ = lastRecords(t, log)
	if got := records[market.M1][last]; got.N != 2 || got.Prices.Open != 30 || got.Prices.Close != 31 {
		t.Errorf("%+v, want the 2 trades that were made while nobody listened", got)
	}
}

// TestMissedIsBounded: of a long hole the newest minutes are made again; what is older is a gap, and so is what a source says of a
// minute itself.
func TestMissedIsBounded(t *testing.T) {
	r := &refold{t: t}
	w := opened(t, &r.log, &r.ticks, 1)
	w.ids, w.work = nil, nil
	w.missed(&market.Entry{Kind: market.Hole, Symbol: market.AllSymbols, Time: (refoldMinute - 6000*60_000) * 1e6, Until: (refoldMinute + 30_000) * 1e6, Reason: market.GapDisconnect})
	if len(w.work) != mostMissed/len(w.symbols)*len(w.symbols)+1 {
		t.Errorf("%d entries", len(w.work))
	}
	first, rest := w.work[0], w.work[len(w.work)-1]
	if first.Reason != market.GapMissed || first.Time != refoldMinute*1e6 || rest.Reason != market.GapDisconnect || rest.Until != w.work[len(w.work)-2].Time {
		t.Errorf("%+v … %+v", first, rest)
	}
	w.work = nil
	cancel := market.Entry{Kind: market.Hole, Symbol: w.symbols[0], Time: refoldMinute * 1e6, Until: (refoldMinute + 60_000) * 1e6, Reason: market.GapCancel}
	if w.missed(&cancel); len(w.work) != 1 || w.work[0] != cancel {
		t.Errorf("%+v", w.work)
	}
}
