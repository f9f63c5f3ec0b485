package shard

import (
	"context"
	"fmt"

	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/ring"
)

// windowBars bounds the bars from elsewhere that one caller of Walk has in memory, encoded:
// about 1.3 MB.
const windowBars = 1 << 16

// WaitApplied waits until everything up to seq of BARS is applied here.
func (s *Shard) WaitApplied(ctx context.Context, seq uint64) error {
	return s.opts.Rings.WaitApplied(ctx, seq)
}

// Answer answers asks, in their order, once everything up to seq of BARS is in the rings that
// they are about, wherever these are. Of what is not carried nothing is known.
func (s *Shard) Answer(ctx context.Context, seq uint64, asks []ring.Ask) ([]ring.Answer, error) {
	if err := s.opts.Rings.WaitApplied(ctx, seq); err != nil {
		return nil, err
	}
	out := make([]ring.Answer, len(asks))
	var wants []want
	var at []int
	for i := range asks {
		a := &asks[i]
		if out[i].Bars, out[i].Info = s.opts.Rings.Read(a.Symbol, a.Timeframe, a.Query, nil); out[i].Missing {
			wants, at = append(wants, wanted(a)), append(at, i)
		}
	}
	wants, at = s.carriedOf(wants, at, out)
	found, err := s.find(ctx, seq, wants)
	if err != nil {
		return nil, fmt.Errorf("rings of other pods: %w", err)
	}
	for k, f := range found {
		a := &out[at[k]]
		a.Info = f.Info
		if u := asks[at[k]].Unless; u != 0 && u == f.Version {
			continue
		}
		if a.Bars, err = f.decode(nil, asks[at[k]].Timeframe); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func wanted(a *ring.Ask) want {
	w := want{a.Symbol, a.Timeframe, a.Query}
	w.Unless = 0
	return w
}

// carriedOf leaves out what no pod has: symbols and timeframes that are not carried.
func (s *Shard) carriedOf(wants []want, at []int, out []ring.Answer) ([]want, []int) {
	n := 0
	for k, w := range wants {
		if !s.carries(w.symbol, w.tf) {
			out[at[k]].Info = ring.Info{}
			continue
		}
		wants[n], at[n] = w, at[k]
		n++
	}
	return wants[:n], at[:n]
}

func (s *Shard) carries(symbol uint32, tf market.Timeframe) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.carried[symbol] {
		return false
	}
	for _, x := range s.frames {
		if x == tf {
			return true
		}
	}
	return false
}

// Walk calls fn with the bars of each ask, in their order, as Answer gives them, without
// holding them all. bars is fn's until it returns. It ends with fn's first error.
func (s *Shard) Walk(ctx context.Context, seq uint64, asks []ring.Ask, fn func(i int, bars []market.Bar) error) error {
	if err := s.opts.Rings.WaitApplied(ctx, seq); err != nil {
		return err
	}
	var bars []market.Bar
	capacity := s.opts.Rings.Capacity()
	for from := 0; from < len(asks); {
		to, most := from, 0
		var wants []want
		at := make(map[int]int)
		for ; to < len(asks) && most < windowBars; to++ {
			a := &asks[to]
			if s.opts.Rings.Has(a.Symbol, a.Timeframe) || !s.carries(a.Symbol, a.Timeframe) {
				continue
			}
			at[to] = len(wants)
			wants = append(wants, wanted(a))
			if n := a.Limit; n > 0 {
				most += min(n, capacity)
			} else {
				most += capacity
			}
		}
		found, err := s.find(ctx, seq, wants)
		if err != nil {
			return fmt.Errorf("rings of other pods: %w", err)
		}
		for i := from; i < to; i++ {
			k, ok := at[i]
			if bars, err = s.one(ctx, seq, &asks[i], found, k, ok, bars[:0]); err != nil {
				return err
			}
			if err := fn(i, bars); err != nil {
				return err
			}
		}
		from = to
	}
	return nil
}

// one reads one ask: found[k] if it was looked for, else here; a ring that has just left is looked for after all.
func (s *Shard) one(ctx context.Context, seq uint64, a *ring.Ask, all []*found, k int, ok bool, dst []market.Bar) ([]market.Bar, error) {
	if ok {
		return all[k].decode(dst, a.Timeframe)
	}
	bars, info := s.opts.Rings.Read(a.Symbol, a.Timeframe, a.Query, dst)
	if !info.Missing || !s.carries(a.Symbol, a.Timeframe) {
		return bars, nil
	}
	f, err := s.find(ctx, seq, []want{wanted(a)})
	if err != nil {
		return nil, fmt.Errorf("rings of other pods: %w", err)
	}
	return f[0].decode(dst, a.Timeframe)
}
