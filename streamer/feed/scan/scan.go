package scan

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/bits"
)

// maxDepth is how deep values may be nested: as deep as encoding/json goes.
const maxDepth = 10_000

// ErrSyntax says that a text is no JSON, or not of the form that was asked for.
var ErrSyntax = errors.New("not JSON of the expected form")

// Scanner is a place in a text.
type Scanner struct {
	b []byte
	i int
}

// Reset begins a text.
func (s *Scanner) Reset(text []byte) { s.b, s.i = text, 0 }

// At is the place, as [Scanner.Since] takes it.
func (s *Scanner) At() int { return s.i }

// Since is the text from a place up to here.
func (s *Scanner) Since(at int) []byte { return s.b[at:s.i] }

// Peek is the next byte that is no space; 0 at the end, which stands nowhere in JSON.
func (s *Scanner) Peek() byte {
	for s.i < len(s.b) {
		c := s.b[s.i]
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c
		}
		s.i++
	}
	return 0
}

// End reports an error unless nothing but space is left.
func (s *Scanner) End() error {
	if s.Peek() != 0 || s.i != len(s.b) {
		return ErrSyntax
	}
	return nil
}

// Open passes the bracket or brace that begins a value, and reports whether the value has anything in it. After
// each element or member, [Scanner.More] says whether another follows.
func (s *Scanner) Open(bracket byte) (any bool, err error) {
	if s.Peek() != bracket {
		return false, ErrSyntax
	}
	s.i++
	if s.Peek() == bracket+2 { // ']' is '[' + 2, and '}' is '{' + 2
		s.i++
		return false, nil
	}
	return true, nil
}

// More passes what stands after an element or member, and reports whether another follows.
func (s *Scanner) More(bracket byte) (bool, error) {
	switch s.Peek() {
	case ',':
		s.i++
		return true, nil
	case bracket + 2:
		s.i++
		return false, nil
	}
	return false, ErrSyntax
}

// Key passes the key of a member and its colon.
func (s *Scanner) Key() ([]byte, error) {
	if s.Peek() != '"' {
		return nil, ErrSyntax
	}
	from := s.i
	s.i++
	// Keys are short, and of few kinds: byte by byte is fastest.
	for s.i < len(s.b) {
		if c := s.b[s.i]; c == '"' || c == '\\' || c < 0x20 || c >= 0x80 {
			break
		}
		s.i++
	}
	var key []byte
	if s.i < len(s.b) && s.b[s.i] == '"' {
		key = s.b[from+1 : s.i : s.i]
		s.i++
	} else {
		s.i = from
		var t Token
		if err := s.text(&t); err != nil {
			return nil, err
		}
		key = t.Text()
	}
	if s.i < len(s.b) && s.b[s.i] == ':' || s.Peek() == ':' {
		s.i++
		return key, nil
	}
	return nil, ErrSyntax
}

// Value passes a value and keeps its place.
func (s *Scanner) Value(t *Token) error {
	c := s.Peek()
	if c == '"' {
		return s.text(t)
	}
	from := s.i
	if c == '-' || '0' <= c && c <= '9' {
		if err := s.number(); err != nil {
			return err
		}
		t.kind = Number
	} else if err := s.skip(0); err != nil {
		return err
	} else if c == '{' || c == '[' {
		t.kind = Kind(c)
	} else {
		t.kind = Literal
	}
	t.raw, t.escaped = s.b[from:s.i], false
	return nil
}

// Skip passes a value.
func (s *Scanner) Skip() error { return s.skip(0) }

// skip passes a value with depth objects and arrays around it.
func (s *Scanner) skip(depth int) error {
	switch c := s.Peek(); {
	case c == '"':
		return s.text(&Token{})
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	case c == '{' || c == '[':
		if depth++; depth > maxDepth {
			return ErrSyntax
		}
		more, err := s.Open(c)
		for more && err == nil {
			if c == '{' {
				if _, err = s.Key(); err != nil {
					return err
				}
			}
			if err = s.skip(depth); err == nil {
				more, err = s.More(c)
			}
		}
		return err
	}
	for _, l := range [...]string{"true", "false", "null"} {
		if end := s.i + len(l); end <= len(s.b) && string(s.b[s.i:end]) == l {
			s.i = end
			return nil
		}
	}
	return ErrSyntax
}

// text passes a text.
func (s *Scanner) text(t *Token) error {
	s.i++
	from := s.i
	t.kind, t.escaped = String, false
	for {
		s.i += ordinary(s.b[s.i:])
		if s.i >= len(s.b) {
			return ErrSyntax
		}
		switch c := s.b[s.i]; {
		case c == '"':
			t.raw = s.b[from:s.i:s.i]
			s.i++
			return nil
		case c == '\\':
			t.escaped = true
			if err := s.escape(); err != nil {
				return err
			}
		case c >= 0x80:
			t.escaped = true // it may be no UTF-8, which encoding/json mends
			s.i++
		default: // a control character
			return ErrSyntax
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

func (s *Scanner) escape() error {
	s.i++
	if s.i >= len(s.b) {
		return ErrSyntax
	}
	switch s.b[s.i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i++
		return nil
	case 'u':
		if s.i+5 > len(s.b) {
			return ErrSyntax
		}
		for _, c := range s.b[s.i+1 : s.i+5] {
			if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
				return ErrSyntax
			}
		}
		s.i += 5
		return nil
	}
	return ErrSyntax
}

func (s *Scanner) number() error {
	b, i := s.b, s.i
	if b[i] == '-' {
		i++
	}
	if i >= len(b) || b[i] < '0' || b[i] > '9' {
		return ErrSyntax
	}
	if b[i] == '0' {
		i++
	} else {
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
	}
	if i < len(b) && b[i] == '.' {
		from := i + 1
		for i = from; i < len(b) && b[i]-'0' <= 9; i++ {
		}
		if i == from {
			return ErrSyntax
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		from := i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		if i == from {
			return ErrSyntax
		}
	}
	s.i = i
	return nil
}

// undone is a text between quotes without its escapes.
func undone(raw []byte) []byte {
	quoted := make([]byte, 0, len(raw)+2)
	quoted = append(append(append(quoted, '"'), raw...), '"')
	var text string
	if json.Unmarshal(quoted, &text) != nil {
		return nil // it was scanned, so it can be read
	}
	return []byte(text)
}
