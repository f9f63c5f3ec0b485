package ingest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/metrics"
)

// venue is a live source that says what it is given. Its REST side has all trades; asked by time it finds only those
// that came in time, as one that is ordered by id.
type venue struct {
	say   chan []market.Entry
	mu    sync.Mutex
	all   []market.Entry
	late  map[uint64]bool // ids that a search by time does not find
	fails int             // questions that fail first
	asked int
	loose bool // its ids tell nothing
}

func (v *venue) SetSymbols([]feed.Symbol)                     {}
func (v *venue) Close() error                                 { return nil }
func (v *venue) Traits() feed.Traits                          { return feed.Traits{Gapless: !v.loose, Overlap: !v.loose} }
func (v *venue) Covered(context.Context, []feed.Symbol) error { return nil }
func (v *venue) Run(ctx context.Context, _ market.SourcePosition, _ uint64, sink feed.Sink) error {
	for {
		select {
		case entries := <-v.say:
			for i := range entries {
				if err := sink.Put(&entries[i]); err != nil {
					return err
				}
			}
			if err := sink.Flush(); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (v *venue) Refill(_ context.Context, s feed.Stretch, fn func(*market.Entry) error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.asked++; v.asked <= v.fails {
		return errors.New("the venue is busy")
	}
	for _, e := range v.all {
		byID := s.AfterID != 0 || s.BeforeID != 0
		if byID && (e.ID <= s.AfterID || e.ID >= s.BeforeID) || !byID && (e.Time < s.FromNs || e.Time >= s.ToNs || v.late[e.ID]) {
			continue
		}
		if err := fn(&e); err != nil {
			return err
		}
	}
	return nil
}

// live says trades and a mark, and keeps the trades for REST.
func (v *venue) live(entries ...market.Entry) {
	v.mu.Lock()
	for _, e := range entries {
		if e.Kind == market.Trade {
			v.all = append(v.all, e)
		}
	}
	v.mu.Unlock()
	v.say <- entries
}

// lastRecords are the newest records of a log by timeframe and start, and its gaps in their order.
func lastRecords(t *testing.T, l *memory) (records map[market.Timeframe]map[int64]market.Record, gaps []market.Gap) {
	t.Helper()
	records = make(map[market.Timeframe]map[int64]market.Record)
	for _, e := range l.stored() {
		f, err := logs.DecodeFrame(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range f.Records {
			if records[r.Timeframe] == nil {
				records[r.Timeframe] = make(map[int64]market.Record)
			}
			records[r.Timeframe][r.StartMs] = r
		}
		gaps = append(gaps, f.Gaps...)
	}
	return records, gaps
}

// within polls until ok or a minute has passed.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	guard := time.NewTimer(time.Minute)
	defer guard.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-guard.C:
			t.Fatal("never: " + what)
		}
	}
}

// TestLateTradeIsRepaired: trades that come after the revision window are a gap of their minute, which is made again of what
// the venue has of it, also though it cannot be asked at first: the minute and what is longer are revised, once.
func TestLateTradeIsRepaired(t *testing.T) {
	log, table := &memory{}, &market.SymbolTable{}
	spy := table.Intern("SPY")
	set := metrics.New("test")
	env := &Env{Bars: log, Ticks: noTicks{}, Symbols: table, Metrics: set, Log: logr.Discard(), Heads: headsOf(log, table)}
	spec := testSpec(t)
	spec.Timeframes = []market.Timeframe{market.M1, market.M5}
	v := &venue{say: make(chan []market.Entry), late: map[uint64]bool{105: true, 106: true}, fails: 1}
	p := NewPlane(PlaneOptions{Env: env, Source: v, Spec: spec, Status: func(feed.Status) {},
		Ended: func(_ int, err error) { t.Error(err) }, Failed: func(err error) { t.Error(err) }})
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { p.Run(ctx) })
	defer done.Wait()
	defer cancel()
	p.Claim(Claim{Partition: market.PartitionOf("SPY"), Token: 1, Gate: always{}})
	at := func(id uint64, ms int64, price string) market.Entry {
		e := tradeAt(id, ms)
		e.Symbol, e.Price = spy, market.MustDecimal(price)
		return e
	}
	hour := refoldMinute + 60*60_000
	v.live(at(101, refoldMinute, "10"), at(102, refoldMinute+1000, "11"), markAt(refoldMinute+1000))
	v.live(at(103, refoldMinute+70_000, "12"), at(104, hour, "13"), markAt(hour))
	v.live(at(105, refoldMinute+500, "20"), at(106, refoldMinute+2000, "9"), at(107, hour+1000, "13"), markAt(hour+1000))
	var records map[market.Timeframe]map[int64]market.Record
	var gaps []market.Gap
	n := int64(2)
	within(t, "the minute is repaired", func() bool {
		if n++; n%20 == 0 { // the watermark goes on
			v.live(markAt(hour + n*50))
		}
		records, gaps = lastRecords(t, log)
		return slices.ContainsFunc(gaps, func(g market.Gap) bool { return g.Reason == market.GapLateTrade && g.State == market.GapRepaired }) &&
			records[market.M5][refoldMinute].Rev > 0
	})
	one := records[market.M1][refoldMinute]
	if one.N != 4 || one.Prices.High != 20 || one.Prices.Close != 9 || one.Rev != 1 || one.Flags != 0 {
		t.Errorf("%+v, want the minute of 4 trades, revised once", one)
	}
	five := records[market.M5][refoldMinute]
	if five.N != 5 || five.Prices.High != 20 || five.Prices.Low != 9 || five.Prices.Close != 12 || five.Rev != 1 || five.Flags != 0 {
		t.Errorf("%+v, want 5 trades, revised once", five)
	}
	late := slices.DeleteFunc(gaps, func(g market.Gap) bool { return g.Reason != market.GapLateTrade })
	if len(late) != 2 || late[0].State != market.GapOpen || late[0].FromMs != refoldMinute || late[0].ToMs != refoldMinute+60_000 || late[0].AfterID != 104 || late[0].BeforeID != 107 {
		t.Errorf("gaps %+v, want one open, then repaired", late)
	}
	counted := httptest.NewRecorder()
	set.Handler().ServeHTTP(counted, httptest.NewRequest("GET", "/metrics", http.NoBody))
	for _, want := range []string{`feed_gaps_total{reason="late_trade"} 2`, `feed_repairs_total{result="error"} 1`} {
		if !strings.Contains(counted.Body.String(), want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

// remake gives the writer what a venue has of the minute that is to be made again.
func (r *refold) remake(state market.GapState, trades ...market.Entry) {
	r.t.Helper()
	gaps := r.w.fold.OpenGaps(nil)
	if len(gaps) != 1 || !gaps[0].Reason.Remakes() {
		r.t.Fatalf("gaps %+v, want one of a minute to be made again", gaps)
	}
	f := &fill{gap: gaps[0], trades: trades, done: make(chan error, 1)}
	f.gap.State = state
	for i := range f.trades {
		f.trades[i].Symbol = gaps[0].Symbol
	}
	if err := r.w.fill(context.Background(), f); err != nil {
		r.t.Fatal(err)
	}
}

// cancelled is a partition with a closed minute of three trades, of which the highest is then taken back.
func cancelled(t *testing.T) *refold {
	t.Helper()
	r := &refold{t: t}
	r.w = opened(t, &r.log, &r.ticks, 1)
	high := tradeAt(102, refoldMinute+2000)
	high.Price = market.MustDecimal("9")
	r.say(tradeAt(101, refoldMinute+1000), high, tradeAt(103, refoldMinute+3000), markAt(refoldMinute+60_000))
	for len(r.w.fold.OpenGaps(nil)) > 0 { // nothing is known before the first trade: that is no matter here
		g := r.w.fold.OpenGaps(nil)[0]
		f := &fill{gap: g, done: make(chan error, 1)}
		f.gap.State = market.GapRepaired
		if err := r.w.fill(context.Background(), f); err != nil {
			t.Fatal(err)
		}
	}
	r.say(markAt(refoldMinute + 61_000))
	high.Kind = market.Cancel
	r.say(high, markAt(refoldMinute+62_000))
	return r
}

// TestCancelIsRepaired: a cancel that took the high leaves the bar partial until the minute is made again of the trades that
// the venue has; what restarts in between changes nothing.
func TestCancelIsRepaired(t *testing.T) {
	for _, restart := range []string{"", "before", "after"} {
		r := cancelled(t)
		if got := r.last(); got.N != 2 || got.Flags != market.Partial || got.Prices.High != 90 {
			t.Fatalf("%+v, want a partial minute of 2 trades that keeps its high", got)
		}
		if restart == "before" {
			r.w = opened(t, &r.log, &r.ticks, 2)
		}
		r.say(markAt(refoldMinute + 63_000))
		r.remake(market.GapRepaired, tradeAt(101, refoldMinute+1000), tradeAt(103, refoldMinute+3000))
		if restart == "after" { // TICKS has the repair, no frame has
			r.w = opened(t, &r.log, &r.ticks, 2)
		}
		r.say(markAt(refoldMinute + 90_000))
		if got := r.last(); got.N != 2 || got.Flags != 0 || got.Prices.High != 15 || got.Prices.Low != 15 {
			t.Errorf("restart %q: %+v, want a whole minute of 2 trades at 1.5", restart, got)
		}
		if gaps := r.w.fold.OpenGaps(nil); len(gaps) > 0 {
			t.Errorf("restart %q: still open: %+v", restart, gaps)
		}
		r.say(tradeAt(103, refoldMinute+3000), tradeAt(104, refoldMinute+4000), markAt(refoldMinute+200_000)) // a repeat, and a late one
		if got := r.last(); got.N != 3 {
			t.Errorf("restart %q: %d trades after a late one, want 3", restart, got.N)
		}
	}
}

// TestRemadeWhileLateOnesCome: what came late to the minute while the venue was asked is not lost: it is asked again.
func TestRemadeWhileLateOnesCome(t *testing.T) {
	r := cancelled(t)
	gap := r.w.fold.OpenGaps(nil)[0]
	r.say(tradeAt(104, refoldMinute+4000), markAt(refoldMinute+64_000))
	f := &fill{gap: gap, done: make(chan error, 1)}
	f.gap.State = market.GapRepaired
	f.trades = []market.Entry{tradeAt(101, refoldMinute+1000), tradeAt(103, refoldMinute+3000)}
	for i := range f.trades {
		f.trades[i].Symbol = gap.Symbol
	}
	if err := r.w.fill(context.Background(), f); err != nil {
		t.Fatal(err)
	}
	r.say(markAt(refoldMinute + 90_000))
	if got := r.last(); got.N != 3 || got.Flags != market.Partial {
		t.Errorf("%+v, want 3 trades, partial", got)
	}
	if gaps := r.w.fold.OpenGaps(nil); len(gaps) != 1 || gaps[0].AfterID != 103 || gaps[0].BeforeID != 105 {
		t.Errorf("gaps %+v, want one that names the trade that came late", gaps)
	}
	r.remake(market.GapUnrepairable)
	r.say(markAt(refoldMinute + 91_000))
	if _, gaps := lastRecords(t, &r.log); gaps[len(gaps)-1].State != market.GapUnrepairable {
		t.Errorf("gaps %+v, want the last to be unrepairable", gaps)
	}
	r.remake(market.GapRepaired, tradeAt(101, refoldMinute+1000), tradeAt(103, refoldMinute+3000), tradeAt(104, refoldMinute+4000))
	r.say(markAt(refoldMinute + 130_000))
	if got := r.last(); got.N != 3 || got.Flags != 0 {
		t.Errorf("%+v, want a whole minute of 3", got)
	}
}

// TestAllCancelled: a minute of which the venue has nothing any more is void.
func TestAllCancelled(t *testing.T) {
	r := cancelled(t)
	r.remake(market.GapRepaired)
	r.say(markAt(refoldMinute + 90_000))
	if got := r.last(); got.N != 0 || got.Flags != market.Void {
		t.Errorf("%+v, want a void minute", got)
	}
}

// TestOldMinuteMadeAgainAfterCrash: a repair of a minute that the fold has long forgotten is in TICKS, and its writer died before
// the frame: who takes over knows the minute again from the log.
func TestOldMinuteMadeAgainAfterCrash(t *testing.T) {
	r := &refold{t: t}
	spec := testSpec(t)
	spec.Timeframes = []market.Timeframe{market.M1, market.M5}
	r.w = openedAs(t, &r.log, &r.ticks, 1, spec)
	hour := refoldMinute + 60*60_000
	r.say(tradeAt(101, refoldMinute-60_000), tradeAt(102, refoldMinute), markAt(refoldMinute+60_000))
	r.say(tradeAt(103, refoldMinute+61_000), tradeAt(104, hour), markAt(hour))
	open := r.w.fold.OpenGaps(nil)
	for _, g := range open {
		f := &fill{gap: g, done: make(chan error, 1)}
		f.gap.State = market.GapRepaired
		if err := r.w.fill(context.Background(), f); err != nil {
			t.Fatal(err)
		}
	}
	r.say(markAt(hour+60_000), tradeAt(105, refoldMinute+1000), markAt(hour+61_000))
	r.w.env.Since = func(int, int64) uint64 { return r.log.seq } // a writer reads the log's end alone
	r.remake(market.GapRepaired, tradeAt(102, refoldMinute), tradeAt(105, refoldMinute+1000))
	env := *r.w.env
	since := r.log.seq
	calls := 0
	env.Since = func(int, int64) uint64 {
		if calls++; calls == 1 {
			return since
		}
		return 1
	}
	w, err := openWriters(context.Background(), &env, spec, &feed.Traits{Gapless: true}, []Claim{{Partition: market.PartitionOf("SPY"), Token: 2, Gate: always{}}})
	if err != nil {
		t.Fatal(err)
	}
	r.w = w[0]
	r.say(markAt(hour + 90_000))
	records, _ := lastRecords(t, &r.log)
	if one, five := records[market.M1][refoldMinute], records[market.M5][refoldMinute]; one.N != 2 || five.N != 3 {
		t.Errorf("%+v\n%+v", one, five)
	}
}
