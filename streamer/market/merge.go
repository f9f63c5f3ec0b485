package market

// Merge merges part, a record of a period inside r's, into r: in any order, each part
// once. A 1d record takes its prices from a part's Daily where the part lies outside
// regular hours. Partial is not merged: whoever knows the gaps sets it. A void part, and
// one of which nothing counts in r, changes nothing. On [ErrOverflow] r is unchanged.
func (r *Record) Merge(part *Record) error {
	if part.Flags&Void != 0 || !part.counts(r.daily(part)) {
		return nil
	}
	return r.replace(nil, part)
}

// daily reports whether r, of 1d, takes its prices from part's Daily.
func (r *Record) daily(part *Record) bool { return r.Timeframe == D1 && part.Flags&Extended != 0 }

// counts reports whether there is anything in r for a record that takes its prices from
// Daily, or from Prices.
func (r *Record) counts(daily bool) bool {
	p := &r.Prices
	if daily {
		p = &r.Daily
	}
	return r.N != 0 || p.Has != 0 || !r.Volume.IsZero()
}

// Update merges a newer revision of a part of which r already holds old. The newer one
// must hold every trade of the older. On [ErrOverflow] r is unchanged.
func (r *Record) Update(old, part *Record) error {
	if daily := r.daily(part); !old.counts(daily) && !part.counts(daily) {
		return nil
	}
	return r.replace(old, part)
}

func (r *Record) replace(old, part *Record) error {
	c, p := *r, *part
	ps, vs := max(c.PriceScale, p.PriceScale), max(c.VolumeScale, p.VolumeScale)
	if c.empty() {
		ps, vs = p.PriceScale, p.VolumeScale
	}
	if old != nil {
		ps, vs = max(ps, old.PriceScale), max(vs, old.VolumeScale)
	}
	if !c.rescale(ps, vs) || !p.rescale(ps, vs) {
		return ErrOverflow
	}
	var ok bool
	if old != nil {
		o := *old
		if !o.rescale(ps, vs) {
			return ErrOverflow
		}
		if p.Volume, ok = p.Volume.Sub(o.Volume); !ok {
			return ErrOverflow
		}
		p.N -= o.N
		if p.Notional, ok = p.Notional.Sub(o.Notional); !ok {
			p.Flags |= NoNotional
		}
		p.Flags |= o.Flags & NoNotional
	}
	if c.Volume, ok = c.Volume.Add(p.Volume); !ok {
		return ErrOverflow
	}
	c.N += p.N
	c.Flags |= p.Flags & NoNotional
	if c.Flags&NoNotional == 0 {
		if c.Notional, ok = c.Notional.Add(p.Notional); !ok {
			c.Flags |= NoNotional
		}
	}
	if c.Flags&NoNotional != 0 {
		c.Notional = Int128{}
	}
	if c.daily(&p) {
		c.Prices.merge(&p.Daily)
	} else {
		c.Prices.merge(&p.Prices)
	}
	*r = c
	return nil
}

func (p *Prices) merge(q *Prices) {
	if q.Has&HasRange != 0 {
		if p.Has&HasRange == 0 {
			p.High, p.Low = q.High, q.Low
			p.Has |= HasRange
		} else {
			p.High, p.Low = max(p.High, q.High), min(p.Low, q.Low)
		}
	}
	if q.Has&HasEnds == 0 {
		return
	}
	if p.Has&HasEnds == 0 || p.Has&WeakEnds != 0 && q.Has&WeakEnds == 0 {
		p.Open, p.Close, p.First, p.Last = q.Open, q.Close, q.First, q.Last
		p.Has = p.Has&^WeakEnds | HasEnds | q.Has&WeakEnds
		return
	}
	if q.Has&WeakEnds != 0 && p.Has&WeakEnds == 0 {
		return
	}
	if q.First.Less(p.First) {
		p.Open, p.First = q.Open, q.First
	}
	if !q.Last.Less(p.Last) {
		p.Close, p.Last = q.Close, q.Last
	}
}

// RemoveTrade takes back a trade that was added with the same use. touched reports that it
// may have set a price, which a merge cannot undo: the record then needs its trades again.
// Volume, count and notional are exact either way. On [ErrOverflow] r is unchanged.
func (r *Record) RemoveTrade(e *Entry, use Use) (touched bool, err error) {
	if r.Flags&Extended == 0 {
		use &= useMinute
	}
	if use == 0 {
		return false, nil
	}
	c := *r
	price, size, ok := c.fit(e)
	if !ok {
		return false, ErrOverflow
	}
	if use&UseVolume != 0 {
		if c.Volume, ok = c.Volume.Sub(Int128From(size)); !ok {
			return false, ErrOverflow
		}
		c.N--
		if c.Flags&NoNotional == 0 {
			if c.Notional, ok = c.Notional.Sub(Mul64(price, size)); !ok {
				c.Flags |= NoNotional
				c.Notional = Int128{}
			}
		}
	}
	at := Stamp{Time: e.Time, Order: e.Order}
	touched = c.Prices.touches(price, at, use&UseRange != 0, use&(UseEnds|UseWeakEnds) != 0)
	if c.Flags&Extended != 0 && !touched {
		touched = c.Daily.touches(price, at, use&UseDayRange != 0, use&(UseDayEnds|UseDayWeakEnds) != 0)
	}
	*r = c
	return touched, nil
}

func (p *Prices) touches(price int64, at Stamp, rng, ends bool) bool {
	return rng && p.Has&HasRange != 0 && (price >= p.High || price <= p.Low) ||
		ends && p.Has&HasEnds != 0 && (at == p.First || at == p.Last)
}
