package scan

import "github.com/marketstream/marketstream/streamer/market"

// Kind is what a value is.
type Kind byte

// The kinds of values; 0: there is none.
const (
	String  Kind = '"'
	Number  Kind = '0'
	Literal Kind = 'l' // true, false or null
	Object  Kind = '{'
	Array   Kind = '['
)

// Token is the place of a value in a text; the zero value is none.
type Token struct {
	raw     []byte // of a text what stands between the quotes
	kind    Kind
	escaped bool
}

// Kind is what the value is; 0: there is none.
func (t *Token) Kind() Kind { return t.kind }

// Text is a text without its escapes; of any other value its JSON.
func (t *Token) Text() []byte {
	if t.escaped {
		return undone(t.raw)
	}
	return t.raw
}

// Null reports whether the value is null, or not there.
func (t *Token) Null() bool {
	return t.kind == 0 || t.kind == Literal && len(t.raw) == 4 && t.raw[0] == 'n'
}

// Uint is a whole number of at most 64 bits.
func (t *Token) Uint() (n uint64, ok bool) {
	if t.kind != Number {
		return 0, false
	}
	return Uint(t.raw)
}

// Uint reads a whole number of at most 64 bits: digits alone.
func Uint(text []byte) (n uint64, ok bool) {
	if len(text) > 19 { // it may not fit
		for _, c := range text {
			d := uint64(c - '0')
			if d > 9 || n > (1<<64-1)/10 {
				return 0, false
			}
			if n = n*10 + d; n < d {
				return 0, false
			}
		}
		return n, true
	}
	for _, c := range text {
		d := uint64(c - '0')
		if d > 9 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, len(text) > 0
}

// Decimal is a decimal, as a text or as a number, exactly.
func (t *Token) Decimal() (market.Decimal, bool) {
	if t.kind != Number && (t.kind != String || t.escaped) {
		return market.Decimal{}, false
	}
	if d, ok := short(t.raw); ok {
		return d, true
	}
	d, err := market.ParseDecimal(t.raw)
	return d, err == nil
}

// short reads a decimal of at most 18 digits that is nothing but digits and a point between them: nearly all are.
func short(text []byte) (d market.Decimal, ok bool) {
	if len(text) == 0 || len(text) > 19 {
		return d, false
	}
	var coef int64
	point := -1
	for i, c := range text {
		if n := c - '0'; n <= 9 {
			coef = coef*10 + int64(n)
		} else if c == '.' && point < 0 {
			point = i
		} else {
			return d, false
		}
	}
	digits := len(text)
	if point >= 0 {
		if digits--; point == 0 || point == len(text)-1 {
			return d, false
		}
	}
	if digits > 18 {
		return d, false
	}
	scale := 0
	if point >= 0 {
		scale = len(text) - 1 - point
	}
	if coef == 0 {
		return d, true
	}
	for scale > 0 && coef%10 == 0 {
		coef /= 10
		scale--
	}
	return market.Decimal{Coef: coef, Scale: uint8(scale)}, true
}
