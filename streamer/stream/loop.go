package stream

import (
	"math"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/marketstream/marketstream/streamer/market"
)

const (
	writeBytes = 64 << 10 // what one write gathers at most
	frameBatch = 64       // frames looked at in one go
)

// loop owns a share of the clients: one goroutine writes to all of them.
type loop struct {
	hub     *Hub
	wake    chan struct{}
	add     chan *client
	clients []*client
	slot    int64
	buf     []byte
	frames  []*entry
	order   []int32
	// behind is the first frame that a client needs which is behind the tail, reads, and has not
	// been passed by the sweep; math.MaxUint64: none.
	behind atomic.Uint64
	// walking is how many of those a sweep is serving.
	walking atomic.Int64
	// passes counts walks over all clients, for the sweep.
	passes  atomic.Uint64
	count   atomic.Int64
	keep    atomic.Int64 // how many clients may stay
	leaving int          // clients that may not, and are still here: their sockets are full
	sent    [5]int       // events written since the last slot, by kind
}

// Kinds of events, as sent counts them.
const (
	sentBars = iota
	sentMicrobars
	sentTicks
	sentForming
	sentPings
)

var sentNames = [...]string{"bar", "microbar", "tick", "forming", "ping"}

func newLoop(h *Hub) *loop {
	l := &loop{hub: h, wake: make(chan struct{}, 1), add: make(chan *client)}
	l.keep.Store(math.MaxInt64)
	l.behind.Store(math.MaxUint64)
	return l
}

func (l *loop) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run works until the hub closes.
func (l *loop) run() {
	tick := time.NewTicker(slot)
	defer tick.Stop()
	for {
		select {
		case <-l.hub.closed:
			for _, c := range l.clients {
				l.hub.drop(c)
			}
			l.clients = nil
			l.count.Store(0)
			return
		case c := <-l.add:
			l.clients = append(l.clients, c)
			l.count.Store(int64(len(l.clients)))
			l.pass(false)
		case <-l.wake:
			l.pass(false)
		case <-tick.C:
			l.slot++
			l.pass(true)
			l.report()
		}
	}
}

// pass serves every client: with what is due at a slot, or with new frames only.
func (l *loop) pass(atSlot bool) {
	now := time.Now()
	set, version := l.hub.settings.Load(), l.hub.states.version.Load()
	behind, walking, parked := uint64(math.MaxUint64), int64(0), false
	inMemory, _ := l.hub.tail.oldest()
	swept := l.hub.swept.Load()
	surplus := int64(len(l.clients)-l.leaving) - l.keep.Load()
	l.leaving = 0
	kept := l.clients[:0]
	for _, c := range l.clients {
		if surplus > 0 && !c.leaving {
			c.leaving = true
			surplus--
		}
		if !l.serve(c, set, version, now, atSlot) {
			continue
		}
		if !c.blocked && c.at.before(inMemory) {
			if n := c.at.needs(); n >= swept {
				behind = min(behind, n)
			}
			if !c.parked {
				walking++
			}
		}
		if c.leaving {
			l.leaving++
		}
		parked = parked || c.parked && !c.blocked
		kept = append(kept, c)
	}
	clear(l.clients[len(kept):])
	l.clients = kept
	l.count.Store(int64(len(kept)))
	l.behind.Store(behind)
	l.walking.Store(walking)
	l.passes.Add(1)
	if parked {
		l.hub.needSweep()
	}
}

