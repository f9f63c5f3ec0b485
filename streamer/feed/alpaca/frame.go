package alpaca

import (
	"strconv"

	"github.com/marketstream/marketstream/streamer/feed/scan"
	"github.com/marketstream/marketstream/streamer/market"
)

// kind is what a message is.
type kind uint8

const (
	other        kind = iota // of no use here: to be passed over
	trade                    // t
	correction               // c: a trade takes the place of another
	cancellation             // x: a trade is taken back
	halt                     // s: a symbol is halted, or trades again
	limits                   // l: price bands
	bar                      // b, u, d
	success                  // connected, authenticated
	refusal                  // error
	subscription             // all that is subscribed to
	malformed                // of a known kind, but a field can't be read
)

// message is one element of a frame. Its slices are the frame's.
type message struct {
	kind   kind
	wrong  string // malformed: the field
	text   []byte // malformed: the message
	symbol []byte
	sent   int64 // of all but success, refusal, subscription: the message's time, Unix ns

	entry     market.Entry // trade; correction: the new one; cancellation: the one that is taken back, as far as it is said. No Symbol
	corrected market.Entry // correction: the trade that it was
	known     bool         // the conditions of what is taken back are said too

	bar byte // b, u or d
	n   uint64
	open, high, low, close,
	volume market.Decimal

	state, reason []byte // halt: what it is, why

	code    int    // refusal
	message []byte // success, refusal
	trades  []byte // subscription: a JSON array of symbols
}

// The values of a message, by key.
const (
	kType = iota
	kSymbol
	kID
	kExchange
	kPrice
	kSize
	kTime
	kConditions // of a bar: the close
	kTape
	kTaker
	kCode
	kMsg
	kWasID
	kWasPrice
	kWasSize
	kWasConditions
	kNowID
	kNowPrice
	kNowSize
	kNowConditions
	kState
	kStateText
	kReason
	kReasonText
	kOpen
	kHigh
	kLow
	kVolume
	kCount
	kTrades
	kUpdate // on a page: what became of the trade
	kVWAP
	keys
)

// key is the place of a key's value, or -1.
func key(name []byte) int {
	switch len(name) {
	case 1:
		switch name[0] {
		case 'T':
			return kType
		case 'S':
			return kSymbol
		case 'i':
			return kID
		case 'x':
			return kExchange
		case 'p':
			return kPrice
		case 's':
			return kSize
		case 't':
			return kTime
		case 'c':
			return kConditions
		case 'z':
			return kTape
		case 'o':
			return kOpen
		case 'h':
			return kHigh
		case 'l':
			return kLow
		case 'v':
			return kVolume
		case 'n':
			return kCount
		case 'u':
			return kUpdate
		}
		return -1
	case 2:
		switch string(name) {
		case "oi":
			return kWasID
		case "op":
			return kWasPrice
		case "os":
			return kWasSize
		case "oc":
			return kWasConditions
		case "ci":
			return kNowID
		case "cp":
			return kNowPrice
		case "cs":
			return kNowSize
		case "cc":
			return kNowConditions
		case "sc":
			return kState
		case "sm":
			return kStateText
		case "rc":
			return kReason
		case "rm":
			return kReasonText
		case "vw":
			return kVWAP
		}
		return -1
	}
	switch string(name) {
	case "tks":
		return kTaker
	case "msg":
		return kMsg
	case "code":
		return kCode
	case "trades":
		return kTrades
	}
	return -1
}

// parser takes frames and pages apart. It allocates only for escapes.
type parser struct {
	scan    scan.Scanner
	inner   scan.Scanner // of conditions
	values  [keys]scan.Token
	message message
}

// each calls fn with every message of a frame, in order. The message is the parser's again at return. An error is fn's,
// or says that the frame is not JSON from some place on: what stands before that place was given to fn.
func (p *parser) each(text []byte, fn func(*message) error) error {
	s := &p.scan
	s.Reset(text)
	if s.Peek() == '{' { // the vendor's documentation shows messages like this
		if err := p.one(fn); err != nil {
			return err
		}
		return s.End()
	}
	more, err := s.Open('[')
	for more && err == nil {
		if err = p.one(fn); err == nil {
			more, err = s.More('[')
		}
	}
	if err != nil {
		return err
	}
	return s.End()
}

