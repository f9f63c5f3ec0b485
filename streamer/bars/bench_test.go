package bars

import (
	"fmt"
	"math"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/market"
)

// foldOf returns a fold of n symbols and a trade for each, in the first minute.
func foldOf(tb testing.TB, n int) (*Fold, []market.Entry) {
	tb.Helper()
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("S%05d", i)
	}
	cfg := usConfig(tb, names...)
	cfg.Session = market.Session{} // always open
	f := New(cfg)
	entries := make([]market.Entry, n)
	for i := range entries {
		entries[i] = market.Entry{Kind: market.Trade, Symbol: uint32(i), Time: base * nsPerMs,
			Price: market.Decimal{Coef: 10_000 + int64(i), Scale: 2}, Size: market.Decimal{Coef: 100}}
	}
	return f, entries
}

// say puts one round of trades at offset and time into the fold.
func say(f *Fold, entries []market.Entry, offset *uint64, ns int64) {
	for i := range entries {
		e := &entries[i]
		*offset++
		e.Time, e.Offset, e.Order, e.ID = ns, *offset, *offset, *offset
		e.Price.Coef += int64(*offset)%5 - 2
		f.Entry(e, market.Position{Source: market.SourcePosition{Offset: *offset}})
	}
}

// TestNoAllocations: a trade into an open minute allocates nothing.
func TestNoAllocations(t *testing.T) {
	f, entries := foldOf(t, 1000)
	offset := uint64(0)
	for range 70 { // ids that do not follow each other take room, which doubles
		say(f, entries, &offset, base*nsPerMs)
	}
	if n := testing.AllocsPerRun(5, func() { say(f, entries, &offset, base*nsPerMs+int64(offset)*1000) }); n != 0 {
		t.Errorf("%.2f allocations for 1000 trades, want none", n)
	}
}

// BenchmarkTrade is one trade into an open minute, over 1,000 symbols, 50 trades of each in a
// minute, with a venue's gapless ids; closes are not counted. CPU time, for machines are shared.
func BenchmarkTrade(b *testing.B) {
	f, entries := foldOf(b, 1000)
	offset, at, rounds := uint64(0), base, int64(0)
	var used time.Duration
	var before, after runtime.MemStats
	var allocs uint64
	for b.Loop() {
		rounds++
		for i := range entries {
			e := &entries[i]
			offset++
			e.Time, e.Offset, e.Order, e.ID = at*nsPerMs+rounds%50*1e9, offset, offset, uint64(rounds)
			e.Price.Coef += int64(offset)%5 - 2
		}
		first := offset - uint64(len(entries))
		counted := rounds%50 > 1 // the first of a minute makes its records
		if counted {
			runtime.ReadMemStats(&before)
		}
		began := cpu()
		for i := range entries {
			f.Entry(&entries[i], market.Position{Source: market.SourcePosition{Offset: first + uint64(i) + 1}})
		}
		if counted {
			used += cpu() - began
			runtime.ReadMemStats(&after)
			allocs += after.Mallocs - before.Mallocs
		}
		if rounds%50 == 49 {
			at += minuteMs
			f.Entry(&market.Entry{Kind: market.Mark, Time: (at + 2000) * nsPerMs, Offset: offset}, market.Position{Source: market.SourcePosition{Offset: offset}})
		}
	}
	trades := float64(rounds-2*(rounds/50)-min(rounds, 1)) * 1000
	b.ReportMetric(float64(used.Nanoseconds())/trades, "cpu-ns/trade")
	b.ReportMetric(math.Round(float64(allocs)/trades*1000)/1000, "allocs/trade")
}

// cpu is what the process has used so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkClose is a close of 1,250 symbols in five timeframes: a sixteenth of 20,000.
func BenchmarkClose(b *testing.B) {
	f, entries := foldOf(b, 1250)
	offset, at := uint64(0), base
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		say(f, entries, &offset, at*nsPerMs)
		at += minuteMs
		offset++
		mark := market.Entry{Kind: market.Mark, Time: (at + 2000) * nsPerMs, Offset: offset}
		b.StartTimer()
		if c := f.Entry(&mark, market.Position{Source: market.SourcePosition{Offset: offset}}); c == nil || len(c.Records) < 1250 {
			b.Fatal("nothing closed")
		}
	}
}
