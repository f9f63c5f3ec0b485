package stream

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// preface writes what comes before live events and puts the client's cursor in place.
func (h *Hub) preface(ctx context.Context, c *client, q *query, set *settings) error {
	ctx, cancel := h.patience(ctx, prefaceTimeout)
	defer cancel()
	p := &prefaceWriter{conn: c.conn}
	p.buf = h.appendHello(p.buf, q, set)
	seed := SeedQuery{Symbols: numbers(q.symbols), Timeframes: q.timeframes, Limit: q.seed}
	switch {
	case q.cursor != nil:
		at, reason, err := h.locate(ctx, q.cursor)
		if err != nil {
			return err
		}
		if reason == "" {
			c.at, c.index, c.tag, c.sent = at, int32(q.cursor.Index), q.cursor.Tag, at
			h.opts.Metrics.Resumed("resumed")
			return p.flush()
		}
		h.opts.Metrics.Resumed("reset")
		seed.Limit = max(q.seed, set.SeedBars)
		return h.snapshot(ctx, p, c, seed, reason)
	case q.hasSince:
		fill := seed
		fill.Limit, fill.AfterSeq, fill.HasAfter = maxFill, q.since, true
		err := h.fill(ctx, p, c, fill)
		if !errors.Is(err, ErrTooMany) {
			h.opts.Metrics.Resumed("since_seq")
			return err
		}
		h.opts.Metrics.Resumed("reset") // what was written of the fill is forgotten
		seed.Limit = max(q.seed, set.SeedBars)
		return h.snapshot(ctx, p, c, seed, "cursor_too_old")
	default:
		h.opts.Metrics.Resumed("fresh")
	}
	return h.fill(ctx, p, c, seed)
}

func numbers(symbols []*SymbolConfig) []uint32 {
	out := make([]uint32, len(symbols))
	for i, s := range symbols {
		out[i] = s.Number
	}
	return out
}

// snapshot writes a reset and the newest bars.
func (h *Hub) snapshot(ctx context.Context, p *prefaceWriter, c *client, q SeedQuery, reason string) error {
	p.buf = append(p.buf, "event: reset\ndata: {\"reason\":\""+reason+"\"}\n\n"...)
	q.Limit = max(1, q.Limit)
	return h.fill(ctx, p, c, q)
}

