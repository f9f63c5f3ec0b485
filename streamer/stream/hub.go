package stream

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// Hub serves streams. Publish and Truncate come from one goroutine, in the order of BARS;
// everything else may be called at the same time.
type Hub struct {
	opts     Options
	tail     tail
	states   states
	ticks    tickRings
	demand   demand
	settings atomic.Pointer[settings]
	status   atomic.Pointer[statusText]
	telling  sync.Mutex // of who changes status
	loops    []*loop
	nextLoop atomic.Uint64
	open     atomic.Int64 // streams, those in their preface too
	draining atomic.Bool
	closed   chan struct{}
	stop     sync.Once
	running  sync.WaitGroup
	sweeping atomic.Bool
	swept    atomic.Uint64 // where the sweep's next window begins: it has passed what lies before
	cut      atomic.Pointer[truncation]

	windowBytes int
	aheadWait   time.Duration
}

// truncation is the n-th time that BARS lost what lay after seq.
type truncation struct{ n, seq uint64 }

type statusText struct {
	version uint64
	Status
	text []byte
}

// NewHub starts a hub. Configure it before it serves.
func NewHub(opts Options) *Hub {
	if opts.TailBytes == 0 {
		opts.TailBytes = defaultTailBytes
	}
	if opts.HorizonBytes == 0 {
		opts.HorizonBytes = defaultHorizon
	}
	if opts.Loops == 0 {
		opts.Loops = runtime.GOMAXPROCS(0)
	}
	h := &Hub{opts: opts, closed: make(chan struct{}), windowBytes: defaultWindow, aheadWait: aheadWait}
	h.demand.changed = opts.Demanded
	h.tail.moved = make(chan struct{})
	h.tail.most, h.tail.horizonMost = opts.TailBytes, opts.HorizonBytes
	h.ticks.rings = make(map[uint32]*tickRing)
	h.status.Store(&statusText{})
	h.cut.Store(&truncation{})
	h.settings.Store(newSettings(Config{MicrobarInterval: slot, FlushInterval: slot, HeartbeatInterval: quietID}))
	for range opts.Loops {
		l := newLoop(h)
		h.loops = append(h.loops, l)
		h.running.Go(l.run)
	}
	return h
}

// Configure puts a configuration into effect; open streams go on.
func (h *Hub) Configure(c Config) { h.settings.Store(newSettings(c)) }

// Respelled drops the texts that name symbols which are spelled otherwise now.
func (h *Hub) Respelled(symbols []uint32) {
	h.tail.dropTexts(symbols)
	h.states.dropTexts(symbols)
}

// Publish takes the next frame of BARS; its records carry process-wide symbol numbers. The
// hub reads f until it returns.
func (h *Hub) Publish(seq uint64, f *logs.Frame) {
	e := newEntry(seq, f, time.Now())
	for i := range f.Records {
		if r := &f.Records[i]; r.Timeframe == market.M1 {
			h.states.close(r.Symbol, r.StartMs)
		}
	}
	h.tail.append(e)
	h.opts.Metrics.TailBytes(h.tail.size())
	h.signal()
}

// Common returns the newest frame that was published and that the log still has, as it was: of
// one whose end was lost and written again, sequences alone say nothing. 0: there is none.
func (h *Hub) Common(ctx context.Context) (seq uint64, err error) {
	frames := h.tail.milestones()
	if len(frames) == 0 {
		return 0, nil
	}
	var first uint64 // what comes before it has aged out
	err = h.opts.Frames.Frames(ctx, frames[0].seq, func(seq uint64, _ *logs.Frame) error {
		first = seq
		return errEnough
	})
	if first == 0 || err != nil && !errors.Is(err, errEnough) {
		return 0, err
	}
	err = nil
	frames = frames[sort.Search(len(frames), func(i int) bool { return frames[i].seq >= first }):]
	n := sort.Search(len(frames), func(i int) bool { // those that the log has come before those that it has not
		if err != nil {
			return true
		}
		f, e := h.opts.Frames.Get(ctx, frames[i].seq)
		switch {
		case errors.Is(e, logs.ErrGone):
			return true
		case e != nil:
			err = e
		}
		return e != nil || f.Tag != frames[i].tag
	})
	if err != nil || n == 0 {
		return 0, err
	}
	return frames[n-1].seq, nil
}

