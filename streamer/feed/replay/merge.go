package replay

import (
	"errors"
)

// manyOpen is how many files may be open with a full window each; the windows of further
// ones are small, so that a directory of a file per symbol stays within bounds.
const manyOpen = 32

// merged reads several parts in order of time, ties by place among the parts, each part in
// its own order. A part is opened when its first row is due: of a directory of a file per
// day one or two are open at a time.
type merged struct {
	parse   func(string) (uint64, error)
	heads   []*head // a heap by before
	current *head   // whose row next returned last: heads[0]
	row     uint64  // number of that row, counted from 1
	opened  int
	spare   [][]byte // windows of closed parts
}

// head is a part and its next row.
type head struct {
	part
	place int   // among the parts
	time  int64 // of its next row
	rows  *rows // nil: not open yet
}

func (h *head) before(o *head) bool {
	return h.time < o.time || h.time == o.time && h.place < o.place
}

// newMerged begins before the first row. firsts are the times of the parts' first rows,
// found before; parts without a row, 0, are left out.
func newMerged(parts []part, firsts []int64, parse func(string) (uint64, error)) *merged {
	m := &merged{parse: parse}
	for i, p := range parts {
		if firsts[i] != 0 {
			m.heads = append(m.heads, &head{part: p, place: i, time: firsts[i]})
		}
	}
	for i := len(m.heads)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
	return m
}

// next returns the part that has the next row, at that row; errEnd after the last.
func (m *merged) next() (*rows, error) {
	if h := m.current; h != nil {
		m.current = nil
		switch err := h.rows.next(); {
		case errors.Is(err, errEnd):
			if err := m.drop(); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, err
		default:
			h.time = h.rows.time
			m.sink(0)
		}
	}
	for len(m.heads) > 0 {
		h := m.heads[0]
		if h.rows == nil {
			if err := m.open(h); err != nil {
				return nil, err
			}
			m.sink(0) // the file may have changed since it was looked at
			continue
		}
		m.current = h
		m.row++
		return h.rows, nil
	}
	return nil, errEnd
}

// open opens a part and goes to its first row.
func (m *merged) open(h *head) error {
	var window []byte
	if n := len(m.spare); n > 0 {
		window, m.spare = m.spare[n-1], m.spare[:n-1]
	} else if m.opened < manyOpen {
		window = make([]byte, windowSize)
	} else {
		window = make([]byte, maxRecord)
	}
	r, err := openRows(h.part, window, m.parse)
	if err != nil {
		return err
	}
	h.rows = r
	m.opened++
	if err := r.next(); err != nil {
		return err // errEnd cannot be: it had a row
	}
	h.time = r.time
	return nil
}

// drop closes and forgets the part at the top.
func (m *merged) drop() error {
	h := m.heads[0]
	last := len(m.heads) - 1
	m.heads[0] = m.heads[last]
	m.heads = m.heads[:last]
	m.sink(0)
	m.opened--
	m.spare = append(m.spare, h.rows.buf)
	return h.rows.close()
}

// sink moves the head at i down to its place.
func (m *merged) sink(i int) {
	h := m.heads
	for {
		least := 2*i + 1
		if least >= len(h) {
			return
		}
		if right := least + 1; right < len(h) && h[right].before(h[least]) {
			least = right
		}
		if !h[least].before(h[i]) {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// close closes what is open.
func (m *merged) close() error {
	var errs []error
	for _, h := range m.heads {
		if h.rows != nil {
			errs = append(errs, h.rows.close())
		}
	}
	m.heads, m.current = nil, nil
	return errors.Join(errs...)
}
