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
	lo, borrow := bits.Sub64(x.Lo, y.Lo, 0)
	hi, _ := bits.Sub64(uint64(x.Hi), uint64(y.Hi), borrow)
	diff := Int128{Hi: int64(hi), Lo: lo}
	return diff, (x.Hi >= 0) == (y.Hi >= 0) || (diff.Hi >= 0) == (x.Hi >= 0)
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
	hi, lo := uint64(x.Hi), x.Lo
	if x.Hi < 0 {
		dst = append(dst, '-')
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	// 39 digits in two halves: hi is at most 2^63, less than 10^19.
	const half = 19
	upper, lower := bits.Div64(hi, lo, 1e19)
	var digits [2*half + 1]byte
	for i := len(digits) - 1; i >= 0; i-- {
		u := &upper
		if i > half {
			u = &lower
		}
		digits[i] = byte('0' + *u%10)
		*u /= 10
	}
	first, point, end := 0, len(digits)-int(scale), len(digits)
	for first < point-1 && digits[first] == '0' {
		first++
	}
	for end > point && digits[end-1] == '0' {
		end--
	}
	dst = append(dst, digits[first:point]...)
	if end == point {
		return dst
	}
	return append(append(dst, '.'), digits[point:end]...)
}

// QuoHalfEven returns x × 10^shift / y rounded half to even. ok is false when y is zero or
// the quotient needs more than 63 bits.
func (x Int128) QuoHalfEven(shift uint8, y Int128) (q int64, ok bool) {
	if y.IsZero() {
		return 0, false
	}
	if s, fits := x.Scale10(shift); fits && s.Hi >= 0 && y.Hi == 0 && uint64(s.Hi) < y.Lo {
		quo, rem := bits.Div64(uint64(s.Hi), s.Lo, y.Lo)
		if quo > 1<<63-1 {
			return 0, false
		}
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
