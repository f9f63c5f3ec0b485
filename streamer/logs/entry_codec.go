package logs

import (
	"fmt"

	"github.com/marketstream/marketstream/streamer/market"
)

// Bits of an entry's first byte, above the two of its kind and, of a trade, the two of its side.
const (
	entKind           = 0b11
	entSide           = 2 // shift
	entSameScales     = 1 << 4
	entIDIsOrder      = 1 << 5
	entSameConditions = 1 << 6
	entNoID           = 1 << 7
)

// Bits of a Hole's first byte, above the two of its kind.
const (
	holeState  = 2 // shift
	holeIDs    = 1 << 5
	holeUnused = 0b11 << 6
)

// slots is how many symbols' last trades are remembered while a batch is written or read.
// A power of two, and small enough for the stack; symbols beyond share, which costs bytes and
// nothing else.
const slots = 128

// slot is the last trade of a symbol, from which the next one is written as a difference.
type slot struct {
	price                   int64
	order                   uint64
	conditions              uint64
	priceScale, volumeScale uint8
}

// entryState is what writer and reader of a batch both know before each entry.
type entryState struct {
	time   int64
	offset uint64
	slots  [slots]slot
}

// minEntry is the least that an entry takes in bytes: bits, time, offset.
const minEntry = 3

func (s *entryState) append(dst []byte, e *market.Entry, symbol uint32) []byte {
	at := len(dst)
	dst = append(dst, byte(e.Kind)-1)
	dst = appendS(dst, e.Time-s.time)
	dst = appendS(dst, int64(e.Offset-s.offset))
	s.time, s.offset = e.Time, e.Offset
	switch e.Kind {
	case market.Trade, market.Cancel:
		return s.appendTrade(dst, at, e, symbol)
	case market.Hole:
		dst = appendU(dst, uint64(symbol+1)) // AllSymbols + 1 is 0
		dst = appendS(dst, e.Until-e.Time)
		dst = append(dst, byte(e.Reason))
		dst[at] |= byte(e.State) << holeState
		if after, before := e.AfterID(), e.BeforeID(); after|before != 0 {
			dst[at] |= holeIDs
			dst = appendU(dst, after)
			dst = appendS(dst, int64(before-after))
		}
	}
	return dst
}

func (s *entryState) appendTrade(dst []byte, at int, e *market.Entry, symbol uint32) []byte {
	is := dst[at] | byte(e.Side)<<entSide
	last := &s.slots[symbol%slots]
	dst = appendU(dst, uint64(symbol))
	if e.Price.Scale == last.priceScale && e.Size.Scale == last.volumeScale {
		is |= entSameScales
	} else {
		dst = append(dst, e.Price.Scale, e.Size.Scale)
		last.rescale(e.Price.Scale, e.Size.Scale)
	}
	dst = appendS(dst, e.Price.Coef-last.price)
	dst = appendU(dst, uint64(e.Size.Coef))
	dst = appendS(dst, int64(e.Order-last.order))
	switch e.ID {
	case e.Order:
		is |= entIDIsOrder
	case 0:
		is |= entNoID
	default:
		dst = appendU(dst, e.ID)
	}
	if e.Conditions == last.conditions {
		is |= entSameConditions
	} else {
		dst = appendU(dst, e.Conditions)
	}
	last.price, last.order, last.conditions = e.Price.Coef, e.Order, e.Conditions
	dst[at] = is
	return dst
}

func (s *slot) rescale(price, volume uint8) {
	for ; s.priceScale < price; s.priceScale++ {
		s.price *= 10
	}
	for ; s.priceScale > price; s.priceScale-- {
		s.price /= 10
	}
	s.volumeScale = volume
}

// checkEntry refuses what would not come back.
func checkEntry(e *market.Entry) error {
	if e.Kind < market.Trade || e.Kind > market.Hole {
		return fmt.Errorf("kind %d: 1 to %d", e.Kind, market.Hole)
	}
	if e.Kind == market.Hole && e.State > market.GapFilling {
		return fmt.Errorf("state %d of a hole: up to %d", e.State, market.GapFilling)
	}
	if e.Kind > market.Cancel {
		return nil
	}
	if e.Side > market.SideSell || e.Price.Scale > market.MaxScale || e.Size.Scale > market.MaxScale || e.Size.Coef <= 0 {
		return fmt.Errorf("side %d, scales %d and %d, size %d: want a side up to %d, scales up to %d, a positive size",
			e.Side, e.Price.Scale, e.Size.Scale, e.Size.Coef, market.SideSell, market.MaxScale)
	}
	return nil
}

// read reads an entry into e, all of which it sets.
func (s *entryState) read(d *decoder, e *market.Entry, symbols int) {
	is := d.byte()
	*e = market.Entry{Kind: market.EntryKind(is&entKind) + 1}
	s.time += d.s()
	s.offset += uint64(d.s())
	e.Time, e.Offset = s.time, s.offset
	if e.Kind <= market.Cancel {
		s.readTrade(d, e, is, symbols)
		return
	}
	if e.Kind == market.Mark && is&^entKind != 0 {
		d.fail("bits %08b: unknown", is)
	}
	if e.Kind == market.Hole {
		e.State = market.GapState(is >> holeState & 7)
		if is&holeUnused != 0 || e.State > market.GapFilling {
			d.fail("bits %08b of a hole: unknown", is)
		}
		symbol := d.u()
		if symbol > uint64(symbols) {
			d.fail("symbol %d of %d", symbol-1, symbols)
		}
		e.Symbol = uint32(symbol) - 1
		e.Until = e.Time + d.s()
		e.Reason = market.GapReason(d.byte())
		if is&holeIDs != 0 {
			e.Order = d.u()
			e.ID = e.Order + uint64(d.s())
		}
	}
}

func (s *entryState) readTrade(d *decoder, e *market.Entry, is byte, symbols int) {
	e.Side = market.Side(is >> entSide & 3)
	if e.Side > market.SideSell || is&entIDIsOrder != 0 && is&entNoID != 0 {
		d.fail("bits %08b: unknown", is)
	}
	e.Symbol = d.symbol(symbols)
	last := &s.slots[e.Symbol%slots]
	if is&entSameScales == 0 {
		price, volume := d.scale(), d.scale()
		if d.err != nil {
			return
		}
		last.rescale(price, volume)
	}
	e.Price = market.Decimal{Coef: last.price + d.s(), Scale: last.priceScale}
	e.Size = market.Decimal{Coef: int64(d.u()), Scale: last.volumeScale}
	if e.Size.Coef <= 0 {
		d.fail("size %d: want it positive", e.Size.Coef)
	}
	e.Order = last.order + uint64(d.s())
	switch {
	case is&entIDIsOrder != 0:
		e.ID = e.Order
	case is&entNoID == 0:
		e.ID = d.u()
	}
	e.Conditions = last.conditions
	if is&entSameConditions == 0 {
		e.Conditions = d.u()
	}
	last.price, last.order, last.conditions = e.Price.Coef, e.Order, e.Conditions
}
