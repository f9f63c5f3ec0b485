package stream

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
)

const (
	// windowBytes is how much of the log a sweep holds in memory at once.
	windowBytes = 4 << 20
	sweepPause  = 250 * time.Millisecond // after a failure
	sweepLook   = 5 * time.Millisecond   // how often a sweep looks whether all have passed
)

// errEnough ends a read that has enough.
var errEnough = errors.New("enough")

// needSweep starts a sweep unless one is under way.
func (h *Hub) needSweep() {
	if h.sweeping.CompareAndSwap(false, true) {
		h.running.Go(func() {
			defer h.sweeping.Store(false)
			h.sweep()
		})
	}
}

// sweep reads the log for the clients that are behind the tail, window by window: all that
// wait within a window share it. A client whose socket is full drops out and waits for a later one.
func (h *Hub) sweep() {
	h.opts.Metrics.Sweep()
	defer h.tail.setWindow(nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-h.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	tick := time.NewTicker(sweepLook)
	defer tick.Stop()
	for {
		from := h.behind()
		if from == math.MaxUint64 {
			return
		}
		w, err := h.readWindow(ctx, from)
		if err != nil {
			if ctx.Err() == nil {
				h.opts.Log.Error(err, "reading BARS for clients that are behind")
			}
			h.pause(ctx, sweepPause)
			return
		}
		if len(w) == 0 {
			return // what they miss is in the tail by now
		}
		h.tail.setWindow(w)
		began := h.passed()
		h.signal()
		for h.walking() > 0 || h.passed() < began+2 {
			select {
			case <-tick.C:
				h.signal()
			case <-ctx.Done():
				return
			}
		}
	}
}

// readWindow reads frames from seq on, up to windowBytes or to what is in memory.
func (h *Hub) readWindow(ctx context.Context, seq uint64) (w []*entry, err error) {
	inMemory, _ := h.tail.oldest()
	bytes, now := 0, time.Now()
	err = h.opts.Frames.Frames(ctx, max(1, seq), func(seq uint64, f *logs.Frame) error {
		if seq >= inMemory || bytes > windowBytes {
			return errEnough
		}
		e := newEntry(seq, f, now)
		bytes += e.size
		w = append(w, e)
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return w, err
}

func (h *Hub) behind() uint64 {
	least := uint64(math.MaxUint64)
	for _, l := range h.loops {
		least = min(least, l.behind.Load())
	}
	return least
}

// walking is how many clients the window serves.
func (h *Hub) walking() (n int64) {
	for _, l := range h.loops {
		n += l.walking.Load()
	}
	return n
}

// passed is how many passes every loop has made at least.
func (h *Hub) passed() uint64 {
	least := uint64(math.MaxUint64)
	for _, l := range h.loops {
		least = min(least, l.passes.Load())
	}
	return least
}

func (h *Hub) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
