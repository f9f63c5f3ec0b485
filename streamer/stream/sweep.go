package stream

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
)

const (
	// defaultWindow is how much of the log a sweep holds in memory at once.
	defaultWindow = 4 << 20
	sweepPause    = 250 * time.Millisecond // after a failure
	sweepLook     = 5 * time.Millisecond   // how often a sweep looks whether all have passed
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

// sweep reads the log for the clients that are behind the tail, window by window and never
// back: all that wait join it when it comes to their place, and those whose place it has passed
// wait for the next. So, however many come meanwhile, the log is read twice at most for them. A
// client whose socket is full drops out and waits for a later one.
func (h *Hub) sweep() {
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
	h.swept.Store(0)
	for first := true; h.served(ctx); first = false {
		from := h.behind()
		if from == math.MaxUint64 {
			return
		}
		if first {
			h.opts.Metrics.Sweep()
		}
		w, begins, err := h.readWindow(ctx, from)
		if err != nil {
			if ctx.Err() == nil {
				h.opts.Log.Error(err, "reading BARS for clients that are behind")
			}
			h.pause(ctx, sweepPause)
			return
		}
		if begins > from { // the log has lost what some of them need: they are reset
			h.tail.lost(begins)
		}
		if len(w) == 0 {
			if begins <= from {
				h.pause(ctx, sweepPause) // the log has less than the tail: it will be found to be rewound
			}
			return // what they miss is in the tail by now
		}
		h.tail.setWindow(w)
		h.swept.Store(w[len(w)-1].seq + 1)
	}
}

// served waits until every client that the window serves has left it or is blocked, and
// every loop has looked twice: what it says of its clients is then of now. False: the hub closes.
func (h *Hub) served(ctx context.Context) bool {
	tick := time.NewTicker(sweepLook)
	defer tick.Stop()
	began := h.passed()
	h.signal()
	for h.walking() > 0 || h.passed() < began+2 {
		select {
		case <-tick.C:
			h.signal()
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// readWindow reads frames from seq on, up to windowBytes or to what is in memory. begins is the
// first that the log has; 0: none. A beginning that passes the reading takes with it what was read.
func (h *Hub) readWindow(ctx context.Context, seq uint64) (w []*entry, begins uint64, err error) {
	inMemory, _ := h.tail.oldest()
	bytes, now := 0, time.Now()
	err = h.opts.Frames.Frames(ctx, max(1, seq), func(seq uint64, f *logs.Frame) error {
		if begins == 0 || len(w) > 0 && seq != w[len(w)-1].seq+1 {
			begins, w, bytes = seq, nil, 0
		}
		if seq > inMemory.seq || bytes > h.windowBytes {
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
	return w, begins, err
}

// behind is the first frame that a client needs which the sweep has not passed; math.MaxUint64: none.
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
