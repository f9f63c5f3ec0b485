package ring

import (
	"encoding/binary"

	"github.com/marketstream/marketstream/streamer/market"
)

// What the first byte of a bar says.
const (
	oddStart  = 1 << iota // does not begin one timeframe after the bar before
	oddEnd                // does not last one timeframe
	hasVWAP               //
	marked                // has a rev or flags
	newScales             // other scales than the bar before
	bigVolume             // the volume takes 128 bits
)

// appendBar appends b after prev, the bar before it in the chunk; a zero Bar for the first.
func appendBar(dst []byte, prev, b *market.Bar, tf market.Timeframe) []byte {
	at := len(dst)
	dst = append(dst, 0)
	head := byte(0)
	if b.StartMs != prev.StartMs+tf.Millis() || prev.StartMs == 0 {
		head |= oddStart
		dst = binary.AppendVarint(dst, b.StartMs-prev.StartMs)
	}
	if b.EndMs != b.StartMs+tf.Millis() {
		head |= oddEnd
		dst = binary.AppendVarint(dst, b.EndMs-b.StartMs)
	}
	if b.PriceScale != prev.PriceScale || b.VolumeScale != prev.VolumeScale {
		head |= newScales
		dst = append(dst, b.PriceScale, b.VolumeScale)
	}
	dst = binary.AppendVarint(dst, b.Open-prev.Close) // may wrap, and wraps back
	dst = binary.AppendVarint(dst, b.High-max(b.Open, b.Close))
	dst = binary.AppendVarint(dst, min(b.Open, b.Close)-b.Low)
	dst = binary.AppendVarint(dst, b.Close-b.Open)
	if v, ok := b.Volume.Int64(); ok && v >= 0 {
		dst = binary.AppendUvarint(dst, uint64(v))
	} else {
		head |= bigVolume
		dst = binary.LittleEndian.AppendUint64(dst, uint64(b.Volume.Hi))
		dst = binary.LittleEndian.AppendUint64(dst, b.Volume.Lo)
	}
	dst = binary.AppendVarint(dst, b.N)
	if b.HasVWAP {
		head |= hasVWAP
		dst = binary.AppendVarint(dst, b.VWAP-b.Close*100)
	}
	if b.Rev != 0 || b.Flags != 0 {
		head |= marked
		dst = binary.AppendUvarint(dst, uint64(b.Rev))
		dst = append(dst, byte(b.Flags))
	}
	dst[at] = head
	return dst
}

// readBar reads the bar after prev and returns what follows it. The bytes are our own, so
// they are taken to be whole.
func readBar(src []byte, prev *market.Bar, b *market.Bar, tf market.Timeframe) []byte {
	head := src[0]
	src = src[1:]
	signed := func() int64 {
		v, n := binary.Varint(src)
		src = src[n:]
		return v
	}
	p := *prev
	*b = market.Bar{Timeframe: tf, StartMs: p.StartMs + tf.Millis(), PriceScale: p.PriceScale, VolumeScale: p.VolumeScale}
	if head&oddStart != 0 {
		b.StartMs = p.StartMs + signed()
	}
	b.EndMs = b.StartMs + tf.Millis()
	if head&oddEnd != 0 {
		b.EndMs = b.StartMs + signed()
	}
	if head&newScales != 0 {
		b.PriceScale, b.VolumeScale = src[0], src[1]
		src = src[2:]
	}
	b.Open = p.Close + signed()
	high, low := signed(), signed()
	b.Close = b.Open + signed()
	b.High = max(b.Open, b.Close) + high
	b.Low = min(b.Open, b.Close) - low
	if head&bigVolume != 0 {
		b.Volume = market.Int128{Hi: int64(binary.LittleEndian.Uint64(src)), Lo: binary.LittleEndian.Uint64(src[8:])}
		src = src[16:]
	} else {
		v, n := binary.Uvarint(src)
		b.Volume = market.Int128From(int64(v))
		src = src[n:]
	}
	b.N = signed()
	if head&hasVWAP != 0 {
		b.HasVWAP = true
		b.VWAP = b.Close*100 + signed()
	}
	if head&marked != 0 {
		rev, n := binary.Uvarint(src)
		b.Rev, b.Flags = uint32(rev), market.Flags(src[n])
		src = src[n+1:]
	}
	return src
}
