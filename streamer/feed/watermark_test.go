package feed

import (
	"math/rand/v2"
	"testing"
	"time"
)

const (
	second = int64(time.Second)
	ms     = int64(time.Millisecond)
	wall   = int64(1_764_000_000) * second
)

// mark wants the watermark at want, and that it moved.
func mark(t *testing.T, w *Watermark, now, want int64) {
	t.Helper()
	if got, moved := w.Mark(now); got != want || !moved {
		t.Errorf("mark = wall%+d ms (moved %v), want wall%+d ms", (got-wall)/ms, moved, (want-wall)/ms)
	}
}

func stands(t *testing.T, w *Watermark, now int64) {
	t.Helper()
	if got, moved := w.Mark(now); moved {
		t.Errorf("mark moved to wall%+d ms", (got-wall)/ms)
	}
}

func TestWatermarkFollowsEvents(t *testing.T) {
	w := NewWatermark(100 * time.Millisecond)
	stands(t, w, wall)
	w.Event(wall+50*ms, wall+123_456) // 0.123456 ms
	mark(t, w, wall+50*ms, wall-100*ms)
	w.Event(wall+60*ms, wall-second)
	stands(t, w, wall+60*ms)
	w.Event(wall+70*ms, wall+20*ms)
	mark(t, w, wall+70*ms, wall-80*ms)
	stands(t, w, wall+80*ms)
}

// TestWatermarkSkew: whatever the local clock says, signs of life are told in exchange time,
// and only what is ahead by the exchange's clock is ahead.
func TestWatermarkSkew(t *testing.T) {
	for _, skew := range []int64{0, 30 * second, 3600 * second, -4 * second, -30 * second, -3600 * second} {
		w := NewWatermark(0)
		now, n := wall, 0
		for ; now < wall+5*second; now += second / 4 { // local = exchange + skew, 20 ms on the way
			if w.Event(now+skew+20*ms, now) {
				n++
			}
		}
		if n < 12 {
			t.Errorf("skew %d s: %d of 20 events were plausible", skew/second, n)
		}
		ahead := w.Ahead()
		if off, ok := w.Offset(); off != skew+20*ms || !ok {
			t.Errorf("skew %d s: offset %d ms, known %v", skew/second, off/ms, ok)
		}
		w.Mark(now + skew)
		if w.Event(now+skew, now+6*second) {
			t.Errorf("skew %d s: an event 6 s ahead is plausible", skew/second)
		}
		stands(t, w, now+skew)
		if w.Ahead() != ahead+1 {
			t.Errorf("skew %d s: %d ahead, want %d", skew/second, w.Ahead(), ahead+1)
		}
		w.Answered(now+skew+2*second, now+skew+second)
		mark(t, w, now+skew, now+second-20*ms)
		if !w.Event(now+skew+second, now+5*second) {
			t.Errorf("skew %d s: an event 4 s ahead is not plausible", skew/second)
		}
	}
}

// TestWatermarkFirstIsWild: a first event from far ahead closes nothing.
func TestWatermarkFirstIsWild(t *testing.T) {
	w := NewWatermark(0)
	if w.Event(wall, wall+3600*second) || w.Event(wall+3*second, wall+3600*second) {
		t.Error("an hour ahead is plausible")
	}
	w.Event(wall+3*second, wall+3*second-ms)
	mark(t, w, wall+3*second, wall+3*second-ms)
	for i := range int64(3) { // the run that a plausible one broke does not count on
		if w.Event(wall+4*second+i, wall+3600*second) {
			t.Error("an hour ahead is plausible")
		}
	}
	for i := range int64(10) { // nor does one whose times are all over the place
		if w.Event(wall+5*second+i*second, wall+3600*second*(2+i)) {
			t.Error("hours ahead are plausible")
		}
	}
}

// TestWatermarkFirstIsOld: a late first trade does not make the next, fresh one ahead.
func TestWatermarkFirstIsOld(t *testing.T) {
	w := NewWatermark(0)
	w.Event(wall, wall-120*second)
	w.Answered(wall+ms, wall+ms)
	mark(t, w, wall, wall-120*second+ms)
	if !w.Event(wall+second, wall+second-20*ms) || w.Ahead() != 0 {
		t.Error("a fresh event is ahead")
	}
	mark(t, w, wall+second, wall+second-20*ms)
}

