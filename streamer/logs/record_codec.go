package logs

import (
	"fmt"

	"github.com/marketstream/marketstream/streamer/market"
)

// Bits of a record's first byte.
const (
	recSamePeriod = 1 << iota // timeframe, start and end as before
	recSameScales             // price and volume scale as before
	recExtra                  // flags and rev follow
	recHas                    // which prices are there follows; else all, and not weak
	recDaily                  // daily prices follow
	recNotional               // notional follows
	recMillis                 // stamps' times are in ms
	recUnused
)

// minRecord is the least that a record takes in bytes: bits, symbol, which prices, volume, count.
const minRecord = 5

// MaxRecord is the most that a record takes in bytes: both prices (8 numbers and a byte each), symbol and rev as 32 bits, period and
// count as 64, volume and notional as 128, and 6 bytes.
const MaxRecord = 2*(8*10+1) + 2*5 + 3*10 + 2*19 + 6

const (
	nsPerMs   = 1_000_000
	allPrices = market.HasRange | market.HasEnds
	knownHas  = allPrices | market.WeakEnds
	// knownFlags are those that a record may have.
	knownFlags = market.Partial | market.Void | market.Extended | market.NoNotional
)

// checkRecord refuses what would not come back: it costs less than to write it.
func checkRecord(r *market.Record, symbols int) error {
	switch {
	case int64(r.Symbol) >= int64(symbols):
		return fmt.Errorf("symbol %d of %d", r.Symbol, symbols)
	case !r.Timeframe.Valid():
		return fmt.Errorf("timeframe %d: 1 to %d", r.Timeframe, market.MaxTimeframe)
	case r.PriceScale > market.MaxScale || r.VolumeScale > market.MaxScale:
		return fmt.Errorf("scales %d and %d: at most %d", r.PriceScale, r.VolumeScale, market.MaxScale)
	case r.Flags&^knownFlags != 0:
		return fmt.Errorf("flags %08b: unknown", r.Flags)
	case (r.Prices.Has|r.Daily.Has)&^knownHas != 0:
		return fmt.Errorf("which prices are there, %08b and %08b: unknown", r.Prices.Has, r.Daily.Has)
	}
	return nil
}

func appendRecord(dst []byte, r, before *market.Record) []byte {
	at := len(dst)
	dst = append(dst, 0)
	var is byte
	dst = appendS(dst, int64(r.Symbol)-int64(before.Symbol))
	if r.StartMs == before.StartMs && r.EndMs == before.EndMs && r.Timeframe == before.Timeframe {
		is |= recSamePeriod
	} else {
		dst = append(dst, byte(r.Timeframe))
		dst = appendS(dst, r.StartMs-before.StartMs)
		dst = appendS(dst, r.EndMs-r.StartMs-r.Timeframe.Millis())
	}
	if r.PriceScale == before.PriceScale && r.VolumeScale == before.VolumeScale {
		is |= recSameScales
	} else {
		dst = append(dst, r.PriceScale, r.VolumeScale)
	}
	if r.Flags != 0 || r.Rev != 0 {
		is |= recExtra
		dst = append(dst, byte(r.Flags))
		dst = appendU(dst, uint64(r.Rev))
	}
	if r.Prices.Has != allPrices {
		is |= recHas
		dst = append(dst, byte(r.Prices.Has))
	}
	startNs := r.StartMs * nsPerMs
	unit := int64(1)
	if inMillis(&r.Prices, startNs) && inMillis(&r.Daily, startNs) {
		is |= recMillis
		unit = nsPerMs
	}
	dst = appendPrices(dst, &r.Prices, 0, startNs, unit)
	if r.Daily.Has != 0 {
		is |= recDaily
		dst = append(dst, byte(r.Daily.Has))
		dst = appendPrices(dst, &r.Daily, openOf(r), startNs, unit)
	}
	dst = appendW(dst, r.Volume)
	if !r.Notional.IsZero() {
		is |= recNotional
		dst = appendW(dst, sub128(r.Notional, roughNotional(r)))
	}
	dst = appendS(dst, r.N)
	dst[at] = is
	return dst
}

