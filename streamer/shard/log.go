package shard

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/peer"
	"github.com/marketstream/marketstream/streamer/ring"
)

const (
	// readingBars bounds the bars that one reading of BARS keeps: some 64 MB.
	readingBars = 4 << 20
	// readWithin bounds one reading.
	readWithin = 20 * time.Second
	// readAgain is after how long BARS is read again that did not answer.
	readAgain = 100 * time.Millisecond
)

// logReader reads BARS for what nobody has, one reading at a time: who comes while one is
// under way shares the next.
type logReader struct {
	opts *Options

	mu      sync.Mutex
	running bool
	queue   []*reading // those that have not begun
}

// reading is one reading of BARS.
type reading struct {
	flights []*flight
	symbols map[uint32]bool
	frames  map[market.Timeframe]bool
	most    int      // bars of a ring
	found   []*found // of flights, once done is closed without err; nil: not yet
	done    chan struct{}
	err     error
}

const (
	// moreBars is how many times the bars that are wanted the first pass has room for: periods without a trade have none.
	moreBars = 2
	// further is how many times as far back the next pass goes, for what the one before found too little of: all passes
	// together read hardly more than the longest.
	further = 8
)

// stretch is what a pass reads: frames from a place on, and of them bars that do not start before ms.
type stretch struct {
	from uint64
	ms   int64
}

// stretch is what is to be read for the flights of r that have no answer, at a try.
func (l *logReader) stretch(r *reading, try int) stretch {
	s := stretch{from: math.MaxUint64, ms: math.MaxInt64}
	for i, f := range r.flights {
		if r.found[i] == nil {
			s.ms = min(s.ms, l.begins(f, try))
		}
	}
	for i, f := range r.flights {
		if r.found[i] == nil && s.ms > 0 {
			s.from = min(s.from, l.opts.Since(f.symbol, s.ms))
		}
	}
	if s.ms <= 0 || s.from <= 1 {
		return stretch{from: 1, ms: math.MinInt64}
	}
	return s
}

// begins is where bars are likely to begin that hold what a flight wants; 0: nobody can say.
func (l *logReader) begins(f *flight, try int) int64 {
	switch {
	case l.opts.Since == nil || l.opts.Reached == nil:
		return 0
	case f.HasAfter:
		return (f.AfterSeq + 1) * 60_000
	}
	end := l.opts.Reached(f.symbol)
	if f.BeforeMs > 0 {
		end = min(end, f.BeforeMs)
	}
	bars := float64(l.opts.Rings.Capacity())
	if f.Limit > 0 {
		bars = float64(f.Limit)
	}
	span := moreBars * (bars + 16) * float64(f.tf.Millis()) * math.Pow(further, float64(try))
	return max(0, end-int64(min(span, 1e15)))
}

// enough reports whether x, of a pass that may have begun too late, is what the whole log would say.
func (f *flight) enough(x *found) bool {
	return f.HasAfter || x.Evicted || f.Limit > 0 && x.count >= f.Limit
}

// bars is what the reading keeps at most.
func (r *reading) bars() int { return len(r.symbols) * len(r.frames) * r.most }

// read answers flights from BARS. An error is of all of them.
func (l *logReader) read(ctx context.Context, flights []*flight) error {
	readings, at := make([]*reading, len(flights)), make([]int, len(flights))
	l.mu.Lock()
	for i, f := range flights {
		readings[i], at[i] = l.join(f)
	}
	if !l.running {
		l.running = true
		go l.run()
	}
	l.mu.Unlock()
	for i, f := range flights {
		select {
		case <-readings[i].done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := readings[i].err; err != nil {
			return fmt.Errorf("reading BARS: %w", err)
		}
		f.found = readings[i].found[at[i]]
	}
	return nil
}

// join puts a flight into the last reading that waits, if there is room, and returns its place there; with l.mu held.
func (l *logReader) join(f *flight) (_ *reading, at int) {
	most := l.opts.Rings.Capacity()
	if f.Limit > 0 && f.BeforeMs == 0 && !f.HasAfter {
		most = min(most, 2*f.Limit+16) // some of the newest may be void
	}
	var r *reading
	if n := len(l.queue); n > 0 && l.queue[n-1].bars() < readingBars {
		r = l.queue[n-1]
	} else {
		r = &reading{symbols: make(map[uint32]bool), frames: make(map[market.Timeframe]bool), done: make(chan struct{})}
		l.queue = append(l.queue, r)
	}
	r.flights = append(r.flights, f)
	r.symbols[f.symbol], r.frames[f.tf], r.most = true, true, max(r.most, most)
	return r, len(r.flights) - 1
}

// run reads until nobody waits.
func (l *logReader) run() {
	for {
		l.mu.Lock()
		if len(l.queue) == 0 {
			l.running = false
			l.mu.Unlock()
			return
		}
		r := l.queue[0]
		l.queue = l.queue[1:]
		l.mu.Unlock()
		r.err = l.pass(r)
		close(r.done)
	}
}

// pass reads BARS to its end, from where what is wanted is likely to begin, and then from further back what it was too little of.
func (l *logReader) pass(r *reading) error {
	ctx, cancel := context.WithTimeout(context.Background(), readWithin)
	defer cancel()
	r.found = make([]*found, len(r.flights))
	for try := 0; ; {
		more, err := l.once(ctx, r, l.stretch(r, try))
		if err == nil && more {
			try++
			continue
		}
		if !errors.Is(err, logs.ErrUnavailable) {
			return err
		}
		t := time.NewTimer(readAgain)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return err
		}
	}
}

// once reads a stretch; more: some flights are without an answer yet.
func (l *logReader) once(ctx context.Context, r *reading, s stretch) (more bool, err error) {
	set := ring.NewSet(r.most)
	var symbols []uint32
	var frames []market.Timeframe
	for n := range r.symbols {
		symbols = append(symbols, n)
	}
	for tf := range r.frames {
		frames = append(frames, tf)
	}
	set.Carry(symbols, frames)
	last := uint64(0)
	err = l.opts.Frames.Frames(ctx, s.from, func(seq uint64, f *logs.Frame) error {
		last = seq
		for i := range f.Records {
			if x := &f.Records[i]; r.symbols[x.Symbol] {
				if b, ok := x.Bar(); ok && b.StartMs >= s.ms {
					set.Apply(x.Symbol, &b)
				}
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return false, err
	}
	now := time.Now()
	var bars []market.Bar
	for i, f := range r.flights {
		if r.found[i] != nil {
			continue
		}
		if f.seq > last {
			return false, fmt.Errorf("%w: it ends at %d, %d was read", logs.ErrRewound, last, f.seq)
		}
		x := &found{applied: last, at: now}
		bars, x.Info = set.Read(f.symbol, f.tf, f.Query, bars[:0])
		x.count, x.data = len(bars), peer.AppendBars(nil, bars)
		if s.from > 1 {
			if !f.enough(x) {
				more = true
				continue
			}
			if !f.HasAfter {
				x.Evicted = true // there may be older ones
			} else if x.Len > 0 {
				x.OldestSeq = min(x.OldestSeq, f.AfterSeq+1) // between there is none
			}
		}
		r.found[i] = x
	}
	return more, nil
}
