package market

import (
	"math"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"strings"
	"testing"
)

var (
	max128 = Int128{Hi: math.MaxInt64, Lo: math.MaxUint64}
	min128 = Int128{Hi: math.MinInt64}
)

// random128 prefers the edges: few bits, many bits, powers of two and their neighbours.
func random128(r *rand.Rand) Int128 {
	switch r.IntN(8) {
	case 0:
		return []Int128{{}, {0, 1}, {-1, math.MaxUint64}, max128, min128, {0, math.MaxUint64}, {-1, 0}, {1, 0}}[r.IntN(8)]
	case 1:
		return Int128From(r.Int64() >> r.IntN(64))
	case 2:
		return Int128From(-r.Int64() >> r.IntN(64))
	}
	return Int128{Hi: int64(r.Uint64()) >> r.IntN(64), Lo: r.Uint64() >> r.IntN(64)}
}

// fromBig is the opposite of Int128.Big, for tests; ok says that x fits.
func fromBig(x *big.Int) (Int128, bool) {
	if x.Cmp(min128.Big()) < 0 || x.Cmp(max128.Big()) > 0 {
		return Int128{}, false
	}
	m := new(big.Int).And(x, new(big.Int).SetUint64(math.MaxUint64))
	return Int128{Hi: new(big.Int).Rsh(x, 64).Int64(), Lo: m.Uint64()}, true
}

func TestInt128AgainstBig(t *testing.T) {
	r := newRand(t)
	check := func(what string, got Int128, ok bool, want *big.Int) {
		t.Helper()
		w, fits := fromBig(want)
		if ok != fits || ok && got != w {
			t.Fatalf("%s = %v, %v; want %v, %v", what, got, ok, want, fits)
		}
	}
	for range 50_000 {
		x, y := random128(r), random128(r)
		bx, by := x.Big(), y.Big()
		sum, ok := x.Add(y)
		check(bx.String()+" + "+by.String(), sum, ok, new(big.Int).Add(bx, by))
		diff, ok := x.Sub(y)
		check(bx.String()+" - "+by.String(), diff, ok, new(big.Int).Sub(bx, by))
		neg, ok := x.Neg()
		check("-"+bx.String(), neg, ok, new(big.Int).Neg(bx))
		n := uint8(r.IntN(45))
		scaled, ok := x.Scale10(n)
		check(bx.String()+" scaled", scaled, ok, new(big.Int).Mul(bx, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)))
		a, b := int64(r.Uint64())>>r.IntN(64), int64(r.Uint64())>>r.IntN(64)
		check("product", Mul64(a, b), true, new(big.Int).Mul(big.NewInt(a), big.NewInt(b)))
		if x.Sign() != bx.Sign() || x.IsZero() != (bx.Sign() == 0) || x.String() != bx.String() {
			t.Fatalf("%v: sign %d, zero %v, text %s", bx, x.Sign(), x.IsZero(), x)
		}
		if v, ok := x.Int64(); ok != bx.IsInt64() || ok && v != bx.Int64() {
			t.Fatalf("%v as int64: %d, %v", bx, v, ok)
		}
	}
	for _, a := range []int64{math.MinInt64, -1, 0, 1, math.MaxInt64} {
		for _, b := range []int64{math.MinInt64, -1, 0, 1, math.MaxInt64} {
			check("product", Mul64(a, b), true, new(big.Int).Mul(big.NewInt(a), big.NewInt(b)))
		}
	}
}

func TestQuoHalfEvenAgainstBig(t *testing.T) {
	r := newRand(t)
	check := func(x Int128, shift uint8, y Int128) {
		t.Helper()
		got, ok := x.QuoHalfEven(shift, y)
		want, fits := quoHalfEven(x.Big(), shift, y.Big())
		if ok != fits || ok && got != want.Int64() {
			t.Fatalf("%v × 10^%d / %v = %d, %v; want %v, %v", x, shift, y, got, ok, want, fits)
		}
	}
	for range 50_000 {
		x, y := random128(r), random128(r)
		check(x, uint8(r.IntN(4)), y)
		small := Int128From(1 + r.Int64N(40)) // often exactly half
		check(x, uint8(r.IntN(3)), small)
		check(Int128From(r.Int64N(1000)), 2, Int128From(1+r.Int64N(1000)))
		// Quotients around 2^63 and 2^64.
		hi, lo := bits.Mul64(1<<(63+r.IntN(2))-uint64(r.IntN(3)), small.Lo)
		near, _ := Int128{Hi: int64(hi), Lo: lo}.Add(Int128From(r.Int64N(80) - 40))
		check(near, 0, small)
	}
	check(Int128{Hi: 2, Lo: math.MaxUint64}, 0, Int128From(3)) // rounds up to 2^64
	for _, c := range []struct{ x, y, want int64 }{{5, 10, 0}, {15, 10, 2}, {25, 10, 2}, {-5, 10, 0}, {-15, 10, -2}, {7, 2, 4}, {-25, 10, -2}} {
		if got, ok := Int128From(c.x).QuoHalfEven(0, Int128From(c.y)); !ok || got != c.want {
			t.Errorf("%d/%d = %d, want %d", c.x, c.y, got, c.want)
		}
	}
}

func quoHalfEven(x *big.Int, shift uint8, y *big.Int) (*big.Int, bool) {
	if y.Sign() == 0 {
		return nil, false
	}
	q := new(big.Rat).SetFrac(new(big.Int).Mul(x, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(shift)), nil)), y)
	floor := new(big.Int).Div(q.Num(), q.Denom()) // Euclid, and the denominator is positive
	switch rest := new(big.Rat).Sub(q, new(big.Rat).SetInt(floor)); rest.Cmp(big.NewRat(1, 2)) {
	case 1:
		floor.Add(floor, big.NewInt(1))
	case 0:
		floor.Add(floor, big.NewInt(int64(floor.Bit(0))))
	}
	return floor, floor.IsInt64()
}

func TestAppendScaledAgainstBig(t *testing.T) {
	r := newRand(t)
	for range 20_000 {
		x, scale := random128(r), uint8(r.IntN(37))
		ten := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
		want := new(big.Rat).SetFrac(x.Big(), ten).FloatString(int(scale))
		if strings.Contains(want, ".") {
			want = strings.TrimRight(strings.TrimRight(want, "0"), ".")
		}
		if got := string(x.AppendScaled([]byte("v="), scale)); got != "v="+want {
			t.Fatalf("%v at scale %d is %q, want %q", x, scale, got, want)
		}
	}
}
