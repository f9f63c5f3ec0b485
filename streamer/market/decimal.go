package market

import (
	"errors"
	"fmt"
	"strconv"
)

// MaxScale is the largest number of decimals a [Decimal] may have.
const MaxScale = 18

// Errors of [ParseDecimal]; test for them with errors.Is.
var (
	// ErrSyntax says that the text is no decimal number.
	ErrSyntax = errors.New("not a decimal number")
	// ErrRange says that a number has more digits than 18 decimals and 63 bits hold.
	ErrRange = errors.New("too many digits")
)

var pow10 = [19]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

// Decimal is the exact number Coef × 10^-Scale. The zero value is 0. What [ParseDecimal]
// returns is canonical: no trailing zero among its decimals.
type Decimal struct {
	Coef  int64
	Scale uint8 // Invariant: at most MaxScale.
}

// ParseDecimal reads a number in JSON's grammar ("580.10", "-3", "1e-7"), and besides one
// with a leading +, with leading zeros, or with no digit on one side of the point ("+007.5",
// ".5", "5."). It allocates only to make an error, which wraps [ErrSyntax] or [ErrRange]
// and quotes the text.
func ParseDecimal[T string | []byte](text T) (Decimal, error) {
	d, err := parseDecimal(text)
	if err != nil {
		shown := string(text)
		if len(shown) > 40 {
			shown = shown[:40] + "…"
		}
		return Decimal{}, fmt.Errorf("%q: %w", shown, err)
	}
	return d, nil
}

func parseDecimal[T string | []byte](text T) (Decimal, error) {
	i, neg := 0, false
	if i < len(text) && (text[i] == '-' || text[i] == '+') {
		neg = text[i] == '-'
		i++
	}
	var coef int64
	digits, scale, zeros, point := 0, 0, 0, false
	for ; i < len(text); i++ {
		c := text[i]
		if c == '.' && !point {
			point = true
			continue
		}
		if c < '0' || c > '9' {
			break
		}
		digits++
		if point && c == '0' { // decimals that are zero count once a digit follows them
			zeros++
			continue
		}
		shift := 1
		if point {
			shift += zeros
			scale += shift
			zeros = 0
		}
		for ; shift > 0; shift-- {
			hi := coef * 10
			if coef > (1<<63-1)/10 {
				return Decimal{}, ErrRange
			}
			coef = hi
		}
		if coef > 1<<63-1-int64(c-'0') {
			return Decimal{}, ErrRange
		}
		coef += int64(c - '0')
	}
	if digits == 0 {
		return Decimal{}, ErrSyntax
	}
	exp := 0
	if i < len(text) && (text[i] == 'e' || text[i] == 'E') {
		var err error
		if exp, err = strconv.Atoi(string(text[i+1:])); errors.Is(err, strconv.ErrRange) {
			return Decimal{}, ErrRange
		} else if err != nil {
			return Decimal{}, ErrSyntax
		}
		i = len(text)
	}
	if i != len(text) {
		return Decimal{}, ErrSyntax
	}
	if coef == 0 {
		return Decimal{}, nil
	}
	if exp > 64 || exp < -64 {
		return Decimal{}, ErrRange
	}
	for scale -= exp; scale < 0; scale++ {
		if coef > (1<<63-1)/10 {
			return Decimal{}, ErrRange
		}
		coef *= 10
	}
	for scale > 0 && coef%10 == 0 {
		coef /= 10
		scale--
	}
	if scale > MaxScale {
		return Decimal{}, ErrRange
	}
	if neg {
		coef = -coef
	}
	return Decimal{Coef: coef, Scale: uint8(scale)}, nil
}

// MustDecimal is ParseDecimal for constants in programs and tests; it panics on an error.
func MustDecimal(text string) Decimal {
	d, err := ParseDecimal(text)
	if err != nil {
		panic(err)
	}
	return d
}

// Append appends the number in decimal without trailing zeros or an exponent, the way it
// stands on the wire.
func (d Decimal) Append(dst []byte) []byte { return AppendDecimal(dst, d.Coef, d.Scale) }

// String is the text that Append makes.
func (d Decimal) String() string { return string(d.Append(nil)) }

// Rescale returns the coefficient of d at scale. ok is false when it does not fit 63 bits
// or when scale is so small that digits would be lost.
func (d Decimal) Rescale(scale uint8) (coef int64, ok bool) { return rescale(d.Coef, d.Scale, scale) }

func rescale(coef int64, from, to uint8) (int64, bool) {
	if from == to || coef == 0 {
		return coef, true
	}
	if to > from {
		if to-from > MaxScale {
			return 0, false
		}
		p := pow10[to-from]
		r := coef * p
		if r/p != coef {
			return 0, false
		}
		return r, true
	}
	if from-to > MaxScale {
		return 0, false
	}
	p := pow10[from-to]
	if coef%p != 0 {
		return 0, false
	}
	return coef / p, true
}

// AppendDecimal appends coef × 10^-scale as [Decimal.Append] does.
func AppendDecimal(dst []byte, coef int64, scale uint8) []byte {
	for scale > 0 && coef%10 == 0 {
		coef /= 10
		scale--
	}
	if scale == 0 {
		return strconv.AppendInt(dst, coef, 10)
	}
	u := uint64(coef)
	if coef < 0 {
		dst = append(dst, '-')
		u = -u
	}
	return appendPoint(dst, u, scale)
}

func appendPoint(dst []byte, u uint64, scale uint8) []byte {
	var buf [40]byte
	i := len(buf)
	for n := uint8(0); u > 0 || n <= scale; n++ {
		if n == scale && n > 0 {
			i--
			buf[i] = '.'
		}
		i--
		buf[i] = byte('0' + u%10)
		u /= 10
	}
	return append(dst, buf[i:]...)
}
