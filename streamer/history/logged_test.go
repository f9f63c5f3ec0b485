package history

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/ring"
)

// minutes closes the minutes [from, to) after t0 of some symbols: nothing but 1m bars.
func (w *world) minutes(from, to int64, symbols ...uint32) {
	for at := t0 + from*60_000; at < t0+to*60_000; at += 60_000 {
		f := &logs.Frame{Kind: logs.FrameBars, Watermark: at + 60_000}
		for _, n := range symbols {
			r := minute(at)
			r.Symbol = n
			f.Records = append(f.Records, r)
		}
		w.apply(f)
	}
}

func (w *world) starts(symbol uint32, tf market.Timeframe, limit int) (out []int64) {
	w.t.Helper()
	bars, err := w.Bars(context.Background(), Request{Symbol: Symbol{Number: symbol}, Timeframe: tf, Query: ring.Query{Limit: limit}})
	if err != nil {
		w.t.Error(err)
	}
	for i := range bars {
		out = append(out, (bars[i].StartMs-t0)/60_000)
	}
	return out
}

// TestNothingEvicted: the log holds nothing that a ring does not, so it is not read.
func TestNothingEvicted(t *testing.T) {
	w := newWorld(t, 5000)
	w.alone = true
	if got := w.starts(0, market.M1, 10); len(got) != 0 {
		t.Errorf("%v", got)
	}
	w.minutes(0, 3, 0)
	if got := w.starts(0, market.M1, 10); len(got) != 3 {
		t.Errorf("%v", got)
	}
	w.starts(0, market.H1, 10)
	if n := w.n("scans"); n != 0 {
		t.Errorf("BARS was read %d times", n)
	}
}

// TestOneScan: many symbols whose bars were evicted share readings of BARS, one at a time, and
// of what follows only that is read which is new.
func TestOneScan(t *testing.T) {
	const symbols = 40
	w := newWorld(t, 4)
	w.alone = true
	all := make([]uint32, symbols)
	for i := range all {
		all[i] = uint32(i)
	}
	w.rings.Carry(all, tfs)
	w.minutes(0, 8, all...)
	w.hold = make(chan struct{})
	var wait sync.WaitGroup
	ask := func(want ...int64) {
		for _, n := range all {
			for range 3 {
				wait.Go(func() {
					if d := cmp.Diff(want, w.starts(n, market.M1, 7)); d != "" {
						t.Errorf("symbol %d:\n%s", n, d)
					}
				})
			}
		}
	}
	wait.Go(func() { w.starts(0, market.M1, 7) })
	eventually(t, func() bool { return w.n("scans") == 1 })
	ask(1, 2, 3, 4, 5, 6, 7)
	eventually(t, func() bool {
		w.scanner.mu.Lock()
		defer w.scanner.mu.Unlock()
		waiting := 0
		for _, q := range w.scanner.queue {
			waiting += q.waiting
		}
		return waiting == 3*symbols
	})
	close(w.hold)
	wait.Wait()
	if n, most := w.n("scans"), int64(1+(symbols+Together-1)/Together); n > most || w.n("scans side by side") != 0 {
		t.Errorf("BARS was read %d times, want at most %d; %d side by side", n, most, w.n("scans side by side"))
	}
	before := w.n("scans")
	w.minutes(8, 10, all...)
	ask(3, 4, 5, 6, 7, 8, 9)
	wait.Wait()
	if n := w.n("scans"); n != before {
		t.Errorf("BARS was read %d times more for two minutes", n-before)
	}
	w.minutes(10, 20, all...) // bars were evicted that came after the last reading
	ask(13, 14, 15, 16, 17, 18, 19)
	wait.Wait()
	if n := w.n("scans"); n != before {
		t.Errorf("BARS was read %d times more from its beginning", n-before)
	}
}