// errBroken says that a frame is not JSON.
var errBroken = scan.ErrSyntax

// one reads one message. An element that is no object says nothing.
func (p *parser) one(fn func(*message) error) error {
	s := &p.scan
	if s.Peek() != '{' {
		return s.Skip()
	}
	from := s.At()
	if err := p.object(); err != nil {
		return err
	}
	m := &p.message
	*m = message{}
	if wrong := p.read(); wrong != "" {
		*m = message{kind: malformed, wrong: wrong, text: s.Since(from), symbol: m.symbol, sent: m.sent}
	}
	return fn(m)
}

// object passes an object and keeps the values that are known.
func (p *parser) object() error {
	s := &p.scan
	clear(p.values[:])
	more, err := s.Open('{')
	for more && err == nil {
		var name []byte
		if name, err = s.Key(); err != nil {
			return err
		}
		if k := key(name); k >= 0 {
			err = s.Value(&p.values[k])
		} else {
			err = s.Skip()
		}
		if err == nil {
			more, err = s.More('{')
		}
	}
	return err
}

// read makes the message of the values, and returns the name of a field that can't be read.
func (p *parser) read() (wrong string) {
	v, m := &p.values, &p.message
	if v[kType].Kind() != scan.String {
		return ""
	}
	switch string(v[kType].Text()) {
	case "t":
		if wrong = p.head(); wrong != "" {
			return wrong
		}
		if wrong = p.trade(&m.entry, kID, kPrice, kSize, kConditions, "i", "p", "s", "c"); wrong != "" {
			return wrong
		}
		if m.kind = trade; m.entry.Kind == 0 {
			m.kind = other
		}
	case "c":
		if wrong = p.head(); wrong != "" {
			return wrong
		}
		if wrong = p.trade(&m.corrected, kWasID, kWasPrice, kWasSize, kWasConditions, "oi", "op", "os", "oc"); wrong != "" {
			return wrong
		}
		if wrong = p.trade(&m.entry, kNowID, kNowPrice, kNowSize, kNowConditions, "ci", "cp", "cs", "cc"); wrong != "" {
			return wrong
		}
		m.kind, m.known = correction, !v[kWasConditions].Null()
	case "x":
		if wrong = p.head(); wrong != "" {
			return wrong
		}
		if wrong = p.trade(&m.entry, kID, kPrice, kSize, kConditions, "i", "p", "s", "c"); wrong != "" {
			return wrong
		}
		m.kind, m.known = cancellation, !v[kConditions].Null()
	case "s":
		if wrong = p.head(); wrong != "" {
			return wrong
		}
		m.kind, m.state, m.reason = halt, v[kState].Text(), v[kReason].Text()
		if text := v[kStateText].Text(); len(text) > 0 {
			m.state = text
		}
		if text := v[kReasonText].Text(); len(text) > 0 {
			m.reason = text
		}
	case "l":
		if wrong = p.head(); wrong != "" {
			return wrong
		}
		m.kind = limits
	case "b", "u", "d":
		return p.bar()
	case "success":
		m.kind, m.message = success, v[kMsg].Text()
	case "error":
		n, ok := v[kCode].Uint()
		if !ok || n > 1000 {
			return "code"
		}
		m.kind, m.code, m.message = refusal, int(n), v[kMsg].Text()
	case "subscription":
		if !v[kTrades].Null() && v[kTrades].Kind() != scan.Array {
			return "trades"
		}
		m.kind, m.trades = subscription, v[kTrades].Text()
	}
	return ""
}

// head reads what messages about a symbol have.
func (p *parser) head() (wrong string) {
	v, m := &p.values, &p.message
	if m.symbol = v[kSymbol].Text(); v[kSymbol].Kind() != scan.String || len(m.symbol) == 0 {
		return "S"
	}
	var ok bool
	if m.sent, ok = v[kTime].Time(); !ok {
		return "t"
	}
	return ""
}