func TestWatermarkLife(t *testing.T) {
	w := NewWatermark(0)
	w.Answered(wall+ms, wall)
	stands(t, w, wall+ms) // the exchange's clock is not known
	w.Event(wall+40*ms, wall)
	mark(t, w, wall+40*ms, wall)
	w.Answered(wall+21*second, wall+20*second)
	mark(t, w, wall+21*second, wall+20*second-40*ms)
	w.Answered(wall+22*second, wall+10*second)
	stands(t, w, wall+22*second)
}

func TestWatermarkHold(t *testing.T) {
	w := NewWatermark(0)
	w.Event(wall, wall)
	mark(t, w, wall, wall)
	w.Hold(wall)
	w.Event(wall+second, wall+second)
	stands(t, w, wall+second)
	if at, held := w.HeldUntil(); at != wall+5*second || !held {
		t.Errorf("held until wall%+d s, %v", (at-wall)/second, held)
	}
	w.Release()
	mark(t, w, wall+second, wall+second)
	w.Hold(wall + 2*second)
	w.Event(wall+3*second, wall+3*second)
	stands(t, w, wall+7*second-1)
	mark(t, w, wall+7*second, wall+3*second)
	if _, held := w.HeldUntil(); held {
		t.Error("still held")
	}
}

// TestOffsetIsMinimum compares with the plain minimum of the last 10 minutes, which may
// differ by what lies in the oldest bucket.
func TestOffsetIsMinimum(t *testing.T) {
	type sample struct{ recv, d int64 }
	r := rand.New(rand.NewPCG(1, 2))
	w := NewWatermark(0)
	var all []sample
	now := wall
	for range 8_000 {
		now += r.Int64N(400 * ms)
		if r.IntN(2000) == 0 {
			now += r.Int64N(900 * second)
		}
		d := 20*ms + r.Int64N(500*ms) + (now-wall)/10_000 // the path grows longer
		all = append(all, sample{now, d})
		w.Event(now, now-d)
		lo, hi := all[len(all)-1].d, all[len(all)-1].d // over the window, and over it less a bucket
		for i := len(all) - 1; i >= 0 && now-all[i].recv <= offsetWindow; i-- {
			lo = min(lo, all[i].d)
			if now-all[i].recv <= offsetWindow-offsetBucket {
				hi = min(hi, all[i].d)
			}
		}
		if got, ok := w.Offset(); got < lo || got > hi || !ok {
			t.Fatalf("after %d samples: offset %d, want %d to %d", len(all), got, lo, hi)
		}
	}
	if w.Ahead() != 0 {
		t.Errorf("%d ahead", w.Ahead())
	}
}

// TestOffsetExpires: what is older than the window is not known any more.
func TestOffsetExpires(t *testing.T) {
	w := NewWatermark(0)
	w.Event(wall, wall)
	w.Mark(wall)
	for at := wall; at <= wall+offsetWindow; at += offsetWindow / 3 {
		w.Answered(at, wall)
	}
	if _, known := w.Offset(); known {
		t.Error("the offset is known by a sample older than 10 minutes")
	}
	w.Answered(wall+offsetWindow+second, wall+offsetWindow)
	stands(t, w, wall+offsetWindow+second)
}

// TestWatermarkStep: the exchange's clock, or ours, steps by a minute.
func TestWatermarkStep(t *testing.T) {
	w := NewWatermark(0)
	for now := wall; now < wall+10*second; now += second {
		w.Event(now, now)
	}
	w.Mark(wall + 10*second)
	n := 0
	for now := wall + 10*second; now < wall+20*second; now += second {
		if w.Event(now, now+60*second) {
			n++
		}
	}
	if n != 7 || w.Ahead() != 4 {
		t.Errorf("%d plausible, %d ahead; want 7 and 4", n, w.Ahead())
	}
	mark(t, w, wall+20*second, wall+79*second)
}

func TestWatermarkAllocates(t *testing.T) {
	w := NewWatermark(100 * time.Millisecond)
	now := wall
	if n := testing.AllocsPerRun(1000, func() {
		now += 10 * second
		w.Event(now, now-ms)
		w.Answered(now, now)
		w.Mark(now)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkWatermark(b *testing.B) {
	w := NewWatermark(100 * time.Millisecond)
	now := wall
	b.ReportAllocs()
	for b.Loop() {
		now += 20 * 1000
		w.Event(now, now-ms)
	}
}
