package ingest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// pair is a partition with SPY and BACpB, of a venue that knows all their trades.
type pair struct {
	refold
	spec  *Spec
	token uint64
	all   map[string][]market.Entry
}

// carry puts a document with these symbols into effect.
func (p *pair) carry(symbols ...string) {
	p.t.Helper()
	p.spec = vendorSpec(p.t, "a", int64(p.token+1))
	p.spec.Symbols, p.spec.CloseGraceMs = symbols, 500
	p.spec.Timeframes = []market.Timeframe{market.M1, market.M2, market.M5}
	p.open()
}

// open has the partition taken over, from the log alone; without symbols it has no writer.
func (p *pair) open() {
	p.t.Helper()
	p.token++
	p.w = openedAs(p.t, &p.log, &p.ticks, p.token, p.spec)
}

// trade has a symbol traded at a time after refoldMinute; heard: on the connection.
func (p *pair) trade(symbol string, id uint64, ms int64, heard bool) {
	p.t.Helper()
	e := tradeAt(id, refoldMinute+ms)
	p.all[symbol] = append(p.all[symbol], e)
	if heard {
		p.hear(symbol, e)
	}
}

// hear says an entry of a symbol, if it is carried.
func (p *pair) hear(symbol string, e market.Entry) {
	p.t.Helper()
	if !slices.Contains(p.spec.Symbols, symbol) {
		return // the router has no way for it
	}
	e.Symbol = p.w.env.Symbols.Intern(symbol)
	if err := p.w.process(context.Background(), []market.Entry{e}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pair) mark(ms int64) {
	p.t.Helper()
	if p.w == nil {
		return
	}
	if err := p.w.process(context.Background(), []market.Entry{markAt(refoldMinute + ms)}); err != nil {
		p.t.Fatal(err)
	}
}

// refill fills every open gap with what the venue has.
func (p *pair) refill() {
	p.t.Helper()
	if p.w == nil {
		return
	}
	all := p.w.fold.OpenGaps(nil)
	for _, g := range all {
		if !p.w.ripe(&g, all) {
			continue
		}
		f := &fill{gap: g, done: make(chan error, 1)}
		f.gap.State = market.GapRepaired
		for _, e := range p.all[p.w.env.Symbols.Name(g.Symbol)] {
			begun, over := e.Time >= g.FromMs*1e6, e.Time >= g.ToMs*1e6
			if g.AfterID != 0 {
				begun = e.ID > g.AfterID
			}
			if g.BeforeID != 0 {
				over = e.ID >= g.BeforeID
			}
			if begun && !over {
				e.Symbol = g.Symbol
				f.trades = append(f.trades, e)
			}
		}
		if err := p.w.fill(context.Background(), f); err != nil {
			p.t.Fatal(err)
		}
	}
}

// minute is the newest record of a minute.
func (p *pair) minute(symbol string, start int64) (last market.Record) {
	p.t.Helper()
	for _, e := range p.log.entries {
		f, err := logs.DecodeFrame(e.Data)
		if err != nil {
			p.t.Fatal(err)
		}
		for _, r := range f.Records {
			if f.Symbols[r.Symbol] == symbol && r.Timeframe == market.M1 && r.StartMs == refoldMinute+start {
				last = r
			}
		}
	}
	return last
}

// begunPair has closed a minute, and each symbol has traded in the next one, SPY first.
func begunPair(t *testing.T) *pair {
	p := &pair{refold: refold{t: t}, all: make(map[string][]market.Entry)}
	p.carry("SPY", "BACpB")
	p.trade("SPY", 101, 1000, true)
	p.trade("BACpB", 201, 1500, true)
	p.mark(2000)
	p.refill()
	p.mark(3000)
	p.trade("SPY", 102, 60_100, true)
	p.trade("SPY", 103, 60_300, true)
	p.trade("BACpB", 202, 60_400, true)
	p.trade("SPY", 104, 60_500, true)
	p.mark(60_700)
	if got := p.minute("SPY", 0); got.N != 1 || got.Flags != 0 {
		t.Fatalf("%+v, want a closed minute", got)
	}
	return p
}

// TestBackWithinItsMinute: a symbol leaves, and is back before the minute has closed in which it left. What was taken in of
// that minute before does not count, for who wrote the partition meanwhile kept none of it: all of it is asked for, wherever
// the partition is taken over.
func TestBackWithinItsMinute(t *testing.T) {
	const steps = 6
	for crashes := range 1 << steps {
		t.Run(fmt.Sprintf("%0*b", steps, crashes), func(t *testing.T) {
			p := begunPair(t)
			step := 0
			crash := func() {
				if crashes>>step&1 != 0 {
					p.open()
				}
				step++
			}
			p.carry("BACpB")
			crash()
			p.trade("BACpB", 203, 61_000, false)
			p.trade("BACpB", 204, 61_100, true) // one is missing: a frame, and it begins with BACpB's first trade
			p.trade("SPY", 105, 61_200, true)
			p.mark(61_500)
			p.refill()
			p.mark(61_600)
			crash()
			p.carry("SPY", "BACpB")
			crash()
			p.trade("SPY", 106, 62_000, true)
			crash()
			p.mark(62_500)
			crash()
			p.refill()
			crash()
			p.trade("SPY", 107, 63_000, true)
			p.mark(63_500)
			p.mark(120_000)
			p.mark(180_000)
			if got := p.minute("SPY", 60_000); got.N != 6 || got.Flags != 0 || got.Volume != (market.Int128{Lo: 12}) {
				t.Errorf("%+v, want a whole minute of 6 trades", got)
			}
			if got := p.minute("BACpB", 60_000); got.N != 3 || got.Flags != 0 {
				t.Errorf("%+v, want a whole minute of 3 trades", got)
			}
		})
	}
}