// serve gives a client what is due; false says that it is no longer here.
func (l *loop) serve(c *client, set *settings, version uint64, now time.Time, atSlot bool) bool {
	if look := atSlot && (l.slot+int64(c.phase))%lookEvery == 0; look && !c.conn.Alive() || len(c.left) > 0 && !l.retry(c) {
		l.hub.drop(c)
		return false
	}
	beat := atSlot && (l.slot+int64(c.phase))%set.beat == 0
	if c.leaving && !c.blocked {
		l.end(c)
		return false
	}
	if c.blocked {
		if beat {
			l.hub.opts.Metrics.BeatsSkipped(1)
		}
		return true
	}
	if c.set != set {
		l.hub.demand.add(c, -1)
		c.adopt(set, &l.hub.ticks)
		l.hub.demand.add(c, 1)
	}
	l.buf = l.buf[:0]
	if cut := l.hub.cut.Load(); c.cut != cut.n {
		missed := cut.n-c.cut > 1
		c.cut = cut.n
		if missed || c.at.seq > cut.seq {
			l.hub.reseat(c, "log_rewound")
			return false
		}
	}
	more, alive := l.addFrames(c)
	if !alive {
		return false
	}
	if v := l.hub.status.Load(); c.status != v.version {
		c.status = v.version
		l.buf = append(l.buf, v.text...)
	}
	if atSlot {
		if (l.slot+int64(c.phase))%set.flush == 0 && len(c.ticks) > 0 {
			l.addTicks(c, set)
		}
		if beat && c.state != version {
			l.addStates(c, version)
		}
		if now.After(c.nextID) || now.After(c.nextPing) {
			l.addPing(c, set, now)
		}
	}
	if len(l.buf) > 0 && !l.write(c, l.buf) {
		l.hub.drop(c)
		return false
	}
	if more && !c.blocked {
		l.signal() // the rest at the next pass: others first
	}
	return true
}

// addFrames walks the client's cursor over new frames. more: there are more than one write
// takes. alive is false when the client was taken away to be set to another place.
func (l *loop) addFrames(c *client) (more, alive bool) {
	for {
		var behind bool
		l.frames, behind = l.hub.tail.after(c.at, l.frames[:0], frameBatch)
		if behind {
			if _, reach := l.hub.tail.oldest(); c.at.before(reach) {
				l.hub.reseat(c, "cursor_too_old")
				return false, false
			}
			c.parked = true
			return false, true
		}
		c.parked = false
		if len(l.frames) == 0 {
			return false, true
		}
		for _, e := range l.frames {
			if l.addFrame(c, e); len(l.buf) > writeBytes {
				return true, true
			}
		}
		if len(l.frames) < frameBatch {
			return false, true
		}
	}
}

// addFrame adds what a frame has for the client, and moves its cursor behind it, or behind
// the last event that fits one write.
func (l *loop) addFrame(c *client, e *entry) {
	if c.mask&(1<<e.partition) != 0 && c.want&wantBars != 0 && len(e.events) > 0 {
		l.order = l.order[:0]
		for _, s := range c.symbols {
			l.order = e.of(s, l.order)
		}
		slices.Sort(l.order)
		timed := false
		for _, i := range l.order {
			ev := &e.events[i]
			if e.seq == c.at.seq && i <= c.at.index || ev.gap == nil && !c.wantsTimeframe(ev.tf) {
				continue
			}
			l.buf = append(l.buf, l.hub.text(e, i)...)
			l.sent[sentBars]++
			c.sent = place{e.seq, i}
			if !timed {
				timed = true
				l.hub.opts.Metrics.Delivery(time.Since(e.at).Seconds())
			}
			if len(l.buf) > writeBytes {
				c.at, c.index, c.tag = place{e.seq, i}, i, e.tag
				return
			}
		}
	}
	c.at, c.index, c.tag = e.end(), int32(len(e.events)-1), e.tag
}

// addStates adds the open bars that changed since the client's last beat.
func (l *loop) addStates(c *client, version uint64) {
	if c.want&(wantMicrobars|wantForming) != 0 {
		for _, sym := range c.symbols {
			snap := l.hub.states.newer(sym, c.state)
			if snap == nil {
				continue
			}
			name := l.hub.opts.Symbols.Name(sym)
			if c.want&wantMicrobars != 0 {
				l.buf = append(l.buf, snap.microText(name)...)
				l.sent[sentMicrobars]++
			}
			for tf := market.M1; c.want&wantForming != 0 && tf <= market.MaxTimeframe; tf++ {
				if c.wantsTimeframe(tf) {
					if text := snap.formingText(tf, name); text != nil {
						l.buf = append(l.buf, text...)
						l.sent[sentForming]++
					}
				}
			}
		}
	}
	c.state = version
}

