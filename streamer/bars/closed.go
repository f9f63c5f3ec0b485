package bars

import (
	"slices"

	"github.com/marketstream/marketstream/streamer/market"
)

// closedRecord is a record that was emitted, or will be.
type closedRecord struct {
	market.Record
	ids idSet
	// emitted is the watermark at which it was last emitted, unset if never.
	emitted int64
	dirty   bool
}

// closedRecords are records by start. With every close one comes at the end and one leaves at the beginning: the room of
// those that left is used again, so that a symbol whose window is full costs no allocation any more.
type closedRecords struct {
	all  []closedRecord
	left int // how many at the beginning of all have left
}

// list are the records. It is valid until the next insert or drop.
func (c *closedRecords) list() []closedRecord { return c.all[c.left:] }

// insert makes room for a record at a place of the list.
func (c *closedRecords) insert(at int) *closedRecord {
	n := len(c.all) - c.left
	if len(c.all) == cap(c.all) {
		if c.left*3 >= n && c.left > 0 { // each record is moved twice or thrice in its life
			copy(c.all, c.list())
			clear(c.all[n:])
			c.all, c.left = c.all[:n], 0
		} else {
			grown := make([]closedRecord, n, n+n/2+2)
			copy(grown, c.list())
			c.all, c.left = grown, 0
		}
	}
	c.all = slices.Insert(c.all, c.left+at, closedRecord{emitted: unset})
	return &c.all[c.left+at]
}

// drop takes the first n records away.
func (c *closedRecords) drop(n int) {
	clear(c.all[c.left : c.left+n])
	if c.left += n; c.left == len(c.all) {
		c.all, c.left = c.all[:0], 0
	}
}
