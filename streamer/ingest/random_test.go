package ingest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// randomPair is a pair to which random things are done.
type randomPair struct {
	pair
	rnd  *rand.Rand
	now  int64 // ms after refoldMinute
	ids  map[string]uint64
	late map[string][]market.Entry // on their way
}

var pairSymbols = []string{"BACpB", "SPY"}

// trades has the venue make a trade now.
func (p *randomPair) trades(symbol string) market.Entry {
	p.ids[symbol]++
	id := p.ids[symbol]
	e := tradeAt(id, refoldMinute+p.now)
	e.Price, e.Size = market.MustDecimal(fmt.Sprint(100+id*7%13)), market.MustDecimal(fmt.Sprint(1+id%5))
	p.all[symbol] = append(p.all[symbol], e)
	return e
}

func (p *randomPair) step() {
	symbol := pairSymbols[p.rnd.IntN(2)]
	switch n := p.rnd.IntN(100); {
	case n < 42:
		p.hear(symbol, p.trades(symbol))
	case n < 46:
		p.trades(symbol) // it is lost
	case n < 50:
		p.late[symbol] = append(p.late[symbol], p.trades(symbol))
	case n < 68:
		p.now += 1 + p.rnd.Int64N(9000)
		p.mark(p.now - 100)
	case n < 72:
		p.hear(symbol, market.Entry{Kind: market.Seen, ID: p.ids[symbol], Time: (refoldMinute + p.now) * 1e6})
	case n < 76:
		for _, e := range p.late[symbol] {
			p.hear(symbol, e)
		}
		p.late[symbol] = nil
	case n < 80:
		p.refill()
	case n < 86:
		p.open()
	default:
		p.carry(slices.DeleteFunc(slices.Clone(pairSymbols), func(string) bool { return p.rnd.IntN(4) == 0 })...)
	}
}

// check holds every bar of a symbol against all its trades.
func (p *randomPair) check(symbol string) {
	p.t.Helper()
	got := make(map[market.Timeframe]map[int64]market.Record)
	for _, tf := range p.spec.Timeframes {
		got[tf] = make(map[int64]market.Record)
	}
	for _, e := range p.log.entries {
		f, err := logs.DecodeFrame(e.Data)
		if err != nil {
			p.t.Fatal(err)
		}
		for _, r := range f.Records {
			if f.Symbols[r.Symbol] == symbol {
				got[r.Timeframe][r.StartMs] = r
			}
		}
	}
	for _, tf := range p.spec.Timeframes {
		want := make(map[int64]market.Record)
		for _, e := range p.all[symbol] {
			start, end := p.spec.Session.Period(tf, e.Time/1e6)
			r, ok := want[start]
			if !ok {
				r = market.Record{Timeframe: tf, StartMs: start, EndMs: end}
			}
			if err := r.AddTrade(&e, market.UseVolume|market.UseRange|market.UseEnds); err != nil {
				p.t.Fatal(err)
			}
			want[start] = r
		}
		for _, start := range slices.Sorted(maps.Keys(want)) {
			w, g := want[start], got[tf][start]
			w.Symbol, w.Rev = g.Symbol, g.Rev
			if g != w {
				p.t.Errorf("%s %v at +%d s: %d trades, volume %v, flags %d, rev %d; the venue has %d, %v", symbol, tf,
					(start-refoldMinute)/1000, g.N, g.Volume, g.Flags, g.Rev, w.N, w.Volume)
			}
		}
	}
}

// TestComeAndGoAtRandom: symbols come and go, trades are lost or late, the partition is taken over and gaps are filled, at
// random. In the end every bar is that of all trades.
func TestComeAndGoAtRandom(t *testing.T) {
	seeds := []uint64{2032, 3238} // of 4,000, these were wrong after the others were mended
	for seed := range uint64(60) {
		seeds = append(seeds, seed)
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			p := &randomPair{pair: pair{refold: refold{t: t}, all: make(map[string][]market.Entry)}, rnd: rand.New(rand.NewPCG(seed, 0)),
				now: 1000, ids: map[string]uint64{"SPY": 100, "BACpB": 500}, late: make(map[string][]market.Entry)}
			p.carry(pairSymbols...)
			for range 120 {
				p.step()
			}
			p.carry(pairSymbols...)
			for _, s := range pairSymbols {
				p.hear(s, p.trades(s))
			}
			for range 20 {
				p.now += 31_000
				p.mark(p.now)
				p.refill()
			}
			for _, s := range pairSymbols {
				p.check(s)
			}
		})
	}
}
