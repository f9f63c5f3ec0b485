package polygon

import (
	"strconv"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/feed/scan"
	"github.com/marketstream/marketstream/streamer/market"
)

// kind is what an event is.
type kind uint8

const (
	other     kind = iota // of no use here: to be passed over
	trade                 // T, XT
	second                // A, XAS: an aggregate of a second
	minute                // AM, XA: of a minute
	limits                // LULD: price bands and halts
	status                // what the vendor says of the connection
	malformed             // of a known kind, but a field can't be read
)

// event is one element of a frame. Its slices are the frame's.
type event struct {
	kind   kind
	wrong  string // malformed: the field
	text   []byte // malformed: the event
	symbol []byte

	entry    market.Entry // trade, without its Symbol
	sent     int64        // trade, limits: when the SIP (or the crypto venue) sent it, Unix ns
	happened bool         // trade: it says when it happened, and entry has that time

	from, to               int64 // aggregate: Unix ns
	open, high, low, close market.Decimal
	volume                 market.Decimal // exact, if the vendor sends that too
	exact                  bool           // it does

	indicators []byte // limits: a JSON array

	status, message []byte
}

// The values of an event, by key.
const (
	kEv = iota
	kSym
	kPair
	kTicker // "T"
	kExchange
	kID
	kPrice
	kSize // also the start of an aggregate
	kExact
	kConditions // also the close of an aggregate
	kTime
	kParticipant
	kSequence
	kFacility
	kVolume
	kExactVolume
	kOpen
	kHigh
	kLow
	kEnd
	kStatus
	kMessage
	keys
)

// key is the place of a key's value, or -1.
func key(name []byte) int {
	switch len(name) {
	case 1:
		switch name[0] {
		case 'T':
			return kTicker
		case 'x':
			return kExchange
		case 'i':
			return kID
		case 'p':
			return kPrice
		case 's':
			return kSize
		case 'c':
			return kConditions
		case 't':
			return kTime
		case 'q':
			return kSequence
		case 'v':
			return kVolume
		case 'o':
			return kOpen
		case 'h':
			return kHigh
		case 'l':
			return kLow
		case 'e':
			return kEnd
		}
		return -1
	case 2:
		switch string(name) {
		case "ev":
			return kEv
		case "ds":
			return kExact
		case "pt":
			return kParticipant
		case "dv":
			return kExactVolume
		}
		return -1
	}
	switch string(name) {
	case "sym":
		return kSym
	case "pair":
		return kPair
	case "trfi":
		return kFacility
	case "status":
		return kStatus
	case "message":
		return kMessage
	}
	return -1
}

// parser takes frames apart. It allocates only for escapes.
type parser struct {
	scan   scan.Scanner
	values [keys]scan.Token
	event  event
}

