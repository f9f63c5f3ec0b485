package shard

import (
	"context"
	"errors"
	"fmt"
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

// reading is one reading of BARS from its beginning.
type reading struct {
	flights []*flight
	symbols map[uint32]bool
	frames  map[market.Timeframe]bool
	most    int      // bars of a ring
	found   []*found // of flights, once done is closed without err
	done    chan struct{}
	err     error
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

// pass reads BARS once to its end, if need be in more than one go.
func (l *logReader) pass(r *reading) error {
	ctx, cancel := context.WithTimeout(context.Background(), readWithin)
	defer cancel()
	for {
		err := l.once(ctx, r)
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

func (l *logReader) once(ctx context.Context, r *reading) error {
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
	err := l.opts.Frames.Frames(ctx, 1, func(seq uint64, f *logs.Frame) error {
		last = seq
		for i := range f.Records {
			if x := &f.Records[i]; r.symbols[x.Symbol] {
				if b, ok := x.Bar(); ok {
					set.Apply(x.Symbol, &b)
				}
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	now := time.Now()
	var bars []market.Bar
	r.found = r.found[:0]
	for _, f := range r.flights {
		if f.seq > last {
			return fmt.Errorf("%w: it ends at %d, %d was read", logs.ErrRewound, last, f.seq)
		}
		x := &found{applied: last, at: now}
		bars, x.Info = set.Read(f.symbol, f.tf, f.Query, bars[:0])
		x.count, x.data = len(bars), peer.AppendBars(nil, bars)
		r.found = append(r.found, x)
	}
	return nil
}
