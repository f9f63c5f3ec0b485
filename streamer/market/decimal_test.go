package market

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

func newRand(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func TestParseDecimal(t *testing.T) {
	for _, c := range []struct {
		text  string
		coef  int64
		scale uint8
	}{
		{"0", 0, 0}, {"-0", 0, 0}, {"0.000", 0, 0}, {"0e99", 0, 0}, {"-0.0e-9", 0, 0},
		{"1", 1, 0}, {"+1", 1, 0}, {"-3", -3, 0}, {"580.10", 5801, 1}, {"580.01", 58001, 2},
		{"100", 100, 0}, {"007.5", 75, 1}, {".5", 5, 1}, {"5.", 5, 0}, {"0.0050", 5, 3},
		{"1e-7", 1, 7}, {"1.5E+3", 1500, 0}, {"12.34e1", 1234, 1}, {"100e-2", 1, 0}, {"1e18", 1e18, 0},
		{"0.000000000000000001", 1, 18}, {"9223372036854775807", math.MaxInt64, 0},
		{"-9223372036854775807", -math.MaxInt64, 0}, {"9.223372036854775807", math.MaxInt64, 18},
		{"0.0000000000000000010", 1, 18}, {"123.000000000000000000000000000", 123, 0},
	} {
		d, err := ParseDecimal(c.text)
		if err != nil || d.Coef != c.coef || d.Scale != c.scale {
			t.Errorf("ParseDecimal(%q) = %d×10^-%d, %v; want %d×10^-%d", c.text, d.Coef, d.Scale, err, c.coef, c.scale)
		}
		b, err := ParseDecimal([]byte(c.text))
		if err != nil || b != d {
			t.Errorf("ParseDecimal([]byte(%q)) = %v, %v; want %v", c.text, b, err, d)
		}
	}
	for text, want := range map[string]error{
		"": ErrSyntax, "-": ErrSyntax, ".": ErrSyntax, "+.": ErrSyntax, "1x": ErrSyntax, " 1": ErrSyntax, "1 ": ErrSyntax,
		"--1": ErrSyntax, "1e": ErrSyntax, "1e+": ErrSyntax, "e5": ErrSyntax, "1.2.3": ErrSyntax, "1e1.5": ErrSyntax,
		"0x10": ErrSyntax, "1_000": ErrSyntax, "1,5": ErrSyntax, "NaN": ErrSyntax, "Infinity": ErrSyntax, "null": ErrSyntax,
		"9223372036854775808": ErrRange, "-9223372036854775808": ErrRange, "10000000000000000000": ErrRange,
		"0.0000000000000000001": ErrRange, "1e19": ErrRange, "1e-19": ErrRange, "1e99999999999999999999": ErrRange, "1e65": ErrRange,
		"1." + strings.Repeat("0", 300) + "1": ErrRange,
	} {
		if d, err := ParseDecimal(text); !errors.Is(err, want) {
			t.Errorf("ParseDecimal(%q) = %v, %v; want %v", text, d, err, want)
		} else if !strings.Contains(err.Error(), `"`) {
			t.Errorf("the error %q does not quote the text", err)
		}
	}
}

// Every text that big.Rat reads as a number of at most 18 decimals and 63 bits is read as that number.
func TestParseDecimalAgainstBig(t *testing.T) {
	r := newRand(t)
	limit := new(big.Int).SetInt64(math.MaxInt64)
	for range 20_000 {
		text := randomNumber(r)
		want, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("big.Rat does not read %q", text)
		}
		d, err := ParseDecimal(text)
		if err == nil {
			if d.rat().Cmp(want) != 0 {
				t.Fatalf("ParseDecimal(%q) = %v", text, d)
			}
			if d.Scale > 0 && d.Coef%10 == 0 {
				t.Fatalf("ParseDecimal(%q) = %d×10^-%d is not canonical", text, d.Coef, d.Scale)
			}
			continue
		}
		// Refused: it must indeed not fit, or have more integer digits as written than 63 bits hold.
		scaled := new(big.Rat).Mul(want, new(big.Rat).SetInt64(1e18))
		fits := false
		for s := 0; s <= MaxScale; s++ {
			c := new(big.Rat).Mul(want, new(big.Rat).SetInt64(pow10[s]))
			fits = fits || c.IsInt() && new(big.Int).Abs(c.Num()).Cmp(limit) <= 0
		}
		if fits {
			t.Fatalf("ParseDecimal(%q): %v, but it fits (%v)", text, err, scaled)
		}
	}
}

