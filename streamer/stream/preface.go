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
	p := &prefaceWriter{conn: c.conn}
	p.buf = h.appendHello(p.buf, q, set)
	if q.cursor != nil {
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
		return h.snapshot(ctx, p, c, names(q.symbols), q.timeframes, reason, max(q.seed, set.SeedBars))
	}
	if q.hasSince {
		h.opts.Metrics.Resumed("since_seq")
		return h.fill(ctx, p, c, names(q.symbols), q.timeframes, SeedQuery{Limit: maxFill, AfterSeq: q.since, HasAfter: true})
	}
	h.opts.Metrics.Resumed("fresh")
	return h.fill(ctx, p, c, names(q.symbols), q.timeframes, SeedQuery{Limit: q.seed})
}

func names(symbols []*SymbolConfig) []uint32 {
	out := make([]uint32, len(symbols))
	for i, s := range symbols {
		out[i] = s.Number
	}
	return out
}

// snapshot writes a reset and the newest bars.
func (h *Hub) snapshot(ctx context.Context, p *prefaceWriter, c *client, symbols []uint32, tfs []market.Timeframe, reason string, seed int) error {
	p.buf = append(p.buf, "event: reset\ndata: {\"reason\":\""+reason+"\"}\n\n"...)
	return h.fill(ctx, p, c, symbols, tfs, SeedQuery{Limit: max(1, seed)})
}

// fill writes bars from the rings, without ids, and then the id from which on everything
// follows. The position is fixed before any ring is read.
func (h *Hub) fill(ctx context.Context, p *prefaceWriter, c *client, symbols []uint32, tfs []market.Timeframe, q SeedQuery) error {
	c.cut = h.cut.Load().n
	last := h.tail.last()
	c.at = place{0, whole}
	if last != nil {
		c.at, c.index, c.tag = last.end(), int32(len(last.events)-1), last.tag
	}
	if q.Limit > 0 && c.want&wantBars != 0 {
		for _, sym := range symbols {
			name := h.opts.Symbols.Name(sym)
			for _, tf := range tfs {
				bars, err := h.opts.Seeds.Bars(ctx, c.at.seq, sym, tf, q)
				if err != nil {
					return err
				}
				for i := range bars {
					p.buf = appendBarEvent(p.buf, &bars[i], name)
					if err := p.flushAt(prefaceChunk); err != nil {
						return err
					}
				}
			}
		}
	}
	if last != nil {
		p.buf = append(appendID(p.buf, h.opts.Epoch, c.at.seq, c.index, c.tag), '\n')
	}
	c.sent = c.at
	return p.flush()
}

// reseat takes a client from its loop, resets it and gives it back.
func (h *Hub) reseat(c *client, reason string) {
	h.opts.Metrics.Resumed("reset")
	h.running.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), prefaceTimeout)
		defer cancel()
		var tfs []market.Timeframe
		for tf := market.M1; tf <= market.MaxTimeframe; tf++ {
			if c.wantsFrame(tf) {
				tfs = append(tfs, tf)
			}
		}
		p := &prefaceWriter{conn: c.conn, buf: c.left}
		c.left, c.blocked, c.parked, c.state = nil, false, false, 0
		if err := h.snapshot(ctx, p, c, c.symbols, tfs, reason, h.settings.Load().SeedBars); err != nil {
			h.drop(c)
			return
		}
		h.hand(c)
	})
}

// locate checks a cursor against the log. reason says why it cannot be resumed from: then
// the client is to be reset.
func (h *Hub) locate(ctx context.Context, cur *logs.Cursor) (at place, reason string, err error) {
	if cur.Epoch != h.opts.Epoch {
		return at, "epoch_changed", nil
	}
	last := h.tail.last()
	if last == nil || cur.Seq > last.seq {
		return at, "log_rewound", nil
	}
	at = place{cur.Seq, int32(cur.Index)}
	var events int
	var tag uint32
	if e := h.tail.find(cur.Seq); e != nil {
		events, tag = len(e.events), e.tag
	} else {
		_, reach := h.tail.oldest()
		f, err := h.opts.Frames.Get(ctx, cur.Seq)
		switch {
		case errors.Is(err, logs.ErrGone):
			if _, err := h.opts.Frames.Get(ctx, cur.Seq+1); err == nil && cur.Seq+1 >= reach {
				return place{cur.Seq, whole}, "", nil // just before the log's first frame
			}
			return at, "cursor_too_old", nil
		case err != nil:
			return at, "", err
		case cur.Seq+1 < reach:
			return at, "cursor_too_old", nil
		}
		events, tag = f.Events(), f.Tag
	}
	switch {
	case tag != cur.Tag || cur.Index >= events:
		return at, "log_rewound", nil
	case cur.Index == events-1:
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
