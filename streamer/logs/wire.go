package logs

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"

	"github.com/marketstream/marketstream/streamer/market"
)

// version is the first byte of every message that this package writes.
const version = 1

const crcSize = 4

// MaxEntry is the longest message that a log takes, in bytes: what an embedded server is
// set to, and what the longest frame is checked against at start.
const MaxEntry = 8 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal ends the message that begins at dst[start] with its checksum.
func seal(dst []byte, start int) []byte {
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func zigzag(v int64) uint64   { return uint64(v)<<1 ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

func appendU(dst []byte, u uint64) []byte {
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}

func appendS(dst []byte, v int64) []byte { return appendU(dst, zigzag(v)) }

// appendW is appendS of 128 bits.
func appendW(dst []byte, x market.Int128) []byte {
	sign := uint64(x.Hi >> 63)
	hi, lo := (uint64(x.Hi)<<1|x.Lo>>63)^sign, x.Lo<<1^sign
	for hi != 0 {
		dst = append(dst, byte(lo)|0x80)
		lo = lo>>7 | hi<<57
		hi >>= 7
	}
	return appendU(dst, lo)
}

func appendBytes[T string | []byte](dst []byte, b T) []byte {
	return append(appendU(dst, uint64(len(b))), b...)
}

func appendSymbols(dst []byte, symbols []string) []byte {
	dst = appendU(dst, uint64(len(symbols)))
	for _, s := range symbols {
		dst = appendBytes(dst, s)
	}
	return dst
}

// sub128 and add128 wrap, so that every difference comes back as it was.
func sub128(a, b market.Int128) market.Int128 {
	lo, borrow := bits.Sub64(a.Lo, b.Lo, 0)
	hi, _ := bits.Sub64(uint64(a.Hi), uint64(b.Hi), borrow)
	return market.Int128{Hi: int64(hi), Lo: lo}
}

func add128(a, b market.Int128) market.Int128 {
	lo, carry := bits.Add64(a.Lo, b.Lo, 0)
	hi, _ := bits.Add64(uint64(a.Hi), uint64(b.Hi), carry)
	return market.Int128{Hi: int64(hi), Lo: lo}
}

// decoder reads a message. After its first error every read gives zero, so that whoever
// reads looks at err at the end of each element only.
type decoder struct {
	b   []byte // what is left
	err error
}

// open checks what every message has: its version, its checksum.
func open(data []byte) (decoder, error) {
	if len(data) < 1+crcSize {
		return decoder{}, corrupt("%d bytes are no message", len(data))
	}
	if data[0] != version {
		return decoder{}, corrupt("version %d: this program reads version %d", data[0], version)
	}
	body, sum := data[:len(data)-crcSize], binary.LittleEndian.Uint32(data[len(data)-crcSize:])
	if got := crc32.Checksum(body, castagnoli); got != sum {
		return decoder{}, corrupt("checksum %08x, want %08x", got, sum)
	}
	return decoder{b: body[1:]}, nil
}

func (d *decoder) fail(what string, args ...any) {
	if d.err == nil {
		d.err = corrupt(what, args...)
	}
	d.b = nil
}

// end returns the error, or one if something is left.
func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d bytes after the end", len(d.b))
	}
	return d.err
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail("cut short")
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) u() uint64 {
	if len(d.b) > 0 && d.b[0] < 0x80 {
		u := uint64(d.b[0])
		d.b = d.b[1:]
		return u
	}
	return d.longU()
}

func (d *decoder) longU() uint64 {
	u, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("cut short, or a number of more than 64 bits")
		return 0
	}
	d.b = d.b[n:]
	return u
}

func (d *decoder) s() int64 { return unzigzag(d.u()) }

func (d *decoder) w() market.Int128 {
	var hi, lo uint64
	for shift := uint(0); ; shift += 7 {
		c := d.byte()
		v := uint64(c & 0x7f)
		switch {
		case shift < 63:
			lo |= v << shift
		case shift == 63:
			lo |= v << 63
			hi = v >> 1
		default:
			hi |= v << (shift - 64)
			if shift == 126 && v > 3 {
				d.fail("a number of more than 128 bits")
				return market.Int128{}
			}
		}
		if c < 0x80 {
			break
		}
		if shift == 126 {
			d.fail("a number of more than 128 bits")
			return market.Int128{}
		}
	}
	sign := -(lo & 1)
	return market.Int128{Hi: int64(hi>>1 ^ sign), Lo: (lo>>1 | hi<<63) ^ sign}
}

// bytes returns a part of the input.
func (d *decoder) bytes() []byte {
	n := d.u()
	if n > uint64(len(d.b)) {
		d.fail("%d bytes of %d", n, len(d.b))
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

// count reads how many elements follow, of at least size bytes each: what is made for
// them is bounded by what is there.
func (d *decoder) count(what string, size int) int {
	n := d.u()
	if n > uint64(len(d.b)/size) {
		d.fail("%d %s in %d bytes", n, what, len(d.b))
		return 0
	}
	return int(n)
}

// symbols reads a table into the room of old, whose strings it keeps where they are the same.
func (d *decoder) symbols(old []string) []string {
	n := d.count("symbols", 1)
	all, out := old[:cap(old)], old[:0]
	if cap(out) < n {
		all, out = nil, make([]string, 0, n)
	}
	for i := range n {
		b := d.bytes()
		if i < len(all) && all[i] == string(b) {
			out = append(out, all[i])
			continue
		}
		out = append(out, string(b))
	}
	return out
}

func (d *decoder) partition() uint8 {
	p := d.byte()
	if p >= market.Partitions {
		d.fail("partition %d: below %d", p, market.Partitions)
	}
	return p
}

func (d *decoder) scale() uint8 {
	s := d.byte()
	if s > market.MaxScale {
		d.fail("scale %d: at most %d", s, market.MaxScale)
	}
	return s
}

func (d *decoder) symbol(n int) uint32 {
	s := d.u()
	if s >= uint64(n) {
		d.fail("symbol %d of %d", s, n)
		return 0
	}
	return uint32(s)
}

func (d *decoder) timeframe() market.Timeframe {
	tf := market.Timeframe(d.byte())
	if !tf.Valid() {
		d.fail("timeframe %d: 1 to %d", tf, market.MaxTimeframe)
		return 0
	}
	return tf
}

// take returns the next n bytes of the input, nil if there are fewer.
func (d *decoder) take(n int) []byte {
	if len(d.b) < n {
		d.fail("cut short")
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}
