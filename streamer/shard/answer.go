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

// Walk calls fn with what Answer gives for each ask, in their order, without holding it all.
// Bars are fn's until it returns. It ends with fn's first error.
func (s *Shard) Walk(ctx context.Context, seq uint64, asks []ring.Ask, fn func(i int, a ring.Answer) error) error {
	if err := s.opts.Rings.WaitApplied(ctx, seq); err != nil {
		return err
	}
	var answer ring.Answer
	for from := 0; from < len(asks); {
		to, wants, at := s.window(asks, from)
		all, err := s.find(ctx, seq, wants)
		if err != nil {
			return fmt.Errorf("rings of other pods: %w", err)
		}
		for ; from < to; from++ {
			var f *found
			if k, ok := at[from]; ok {
				f = all[k]
			}
			if err := s.one(ctx, seq, &asks[from], f, &answer); err != nil {
				return err
			}
			if err := fn(from, answer); err != nil {
				return err
			}
		}
	}
	return nil
}

// window returns where the asks end that are looked for together from one on, and those of
// them that are not here, with their places.
func (s *Shard) window(asks []ring.Ask, from int) (to int, wants []want, at map[int]int) {
	capacity := s.opts.Rings.Capacity()
	at = make(map[int]int)
	for bars := 0; from < len(asks) && bars < windowBars; from++ {
		a := &asks[from]
		if s.opts.Rings.Has(a.Symbol, a.Timeframe) || !s.carries(a.Symbol, a.Timeframe) {
			continue
		}
		at[from] = len(wants)
		wants = append(wants, wanted(a))
		if n := a.Limit; n > 0 {
			bars += min(n, capacity)
		} else {
			bars += capacity
		}
	}
	return from, wants, at
}

// one makes the answer to one ask, in the room of into: of f if it was found elsewhere, else from here; a
// ring that has just left is looked for after all.
func (s *Shard) one(ctx context.Context, seq uint64, a *ring.Ask, f *found, into *ring.Answer) (err error) {
	if f == nil {
		into.Bars, into.Info = s.opts.Rings.Read(a.Symbol, a.Timeframe, a.Query, into.Bars[:0])
		if !into.Missing {
			return nil
		}
		if !s.carries(a.Symbol, a.Timeframe) {
			into.Info = ring.Info{}
			return nil
		}
		all, err := s.find(ctx, seq, []want{wanted(a)})
		if err != nil {
			return fmt.Errorf("rings of other pods: %w", err)
		}
		f = all[0]
	}
	into.Info = f.Info
	if into.Bars = into.Bars[:0]; a.Unless == 0 || a.Unless != f.Version {
		into.Bars, err = f.decode(into.Bars, a.Timeframe)
	}
	return err
}
