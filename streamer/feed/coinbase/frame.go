package coinbase

import (
	"fmt"
	"strconv"

	"github.com/marketstream/marketstream/streamer/market"
)

// kind is what a frame is.
type kind uint8

const (
	other         kind = iota // a type that is none of ours: to be ignored, says the vendor
	match                     // a trade
	lastMatch                 // on subscribing, the newest trade: it is said again
	heartbeat                 // each second and product
	subscriptions             // what is subscribed to, whole: the answer to each message of ours
	refusal                   // type error
)

// frame is what one frame says. Its slices are the text's.
type frame struct {
	kind    kind
	product []byte
	id      uint64 // match: of the trade; heartbeat: of the newest trade, 0 if there is none
	side    market.Side
	price   market.Decimal
	size    market.Decimal
	time    int64  // Unix ns
	message []byte // refusal
	reason  []byte // refusal

	fields fields
}

// parse reads a frame. f is overwritten; it allocates only for escapes and errors.
func (f *frame) parse(text []byte) error {
	f.kind = other
	s := scanner{b: text}
	if err := s.frame(&f.fields); err != nil {
		return fmt.Errorf("%s: %w", shown(text), err)
	}
	v := &f.fields
	if v.typ.kind != '"' {
		return nil
	}
	var field string
	switch string(v.typ.text) {
	case "match", "last_match":
		if field = f.trade(); field == "" && v.product.kind != '"' {
			field = "product_id"
		}
		f.product = v.product.text
		f.kind = match
		if len(v.typ.text) > len("match") {
			f.kind = lastMatch
		}
	case "heartbeat":
		var ok bool
		if f.id, ok = number(v.lastID); !ok {
			field = "last_trade_id"
		} else if f.time, ok = instant(v.time); !ok {
			field = "time"
		} else if v.product.kind != '"' {
			field = "product_id"
		}
		f.product = v.product.text
		f.kind = heartbeat
	case "subscriptions":
		f.kind = subscriptions
	case "error":
		f.kind = refusal
		f.message, f.reason = v.message.text, v.reason.text
	}
	if field != "" {
		f.kind = other
		return fmt.Errorf("%s: %s is missing or no %s", shown(text), field, wanted(field))
	}
	return nil
}

// trade takes what makes a trade from fields, in a frame or on a page alike, and returns the
// field that is wrong, or "".
func (f *frame) trade() (wrong string) {
	v := &f.fields
	var ok bool
	if f.id, ok = number(v.id); !ok || f.id == 0 {
		return "trade_id"
	}
	if f.time, ok = instant(v.time); !ok {
		return "time"
	}
	if f.price, ok = positive(v.price); !ok {
		return "price"
	}
	if f.size, ok = positive(v.size); !ok {
		return "size"
	}
	f.side = market.SideUnknown
	if v.side.kind == '"' {
		switch string(v.side.text) { // the maker's: the taker took the other one
		case "buy":
			f.side = market.SideSell
		case "sell":
			f.side = market.SideBuy
		}
	}
	return ""
}

// entry is the trade as ingest takes it.
func (f *frame) entry(e *market.Entry, symbol uint32) {
	*e = market.Entry{Kind: market.Trade, Side: f.side, Symbol: symbol, Time: f.time,
		Price: f.price, Size: f.size, Order: f.id, ID: f.id}
}

// number reads a whole number of at most 64 bits.
func number(t token) (n uint64, ok bool) {
	if t.kind != '0' {
		return 0, false
	}
	for _, c := range t.text {
		if c < '0' || c > '9' || n > (1<<64-1)/10 {
			return 0, false
		}
		d := uint64(c - '0')
		if n = n*10 + d; n < d {
			return 0, false
		}
	}
	return n, true
}

func instant(t token) (int64, bool) {
	if t.kind != '"' {
		return 0, false
	}
	return parseTime(t.text)
}

// positive reads a decimal, as text or as a number, exactly.
func positive(t token) (market.Decimal, bool) {
	if t.kind != '"' && t.kind != '0' {
		return market.Decimal{}, false
	}
	d, err := market.ParseDecimal(t.text)
	return d, err == nil && d.Coef > 0
}

func wanted(field string) string {
	switch field {
	case "trade_id", "last_trade_id":
		return "whole number of at most 64 bits"
	case "time":
		return "UTC time as in 2021-04-17T16:43:30.244075Z"
	case "product_id":
		return "string"
	}
	return "positive decimal of at most 18 decimals and 63 bits"
}

// shown is the beginning of a frame, as an error quotes it.
func shown(text []byte) string {
	if len(text) > 200 {
		return strconv.Quote(string(text[:200])) + "…"
	}
	return strconv.Quote(string(text))
}
