package ingest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/metrics"
)

// shutGate lets nobody write from when it is shut until it is opened.
type shutGate struct {
	shut    atomic.Bool
	stopped atomic.Bool // somebody waits
	open    chan struct{}
}

func (g *shutGate) Wait(ctx context.Context) error {
	if !g.shut.Load() {
		return nil
	}
	g.stopped.Store(true)
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stateTicks counts state messages.
type stateTicks struct {
	noTicks
	sent atomic.Int64
}

func (s *stateTicks) PublishState(int, []byte) error {
	s.sent.Add(1)
	return nil
}

// TestOverload: trades come faster than they are folded. Ticks to clients give way first, then open bars, then the source is
// held up; every trade is in a closed bar in the end.
func TestOverload(t *testing.T) {
	log, table, ticks := &memory{}, &market.SymbolTable{}, &stateTicks{}
	spy := table.Intern("SPY")
	env := &Env{Bars: log, Ticks: ticks, Symbols: table, Metrics: metrics.New("test"), Log: logr.Discard(), Heads: headsOf(log, table)}
	v := &venue{say: make(chan []market.Entry)}
	p := NewPlane(PlaneOptions{Env: env, Source: v, Spec: testSpec(t), Status: func(feed.Status) {},
		Ended: func(_ int, err error) { t.Error(err) }, Failed: func(err error) { t.Error(err) }})
	p.room = newRoom(4000)
	p.live = v
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { p.Run(ctx) })
	defer done.Wait()
	defer cancel()
	gate := &shutGate{open: make(chan struct{})}
	p.Claim(Claim{Partition: market.PartitionOf("SPY"), Token: 1, Gate: gate})
	id := uint64(100)
	burst := func(n int) []market.Entry {
		out := make([]market.Entry, n)
		for i := range out {
			id++
			out[i] = tradeAt(id, refoldMinute+int64(id))
			out[i].Symbol = spy
		}
		return out
	}
	v.say <- burst(1)
	v.say <- []market.Entry{markAt(refoldMinute + 1000)}
	within(t, "it writes", func() bool {
		g := p.Progress()
		return len(g) == 1 && g[0].WatermarkMs == refoldMinute+1000 && p.Waiting() == 0
	})
	gate.shut.Store(true)
	v.say <- burst(1)
	within(t, "the writer waits", func() bool { return gate.stopped.Load() && p.Waiting() == 0 })
	before, held := ticks.sent.Load(), int64(id-100)
	for _, step := range []struct {
		n    int
		want Pressure
	}{{900, NoPressure}, {300, TicksGiveWay}, {900, StatesGiveWay}} {
		v.say <- burst(step.n)
		within(t, "it waits", func() bool { return p.Waiting() == int64(id-100)-held })
		if got := p.Pressure(); got != step.want {
			t.Errorf("%d wait: %d, want %d", p.Waiting(), got, step.want)
		}
	}
	sent := make(chan struct{})
	go func() { // more than there is room for: the source waits
		defer close(sent)
		for range 4 {
			v.say <- burst(1000)
		}
		v.say <- []market.Entry{markAt(refoldMinute + 60_000)}
	}()
	within(t, "the room is full", func() bool { return p.Waiting() > 3700 })
	select {
	case <-sent:
		t.Error("the source is not held up")
	default:
	}
	if n := ticks.sent.Load() - before; n > 1 { // one may have been under way
		t.Errorf("%d messages of open bars", n)
	}
	close(gate.open)
	<-sent
	within(t, "the minute closes, and nothing gives way", func() bool {
		records, _ := lastRecords(t, log)
		return records[market.M1][refoldMinute].N > 0 && p.Pressure() == NoPressure
	})
	if records, _ := lastRecords(t, log); records[market.M1][refoldMinute].N != int64(id-100) {
		t.Errorf("%d trades in the bar, want %d", records[market.M1][refoldMinute].N, id-100)
	}
	e := tradeAt(id+1, refoldMinute+61_000)
	e.Symbol = spy
	after := ticks.sent.Load()
	v.say <- []market.Entry{e}
	within(t, "open bars are sent again", func() bool { return ticks.sent.Load() > after })
}

// TestStatesGiveWay: open bars that were not sent come afterwards, as they are then.
func TestStatesGiveWay(t *testing.T) {
	r := &refold{t: t}
	r.w = opened(t, &r.log, &r.ticks, 1)
	ticks := &stateTicks{}
	r.w.env.Ticks = ticks
	strained := true
	r.w.strained = func() bool { return strained }
	r.say(tradeAt(1, refoldMinute), markAt(refoldMinute+1000))
	r.w.publishStates()
	if n := ticks.sent.Load(); n != 0 {
		t.Errorf("%d messages of open bars", n)
	}
	strained = false
	r.w.publishStates()
	if n := ticks.sent.Load(); n != 1 {
		t.Errorf("%d messages of open bars afterwards, want 1", n)
	}
}