// each calls fn with every event of a frame, in order. The event is the parser's again at return. An error is fn's, or
// says that the frame is not JSON from some place on: what stands before that place was given to fn.
func (p *parser) each(text []byte, fn func(*event) error) error {
	s := &p.scan
	s.Reset(text)
	if s.Peek() == '{' { // the vendor's documentation shows events like this
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

// one reads one event. An element that is no object says nothing.
func (p *parser) one(fn func(*event) error) error {
	s := &p.scan
	if s.Peek() != '{' {
		return s.Skip()
	}
	clear(p.values[:])
	from := s.At()
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
	if err != nil {
		return err
	}
	e := &p.event
	*e = event{}
	if wrong := p.read(); wrong != "" {
		*e = event{kind: malformed, wrong: wrong, text: s.Since(from), symbol: e.symbol, sent: e.sent}
	}
	return fn(e)
}

// read makes the event of the values, and returns the name of a field that can't be read.
func (p *parser) read() (wrong string) {
	if p.values[kEv].Kind() != scan.String {
		return ""
	}
	switch string(p.values[kEv].Text()) {
	case "T":
		return p.stock()
	case "XT":
		return p.coin()
	case "A":
		return p.aggregate(second, kSym, "sym")
	case "XAS":
		return p.aggregate(second, kPair, "pair")
	case "AM":
		return p.aggregate(minute, kSym, "sym")
	case "XA":
		return p.aggregate(minute, kPair, "pair")
	case "LULD":
		return p.limits()
	case "status":
		e := &p.event
		e.kind, e.status, e.message = status, p.values[kStatus].Text(), p.values[kMessage].Text()
	}
	return ""
}

// stock reads a trade at an exchange for stocks. Its id is the sequence number of its ticker and day, which the REST
// side has too; the vendor's "i" is unique for an exchange and a reporting facility alone.
func (p *parser) stock() (wrong string) {
	v, e := &p.values, &p.event
	if wrong = p.common(kSym, "sym"); wrong != "" {
		return wrong
	}
	n := &e.entry
	if !v[kSequence].Null() {
		var ok bool
		if n.ID, ok = v[kSequence].Uint(); !ok {
			return "q"
		}
	}
	if n.ID == 0 {
		n.ID = identify(v[kExchange].Text(), v[kID].Text(), v[kFacility].Text())
	}
	n.Order = n.ID
	if !v[kParticipant].Null() { // when it happened, which may be long before it was reported
		ns, ok := unix(&v[kParticipant])
		if !ok {
			return "pt"
		}
		n.Time, e.happened = ns, true
	}
	var ok bool
	if n.Conditions, ok = conditions(&v[kConditions]); !ok {
		return "c"
	}
	return ""
}

// coin reads a trade at an exchange for crypto. Its conditions are the taker's side.
func (p *parser) coin() (wrong string) {
	v, e := &p.values, &p.event
	if wrong = p.common(kPair, "pair"); wrong != "" {
		return wrong
	}
	n := &e.entry
	if !v[kID].Null() {
		n.ID = identify(v[kExchange].Text(), v[kID].Text(), nil)
		n.Order = n.ID
		if id, ok := scan.Uint(v[kID].Text()); ok {
			n.Order = id
		}
	}
	set, ok := conditions(&v[kConditions])
	if !ok {
		return "c"
	}
	n.Side = takers(set)
	return ""
}

// takers is the side that conditions of crypto name.
func takers(set uint64) market.Side {
	switch set & (1<<1 | 1<<2) {
	case 1 << 1:
		return market.SideSell
	case 1 << 2:
		return market.SideBuy
	}
	return market.SideUnknown
}

// common reads what trades of all kinds have. A trade of nothing, or for nothing, is none.
func (p *parser) common(symbol int, name string) (wrong string) {
	v, e := &p.values, &p.event
	if e.symbol = v[symbol].Text(); v[symbol].Kind() != scan.String || len(e.symbol) == 0 {
		return name
	}
	var ok bool
	if e.sent, ok = unix(&v[kTime]); !ok {
		return "t"
	}
	size, field := &v[kSize], "s"
	if !v[kExact].Null() {
		size, field = &v[kExact], "ds"
	}
	n := &e.entry
	if n.Price, ok = v[kPrice].Decimal(); !ok || n.Price.Coef < 0 {
		return "p"
	}
	if n.Size, ok = size.Decimal(); !ok || n.Size.Coef < 0 {
		return field
	}
	e.kind = trade
	if n.Price.Coef == 0 || n.Size.Coef == 0 {
		e.kind = other
	}
	n.Kind, n.Time = market.Trade, e.sent
	return ""
}

func (p *parser) aggregate(k kind, symbol int, name string) (wrong string) {
	v, e := &p.values, &p.event
	if e.symbol = v[symbol].Text(); v[symbol].Kind() != scan.String || len(e.symbol) == 0 {
		return name
	}
	var ok bool
	if e.from, ok = unix(&v[kSize]); !ok {
		return "s"
	}
	if e.to, ok = unix(&v[kEnd]); !ok {
		return "e"
	}
	for _, f := range [...]struct {
		to   *market.Decimal
		key  int
		name string
	}{{&e.open, kOpen, "o"}, {&e.high, kHigh, "h"}, {&e.low, kLow, "l"}, {&e.close, kConditions, "c"}, {&e.volume, kVolume, "v"}} {
		if *f.to, ok = v[f.key].Decimal(); !ok {
			return f.name
		}
	}
	if !v[kExactVolume].Null() {
		if e.volume, ok = v[kExactVolume].Decimal(); !ok {
			return "dv"
		}
		e.exact = true
	}
	e.kind = k
	return ""
}

func (p *parser) limits() (wrong string) {
	v, e := &p.values, &p.event
	if e.symbol = v[kTicker].Text(); v[kTicker].Kind() != scan.String || len(e.symbol) == 0 {
		return "T"
	}
	var ok bool
	if e.sent, ok = unix(&v[kTime]); !ok {
		return "t"
	}
	if !v[kID].Null() && v[kID].Kind() != scan.Array {
		return "i"
	}
	e.kind, e.indicators = limits, v[kID].Text()
	return ""
}

// unix reads a time since 1970. The vendor's are in ms, µs or ns, sometimes not as documented: its size tells which.
// Times are those from 1973 to 2115.
func unix(t *scan.Token) (ns int64, ok bool) {
	n, ok := t.Uint()
	unit := uint64(1)
	switch {
	case n < 1e14:
		unit = 1e6
	case n < 1e17:
		unit = 1e3
	}
	if !ok || n < 1e11 || n > uint64(feed.MaxTime-1)/unit {
		return 0, false
	}
	return int64(n * unit), true
}

// conditions reads an array of condition ids. Those from 64 on restrict nothing that is known.
func conditions(t *scan.Token) (set uint64, ok bool) {
	if t.Null() {
		return 0, true
	}
	if t.Kind() != scan.Array {
		return 0, false
	}
	text := t.Text()
	for i := 1; i < len(text)-1; i++ {
		c := text[i]
		if c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r' {
			continue
		}
		id := 0
		for ; i < len(text)-1 && text[i]-'0' <= 9; i++ {
			id = min(id*10+int(text[i]-'0'), 1000)
		}
		switch text[i] {
		case ',', ']', ' ', '\t', '\n', '\r':
		default:
			return 0, false
		}
		if id < 64 {
			set |= 1 << id
		}
	}
	return set, true
}

// identify makes an id, never 0, of what tells a trade from others: FNV-1a over the parts.
func identify(parts ...[]byte) uint64 {
	h := uint64(14695981039346656037)
	for _, part := range parts {
		for _, c := range part {
			h = (h ^ uint64(c)) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	return max(h, 1)
}

// shown is the beginning of a frame, as an error quotes it.
func shown(text []byte) string {
	if len(text) > 200 {
		return strconv.Quote(string(text[:200])) + "…"
	}
	return strconv.Quote(string(text))
}
