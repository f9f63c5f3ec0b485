package market

import "errors"

// ErrOverflow says that a trade's numbers do not fit the record that they belong to.
var ErrOverflow = errors.New("the numbers do not fit")

// Flags of a [Record] or [Bar]. Their bits stand in the logs.
type Flags uint8

// The flags.
const (
	// Partial: part of the period was not observed.
	Partial Flags = 1 << iota
	// Void: the only trades of the bar were cancelled; remove it.
	Void
	// Extended: the minute lies outside regular hours, so Daily holds what may shape a daily price.
	Extended
	// NoNotional: the notional overflowed; the bar has no VWAP.
	NoNotional
)

// Stamp orders the trades of a symbol: exchange time in Unix ns, then [Entry.Order].
type Stamp struct {
	Time  int64
	Order uint64
}

// Less reports whether s comes before t.
func (s Stamp) Less(t Stamp) bool {
	return s.Time < t.Time || s.Time == t.Time && s.Order < t.Order
}

// PriceFlags says which prices of [Prices] are there.
type PriceFlags uint8

const (
	// HasRange says that High and Low are there.
	HasRange PriceFlags = 1 << iota
	// HasEnds says that Open and Close are there, with First and Last.
	HasEnds
	// WeakEnds says that Open and Close come from trades that count there only where no better
	// one is (note 1 of the condition table); any trade without that note replaces them.
	WeakEnds
)

// Prices are open, high, low and close at the record's PriceScale. Open belongs to the
// trade with the least stamp, close to that with the greatest, in whatever order they came.
type Prices struct {
	Open, High, Low, Close int64
	First, Last            Stamp
	Has                    PriceFlags
}

// Priced reports whether all four prices are there.
func (p *Prices) Priced() bool { return p.Has&(HasRange|HasEnds) == HasRange|HasEnds }

// Record is a bar that can still be merged. A record of a timeframe is the merge of the
// 1m records in its period, in any order.
type Record struct {
	Symbol      uint32 // number in a table that the holder of the record names
	Timeframe   Timeframe
	Flags       Flags
	PriceScale  uint8 // decimals of the prices: the most that any trade's price had
	VolumeScale uint8 // decimals of Volume: the most that any trade's size had
	Rev         uint32
	StartMs     int64 // the period is [StartMs, EndMs)
	EndMs       int64
	Prices      Prices
	Daily       Prices // Extended: of the trades that may shape a daily price
	Volume      Int128 // at VolumeScale
	Notional    Int128 // the sum of price × size, at PriceScale + VolumeScale
	N           int64  // trades that count in the volume
}

// Use says to which fields of a bar a trade counts; see [ConditionTable.Use].
type Use uint8

// The uses. A trade without conditions counts everywhere.
const (
	UseRange    Use = 1 << iota // high and low of the minute
	UseEnds                     // open and close of the minute
	UseWeakEnds                 // open and close, if nothing better is there
	UseVolume                   // volume, VWAP and count
	UseDayRange                 // the same three for the day
	UseDayEnds
	UseDayWeakEnds
	UseAll = UseRange | UseEnds | UseVolume | UseDayRange | UseDayEnds

	useMinute = UseRange | UseEnds | UseWeakEnds | UseVolume
)

// AddTrade merges one trade into r; one that counts nowhere changes nothing. On
// [ErrOverflow] r is unchanged.
func (r *Record) AddTrade(e *Entry, use Use) error {
	if r.Flags&Extended == 0 {
		use &= useMinute
	}
	if use == 0 {
		return nil
	}
	price, size := e.Price.Coef, e.Size.Coef
	if e.Price.Scale == r.PriceScale && e.Size.Scale == r.VolumeScale {
		return r.add(e, price, size, use)
	}
	var ok bool
	if e.Price.Scale <= r.PriceScale && e.Size.Scale <= r.VolumeScale && !r.empty() {
		if price, ok = rescale(price, e.Price.Scale, r.PriceScale); !ok {
			return ErrOverflow
		}
		if size, ok = rescale(size, e.Size.Scale, r.VolumeScale); !ok {
			return ErrOverflow
		}
		return r.add(e, price, size, use)
	}
	c := *r
	if price, size, ok = c.fit(e); !ok {
		return ErrOverflow
	}
	err := c.add(e, price, size, use)
	if err == nil {
		*r = c
	}
	return err
}