// Truncate says that BARS lost what lay after seq: streams that are past it are reset.
func (h *Hub) Truncate(seq uint64) {
	h.tail.truncate(seq)
	h.states.reset()
	h.cut.Store(&truncation{n: h.cut.Load().n + 1, seq: seq})
	h.signal()
}

func (h *Hub) signal() {
	for _, l := range h.loops {
		l.signal()
	}
}

// State takes the newest state of a symbol; m is the caller's again at return.
func (h *Hub) State(m *market.State) { h.states.put(m) }

// WantsTicks reports whether a client waits for ticks of a symbol.
func (h *Hub) WantsTicks(symbol uint32) bool {
	r := h.ticks.get(symbol)
	return r != nil && r.wanted.Load() > 0
}

// Tick takes a trade; e is the caller's again at return. It costs nothing while no client
// waits for it.
func (h *Hub) Tick(e *market.Entry) {
	r := h.ticks.get(e.Symbol)
	if r == nil || r.wanted.Load() == 0 {
		return
	}
	if cfg := h.settings.Load().bySymbol[e.Symbol]; cfg != nil && cfg.Ticks != TicksDisabled {
		r.put(e, cfg.Name, cfg.BufferCapacity)
	}
}

// Shed says that n trades of a symbol came and are not shown: to clients that wait for them they count as dropped.
func (h *Hub) Shed(symbol uint32, n int) {
	if r := h.ticks.get(symbol); r != nil && r.wanted.Load() > 0 {
		r.shed(n)
	}
}

// Status says how the feed is doing; clients get an event when it changes.
func (h *Hub) Status(s Status) {
	h.telling.Lock()
	defer h.telling.Unlock()
	old := h.status.Load()
	if old.Status == s {
		return
	}
	body, _ := json.Marshal(struct { // strings only: cannot fail
		Source  string `json:"source"`
		State   string `json:"state"`
		Session string `json:"session"`
		Reason  string `json:"reason,omitempty"`
	}{h.settings.Load().Source, s.State, s.Session, s.Reason})
	h.status.Store(&statusText{version: old.version + 1, Status: s, text: []byte("event: status\ndata: " + string(body) + "\n\n")})
}

// Connections is the number of open streams.
func (h *Hub) Connections() int { return int(h.open.Load()) }

// drop closes a client's connection and gives back what it held.
func (h *Hub) drop(c *client) {
	c.conn.Close()
	h.demand.add(c, -1)
	for i := range c.ticks {
		if r := c.ticks[i].ring; r != nil {
			r.leave()
		}
	}
	h.leave()
}

func (h *Hub) leave() { h.opts.Metrics.Connections(int(h.open.Add(-1))) }

// Drain refuses new streams and ends the open ones, spread over window; it returns when
// none is left, or when ctx ends and the rest is cut.
func (h *Hub) Drain(ctx context.Context, window time.Duration) {
	h.draining.Store(true)
	tick := time.NewTicker(slot)
	defer tick.Stop()
	began := time.Now()
	had := make([]int64, len(h.loops))
	for i, l := range h.loops {
		had[i] = l.count.Load()
	}
	for h.open.Load() > 0 {
		select {
		case <-ctx.Done():
			h.Close()
			return
		case <-tick.C:
		}
		h.keep(had, 1-float64(time.Since(began))/float64(max(1, window)))
	}
}

// keep tells loops what share of the clients that they had may stay.
func (h *Hub) keep(had []int64, share float64) {
	for i, l := range h.loops {
		l.keep.Store(int64(float64(had[i]) * max(0, share)))
	}
}

// Close ends every stream at once.
func (h *Hub) Close() {
	h.stop.Do(func() { close(h.closed) })
	h.running.Wait()
}

// retryMs is a time to come back after, spread so that clients do not come back at once.
func retryMs() int64 { return 1000 + rand.Int64N(4000) }

var _ http.Handler = (*Hub)(nil)