// addTicks adds the ticks that were gathered, after giving up those past the client's buffer.
func (l *loop) addTicks(c *client, set *settings) {
	for i := range c.ticks {
		t := &c.ticks[i]
		cfg := set.bySymbol[c.symbols[i]]
		if t.ring == nil || cfg == nil || cfg.Ticks == TicksDisabled {
			continue
		}
		capacity := cfg.BufferCapacity
		if cfg.Ticks == TicksConflated {
			capacity = 1
		}
		var n, lost int
		l.buf, t.at, n, lost = t.ring.read(t.at, capacity, l.buf, writeBytes)
		l.sent[sentTicks] += n
		if lost > 0 && cfg.Ticks != TicksConflated { // state: only the newest counts
			l.lost(c, cfg, lost)
		}
	}
}

// lost counts ticks of a symbol past the client's buffer.
func (l *loop) lost(c *client, cfg *SymbolConfig, n int) {
	if c.drops == nil {
		c.drops = make(map[uint32]int)
	}
	c.drops[cfg.Number] += n
	l.hub.opts.Metrics.Dropped(cfg.Name, "", "tick", n)
}

// addPing adds the heartbeat, with what was dropped since the last one, and moves the
// cursor of a client whose symbols are quiet.
func (l *loop) addPing(c *client, set *settings, now time.Time) {
	if c.sent.before(c.at) && !c.parked && now.After(c.nextID) {
		l.buf = append(appendID(l.buf, l.hub.opts.Epoch, c.at.seq, c.index, c.tag), '\n')
		c.sent = c.at
	}
	if now.After(c.nextID) {
		c.nextID = now.Add(min(quietID, set.HeartbeatInterval))
	}
	if !now.After(c.nextPing) {
		return
	}
	dropped := 0
	for sym, n := range c.drops {
		dropped += n
		capacity := 0
		if cfg := set.bySymbol[sym]; cfg != nil {
			capacity = cfg.BufferCapacity
		}
		l.hub.opts.Log.Info("sse_backpressure_drop", "dropped", n, "cap", capacity, "symbol", l.hub.opts.Symbols.Name(sym), "timeframe", "")
	}
	c.drops = nil
	l.buf = appendPing(l.buf, now.UnixMilli(), c.lagging(), dropped)
	l.sent[sentPings]++
	c.nextPing = now.Add(set.HeartbeatInterval)
}

// write writes p; what the socket does not take is kept. False: the connection is broken.
func (l *loop) write(c *client, p []byte) bool {
	n, err := c.conn.TryWrite(p)
	if err != nil {
		return false
	}
	if n < len(p) {
		c.left = append(c.left[:0], p[n:]...)
		c.blocked = true
	}
	return true
}

// retry writes what was left of the last write.
func (l *loop) retry(c *client) bool {
	n, err := c.conn.TryWrite(c.left)
	if err != nil {
		return false
	}
	if n == len(c.left) {
		c.left, c.blocked = nil, false
		return true
	}
	c.left = c.left[n:]
	return true
}

// end ends a stream after a complete event, with a time to come back after that spreads
// the reconnects.
func (l *loop) end(c *client) {
	_, _ = c.conn.TryWrite(append(strconv.AppendInt([]byte("retry: "), retryMs(), 10), "\n\n"...))
	l.hub.drop(c)
}

// report adds what was sent to the metrics.
func (l *loop) report() {
	for i, n := range l.sent {
		if n > 0 {
			l.hub.opts.Metrics.Events(sentNames[i], n)
			l.sent[i] = 0
		}
	}
}