// add merges a trade whose price and size are at r's scales.
func (r *Record) add(e *Entry, price, size int64, use Use) error {
	if use&UseVolume != 0 {
		v, ok := r.Volume.Add(Int128From(size))
		if !ok {
			return ErrOverflow
		}
		r.Volume = v
		r.N++
		if r.Flags&NoNotional == 0 {
			if r.Notional, ok = r.Notional.Add(Mul64(price, size)); !ok {
				r.Flags |= NoNotional
				r.Notional = Int128{}
			}
		}
	}
	at := Stamp{Time: e.Time, Order: e.Order}
	r.Prices.add(price, at, use&UseRange != 0, use&UseEnds != 0, use&UseWeakEnds != 0)
	if r.Flags&Extended != 0 {
		r.Daily.add(price, at, use&UseDayRange != 0, use&UseDayEnds != 0, use&UseDayWeakEnds != 0)
	}
	return nil
}

func (p *Prices) add(price int64, at Stamp, rng, ends, weak bool) {
	if rng {
		if p.Has&HasRange == 0 {
			p.High, p.Low = price, price
			p.Has |= HasRange
		} else {
			if price > p.High {
				p.High = price
			}
			if price < p.Low {
				p.Low = price
			}
		}
	}
	switch {
	case ends:
		if p.Has&HasEnds == 0 || p.Has&WeakEnds != 0 {
			p.Open, p.Close, p.First, p.Last = price, price, at, at
			p.Has = p.Has&^WeakEnds | HasEnds
			return
		}
	case weak:
		if p.Has&HasEnds == 0 {
			p.Open, p.Close, p.First, p.Last = price, price, at, at
			p.Has |= HasEnds | WeakEnds
			return
		}
		if p.Has&WeakEnds == 0 {
			return
		}
	default:
		return
	}
	if at.Less(p.First) {
		p.Open, p.First = price, at
	}
	if !at.Less(p.Last) {
		p.Close, p.Last = price, at
	}
}

// fit brings r and the trade to common scales.
func (r *Record) fit(e *Entry) (price, size int64, ok bool) {
	ps, vs := max(r.PriceScale, e.Price.Scale), max(r.VolumeScale, e.Size.Scale)
	if r.empty() {
		ps, vs = e.Price.Scale, e.Size.Scale
	}
	if price, ok = e.Price.Rescale(ps); !ok {
		return 0, 0, false
	}
	if size, ok = e.Size.Rescale(vs); !ok {
		return 0, 0, false
	}
	return price, size, r.rescale(ps, vs)
}

func (r *Record) empty() bool {
	return r.N == 0 && r.Prices.Has == 0 && r.Daily.Has == 0 && r.Volume.IsZero()
}

// rescale brings r to scales no smaller than its own. On false r is unchanged.
func (r *Record) rescale(ps, vs uint8) bool {
	if ps == r.PriceScale && vs == r.VolumeScale {
		return true
	}
	if r.empty() {
		r.PriceScale, r.VolumeScale = ps, vs
		return true
	}
	c := *r
	ok := true
	if ps != c.PriceScale {
		for _, p := range []*int64{&c.Prices.Open, &c.Prices.High, &c.Prices.Low, &c.Prices.Close,
			&c.Daily.Open, &c.Daily.High, &c.Daily.Low, &c.Daily.Close} {
			var fits bool
			*p, fits = rescale(*p, c.PriceScale, ps)
			ok = ok && fits
		}
	}
	var fits bool
	if c.Volume, fits = c.Volume.Scale10(vs - c.VolumeScale); !fits {
		ok = false
	}
	if !ok {
		return false
	}
	if c.Notional, fits = c.Notional.Scale10(ps - c.PriceScale + vs - c.VolumeScale); !fits {
		c.Notional, c.Flags = Int128{}, c.Flags|NoNotional
	}
	c.PriceScale, c.VolumeScale = ps, vs
	*r = c
	return true
}