// trade reads a trade, of the message's time. A trade of nothing, or for nothing, is none: Kind is 0.
func (p *parser) trade(e *market.Entry, id, price, size, set int, names ...string) (wrong string) {
	v, m := &p.values, &p.message
	n, ok := v[id].Uint()
	if !ok {
		return names[0]
	}
	if e.Price, ok = v[price].Decimal(); !ok || e.Price.Coef < 0 {
		return names[1]
	}
	if e.Size, ok = v[size].Decimal(); !ok || e.Size.Coef < 0 {
		return names[2]
	}
	if e.Conditions, ok = p.conditions(&v[set]); !ok {
		return names[3]
	}
	if v[kTaker].Kind() == scan.String {
		switch string(v[kTaker].Text()) {
		case "B":
			e.Side = market.SideBuy
		case "S":
			e.Side = market.SideSell
		}
	}
	e.Time = m.sent
	e.Order, e.ID = identify(n, v[kExchange].Text(), m.sent)
	if e.Price.Coef != 0 && e.Size.Coef != 0 {
		e.Kind = market.Trade
	}
	return ""
}

// identify makes the order and the id of a trade. The vendor's id is unique for a symbol and an exchange alone; off-exchange
// it may not even be that, so the id that tells what came twice has the time too.
func identify(id uint64, exchange []byte, ns int64) (order, all uint64) {
	for _, c := range exchange {
		id ^= uint64(c) << 56
	}
	return id, mix(id, ns)
}

// mix makes one id, never 0, of an order and a time.
func mix(order uint64, ns int64) uint64 {
	all := order
	for range 2 { // so that ids of one time and times of one id do not meet
		all = (all ^ all>>32) * 0xd6e8feb86659fd93
		all ^= uint64(ns)
	}
	all = (all ^ all>>32) * 0xd6e8feb86659fd93
	return max(all^all>>29, 1)
}

func (p *parser) bar() (wrong string) {
	v, m := &p.values, &p.message
	if wrong = p.head(); wrong != "" {
		return wrong
	}
	var ok bool
	for _, f := range [...]struct {
		to   *market.Decimal
		key  int
		name string
	}{{&m.open, kOpen, "o"}, {&m.high, kHigh, "h"}, {&m.low, kLow, "l"}, {&m.close, kConditions, "c"}, {&m.volume, kVolume, "v"}} {
		if *f.to, ok = v[f.key].Decimal(); !ok {
			return f.name
		}
	}
	if !v[kCount].Null() {
		if m.n, ok = v[kCount].Uint(); !ok {
			return "n"
		}
	}
	m.kind, m.bar = bar, v[kType].Text()[0]
	return ""
}

// letters are the ids of conditions by their letter, as the SIPs of tapes A and B (0) and C (1) write them.
var letters = func() (sets [2][128]uint64) {
	table, err := market.LookupConditions("USEquities")
	if err != nil {
		panic(err) // it is built in
	}
	for i, sip := range []string{"CTA:", "UTP:"} {
		for c := byte('!'); c < 127; c++ {
			if set, err := table.Parse(sip + string(rune(c))); err == nil {
				sets[i][c] = set
			}
		}
	}
	return sets
}()

// conditions reads an array of letters. One that is not known restricts nothing.
func (p *parser) conditions(t *scan.Token) (set uint64, ok bool) {
	if t.Null() {
		return 0, true
	}
	if t.Kind() != scan.Array {
		return 0, false
	}
	sip := &letters[0]
	if tape := p.values[kTape].Text(); len(tape) == 1 && tape[0] == 'C' {
		sip = &letters[1]
	}
	s := &p.inner
	s.Reset(t.Text())
	more, err := s.Open('[')
	for more && err == nil {
		var c scan.Token
		if err = s.Value(&c); err != nil || c.Kind() != scan.String {
			return 0, false
		}
		if text := c.Text(); len(text) == 1 && text[0] < 128 {
			set |= sip[text[0]]
		}
		more, err = s.More('[')
	}
	return set, err == nil
}

// shown is the beginning of a frame, as an error quotes it.
func shown(text []byte) string {
	if len(text) > 200 {
		return strconv.Quote(string(text[:200])) + "…"
	}
	return strconv.Quote(string(text))
}
