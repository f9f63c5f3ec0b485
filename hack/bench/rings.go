package main

import (
	"fmt"
	"runtime"

	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/pods"
	"github.com/marketstream/marketstream/streamer/ring"
)

// ringsSpread fills the rings of one pod of 1, 2, 4 and 8, the one that has the most, as every
// pod is given every bar, and prints the heap that they take.
func ringsSpread() error {
	const symbols, bars = 5000, 1000
	frames := []market.Timeframe{market.M1, market.M2, market.M3}
	numbers := make([]uint32, symbols)
	names := make([]string, symbols)
	for i := range names {
		numbers[i], names[i] = uint32(i), fmt.Sprintf("SYM%04d", i)
	}
	alone := 0.0
	for _, n := range []int{1, 2, 4, 8} {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf("md-streamer-7d9f6c5b48-%05x-%08x", 0x2f*i+7, 0x9e3779b9*uint32(i+1))
		}
		spread := pods.NewRings(all)
		has := make(map[string][]uint32, n)
		for i, name := range names {
			holder := spread.Holder(name)
			has[holder] = append(has[holder], numbers[i])
		}
		var most []uint32
		for _, h := range has {
			if len(h) > len(most) {
				most = h
			}
		}
		before := heap()
		set := ring.NewSet(bars)
		set.Carry(most, frames)
		fill(set, numbers, frames, bars)
		used := float64(heap()-before) / (1 << 20)
		runtime.KeepAlive(set)
		if n == 1 {
			alone = used
		}
		row(fmt.Sprintf("rings of 5,000 symbols × 3 × 1,000 bars, %d pods: most in one", n),
			fmt.Sprintf("%.0f MB, %.3f", used, used/alone), fmt.Sprintf("about %.3f", 1/float64(n)))
	}
	return nil
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// fill closes the bars of all symbols, time by time, as the log does.
func fill(set *ring.Set, symbols []uint32, frames []market.Timeframe, bars int64) {
	for i := range bars {
		for _, sym := range symbols {
			for _, tf := range frames {
				// A walk of a few cents around a price of its own, some thousand shares.
				x := (uint64(sym)*2654435761 + uint64(i)*40503) >> 7
				price := int64(5000+sym*7%60_000) + int64(x%41) - 20
				b := market.Bar{Timeframe: tf, StartMs: 1_709_596_800_000 + i*tf.Millis(), Open: price, High: price + int64(x%9), Low: price - int64(x%7), Close: price + int64(x%5) - 2,
					Volume: market.Int128From(int64(100 * (1 + x%900))), N: int64(1 + x%300), PriceScale: 2, HasVWAP: true, VWAP: price*100 + int64(x%97)}
				b.EndMs = b.StartMs + tf.Millis()
				set.Apply(sym, &b)
			}
		}
	}
}
