package stream

import (
	"sync/atomic"

	"github.com/marketstream/marketstream/streamer/market"
)

// demand counts, by partition, the open streams that want open bars, and those that want ticks.
type demand struct {
	states, ticks [market.Partitions]atomic.Int32
	changed       func() // may be nil
}

// add counts a stream that comes (1) or goes (-1).
func (d *demand) add(c *client, n int32) {
	states := c.mask
	if c.want&(wantMicrobars|wantForming) == 0 {
		states = 0
	}
	changed := false
	for p := range market.Partitions {
		for _, x := range [...]struct {
			mask  uint16
			count *atomic.Int32
		}{{states, &d.states[p]}, {c.ticking, &d.ticks[p]}} {
			if x.mask&(1<<p) != 0 {
				now := x.count.Add(n)
				changed = changed || now == 0 || now == n
			}
		}
	}
	if changed && d.changed != nil {
		d.changed()
	}
}

func mask(counts *[market.Partitions]atomic.Int32) (m uint16) {
	for p := range counts {
		if counts[p].Load() > 0 {
			m |= 1 << p
		}
	}
	return m
}

// Demand returns the partitions of which an open stream wants open bars (microbars and forming ones), and ticks: bit p
// for partition p. Of ticks [Hub.WantsTicks] says which symbols.
func (h *Hub) Demand() (states, ticks uint16) { return mask(&h.demand.states), mask(&h.demand.ticks) }

// Forget drops the open bars of a partition: nobody says any more when they change.
func (h *Hub) Forget(partition int) {
	for _, s := range h.settings.Load().Symbols {
		if market.PartitionOf(s.Name) == partition {
			h.states.forget(s.Number)
		}
	}
}
