package polygontest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/marketstream/marketstream/streamer/feed/vendortest"
	"github.com/marketstream/marketstream/streamer/market"
)

// Fault is what happens to trades on their way to the sockets; REST has them as they are.
type Fault struct {
	Skip      bool // they are not sent
	Duplicate bool // each frame is sent twice
	Backwards bool // they are sent in the opposite order
}

// second sums up what the vendor says of a second of a symbol.
type second struct {
	from                   int64
	volume                 int64 // in units of 10^-8
	open, high, low, close market.Decimal
}

// volumeScale is the most decimals that a size has.
const volumeScale = 8

// Trade makes n trades of a symbol and sends them.
func (v *Vendor) Trade(symbol string, n int, how vendortest.How, f Fault) ([]vendortest.Trade, error) {
	trades, err := v.Make(symbol, n, how)
	if err != nil {
		return nil, err
	}
	v.Send(trades, f)
	return trades, nil
}

// Send sends trades that were made, in frames of at most Batch, which may hold several symbols.
func (v *Vendor) Send(trades []vendortest.Trade, f Fault) {
	channel := "T."
	if v.opts.Crypto {
		channel = "XT."
	}
	v.mu.Lock()
	for i := range trades {
		v.sum(&trades[i])
	}
	v.mu.Unlock()
	if f.Skip {
		return
	}
	for from := 0; from < len(trades); from += v.opts.Batch {
		part := trades[from:min(from+v.opts.Batch, len(trades))]
		type out struct {
			to     *vendortest.Client
			events []string
		}
		var outs []*out
		for i := range part {
			t := &part[i]
			if f.Backwards {
				t = &part[len(part)-1-i]
			}
			text := v.event(t)
			for _, c := range v.subscribed(channel + t.Symbol) {
				at := -1
				for k := range outs {
					if outs[k].to == c {
						at = k
					}
				}
				if at < 0 {
					outs, at = append(outs, &out{to: c}), len(outs)
				}
				outs[at].events = append(outs[at].events, text)
			}
		}
		for _, o := range outs {
			frame := []byte("[" + strings.Join(o.events, ",") + "]")
			o.to.Send(frame)
			if f.Duplicate {
				o.to.Send(frame)
			}
			v.with(func() { v.stats.Sent += uint64(len(o.events)) })
		}
	}
}

// event is a trade as the socket has it.
func (v *Vendor) event(t *vendortest.Trade) string {
	ms := func(ns int64) string { return strconv.FormatInt(ns/1e6, 10) }
	if v.opts.Crypto {
		return fmt.Sprintf(`{"ev":"XT","pair":%q,"p":%s,"t":%s,"s":%s,"c":[%d],"i":"%d","x":%d,"r":%s}`,
			t.Symbol, t.Price, ms(t.TimeNs), t.Size, 1+t.ID%2, t.ID, t.Exchange, ms(t.SentNs))
	}
	b := fmt.Sprintf(`{"ev":"T","sym":%q,"i":"%d","x":%d,"p":%s,"s":%d,"ds":"%s"`, t.Symbol, t.ID, t.Exchange, t.Price, whole(t.Size), t.Size)
	if len(t.Conditions) > 0 {
		b += `,"c":` + ids(t.Conditions)
	}
	b += fmt.Sprintf(`,"t":%s`, ms(t.SentNs))
	if v.opts.Participant {
		b += `,"pt":` + ms(t.TimeNs)
	}
	b += fmt.Sprintf(`,"q":%d,"z":3`, t.Seq)
	if t.Facility > 0 {
		b += fmt.Sprintf(`,"trfi":%d,"trft":%s`, t.Facility, ms(t.SentNs))
	}
	return b + "}"
}

func ids(conditions []int) string {
	return strings.ReplaceAll(fmt.Sprint(conditions), " ", ",")
}

// whole is a size in whole shares: a part of one counts as one.
func whole(d market.Decimal) int64 {
	coef, p := d.Coef, int64(1)
	for range d.Scale {
		p *= 10
	}
	return max(coef/p, 1)
}

// sum adds a trade to its second; v.mu is held. Official prints and corrected closes count in no volume.
func (v *Vendor) sum(t *vendortest.Trade) {
	if slices.ContainsFunc(t.Conditions, func(c int) bool { return c == 15 || c == 16 || c == 38 }) {
		return
	}
	from := t.SentNs - t.SentNs%int64(time.Second)
	key := t.Symbol + strconv.FormatInt(from, 10)
	s := v.seconds[key]
	if s == nil {
		s = &second{from: from, open: t.Price, high: t.Price, low: t.Price}
		v.seconds[key] = s
	}
	coef, _ := t.Size.Rescale(volumeScale)
	s.volume += coef
	s.close = t.Price
	if a, _ := t.Price.Rescale(8); true {
		if h, _ := s.high.Rescale(8); a > h {
			s.high = t.Price
		}
		if l, _ := s.low.Rescale(8); a < l {
			s.low = t.Price
		}
	}
}

// Aggregates sends what there is to say of every second that has ended for grace, once.
func (v *Vendor) Aggregates(grace time.Duration) {
	channel, event, name := "A.", "A", "sym"
	if v.opts.Crypto {
		channel, event, name = "XAS.", "XAS", "pair"
	}
	now := v.Now().UnixNano()
	v.mu.Lock()
	texts := map[string][]string{}
	for key, s := range v.seconds {
		end := s.from + int64(time.Second)
		if end+int64(grace) > now {
			continue
		}
		symbol := strings.TrimSuffix(key, strconv.FormatInt(s.from, 10))
		exact := market.AppendDecimal(nil, s.volume, volumeScale)
		text := fmt.Sprintf(`{"ev":%q,%q:%q,"v":%d,"dv":"%s","av":1,"vw":1,"o":%s,"c":%s,"h":%s,"l":%s,"a":1,"z":1,"s":%d,"e":%d}`,
			event, name, symbol, s.volume/1e8, exact, s.open, s.close, s.high, s.low, s.from/1e6, end/1e6)
		texts[symbol] = append(texts[symbol], text)
		delete(v.seconds, key)
	}
	v.mu.Unlock()
	for symbol, events := range texts {
		for _, c := range v.subscribed(channel + symbol) {
			c.Send([]byte("[" + strings.Join(events, ",") + "]"))
		}
	}
}
