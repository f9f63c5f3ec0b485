package logs

import (
	"fmt"

	"github.com/marketstream/marketstream/streamer/market"
)

// Bits of a bar's second byte, above the two of its flags.
const (
	barFlags      = market.Partial | market.Void
	barHasVWAP    = 1 << 2
	barSameScales = 1 << 3
	barHasRev     = 1 << 4
	barUnused     = 0b111 << 5
)

// minState is the least that a state takes in bytes: symbol, time, no bar, no forming bars.
const minState = 4

// minBar is the least that a forming bar takes in bytes.
const minBar = 10

// AppendBinary appends m as it is sent. What it returns without an error,
// [DecodeStateMessage] reads back as it was. On an error dst is as it was.
func (m *StateMessage) AppendBinary(dst []byte) ([]byte, error) {
	if m.Partition >= market.Partitions {
		return dst, fmt.Errorf("encode state: partition %d: below %d", m.Partition, market.Partitions)
	}
	start := len(dst)
	dst = append(dst, version, m.Partition)
	dst = appendU(dst, m.Token)
	dst = appendS(dst, m.Watermark)
	dst = appendSymbols(dst, m.Symbols)
	dst = appendU(dst, uint64(len(m.States)))
	before := &market.Bar{}
	for i := range m.States {
		s := &m.States[i]
		if err := checkState(s, len(m.Symbols)); err != nil {
			return dst[:start], fmt.Errorf("encode state %d of partition %d: %w", i, m.Partition, err)
		}
		dst = appendU(dst, uint64(s.Symbol))
		dst = appendS(dst, s.TsMs-m.Watermark)
		if s.Micro.Timeframe == 0 {
			dst = append(dst, 0)
		} else {
			dst = appendBar(dst, &s.Micro, before)
			before = &s.Micro
		}
		dst = appendU(dst, uint64(len(s.Forming)))
		for j := range s.Forming {
			dst = appendBar(dst, &s.Forming[j], before)
			before = &s.Forming[j]
		}
	}
	return seal(dst, start), nil
}

func checkState(s *market.State, symbols int) error {
	if int64(s.Symbol) >= int64(symbols) {
		return fmt.Errorf("symbol %d of %d", s.Symbol, symbols)
	}
	if s.Micro.Timeframe != 0 {
		if err := checkBar(&s.Micro); err != nil {
			return err
		}
	}
	for i := range s.Forming {
		if err := checkBar(&s.Forming[i]); err != nil {
			return fmt.Errorf("forming bar %d: %w", i, err)
		}
	}
	return nil
}

func checkBar(b *market.Bar) error {
	if !b.Timeframe.Valid() || b.Flags&^barFlags != 0 || b.PriceScale > market.MaxScale || b.VolumeScale > market.MaxScale {
		return fmt.Errorf("timeframe %d, flags %08b, scales %d and %d: want a timeframe of 1 to %d, partial and void, scales up to %d",
			b.Timeframe, b.Flags, b.PriceScale, b.VolumeScale, market.MaxTimeframe, market.MaxScale)
	}
	return nil
}

func appendBar(dst []byte, b, before *market.Bar) []byte {
	is := byte(b.Flags)
	if b.HasVWAP {
		is |= barHasVWAP
	}
	if b.PriceScale == before.PriceScale && b.VolumeScale == before.VolumeScale {
		is |= barSameScales
	}
	if b.Rev != 0 {
		is |= barHasRev
	}
	dst = append(dst, byte(b.Timeframe), is)
	dst = appendS(dst, b.StartMs-before.StartMs)
	dst = appendS(dst, b.EndMs-b.StartMs-b.Timeframe.Millis())
	if is&barSameScales == 0 {
		dst = append(dst, b.PriceScale, b.VolumeScale)
	}
	if b.Rev != 0 {
		dst = appendU(dst, uint64(b.Rev))
	}
	dst = appendS(dst, b.Open-before.Close)
	dst = appendS(dst, b.High-b.Open)
	dst = appendS(dst, b.Low-b.Open)
	dst = appendS(dst, b.Close-b.Open)
	dst = appendW(dst, b.Volume)
	dst = appendS(dst, b.N)
	if b.HasVWAP {
		dst = appendS(dst, b.VWAP-b.Close*100)
	}
	return dst
}

// DecodeStateMessage reads what [StateMessage.AppendBinary] made, into the room that into's
// slices have. The message shares nothing with data. An error wraps [ErrCorrupt] and leaves
// into with nothing to rely on.
func DecodeStateMessage(data []byte, into *StateMessage) error {
	d, err := open(data)
	if err != nil {
		return err
	}
	into.Partition = d.partition()
	into.Token = d.u()
	into.Watermark = d.s()
	into.Symbols = d.symbols(into.Symbols)
	n := d.count("states", minState)
	if cap(into.States) < n {
		into.States = append(into.States[:cap(into.States)], make([]market.State, n-cap(into.States))...)
	}
	into.States = into.States[:n]
	before := &market.Bar{}
	for i := range into.States {
		s := &into.States[i]
		s.Symbol = d.symbol(len(into.Symbols))
		s.TsMs = into.Watermark + d.s()
		s.Micro = market.Bar{}
		if len(d.b) > 0 && d.b[0] == 0 {
			d.byte()
		} else {
			d.bar(&s.Micro, before)
			before = &s.Micro
		}
		before = d.forming(s, before)
		if d.err != nil {
			return fmt.Errorf("state %d: %w", i, d.err)
		}
	}
	return d.end()
}

// forming reads the forming bars of s and returns the last bar that was read.
func (d *decoder) forming(s *market.State, before *market.Bar) *market.Bar {
	n := d.count("forming bars", minBar)
	if cap(s.Forming) < n {
		s.Forming = make([]market.Bar, n)
	}
	s.Forming = s.Forming[:n]
	for i := range s.Forming {
		if d.err != nil {
			return before
		}
		d.bar(&s.Forming[i], before)
		before = &s.Forming[i]
	}
	return before
}

func (d *decoder) bar(b, before *market.Bar) {
	*b = market.Bar{Timeframe: d.timeframe()}
	is := d.byte()
	if is&barUnused != 0 {
		d.fail("bits %08b of a bar: unknown", is)
	}
	b.Flags = market.Flags(is) & barFlags
	b.StartMs = before.StartMs + d.s()
	b.EndMs = b.StartMs + b.Timeframe.Millis() + d.s()
	b.PriceScale, b.VolumeScale = before.PriceScale, before.VolumeScale
	if is&barSameScales == 0 {
		b.PriceScale, b.VolumeScale = d.scale(), d.scale()
	}
	if is&barHasRev != 0 {
		rev := d.u()
		if rev > 1<<32-1 {
			d.fail("rev %d: 32 bits", rev)
		}
		b.Rev = uint32(rev)
	}
	b.Open = before.Close + d.s()
	b.High = b.Open + d.s()
	b.Low = b.Open + d.s()
	b.Close = b.Open + d.s()
	b.Volume = d.w()
	b.N = d.s()
	if is&barHasVWAP != 0 {
		b.HasVWAP = true
		b.VWAP = b.Close*100 + d.s()
	}
}
