package scan

import "github.com/marketstream/marketstream/streamer/market"

// Bar is a vendor's bar of a minute, as its parser reads it. VWAP is 0 where the vendor does not say it.
type Bar struct {
	StartMs                              int64
	Open, High, Low, Close, Volume, VWAP market.Decimal
	N                                    int64
}

// Record makes a record of a bar. Its VWAP is the vendor's, as far as the price's decimals and two more hold it. ok is false
// where its numbers do not fit. What a vendor's bar does not tell: which of its trades may shape a daily price outside
// regular hours; extended says that it lies there, and then nothing of its prices does.
func (b *Bar) Record(extended bool) (r market.Record, ok bool) {
	r = market.Record{Timeframe: market.M1, StartMs: b.StartMs, EndMs: b.StartMs + 60_000, N: b.N, VolumeScale: b.Volume.Scale}
	if extended {
		r.Flags |= market.Extended
	}
	prices := [...]market.Decimal{b.Open, b.High, b.Low, b.Close}
	for _, d := range prices {
		r.PriceScale = max(r.PriceScale, d.Scale)
	}
	for i, to := range [...]*int64{&r.Prices.Open, &r.Prices.High, &r.Prices.Low, &r.Prices.Close} {
		if *to, ok = prices[i].Rescale(r.PriceScale); !ok {
			return r, false
		}
	}
	r.Prices.Has = market.HasRange | market.HasEnds
	r.Prices.First = market.Stamp{Time: r.StartMs * 1e6}
	r.Prices.Last = market.Stamp{Time: r.EndMs*1e6 - 1}
	r.Volume = market.Int128From(b.Volume.Coef)
	if b.VWAP.Coef <= 0 || b.Volume.Coef <= 0 {
		r.Flags |= market.NoNotional
		return r, true
	}
	// Notional is at the scales of price and volume: VWAP × volume, rounded to them.
	n := market.Mul64(b.VWAP.Coef, b.Volume.Coef)
	if b.VWAP.Scale <= r.PriceScale {
		r.Notional, ok = n.Scale10(r.PriceScale - b.VWAP.Scale)
	} else {
		divisor := int64(1)
		for range b.VWAP.Scale - r.PriceScale {
			divisor *= 10
		}
		var q int64
		q, ok = n.QuoHalfEven(0, market.Int128From(divisor))
		r.Notional = market.Int128From(q)
	}
	if !ok {
		r.Notional, r.Flags = market.Int128{}, r.Flags|market.NoNotional
	}
	return r, true
}