// TestScanGivenUp: a reading ends when nobody waits for it any more.
func TestScanGivenUp(t *testing.T) {
	w := newWorld(t, 2)
	w.alone = true
	w.minutes(0, 5, 0)
	w.scanner.timeout = time.Hour
	w.hold = make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := w.Bars(ctx, Request{Timeframe: market.M1, Query: ring.Query{Limit: 5}})
		done <- err
	}()
	eventually(t, func() bool { return w.reading.Load() == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	eventually(t, func() bool { return w.n("scans given up") == 1 })
	close(w.hold)
	if got := w.starts(0, market.M1, 5); len(got) != 5 {
		t.Errorf("%v after it", got)
	}
}

// TestRollUpOverGap: a bar that is made of minutes is partial where whole minutes are unknown,
// before the symbol was carried too.
func TestRollUpOverGap(t *testing.T) {
	w := newWorld(t, 20)
	w.alone = true
	w.apply(&logs.Frame{Kind: logs.FrameConfig, Watermark: t0 + 20*60_000, Shape: &logs.Shape{Symbols: []logs.ShapeSymbol{{Name: "SPY", SinceMs: t0 + 20*60_000}}}})
	w.minutes(20, 70, 0)
	w.apply(&logs.Frame{Kind: logs.FrameBars, Gaps: []market.Gap{{FromMs: t0 + 70*60_000, ToMs: t0 + 90*60_000}}})
	w.minutes(90, 250, 0)
	bars, err := w.Bars(context.Background(), Request{Timeframe: market.H1, Query: ring.Query{Limit: 10}})
	if err != nil {
		t.Fatal(err)
	}
	var got []bool
	for i := range bars {
		got = append(got, bars[i].Flags&market.Partial != 0)
	}
	if d := cmp.Diff([]bool{true, true, false, false}, got); d != "" {
		t.Error("partial: ", d)
	}
}

// TestScanOfLostLog: what was read of a log that lost its end meanwhile is not kept.
func TestScanOfLostLog(t *testing.T) {
	w := newWorld(t, 2)
	w.alone = true
	w.minutes(0, 5, 0)
	w.hold = make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.starts(0, market.M1, 5)
	}()
	eventually(t, func() bool { return w.reading.Load() == 1 })
	w.Reset()
	close(w.hold)
	<-done
	if _, kept := w.logged.get(0); kept {
		t.Error("it is kept")
	}
}

// TestTimeframeAddedLive: bars of the time before a timeframe was added are made of the minutes,
// also when the first of its own has closed, and there is nothing between them.
func TestTimeframeAddedLive(t *testing.T) {
	w := newWorld(t, 5000)
	w.alone = true
	for hour, want := range [][]int64{{0}, {0, 60}, {0, 60, 120}, {0, 60, 120, 180}} {
		from := int64(hour) * 60
		w.minutes(from, from+60, 0)
		if hour > 0 { // it was added in the second hour
			own := market.Record{Timeframe: market.H1, StartMs: t0 + from*60_000, EndMs: t0 + (from+60)*60_000}
			for m := from; m < from+60; m++ {
				r := minute(t0 + m*60_000)
				if err := own.Merge(&r); err != nil {
					t.Fatal(err)
				}
			}
			w.apply(&logs.Frame{Kind: logs.FrameBars, Watermark: own.EndMs, Records: []market.Record{own}})
		}
		if d := cmp.Diff(want, w.starts(0, market.H1, 10)); d != "" {
			t.Errorf("after hour %d:\n%s", hour+1, d)
		}
	}
}

// TestRevisedBehindRing: what BARS holds of bars older than the ring is as new as the answer is to
// be: a revision is in it that came after the log was read.
func TestRevisedBehindRing(t *testing.T) {
	w := newWorld(t, 2)
	w.alone = true
	w.minutes(0, 5, 0)
	w.starts(0, market.M1, 5)
	revised := minute(t0 + 60_000)
	revised.Rev = 1
	w.apply(&logs.Frame{Kind: logs.FrameBars, Records: []market.Record{revised}})
	bars, err := w.Bars(context.Background(), Request{Timeframe: market.M1, Query: ring.Query{Limit: 5}})
	if err != nil || len(bars) != 5 || bars[1].Rev != 1 {
		t.Errorf("%+v, %v", bars, err)
	}
	if scans, more := w.n("scans"), w.n("reads of what is new"); scans != 1 || more != 1 {
		t.Errorf("%d scans, %d reads of what is new", scans, more)
	}
}
