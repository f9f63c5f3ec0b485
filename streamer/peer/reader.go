package peer

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/marketstream/marketstream/streamer/market"
)

// reader reads what another pod sent: after the first thing that is not there it gives zeros.
type reader struct {
	b   []byte
	bad bool
}

func (d *reader) fail() {
	d.bad = true
	d.b = nil
}

// end returns an error if anything was not there, or something is left.
func (d *reader) end(what string) error {
	switch {
	case d.bad:
		return fmt.Errorf("%s is cut short: %w", what, errCorrupt)
	case len(d.b) > 0:
		return fmt.Errorf("%s goes on for %d bytes after its end: %w", what, len(d.b), errCorrupt)
	}
	return nil
}

func (d *reader) byte() (c byte) {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	c, d.b = d.b[0], d.b[1:]
	return c
}

func (d *reader) u() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *reader) s() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *reader) tag() uint32 {
	if len(d.b) < 4 {
		d.fail()
		return 0
	}
	v := binary.LittleEndian.Uint32(d.b)
	d.b = d.b[4:]
	return v
}

func (d *reader) text() string {
	n := d.u()
	if n > longestSymbol || n > uint64(len(d.b)) {
		d.fail()
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

// appendWide appends a zigzag-coded number of 128 bits, seven bits a byte.
func appendWide(dst []byte, x market.Int128) []byte {
	sign := uint64(x.Hi >> 63)
	hi, lo := (uint64(x.Hi)<<1|x.Lo>>63)^sign, x.Lo<<1^sign
	for hi != 0 {
		dst = append(dst, byte(lo)|0x80)
		lo, hi = lo>>7|hi<<57, hi>>7
	}
	return binary.AppendUvarint(dst, lo)
}

func (d *reader) wide() market.Int128 {
	var hi, lo uint64
	for shift := 0; ; shift += 7 {
		c := d.byte()
		v := uint64(c & 0x7f)
		if d.bad || shift > 126 || shift == 126 && c > 3 {
			d.fail()
			return market.Int128{}
		}
		if shift < 64 {
			lo |= v << shift
			if shift > 57 {
				hi |= v >> (64 - shift)
			}
		} else {
			hi |= v << (shift - 64)
		}
		if c < 0x80 {
			break
		}
	}
	sign := -(lo & 1)
	return market.Int128{Hi: int64(hi>>1 ^ sign), Lo: (lo>>1 | hi<<63) ^ sign}
}

func (d *reader) bar(prev *market.Bar, tf market.Timeframe) market.Bar {
	bits := d.byte()
	if bits > oddStart|oddEnd|hasVWAP|marked|newScales {
		d.fail()
	}
	b := market.Bar{Timeframe: tf, StartMs: prev.StartMs + tf.Millis(), PriceScale: prev.PriceScale, VolumeScale: prev.VolumeScale}
	if bits&oddStart != 0 {
		b.StartMs = prev.StartMs + d.s()
	}
	b.EndMs = b.StartMs + tf.Millis()
	if bits&oddEnd != 0 {
		b.EndMs = b.StartMs + d.s()
	}
	if bits&newScales != 0 {
		b.PriceScale, b.VolumeScale = d.byte(), d.byte()
		if b.PriceScale > market.MaxScale || b.VolumeScale > market.MaxScale {
			d.fail()
		}
	}
	b.Open = prev.Close + d.s()
	b.High, b.Low, b.Close = b.Open+d.s(), b.Open+d.s(), b.Open+d.s()
	b.Volume = d.wide()
	b.N = d.s()
	if bits&hasVWAP != 0 {
		b.HasVWAP, b.VWAP = true, b.Close*100+d.s()
	}
	if bits&marked != 0 {
		rev := d.u()
		if b.Flags = market.Flags(d.byte()); rev > math.MaxUint32 || b.Flags&^(market.Partial|market.Void) != 0 {
			d.fail()
		}
		b.Rev = uint32(rev)
	}
	return b
}