func (d *decoder) record(r, before *market.Record, symbols int) {
	is := d.byte()
	if is&recUnused != 0 {
		d.fail("bits %08b: unknown", is)
	}
	symbol := int64(before.Symbol) + d.s()
	if symbol < 0 || symbol >= int64(symbols) {
		d.fail("symbol %d of %d", symbol, symbols)
		return
	}
	r.Symbol = uint32(symbol)
	r.Timeframe, r.StartMs, r.EndMs = before.Timeframe, before.StartMs, before.EndMs
	if is&recSamePeriod == 0 {
		r.Timeframe = d.timeframe()
		r.StartMs += d.s()
		r.EndMs = r.StartMs + r.Timeframe.Millis() + d.s()
	} else if !r.Timeframe.Valid() {
		d.fail("the first has no period")
	}
	r.PriceScale, r.VolumeScale = before.PriceScale, before.VolumeScale
	if is&recSameScales == 0 {
		r.PriceScale, r.VolumeScale = d.scale(), d.scale()
	}
	if is&recExtra != 0 {
		r.Flags = market.Flags(d.byte())
		rev := d.u()
		if r.Flags&^knownFlags != 0 || rev > 1<<32-1 {
			d.fail("flags %08b, rev %d: unknown", r.Flags, rev)
		}
		r.Rev = uint32(rev)
	}
	r.Prices.Has = allPrices
	if is&recHas != 0 {
		r.Prices.Has = d.has()
	}
	startNs := r.StartMs * nsPerMs
	unit := int64(1)
	if is&recMillis != 0 {
		unit = nsPerMs
	}
	d.prices(&r.Prices, 0, startNs, unit)
	if is&recDaily != 0 {
		r.Daily.Has = d.has()
		d.prices(&r.Daily, openOf(r), startNs, unit)
	}
	r.Volume = d.w()
	if is&recNotional != 0 {
		r.Notional = add128(d.w(), roughNotional(r))
	}
	r.N = d.s()
}

func (d *decoder) has() market.PriceFlags {
	has := market.PriceFlags(d.byte())
	if has&^knownHas != 0 {
		d.fail("which prices are there, %08b: unknown", has)
	}
	return has
}

// inMillis reports whether the stamps lose nothing when they are written in ms.
func inMillis(p *market.Prices, startNs int64) bool {
	return p.Has&market.HasEnds == 0 ||
		(p.First.Time-startNs)%nsPerMs == 0 && (p.Last.Time-p.First.Time)%nsPerMs == 0
}

func openOf(r *market.Record) int64 {
	if r.Prices.Has&market.HasEnds == 0 {
		return 0
	}
	return r.Prices.Open
}

// roughNotional is what the notional is written as a difference from: near it, and a
// fraction of its length.
func roughNotional(r *market.Record) market.Int128 {
	volume, ok := r.Volume.Int64()
	if !ok {
		return market.Int128{}
	}
	return market.Mul64(volume, openOf(r))
}

func appendPrices(dst []byte, p *market.Prices, ref, startNs, unit int64) []byte {
	if p.Has&market.HasEnds != 0 {
		dst = appendS(dst, p.Open-ref)
		ref = p.Open
		dst = appendS(dst, p.Close-ref)
	}
	if p.Has&market.HasRange != 0 {
		dst = appendS(dst, p.High-ref)
		dst = appendS(dst, p.Low-ref)
	}
	if p.Has&market.HasEnds == 0 {
		return dst
	}
	first, length := p.First.Time-startNs, p.Last.Time-p.First.Time
	if unit == nsPerMs { // a constant divides faster
		first, length = first/nsPerMs, length/nsPerMs
	}
	dst = appendS(dst, first)
	dst = appendS(dst, length)
	dst = appendS(dst, int64(p.First.Order))
	return appendS(dst, int64(p.Last.Order-p.First.Order))
}

func (d *decoder) prices(p *market.Prices, ref, startNs, unit int64) {
	if p.Has&market.HasEnds != 0 {
		p.Open = ref + d.s()
		ref = p.Open
		p.Close = ref + d.s()
	}
	if p.Has&market.HasRange != 0 {
		p.High = ref + d.s()
		p.Low = ref + d.s()
	}
	if p.Has&market.HasEnds == 0 {
		return
	}
	p.First.Time = startNs + d.s()*unit
	p.Last.Time = p.First.Time + d.s()*unit
	p.First.Order = uint64(d.s())
	p.Last.Order = p.First.Order + uint64(d.s())
}
