package polygon

import (
	"github.com/marketstream/marketstream/streamer/market"
)

const (
	secondNs = int64(1e9)
	// remembered is how many seconds of a symbol are kept for the vendor's bars of them, which come 2 s late and more.
	remembered = 16
	// exactScale is the most decimals that a size of shares has.
	exactScale = 6
)

// seconds are the volumes of a symbol's latest seconds. Whether the vendor's bars go by the time at which a trade happened or was
// reported is not known, so a trade counts in the seconds of both: a bar that has more lacks trades for certain.
type seconds [remembered]struct {
	second, volume int64
	trades         int64
}

// add counts a trade.
func (s *seconds) add(e *event) {
	if conditionTable.Use(e.entry.Conditions, false)&market.UseVolume == 0 {
		return
	}
	coef, ok := e.entry.Size.Rescale(exactScale)
	if !ok { // too many decimals, or too many shares: it is enough whatever it is
		coef = 1 << 50
	}
	at, reported := e.entry.Time/secondNs, e.sent/secondNs
	s.in(at, coef)
	if reported != at {
		s.in(reported, coef)
	}
}

func (s *seconds) in(second, coef int64) {
	x := &s[second%remembered]
	if x.second > second {
		return // long ago
	}
	if x.second != second {
		x.second, x.volume, x.trades = second, 0, 0
	}
	x.volume = min(x.volume+coef, 1<<60)
	x.trades++
}

// conditionTable says which trades count in a volume.
var conditionTable = func() *market.ConditionTable {
	t, err := market.LookupConditions("USEquities")
	if err != nil {
		panic(err) // it is built in
	}
	return t
}()

// check holds a second against the vendor's bar of it. Sequence numbers skip, so this is the only way to see, while connected, that
// trades did not come. A minute is complained of once.
func (s *session) check(x *symbol, e *event) error {
	second := e.from / secondNs
	if e.to-e.from != secondNs || e.from < x.fromNs+2*secondNs || x.fromNs == 0 {
		return nil // of before it was subscribed to
	}
	have := x.seconds[second%remembered]
	if have.second > second {
		return nil // sent again, long after
	}
	if have.second != second {
		have.volume = 0
	}
	want, ok := e.volume.Rescale(exactScale)
	if !ok {
		return nil
	}
	allowed := int64(0)
	if !e.exact { // parts of shares are cut off or rounded up, in each trade or in the sum
		allowed = (have.trades + 1) * 1e6
	}
	if want-have.volume <= allowed {
		return nil
	}
	s.src.missed.Add(1)
	minute := e.from / 60 / secondNs
	if x.complain == minute {
		return nil
	}
	x.complain = minute
	s.src.Log.Info("trades did not come: the vendor's bar of a second has more", "symbol", x.name, "second", second, "volume", e.volume.String(),
		"came", market.Decimal{Coef: have.volume, Scale: exactScale}.String())
	return s.Hole(x.number, e.from, e.to)
}
