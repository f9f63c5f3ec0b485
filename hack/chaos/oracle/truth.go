// Package oracle knows what is true: it makes bars from the vendor's trades in the plainest way there is,
// sharing nothing with the code under test, and holds what clients and pods say against them.
package oracle

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/marketstream/marketstream/hack/chaos/clients"
)

// Trade is a trade as the vendor knows it; price and size are decimal text.
type Trade struct {
	TimeNs      int64
	Price, Size string
}

// minutes are the lengths of timeframes.
var minutes = map[string]int64{"1m": 1, "2m": 2, "3m": 3, "5m": 5, "10m": 10, "15m": 15, "30m": 30, "1h": 60}

// bar is a bar that is being made, in exact numbers.
type bar struct {
	open, high, low, close string
	volume, notional       *big.Rat
	decimals               int // of the prices, at most
	n                      int64
}

// Truth is every bar of a symbol, by timeframe and seq, as [clients.Bar.Values] has them.
type Truth map[clients.Key]string

// Add makes the bars of a symbol from its trades, which come in order of time.
func (t Truth) Add(symbol string, trades []Trade, timeframes []string) error {
	made := make(map[int64]*bar) // by minute
	for _, x := range trades {
		price, ok1 := new(big.Rat).SetString(x.Price)
		size, ok2 := new(big.Rat).SetString(x.Size)
		if !ok1 || !ok2 {
			return fmt.Errorf("trade of %s at %q of %q: want decimals", symbol, x.Price, x.Size)
		}
		minute := x.TimeNs / 60e9
		b := made[minute]
		if b == nil {
			b = &bar{open: x.Price, high: x.Price, low: x.Price, volume: new(big.Rat), notional: new(big.Rat)}
			made[minute] = b
		}
		b.high, b.low, b.close = larger(b.high, x.Price), smaller(b.low, x.Price), x.Price
		b.volume.Add(b.volume, size)
		b.notional.Add(b.notional, new(big.Rat).Mul(price, size))
		b.decimals = max(b.decimals, decimals(x.Price))
		b.n++
	}
	for _, tf := range timeframes {
		length := minutes[tf]
		if length == 0 {
			return fmt.Errorf("timeframe %q: not known here", tf)
		}
		for start, b := range merge(made, length) {
			t[clients.Key{Symbol: symbol, Timeframe: tf, Seq: start}] = b.values()
		}
	}
	return nil
}

// merge makes longer bars from minutes.
func merge(made map[int64]*bar, length int64) map[int64]*bar {
	order := make([]int64, 0, len(made))
	for m := range made {
		order = append(order, m)
	}
	slices.Sort(order)
	out := make(map[int64]*bar)
	for _, m := range order {
		x, start := made[m], m-m%length
		b := out[start]
		if b == nil {
			b = &bar{open: x.open, high: x.high, low: x.low, volume: new(big.Rat), notional: new(big.Rat)}
			out[start] = b
		}
		b.high, b.low, b.close = larger(b.high, x.high), smaller(b.low, x.low), x.close
		b.volume.Add(b.volume, x.volume)
		b.notional.Add(b.notional, x.notional)
		b.decimals = max(b.decimals, x.decimals)
		b.n += x.n
	}
	return out
}

func (b *bar) values() string {
	vwap := new(big.Rat).Quo(b.notional, b.volume)
	return fmt.Sprintf("o %s h %s l %s c %s v %s n %d vwap %s", b.open, b.high, b.low, b.close, plain(b.volume.FloatString(18)), b.n, plain(halfEven(vwap, b.decimals+2)))
}

// halfEven rounds to a number of decimals, a tie to the even digit.
func halfEven(x *big.Rat, places int) string {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil)
	scaled := new(big.Rat).Mul(x, new(big.Rat).SetInt(scale))
	q, r := new(big.Int).QuoRem(scaled.Num(), scaled.Denom(), new(big.Int))
	twice := new(big.Int).Lsh(r, 1)
	if c := twice.Cmp(scaled.Denom()); c > 0 || c == 0 && q.Bit(0) == 1 {
		q.Add(q, big.NewInt(1))
	}
	return new(big.Rat).SetFrac(q, scale).FloatString(places)
}

// plain takes zeros at the end of decimals off.
func plain(text string) string {
	if strings.Contains(text, ".") {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	return text
}

func decimals(text string) int {
	_, after, _ := strings.Cut(text, ".")
	return len(after)
}

func compare(a, b string) int {
	x, _ := new(big.Rat).SetString(a)
	y, _ := new(big.Rat).SetString(b)
	return x.Cmp(y)
}

func larger(a, b string) string {
	if compare(b, a) > 0 {
		return b
	}
	return a
}

func smaller(a, b string) string {
	if compare(b, a) < 0 {
		return b
	}
	return a
}
