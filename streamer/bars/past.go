package bars

import (
	"encoding/binary"

	"github.com/marketstream/marketstream/streamer/market"
)

// past keeps the closed minutes of a symbol that have left the revision window while a
// longer bar that holds them may still change: a newer revision of one then replaces it
// there, instead of being added a second time. Records stand one after another as bytes,
// each as what differs from the one before it: 22 to 28 where a Record has 216. The zero
// value is empty.
type past struct {
	buf         []byte
	first, last int64 // starts of the first and the last record
	tail        pastRef
}

// pastRef is what of a record the next one refers to.
type pastRef struct {
	start, close int64
	order        uint64
	ps, vs       uint8
}

// Bits of a record's first byte.
const (
	pastNext     = 1 << iota // it is the minute after the one before
	pastScales               // scales follow; else those of the one before
	pastExtended             // market.Extended is set
	pastFlags                // flags and rev follow; else none but Extended, and 0
	pastHas                  // which prices are there follows; else range and ends, not weak
	pastDaily                // daily prices follow
	pastMillis               // times are in ms; else ns
	pastNotional             // notional is volume × open and what follows; else there is none
)

const allPrices = market.HasRange | market.HasEnds

// put adds r, or replaces the record of its minute by it.
func (p *past) put(r *market.Record) {
	if len(p.buf) == 0 {
		p.first = r.StartMs
		p.tail = pastRef{}
	} else if r.StartMs <= p.last {
		p.insert(r)
		return
	}
	p.last = r.StartMs
	p.buf = appendPast(p.buf, r, &p.tail)
}

// insert writes everything again, with r at its place.
func (p *past) insert(r *market.Record) {
	old := *p
	*p = past{buf: make([]byte, 0, len(old.buf)+64)}
	done := false
	old.each(func(o *market.Record) bool {
		if !done && o.StartMs >= r.StartMs {
			p.put(r)
			done = true
		}
		if o.StartMs != r.StartMs {
			p.put(o)
		}
		return true
	})
}

// cut drops the records that start before ms.
func (p *past) cut(ms int64) {
	if len(p.buf) == 0 || p.first >= ms {
		return
	}
	if p.last < ms {
		p.buf = p.buf[:0]
		return
	}
	old := *p
	*p = past{}
	old.each(func(r *market.Record) bool {
		if r.StartMs >= ms {
			p.put(r)
		}
		return true
	})
}

// find reads the record that starts at start into r. Symbol is not kept.
func (p *past) find(start int64, r *market.Record) (found bool) {
	if len(p.buf) == 0 || start < p.first || start > p.last {
		return false
	}
	p.each(func(o *market.Record) bool {
		if found = o.StartMs == start; found {
			*r = *o
		}
		return o.StartMs < start
	})
	return found
}

// each calls fn with every record, by start, until it returns false. The record is fn's
// until it returns; Symbol is not kept.
func (p *past) each(fn func(*market.Record) bool) {
	var ref pastRef
	var r market.Record
	for at := 0; at < len(p.buf); {
		r = market.Record{}
		at += readPast(p.buf[at:], &r, &ref)
		if !fn(&r) {
			return
		}
	}
}

func appendPast(dst []byte, r *market.Record, ref *pastRef) []byte {
	at := len(dst)
	dst = append(dst, 0)
	var is byte
	if minutes := (r.StartMs - ref.start) / minuteMs; minutes == 1 {
		is |= pastNext
	} else {
		dst = binary.AppendVarint(dst, minutes)
	}
	if r.PriceScale != ref.ps || r.VolumeScale != ref.vs {
		is |= pastScales
		dst = append(dst, r.PriceScale, r.VolumeScale)
	}
	if r.Flags&market.Extended != 0 {
		is |= pastExtended
	}
	if r.Flags&^market.Extended != 0 || r.Rev != 0 {
		is |= pastFlags
		dst = binary.AppendUvarint(append(dst, byte(r.Flags)), uint64(r.Rev))
	}
	if r.Prices.Has != allPrices {
		is |= pastHas
		dst = append(dst, byte(r.Prices.Has))
	}
	unit := int64(1)
	if wholeMillis(&r.Prices) && wholeMillis(&r.Daily) {
		is |= pastMillis
		unit = nsPerMs
	}
	next := pastRef{r.StartMs, ref.close, ref.order, r.PriceScale, r.VolumeScale}
	dst = appendPastPrices(dst, &r.Prices, &next, unit)
	if r.Daily.Has != 0 {
		is |= pastDaily
		daily := next
		dst = appendPastPrices(append(dst, byte(r.Daily.Has)), &r.Daily, &daily, unit)
	}
	dst = appendInt128(dst, r.Volume)
	if !r.Notional.IsZero() {
		is |= pastNotional
		dst = appendInt128(dst, wrapSub(r.Notional, rough(r)))
	}
	dst = binary.AppendVarint(dst, r.N)
	dst[at] = is
	*ref = next
	return dst
}