// fill writes bars from the rings, without ids, and then the id from which on everything
// follows. The position is fixed before any ring is read.
func (h *Hub) fill(ctx context.Context, p *prefaceWriter, c *client, q SeedQuery) error {
	c.cut = h.cut.Load().n
	last, any := h.tail.last()
	c.at = place{0, whole}
	if any {
		c.at, c.index, c.tag = last.end(), last.events-1, last.tag
	}
	if q.Limit > 0 && c.want&wantBars != 0 {
		err := h.opts.Seeds.Bars(ctx, c.at.seq, q, func(symbol uint32, bars []market.Bar) error {
			name := h.opts.Symbols.Name(symbol)
			for i := range bars {
				p.buf = appendBarEvent(p.buf, &bars[i], name)
				if err := p.flushAt(prefaceChunk); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if any {
		p.buf = append(appendID(p.buf, h.opts.Epoch, c.at.seq, c.index, c.tag), '\n')
	}
	c.sent = c.at
	return p.flush()
}

// reseat takes a client from its loop, resets it and gives it back.
func (h *Hub) reseat(c *client, reason string) {
	h.opts.Metrics.Resumed("reset")
	h.running.Go(func() {
		ctx, cancel := h.patience(context.Background(), prefaceTimeout)
		defer cancel()
		q := SeedQuery{Symbols: c.symbols, Limit: h.settings.Load().SeedBars}
		for tf := market.M1; tf <= market.MaxTimeframe; tf++ {
			if c.wantsTimeframe(tf) {
				q.Timeframes = append(q.Timeframes, tf)
			}
		}
		p := &prefaceWriter{conn: c.conn, buf: c.left}
		c.left, c.blocked, c.parked, c.state = nil, false, false, 0
		if err := h.snapshot(ctx, p, c, q, reason); err != nil {
			h.drop(c)
			return
		}
		h.hand(c)
	})
}

// patience is a context that ends after d, and with the hub.
func (h *Hub) patience(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, d)
	go func() {
		select {
		case <-h.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// locate checks a cursor against the log. reason says why it cannot be resumed from: then
// the client is to be reset. All that is within reach is known here, so that clients that come
// back at once read nothing.
func (h *Hub) locate(ctx context.Context, cur *logs.Cursor) (at place, reason string, err error) {
	if cur.Epoch != h.opts.Epoch {
		return at, "epoch_changed", nil
	}
	// A client may come from a pod that is a little ahead.
	ahead, cancel := context.WithTimeout(ctx, h.aheadWait)
	defer cancel()
	if !h.tail.wait(ahead, cur.Seq) {
		return at, "log_rewound", ctx.Err()
	}
	m, ok := h.tail.find(cur.Seq)
	if !ok {
		if _, reach := h.tail.oldest(); cur.Seq != reach.seq {
			return at, "cursor_too_old", nil
		}
		// Just before what is within reach; the log may begin there too.
		f, err := h.opts.Frames.Get(ctx, cur.Seq)
		switch {
		case errors.Is(err, logs.ErrGone):
			return place{cur.Seq, whole}, "", nil
		case err != nil:
			return at, "", err
		case cur.Index < f.Events()-1:
			return at, "cursor_too_old", nil
		}
		m = milestone{seq: cur.Seq, tag: f.Tag, events: int32(f.Events())}
	}
	at = place{cur.Seq, int32(cur.Index)}
	switch {
	case m.tag != cur.Tag || at.index >= m.events:
		return at, "log_rewound", nil
	case at.index == m.events-1:
		at.index = whole
	}
	return at, "", nil
}

// appendHello appends bootstrap and epoch.
func (h *Hub) appendHello(dst []byte, q *query, set *settings) []byte {
	symbols, ticks := make([]string, len(q.symbols)), false
	for i, s := range q.symbols {
		symbols[i] = s.Name
		ticks = ticks || s.Ticks != TicksDisabled
	}
	var timeframes []string
	if len(q.timeframes) > 1 {
		for _, tf := range q.timeframes {
			timeframes = append(timeframes, tf.String())
		}
	}
	bootstrap, _ := json.Marshal(struct { // strings and numbers: cannot fail
		Now        int64    `json:"now"`
		Warm       bool     `json:"warm"`
		Symbols    []string `json:"symbols"`
		Timeframe  string   `json:"timeframe"`
		Ticks      bool     `json:"ticks"`
		Microbar   int64    `json:"microbarIntervalMs"`
		Heartbeat  int64    `json:"heartbeatMs"`
		Idle       int64    `json:"idleMs"`
		Timeframes []string `json:"timeframes,omitempty"`
	}{time.Now().UnixMilli(), true, symbols, q.timeframes[0].String(), ticks && q.want&wantTicks != 0,
		set.MicrobarInterval.Milliseconds(), set.HeartbeatInterval.Milliseconds(), set.IdleAfter.Milliseconds(), timeframes})
	epoch, _ := json.Marshal(struct {
		ID         string   `json:"epochId"`
		StartMs    int64    `json:"epochStartMs"`
		Symbols    []string `json:"symbols"`
		Timeframe  string   `json:"timeframe"`
		Timeframes []string `json:"timeframes,omitempty"`
	}{h.opts.Epoch, h.opts.EpochStartMs, symbols, q.timeframes[0].String(), timeframes})
	dst = append(append(append(dst, "event: bootstrap\ndata: "...), bootstrap...), "\n\n"...)
	return append(append(append(dst, "event: epoch\ndata: "...), epoch...), "\n\n"...)
}

// prefaceChunk is how much is gathered for one write.
const prefaceChunk = 32 << 10

// prefaceWriter gathers for blocking writes.
type prefaceWriter struct {
	conn conn
	buf  []byte
}

func (p *prefaceWriter) flushAt(n int) error {
	if len(p.buf) < n {
		return nil
	}
	return p.flush()
}

func (p *prefaceWriter) flush() error {
	if len(p.buf) == 0 {
		return nil
	}
	err := p.conn.Write(p.buf, prefaceTimeout)
	p.buf = p.buf[:0]
	return err
}
