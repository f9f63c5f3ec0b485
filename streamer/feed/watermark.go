package feed

import "time"

const (
	// offsetWindow is how long a sample of the clock's offset counts, in buckets of offsetBucket.
	offsetWindow  = int64(10 * time.Minute)
	offsetBuckets = 60
	offsetBucket  = offsetWindow / offsetBuckets
	// aheadLimit is how far ahead of its own corrected receive time an event may be.
	aheadLimit = int64(5 * time.Second)
	// holdLimit is how long a watermark is held after a connect at most.
	holdLimit = int64(5 * time.Second)
	// settleCount and settleTime: so many samples over so long make an offset one can trust.
	settleCount = 4
	settleTime  = int64(2 * time.Second)
)

// Watermark is the watermark of a live connection: the larger of the highest plausible event
// time and the exchange time at which the last answered ping was sent, less an allowance for
// disorder, in whole milliseconds, never backwards. It is pure: all times are arguments, in
// Unix ns; receive times come from one monotonic clock (a step of the wall clock would look
// like a step of the exchange's). One goroutine uses it; nothing allocates.
//
// The exchange's clock is known by offset = the minimum of receive time − event time over the
// last 10 minutes: the difference of the clocks and the shortest way. An event more than 5 s
// ahead of its receive time, so corrected, moves nothing, is no sample and is counted. Where
// such events come alone for 2 s, four at least, a clock has stepped, and the offset is
// theirs. Until as many samples are in, a fresh event is not held against an offset that was
// learnt from old ones: the larger of exchange time by offset and by the local clock counts.
type Watermark struct {
	allowance int64

	mins    [offsetBuckets]int64 // smallest sample of each bucket; valid where counts is not 0
	counts  [offsetBuckets]int64
	bucket  int64 // number of the newest bucket: receive time / offsetBucket
	samples int64 // sum of counts
	first   int64 // receive time of the first of them
	offset  int64 // smallest of mins; 0 without samples

	ahead     uint64 // events that were ahead
	runCount  int64  // of them, since the last plausible one
	runSince  int64  // receive time of the first of the run
	runOffset int64  // largest sample of the run: the careful one

	high int64 // the larger of event time and sign of life
	mark int64

	held   bool
	heldAt int64
}

// NewWatermark makes a watermark that stays allowance behind.
func NewWatermark(allowance time.Duration) *Watermark {
	return &Watermark{allowance: int64(allowance)}
}

// Event takes the exchange time of a trade, or of a heartbeat as it was sent, that was
// received at recv. It reports whether the time is plausible. What a vendor sends again, a
// snapshot, is no event.
func (w *Watermark) Event(recv, event int64) bool {
	w.roll(recv)
	sample := recv - event
	reference := w.offset
	if w.samples < settleCount || recv-w.first < settleTime {
		reference = min(reference, 0)
	}
	if sample < reference-aheadLimit {
		w.ahead++
		if !w.adopt(recv, sample) {
			return false
		}
	}
	w.runCount = 0
	w.sample(recv, sample)
	w.high = max(w.high, event)
	return true
}

// adopt counts an event that is ahead, and reports whether the run of them has lasted long
// enough to be a clock's step.
func (w *Watermark) adopt(recv, sample int64) bool {
	if w.runCount == 0 || sample-w.runOffset > aheadLimit || w.runOffset-sample > aheadLimit {
		w.runCount, w.runSince, w.runOffset = 0, recv, sample
	}
	w.runCount++
	w.runOffset = max(w.runOffset, sample)
	if w.runCount < settleCount || recv-w.runSince < settleTime {
		return false
	}
	w.clear()
	w.sample(recv, w.runOffset)
	return true
}

// Answered takes a sign of life: the vendor has answered a ping that was sent at sent, local
// time. What it had sent before it answered was received, so trades up to then are in. Before
// the first event the exchange's clock is not known, and it says nothing.
func (w *Watermark) Answered(recv, sent int64) {
	w.roll(recv)
	if w.samples > 0 {
		w.high = max(w.high, sent-w.offset)
	}
}

// Hold makes the watermark stand from now on, until Release, 5 s at most.
func (w *Watermark) Hold(now int64) { w.held, w.heldAt = true, now }

// Release lets it move.
func (w *Watermark) Release() { w.held = false }

// HeldUntil is when a hold ends by itself, and whether there is one.
func (w *Watermark) HeldUntil() (at int64, held bool) { return w.heldAt + holdLimit, w.held }

// Mark returns the watermark and whether it has moved since the last call.
func (w *Watermark) Mark(now int64) (ns int64, moved bool) {
	if w.held && now-w.heldAt < holdLimit {
		return w.mark, false
	}
	w.held = false
	at := w.high - w.allowance
	if at -= at % 1e6; at <= w.mark {
		return w.mark, false
	}
	w.mark = at
	return at, true
}

// Offset is the clock's offset, and whether it is known.
func (w *Watermark) Offset() (ns int64, known bool) { return w.offset, w.samples > 0 }

// Ahead is how many events were too far ahead.
func (w *Watermark) Ahead() uint64 { return w.ahead }

// sample takes one sample of the offset; buckets are up to date.
func (w *Watermark) sample(recv, sample int64) {
	i := w.bucket % offsetBuckets
	if w.counts[i] == 0 || sample < w.mins[i] {
		w.mins[i] = sample
	}
	w.counts[i]++
	if w.samples == 0 {
		w.first, w.offset = recv, sample
	}
	w.samples++
	w.offset = min(w.offset, sample)
}

// roll makes room for receive time recv: buckets that are older than the window are emptied.
func (w *Watermark) roll(recv int64) {
	bucket := recv / offsetBucket
	if bucket <= w.bucket {
		return
	}
	if bucket-w.bucket >= offsetBuckets {
		w.clear()
		w.bucket = bucket
		return
	}
	for w.bucket < bucket {
		w.bucket++
		i := w.bucket % offsetBuckets
		w.samples -= w.counts[i]
		w.counts[i] = 0
	}
	w.offset = 0
	for i, found := 0, false; i < offsetBuckets; i++ {
		if w.counts[i] > 0 && (!found || w.mins[i] < w.offset) {
			w.offset, found = w.mins[i], true
		}
	}
}

func (w *Watermark) clear() {
	w.counts = [offsetBuckets]int64{}
	w.samples, w.offset = 0, 0
}