func randomNumber(r *rand.Rand) string {
	var b strings.Builder
	digits := func(n int) {
		for range n {
			b.WriteByte("0000123456789"[r.IntN(13)])
		}
	}
	b.WriteString([]string{"", "", "-", "+"}[r.IntN(4)])
	digits(1 + r.IntN(10))
	if r.IntN(3) > 0 {
		b.WriteByte('.')
		digits(1 + r.IntN(12))
	}
	if r.IntN(4) == 0 {
		b.WriteString([]string{"e", "E", "e+", "e-", "e-"}[r.IntN(5)])
		b.WriteByte("0123456789"[r.IntN(10)])
	}
	return b.String()
}

func (d Decimal) rat() *big.Rat {
	return new(big.Rat).SetFrac(big.NewInt(d.Coef), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.Scale)), nil))
}

func TestDecimalText(t *testing.T) {
	for want, d := range map[string]Decimal{
		"0": {}, "0.5": {5, 1}, "-0.05": {-5, 2}, "580.1": {58010, 2}, "1000": {1000, 0}, "-12.3": {-12300, 3},
		"0.000000000000000001": {1, 18}, "-9223372036854775808": {math.MinInt64, 0}, "-9.223372036854775808": {math.MinInt64, 18},
	} {
		if d.String() != want {
			t.Errorf("%d×10^-%d is %s, want %s", d.Coef, d.Scale, d, want)
		}
	}
	if got := string(AppendDecimal([]byte("x"), 0, 18)); got != "x0" {
		t.Errorf("0 at scale 18 is %q", got)
	}
	if got := string(AppendDecimal(nil, 1, 20)); got != "0.00000000000000000001" {
		t.Errorf("1 at scale 20 is %q", got)
	}
}

func TestRescale(t *testing.T) {
	r := newRand(t)
	for range 20_000 {
		d := Decimal{r.Int64N(1<<62) >> r.IntN(62), uint8(r.IntN(19))}
		if r.IntN(2) == 0 {
			d.Coef = -d.Coef
		}
		to := uint8(r.IntN(19))
		want := new(big.Rat).Mul(d.rat(), new(big.Rat).SetInt64(pow10[to]))
		fits := want.IsInt() && want.Num().IsInt64()
		got, ok := d.Rescale(to)
		if ok != fits || ok && got != want.Num().Int64() {
			t.Fatalf("%v at scale %d: %d, %v; want %v, %v", d, to, got, ok, want, fits)
		}
	}
	if _, ok := (Decimal{1, 0}).Rescale(30); ok {
		t.Error("scale 30 was accepted")
	}
}

func TestMustDecimal(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("MustDecimal(\"x\") did not panic")
		}
	}()
	if d := MustDecimal("1.5"); d != (Decimal{15, 1}) {
		t.Errorf("MustDecimal(\"1.5\") = %v", d)
	}
	MustDecimal("x")
}

func FuzzParseDecimal(f *testing.F) {
	for _, s := range []string{"0", "-0.0", "580.10", "1e-7", "9223372036854775807", "9223372036854775808", "-.5", "5.", "1e99999999999999999999",
		"0.0000000000000000001", "+007.50e-3", "", "e", "1e", "1.2.3", "１", "0.1e64", "1E-18"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDecimal(text)
		if b, berr := ParseDecimal([]byte(text)); b != d || (err == nil) != (berr == nil) {
			t.Fatalf("%q: as string %v, %v; as bytes %v, %v", text, d, err, b, berr)
		}
		if err != nil {
			if !errors.Is(err, ErrSyntax) && !errors.Is(err, ErrRange) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if d.Scale > MaxScale {
			t.Fatalf("%q: scale %d", text, d.Scale)
		}
		again, err := ParseDecimal(d.String())
		if err != nil || again != d {
			t.Fatalf("%q is %v, and that is %v, %v", text, d, again, err)
		}
		if want, ok := new(big.Rat).SetString(text); ok && want.Cmp(d.rat()) != 0 {
			t.Fatalf("%q is %v", text, d)
		}
	})
}
