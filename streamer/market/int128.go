package market

import (
	"math/big"
	"math/bits"
	"strconv"
)

// Int128 is a signed integer of 128 bits in two's complement: volumes, and prices times
// sizes. Every operation reports an overflow; none wraps.
type Int128 struct {
	Hi int64
	Lo uint64
}

// Int128From returns v.
func Int128From(v int64) Int128 { return Int128{Hi: v >> 63, Lo: uint64(v)} }

// Mul64 returns a × b, which always fits.
func Mul64(a, b int64) Int128 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	h := int64(hi)
	if a < 0 {
		h -= b
	}
	if b < 0 {
		h -= a
	}
	return Int128{Hi: h, Lo: lo}
}

// IsZero reports whether x is 0.
func (x Int128) IsZero() bool { return x.Hi == 0 && x.Lo == 0 }

// Sign is -1, 0 or 1.
func (x Int128) Sign() int {
	switch {
	case x.Hi < 0:
		return -1
	case x.IsZero():
		return 0
	}
	return 1
}

// Int64 returns x, and whether it fits.
func (x Int128) Int64() (int64, bool) { return int64(x.Lo), x.Hi == int64(x.Lo)>>63 }

// Add returns x + y; ok is false on overflow.
func (x Int128) Add(y Int128) (sum Int128, ok bool) {
	lo, carry := bits.Add64(x.Lo, y.Lo, 0)
	hi, _ := bits.Add64(uint64(x.Hi), uint64(y.Hi), carry)
	sum = Int128{Hi: int64(hi), Lo: lo}
	return sum, (x.Hi >= 0) != (y.Hi >= 0) || (sum.Hi >= 0) == (x.Hi >= 0)
}

// Neg returns -x; ok is false for the one value that has no negative.
func (x Int128) Neg() (Int128, bool) {
	if x.Hi == -1<<63 && x.Lo == 0 {
		return x, false
	}
	lo, borrow := bits.Sub64(0, x.Lo, 0)
	hi, _ := bits.Sub64(0, uint64(x.Hi), borrow)
	return Int128{Hi: int64(hi), Lo: lo}, true
}

// Sub returns x - y; ok is false on overflow.
func (x Int128) Sub(y Int128) (Int128, bool) {
	n, ok := y.Neg()
	if !ok {
		return x, false
	}
	return x.Add(n)
}

// Scale10 returns x × 10^n; ok is false on overflow.
func (x Int128) Scale10(n uint8) (Int128, bool) {
	for n > 0 && !x.IsZero() {
		step := min(n, MaxScale)
		p := uint64(pow10[step])
		neg := x.Hi < 0
		if neg {
			var ok bool
			if x, ok = x.Neg(); !ok {
				return x, false
			}
		}
		h1, l1 := bits.Mul64(x.Lo, p)
		h2, l2 := bits.Mul64(uint64(x.Hi), p)
		hi, carry := bits.Add64(h1, l2, 0)
		if h2 != 0 || carry != 0 || hi>>63 != 0 {
			return x, false
		}
		x = Int128{Hi: int64(hi), Lo: l1}
		if neg {
			x, _ = x.Neg()
		}
		n -= step
	}
	return x, true
}

// Big returns x as a big.Int.
func (x Int128) Big() *big.Int {
	b := big.NewInt(x.Hi)
	b.Lsh(b, 64)
	return b.Add(b, new(big.Int).SetUint64(x.Lo))
}

// AppendScaled appends x × 10^-scale as [Decimal.Append] does.
func (x Int128) AppendScaled(dst []byte, scale uint8) []byte {
	if v, ok := x.Int64(); ok {
		return AppendDecimal(dst, v, scale)
	}
	if x.Hi < 0 {
		dst = append(dst, '-')
		n, ok := x.Neg()
		if !ok {
			return appendBigScaled(dst, new(big.Int).Neg(x.Big()), scale)
		}
		x = n
	}
	return appendBigScaled(dst, x.Big(), scale)
}

// appendBigScaled appends a positive number that needs more than 63 bits.
func appendBigScaled(dst []byte, b *big.Int, scale uint8) []byte {
	digits := b.String()
	for len(digits) <= int(scale) {
		digits = "0" + digits
	}
	whole, frac := digits[:len(digits)-int(scale)], digits[len(digits)-int(scale):]
	for len(frac) > 0 && frac[len(frac)-1] == '0' {
		frac = frac[:len(frac)-1]
	}
	dst = append(dst, whole...)
	if frac == "" {
		return dst
	}
	return append(append(dst, '.'), frac...)
}

// QuoHalfEven returns x × 10^shift / y rounded half to even. ok is false when y is zero or
// the quotient needs more than 63 bits.
func (x Int128) QuoHalfEven(shift uint8, y Int128) (q int64, ok bool) {
	if y.IsZero() {
		return 0, false
	}
	if s, fits := x.Scale10(shift); fits && s.Hi >= 0 && y.Hi == 0 && uint64(s.Hi) < y.Lo {
		quo, rem := bits.Div64(uint64(s.Hi), s.Lo, y.Lo)
		if rem > y.Lo-rem || (rem == y.Lo-rem && quo&1 == 1) {
			quo++
		}
		return int64(quo), quo <= 1<<63-1
	}
	num := x.Big()
	num.Mul(num, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(shift)), nil))
	den := y.Big()
	neg := num.Sign()*den.Sign() < 0
	num.Abs(num)
	den.Abs(den)
	quo, rem := new(big.Int).QuoRem(num, den, new(big.Int))
	switch rem.Lsh(rem, 1).Cmp(den) {
	case 1:
		quo.Add(quo, big.NewInt(1))
	case 0:
		if quo.Bit(0) == 1 {
			quo.Add(quo, big.NewInt(1))
		}
	}
	if neg {
		quo.Neg(quo)
	}
	return quo.Int64(), quo.IsInt64()
}

// String is x in decimal.
func (x Int128) String() string {
	if v, ok := x.Int64(); ok {
		return strconv.FormatInt(v, 10)
	}
	return x.Big().String()
}
