package replay

import (
	"container/heap"
	"errors"
	"io"

	"github.com/marketstream/marketstream/streamer/market"
)

// merged reads several parts in order of time, each in its own order, ties by name. Parts
// are opened when their first trade is due.
type merged struct {
	parse func(string) (uint64, error)
	heads heads
	row   uint64 // of the last entry
}

// head is a part and its next trade.
type head struct {
	place int // among the parts
	part  part
	rows  *rows // nil: not open; e.Time is then that of its first trade
	e     market.Entry
}

type heads []*head

func (h heads) Len() int { return len(h) }
func (h heads) Less(i, j int) bool {
	return h[i].e.Time < h[j].e.Time || h[i].e.Time == h[j].e.Time && h[i].place < h[j].place
}
func (h heads) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *heads) Push(x any) { *h = append(*h, x.(*head)) }

// Pop implements heap.Interface.
func (h *heads) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// openMerged begins at the first trade. firsts are the times of the parts' first trades,
// found before; parts without a trade are left out.
func openMerged(parts []part, firsts []int64, parse func(string) (uint64, error)) *merged {
	m := &merged{parse: parse}
	for i, p := range parts {
		if firsts[i] != 0 {
			m.heads = append(m.heads, &head{place: i, part: p, e: market.Entry{Time: firsts[i]}})
		}
	}
	heap.Init(&m.heads)
	return m
}

// next returns the next trade and its symbol's text, both good until the next call; io.EOF after the last.
func (m *merged) next(e *market.Entry) (symbol []byte, err error) {
	if len(m.heads) == 0 {
		return nil, io.EOF
	}
	h := m.heads[0]
	if h.rows == nil {
		if h.rows, err = openRows(h.part, m.parse); err != nil {
			return nil, err
		}
		if err := h.rows.next(&h.e); err != nil {
			return nil, err
		}
	} else if h.rows.symbol == nil { // what was returned last: read on
		switch err := h.rows.next(&h.e); {
		case errors.Is(err, io.EOF):
			err := h.rows.in.Close()
			heap.Pop(&m.heads)
			if err != nil {
				return nil, err
			}
			return m.next(e)
		case err != nil:
			return nil, err
		}
		if len(m.heads) > 1 {
			heap.Fix(&m.heads, 0)
			h = m.heads[0]
			if h.rows == nil || h.rows.symbol == nil {
				return m.next(e)
			}
		}
	}
	m.row++
	*e = h.e
	symbol, h.rows.symbol = h.rows.symbol, nil
	return symbol, nil
}

func (m *merged) close() error {
	var first error
	for _, h := range m.heads {
		if h.rows != nil {
			if err := h.rows.in.Close(); err != nil && first == nil {
				first = err
			}
		}
	}
	m.heads = nil
	return first
}
