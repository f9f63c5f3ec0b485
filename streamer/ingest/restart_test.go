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

// ahead is a source that can be read again. Its first run is at a late watermark, and says so once more
// whenever its symbols change; a later one says the past.
type ahead struct {
	past []market.Entry
	late market.Entry
	runs atomic.Int32
	more chan chan struct{} // asks the first run for its watermark
}

func (a *ahead) Close() error { return nil }

func (a *ahead) SetSymbols([]feed.Symbol) {
	said := make(chan struct{})
	select {
	case a.more <- said:
		<-said
	default: // no run waits
	}
}

func (a *ahead) Run(ctx context.Context, _ market.SourcePosition, _ uint64, sink feed.Sink) error {
	say := func(e market.Entry) error {
		if err := sink.Put(&e); err != nil {
			return err
		}
		return sink.Flush()
	}
	if a.runs.Add(1) > 1 {
		for _, e := range a.past {
			if err := say(e); err != nil {
				return err
			}
		}
	}
	if err := say(a.late); err != nil {
		return err
	}
	for {
		select {
		case said := <-a.more:
			err := say(a.late)
			close(said)
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TestNewcomerHasItsOwnTime: a partition that comes while the source runs gets nothing of that run, whose
// watermark is later than the trades that are said for the newcomer then: its bars are no revisions.
func TestNewcomerHasItsOwnTime(t *testing.T) {
	log, table := &memory{}, &market.SymbolTable{}
	spy := table.Intern("SPY")
	table.Intern("QQQ")
	if market.PartitionOf("SPY") == market.PartitionOf("QQQ") {
		t.Fatal("they have one partition")
	}
	trade := func(id uint64, ms int64) market.Entry {
		e := tradeAt(id, ms)
		e.Symbol, e.Offset = spy, id
		return e
	}
	late := markAt(refoldMinute + 10*60_000)
	late.Offset = 10
	src := &ahead{late: late, more: make(chan chan struct{}), past: []market.Entry{
		trade(2, refoldMinute), trade(3, refoldMinute+60_000)}}
	env := &Env{Bars: log, Ticks: noTicks{}, Symbols: table, Metrics: metrics.New("test"), Log: logr.Discard(), Heads: headsOf(log, table)}
	spec := testSpec(t)
	spec.Symbols = []string{"SPY", "QQQ"}
	p := NewPlane(PlaneOptions{Env: env, Source: src, Spec: spec, Status: func(feed.Status) {},
		Ended: func(_ int, err error) { t.Error(err) }, Failed: func(err error) { t.Error(err) }})
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { p.Run(ctx) })
	defer done.Wait()
	defer cancel()
	p.Claim(Claim{Partition: market.PartitionOf("QQQ"), Token: 1, Gate: always{}})
	within(t, "the first one is at the late watermark", func() bool {
		g := p.Progress()
		return len(g) == 1 && g[0].WatermarkMs == refoldMinute+10*60_000
	})
	p.Claim(Claim{Partition: market.PartitionOf("SPY"), Token: 2, Gate: always{}})
	var first market.Record
	within(t, "the newcomer's minutes have closed", func() bool {
		records, _ := lastRecords(t, log)
		first = records[market.M1][refoldMinute]
		return records[market.M1][refoldMinute+60_000].N > 0
	})
	if first.N != 1 || first.Rev != 0 {
		t.Errorf("its first minute has %d trades in revision %d, want 1 in revision 0", first.N, first.Rev)
	}
}
