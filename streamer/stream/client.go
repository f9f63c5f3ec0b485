package stream

import (
	"time"

	"github.com/marketstream/marketstream/streamer/market"
)

// client is one open stream; the loop that has it owns it.
type client struct {
	conn    conn
	symbols []uint32 // rising
	tfs     uint16   // bit tf
	mask    uint16   // bit partition
	ticking uint16   // bit partition: of symbols whose ticks it gets
	want    kinds
	phase   uint8  // of its beat, in slots
	blocked bool   // the socket is full
	parked  bool   // waits for a sweep
	leaving bool   // ends with the drain
	cut     uint64 // truncations of the log that it has seen

	at     place          // what it has
	index  int32          // of at as an id shows it
	tag    uint32         // of the frame of at
	sent   place          // the last id that it was sent
	state  uint64         // version of the newest state that it has
	status uint64         // version of the feed status that it has
	left   []byte         // of the last write, while the socket is full
	ticks  []tickPlace    // of symbols, in their order; empty: it has none
	set    *settings      // that ticks were made under
	drops  map[uint32]int // ticks lost since the last ping, by symbol
	nextPing,
	nextID time.Time
}

// tickPlace is how far a client is in the ticks of a symbol.
type tickPlace struct {
	ring *tickRing
	at   uint64
}

func (c *client) wantsTimeframe(tf market.Timeframe) bool { return c.tfs&(1<<tf) != 0 }

// lagging is how many ticks the client has before it.
func (c *client) lagging() (n int) {
	for i := range c.ticks {
		if t := &c.ticks[i]; t.ring != nil {
			n += t.ring.lag(t.at)
		}
	}
	return n
}

// adopt takes up newer settings: ticks begin where they are switched on, and end where they are
// switched off.
func (c *client) adopt(set *settings, rings *tickRings) {
	c.set = set
	if c.want&wantTicks == 0 {
		return
	}
	any := false
	c.ticking = 0
	for i, sym := range c.symbols {
		cfg := set.bySymbol[sym]
		on := cfg != nil && cfg.Ticks != TicksDisabled
		any = any || on
		if on {
			c.ticking |= 1 << market.PartitionOf(cfg.Name)
		}
		switch {
		case on && c.ticks == nil:
			c.ticks = make([]tickPlace, len(c.symbols))
			fallthrough
		case on && c.ticks[i].ring == nil:
			c.ticks[i] = rings.want(sym)
		case !on && c.ticks != nil && c.ticks[i].ring != nil:
			c.ticks[i].ring.leave()
			c.ticks[i] = tickPlace{}
		}
	}
	if !any {
		c.ticks = nil
	}
}