// readPast reads the first record of b into r, which is zero, and returns how long it is.
func readPast(b []byte, r *market.Record, ref *pastRef) int {
	d := pastReader{b: b, at: 1}
	is := b[0]
	r.Timeframe = market.M1
	r.StartMs = ref.start + minuteMs
	if is&pastNext == 0 {
		r.StartMs = ref.start + d.signed()*minuteMs
	}
	r.EndMs = r.StartMs + minuteMs
	r.PriceScale, r.VolumeScale = ref.ps, ref.vs
	if is&pastScales != 0 {
		r.PriceScale, r.VolumeScale = d.byte(), d.byte()
	}
	if is&pastExtended != 0 {
		r.Flags = market.Extended
	}
	if is&pastFlags != 0 {
		r.Flags = market.Flags(d.byte())
		r.Rev = uint32(d.unsigned())
	}
	r.Prices.Has = allPrices
	if is&pastHas != 0 {
		r.Prices.Has = market.PriceFlags(d.byte())
	}
	unit := int64(1)
	if is&pastMillis != 0 {
		unit = nsPerMs
	}
	next := pastRef{r.StartMs, ref.close, ref.order, r.PriceScale, r.VolumeScale}
	d.prices(&r.Prices, &next, unit)
	if is&pastDaily != 0 {
		daily := next
		r.Daily.Has = market.PriceFlags(d.byte())
		d.prices(&r.Daily, &daily, unit)
	}
	r.Volume = d.int128()
	if is&pastNotional != 0 {
		r.Notional = wrapAdd(d.int128(), rough(r))
	}
	r.N = d.signed()
	*ref = next
	return d.at
}

// appendPastPrices appends p; what it refers to becomes its close and last order.
func appendPastPrices(dst []byte, p *market.Prices, ref *pastRef, unit int64) []byte {
	base := ref.close
	if p.Has&market.HasEnds != 0 {
		dst = binary.AppendVarint(dst, p.Open-base)
		dst = binary.AppendVarint(dst, p.Close-p.Open)
		dst = binary.AppendVarint(dst, (p.First.Time-ref.start*nsPerMs)/unit)
		dst = binary.AppendVarint(dst, (p.Last.Time-p.First.Time)/unit)
		dst = binary.AppendVarint(dst, int64(p.First.Order-ref.order))
		dst = binary.AppendVarint(dst, int64(p.Last.Order-p.First.Order))
		base, ref.close, ref.order = p.Open, p.Close, p.Last.Order
	}
	if p.Has&market.HasRange != 0 {
		dst = binary.AppendVarint(dst, p.High-base)
		dst = binary.AppendVarint(dst, p.Low-base)
	}
	return dst
}

func (d *pastReader) prices(p *market.Prices, ref *pastRef, unit int64) {
	base := ref.close
	if p.Has&market.HasEnds != 0 {
		p.Open = base + d.signed()
		p.Close = p.Open + d.signed()
		p.First.Time = ref.start*nsPerMs + d.signed()*unit
		p.Last.Time = p.First.Time + d.signed()*unit
		p.First.Order = ref.order + uint64(d.signed())
		p.Last.Order = p.First.Order + uint64(d.signed())
		base, ref.close, ref.order = p.Open, p.Close, p.Last.Order
	}
	if p.Has&market.HasRange != 0 {
		p.High = base + d.signed()
		p.Low = base + d.signed()
	}
}

func wholeMillis(p *market.Prices) bool { return p.First.Time%nsPerMs == 0 && p.Last.Time%nsPerMs == 0 }

// rough is about what the notional is: volume × open, where that is easily had.
func rough(r *market.Record) market.Int128 {
	if v, ok := r.Volume.Int64(); ok {
		return market.Mul64(v, r.Prices.Open)
	}
	return market.Int128{}
}

// wrapAdd and wrapSub wrap, so that every value comes back as it was.
func wrapAdd(x, y market.Int128) market.Int128 { sum, _ := x.Add(y); return sum }
func wrapSub(x, y market.Int128) market.Int128 { diff, _ := x.Sub(y); return diff }

// appendInt128 appends x as a zigzag varint of 128 bits.
func appendInt128(dst []byte, x market.Int128) []byte {
	sign := uint64(x.Hi >> 63)
	hi, lo := uint64(x.Hi)<<1|x.Lo>>63, x.Lo<<1
	hi, lo = hi^sign, lo^sign
	for hi != 0 || lo >= 0x80 {
		dst = append(dst, byte(lo)|0x80)
		lo, hi = lo>>7|hi<<57, hi>>7
	}
	return append(dst, byte(lo))
}

// pastReader reads what past wrote: nothing that it reads can be wrong.
type pastReader struct {
	b  []byte
	at int
}

func (d *pastReader) byte() byte {
	d.at++
	return d.b[d.at-1]
}

func (d *pastReader) signed() int64 {
	v, n := binary.Varint(d.b[d.at:])
	d.at += n
	return v
}

func (d *pastReader) unsigned() uint64 {
	v, n := binary.Uvarint(d.b[d.at:])
	d.at += n
	return v
}

func (d *pastReader) int128() market.Int128 {
	var hi, lo uint64
	for shift := uint(0); ; shift += 7 {
		b := d.byte()
		v := uint64(b & 0x7f)
		vhi, vlo := uint64(0), uint64(0)
		if shift < 64 {
			vlo = v << shift
			if shift > 57 {
				vhi = v >> (64 - shift)
			}
		} else {
			vhi = v << (shift - 64)
		}
		hi, lo = hi|vhi, lo|vlo
		if b < 0x80 {
			break
		}
	}
	sign := -(lo & 1)
	lo, hi = lo>>1|hi<<63, hi>>1
	return market.Int128{Hi: int64(hi ^ sign), Lo: lo ^ sign}
}
