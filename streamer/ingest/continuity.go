package ingest

import (
	"github.com/marketstream/marketstream/streamer/bars"
	"github.com/marketstream/marketstream/streamer/market"
)

// continuity holds a venue to its promise that the trade ids of a symbol rise by one: what
// comes twice is passed over, and what is missing becomes a hole, said before the trade that shows it.
type continuity struct {
	index []int32 // place by symbol number; -1: not ours
	known []newest
	// begins returns the beginning of whole periods that hold a time, both in ns: what
	// came before a symbol's first trade is not known from there.
	begins     func(ns int64) int64
	duplicates uint64 // what was passed over
}

// newest is the newest trade of a symbol.
type newest struct {
	id     uint64 // 0: none known
	timeNs int64
	// seen is an id that the venue named, at seenNs, and that has not come; it is missing once the venue names one again.
	seen   uint64
	seenNs int64
	// hasNs is up to where the log has the symbol's minutes, though none of its ids: it was carried before.
	hasNs int64
	// changedNs is from where on another vendor had its minutes; 0: none had.
	changedNs int64
	// away: it was not carried since id; what the venue names first did not only overtake its trade.
	away bool
	// filling: trades between these ids come that fill a hole.
	filling       bool
	after, before uint64
}

func newContinuity(symbols []uint32, begins func(int64) int64) *continuity {
	c := &continuity{begins: begins, known: make([]newest, len(symbols))}
	for i, s := range symbols {
		for int(s) >= len(c.index) {
			c.index = append(c.index, -1)
		}
		c.index[s] = int32(i)
	}
	return c
}

func (c *continuity) of(symbol uint32) *newest {
	if int(symbol) >= len(c.index) || c.index[symbol] < 0 {
		return nil
	}
	return &c.known[c.index[symbol]]
}

// admit appends a trade, a hole or what a Seen amounts to to dst.
func (c *continuity) admit(dst []market.Entry, e *market.Entry) []market.Entry {
	n := c.of(e.Symbol)
	if n == nil {
		if e.Kind == market.Hole {
			dst = append(dst, *e)
		}
		return dst
	}
	switch e.Kind {
	case market.Hole:
		switch {
		case e.State == market.GapFilling && e.Reason.Remakes(): // all of a minute's
			n.filling, n.after, n.before = true, 0, 0
		case e.State == market.GapFilling:
			n.filling, n.after, n.before = true, e.AfterID(), e.BeforeID()
		case e.State != market.GapOpen:
			n.filling = false
		case e.BeforeID() > n.id:
			n.away = false
			n.id, n.timeNs = e.BeforeID()-1, max(n.timeNs, e.Until)
		}
		return append(dst, *e)
	case market.Seen:
		return c.seen(dst, e, n)
	}
	if n.filling && e.ID > n.after && (n.before == 0 || e.ID < n.before) {
		return append(dst, *e)
	}
	if e.ID != 0 && e.ID <= n.id {
		c.duplicates++
		return dst
	}
	n.away = false
	if e.Time < n.changedNs { // it lies in the minutes of another vendor: those stand
		if e.ID > n.id+1 {
			dst = c.missing(dst, e.Symbol, n, e.ID+1, e.Time)
		}
		n.id, n.timeNs = e.ID, max(n.timeNs, e.Time)
		return dst
	}
	if e.ID > n.id+1 {
		dst = c.missing(dst, e.Symbol, n, e.ID, e.Time)
	}
	n.id, n.timeNs = e.ID, max(n.timeNs, e.Time)
	return append(dst, *e)
}

// seen takes the venue's word that its newest trade is e.ID. It may overtake the trade
// itself, so only what is still missing when the venue speaks again is a hole.
func (c *continuity) seen(dst []market.Entry, e *market.Entry, n *newest) []market.Entry {
	if n.id == 0 || n.away { // nothing is known before it
		n.away = false
		if e.ID > n.id {
			dst = c.missing(dst, e.Symbol, n, e.ID+1, e.Time)
			n.id, n.timeNs = e.ID, max(n.timeNs, e.Time)
		}
		return dst
	}
	if n.seen > n.id {
		dst = c.missing(dst, e.Symbol, n, n.seen+1, n.seenNs) // what came after it is not before that
		n.id, n.timeNs = n.seen, max(n.timeNs, n.seenNs)
	}
	n.seen = 0
	if e.ID > n.id {
		n.seen, n.seenNs = e.ID, e.Time
	}
	return dst
}

// missing appends a hole: the trades after n and before the one with id before, at timeNs.
func (c *continuity) missing(dst []market.Entry, symbol uint32, n *newest, before uint64, timeNs int64) []market.Entry {
	h := market.Entry{Kind: market.Hole, Symbol: symbol, Time: n.timeNs, Until: max(timeNs, n.timeNs) + 1,
		Order: n.id, ID: before, Reason: market.GapDisconnect}
	if n.id == 0 {
		if h.Time, h.Reason = max(c.begins(timeNs), n.hasNs), market.GapStart; n.changedNs != 0 {
			h.Time, h.Reason = n.changedNs, market.GapSourceChange
			h.Until = max(h.Until, h.Time+1e6)
		}
		if h.Time >= h.Until {
			return dst
		}
	}
	return append(dst, h)
}

// has says up to where the log has minutes of a symbol: they are not asked for again.
func (c *continuity) has(symbol uint32, ns int64) {
	if n := c.of(symbol); n != nil {
		n.hasNs = ns
	}
}

// left says that a symbol was not carried since its newest trade.
func (c *continuity) left(symbol uint32) {
	if n := c.of(symbol); n != nil && n.id != 0 {
		n.away = true
	}
}

// changed says from where on a symbol's minutes are to come from another vendor than those before.
func (c *continuity) changed(symbol uint32, ns int64) {
	if n := c.of(symbol); n != nil {
		n.changedNs = ns
	}
}

// seed says what the newest trades were when the log was written.
func (c *continuity) seed(ids []bars.LastTrade) {
	for _, x := range ids {
		if n := c.of(x.Symbol); n != nil && x.ID > n.id {
			n.id, n.timeNs = x.ID, x.TimeMs*1e6
		}
	}
}
