package coinbase

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/bits"
)

// maxDepth is how deep values may be nested: as deep as encoding/json goes.
const maxDepth = 10_000

var (
	errJSON   = errors.New("not JSON")
	errObject = errors.New("not a JSON object")
	errArray  = errors.New("not a JSON array")
)

// token is a JSON value as it stands in a frame. Of a string it is what stands between the
// quotes, with its escapes undone.
type token struct {
	text []byte // of the frame; nil: the key was not there
	kind byte   // '"' string, '0' number, 'l' true, false or null, '{' or '['
}

// fields are the values that a frame of any kind may have. The latest of equal keys counts.
type fields struct {
	typ, product, id, lastID, side, price, size, time, message, reason token
}

// scanner reads JSON strictly, once through, and allocates only for escapes.
type scanner struct {
	b []byte
	i int
}

// frame reads text that is one object and nothing else.
func (s *scanner) frame(f *fields) error {
	s.space()
	if err := s.object(f); err != nil {
		return err
	}
	return s.end()
}

func (s *scanner) end() error {
	if s.space(); s.i != len(s.b) {
		return errJSON
	}
	return nil
}

// array calls fn at the beginning of each element; fn reads it.
func (s *scanner) array(fn func() error) error {
	s.space()
	if s.peek() != '[' {
		return errArray
	}
	s.i++
	if s.space(); s.peek() == ']' {
		s.i++
		return nil
	}
	for {
		s.space()
		if err := fn(); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.i++
		case ']':
			s.i++
			return nil
		default:
			return errJSON
		}
	}
}

// object reads an object and keeps the fields it knows.
func (s *scanner) object(f *fields) error {
	if s.peek() != '{' {
		return errObject
	}
	*f = fields{}
	return s.members(1, f)
}

// members reads an object that begins here. Without f its values are only checked.
func (s *scanner) members(depth int, f *fields) error {
	s.i++
	if s.space(); s.peek() == '}' {
		s.i++
		return nil
	}
	for {
		s.space()
		key, err := s.str()
		if err != nil {
			return err
		}
		if s.space(); s.peek() != ':' {
			return errJSON
		}
		s.i++
		s.space()
		if f == nil {
			err = s.skip(depth)
		} else if t := f.field(key); t == nil {
			err = s.skip(depth)
		} else {
			err = s.value(depth, t)
		}
		if err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.i++
		case '}':
			s.i++
			return nil
		default:
			return errJSON
		}
	}
}

// field is where the value of a key is kept, or nil.
func (f *fields) field(key []byte) *token {
	switch string(key) {
	case "type":
		return &f.typ
	case "product_id":
		return &f.product
	case "trade_id":
		return &f.id
	case "last_trade_id":
		return &f.lastID
	case "side":
		return &f.side
	case "price":
		return &f.price
	case "size":
		return &f.size
	case "time":
		return &f.time
	case "message":
		return &f.message
	case "reason":
		return &f.reason
	}
	return nil
}

func (s *scanner) value(depth int, t *token) (err error) {
	c := s.peek()
	if c == '"' {
		t.kind = '"'
		t.text, err = s.str()
		return err
	}
	from := s.i
	if err := s.skip(depth); err != nil {
		return err
	}
	t.text = s.b[from:s.i]
	switch {
	case c == '-' || '0' <= c && c <= '9':
		t.kind = '0'
	case c == '{' || c == '[':
		t.kind = c
	default:
		t.kind = 'l'
	}
	return nil
}

// skip checks a value and passes it; depth objects and arrays are around it.
func (s *scanner) skip(depth int) error {
	switch c := s.peek(); {
	case c == '"':
		_, _, err := s.raw()
		return err
	case c == '{' || c == '[':
		if depth++; depth > maxDepth {
			return errJSON
		}
		if c == '{' {
			return s.members(depth, nil)
		}
		return s.array(func() error { return s.skip(depth) })
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	}
	for _, l := range [...]string{"true", "false", "null"} {
		if end := s.i + len(l); end <= len(s.b) && string(s.b[s.i:end]) == l {
			s.i = end
			return nil
		}
	}
	return errJSON
}

// str reads a string and undoes its escapes.
func (s *scanner) str() ([]byte, error) {
	from := s.i
	text, plain, err := s.raw()
	if err != nil || plain {
		return text, err
	}
	var undone string
	if err := json.Unmarshal(s.b[from:s.i], &undone); err != nil {
		return nil, errJSON
	}
	return []byte(undone), nil
}

// raw passes a string. It is plain if it means what it says: ASCII without escapes.
func (s *scanner) raw() (text []byte, plain bool, err error) {
	if s.peek() != '"' {
		return nil, false, errJSON
	}
	s.i++
	from := s.i
	plain = true
	for {
		s.i += ordinary(s.b[s.i:])
		switch c := s.peek(); {
		case c == '"':
			text = s.b[from:s.i:s.i]
			s.i++
			return text, plain, nil
		case c == '\\':
			plain = false
			if err := s.escape(); err != nil {
				return nil, false, err
			}
		case c >= 0x80:
			plain = false
			s.i++
		default: // a control character, or the end
			return nil, false, errJSON
		}
	}
}

// ordinary is how many bytes of b, in eights until the last, are neither quote, backslash,
// control character nor beyond ASCII.
func ordinary(b []byte) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		quote, slash := x^(ones*'"'), x^(ones*'\\')
		// A subtraction borrows only above the first byte that it finds, so the lowest bit is right.
		special := ((x-ones*0x20)&^x | (quote-ones)&^quote | (slash-ones)&^slash | x) & tops
		if special != 0 {
			return i + bits.TrailingZeros64(special)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x80 {
			break
		}
	}
	return i
}

func (s *scanner) escape() error {
	s.i++
	switch c := s.peek(); c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i++
		return nil
	case 'u':
		for range 4 {
			s.i++
			if c := s.peek() | 0x20; (c < '0' || c > '9') && (c < 'a' || c > 'f') || s.peek() < '0' {
				return errJSON
			}
		}
		s.i++
		return nil
	}
	return errJSON
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.i++
	}
	switch c := s.peek(); {
	case c == '0':
		s.i++
	case '1' <= c && c <= '9':
		s.digits()
	default:
		return errJSON
	}
	if s.peek() == '.' {
		s.i++
		if !s.digits() {
			return errJSON
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		if !s.digits() {
			return errJSON
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	from := s.i
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.i++
	}
	return s.i > from
}

// peek is the byte here; 0 at the end, which stands nowhere in JSON.
func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		if c := s.b[s.i]; c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return
		}
		s.i++
	}
}
