package backbone

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
)

const (
	// watchEvery is how often a tail is compared with the stream that it follows.
	watchEvery   = time.Second
	retryFirst   = 20 * time.Millisecond
	retryLast    = time.Second
	stalledAfter = 2 // looks without progress
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errStalled     = errors.New("the log moves and its tail does not")
	errSessionOver = errors.New("the connection was lost")
)

// Tail implements logs.Log.
func (b *bars) Tail(ctx context.Context, seq uint64, fn func(logs.Entry) error) error {
	t := &tail{bars: b, next: max(seq, 1), fn: fn}
	pause := retryFirst
	for {
		was := t.next
		err := t.session(ctx)
		var stop *stopError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &stop):
			return stop.err
		case errors.Is(err, logs.ErrRewound) || b.nc.IsClosed():
			return err
		}
		if t.next != was {
			pause = retryFirst
		}
		b.log.V(1).Info("the tail of BARS begins anew", "at", t.next, "reason", err.Error())
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, retryLast)
	}
}

// stopError is what fn said: the end, whatever it wraps.
type stopError struct{ err error }

func (e *stopError) Error() string { return e.err.Error() }

// tail is one reading of BARS, over as many consumers as it takes.
type tail struct {
	*bars
	fn   func(logs.Entry) error
	next uint64 // wanted next
	// The last entry that fn was given, to know it again: 0 before the first.
	last    uint64
	lastSum uint32

	seen    atomic.Uint64 // next - 1, for the watchdog
	waiting atomic.Bool   // for a message, and not for fn
}

// session reads until the connection is lost or the reading fails.
func (t *tail) session(ctx context.Context) error {
	up, err := t.wait(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(up, func() { cancel(errSessionOver) })()
	bounds, err := t.bounds(ctx)
	if err != nil {
		return err
	}
	if bounds.Last+1 < t.next {
		return fmt.Errorf("%w: it ends at %d, %d was read", logs.ErrRewound, bounds.Last, t.next-1)
	}
	t.seen.Store(t.next - 1)
	defer t.watch(ctx, cancel)()
	err = t.follow(ctx)
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		return cause
	}
	return err
}

// follow gives fn everything from t.next on through one consumer, which begins with the last
// entry read: it must still be the same.
func (t *tail) follow(ctx context.Context) error {
	from := t.next
	if t.last != 0 {
		from = t.last
	}
	p, err := newPuller(ctx, t.handle(), from, "")
	if err != nil {
		return err
	}
	defer p.close()
	for {
		t.waiting.Store(true)
		m, at, err := p.next(0)
		t.waiting.Store(false)
		if err != nil {
			return err
		}
		seq := at.Sequence.Stream
		switch {
		case seq == t.last && p.received == 1:
			if crc32.Checksum(m.Data(), castagnoli) != t.lastSum {
				return fmt.Errorf("%w: entry %d is another one than was read", logs.ErrRewound, seq)
			}
			continue
		case seq < t.next:
			return fmt.Errorf("%w: entry %d comes after %d", logs.ErrRewound, seq, t.last)
		}
		if err := t.give(seq, m.Subject(), m.Data()); err != nil {
			return err
		}
	}
}

func (t *tail) give(seq uint64, subject string, data []byte) error {
	partition, ok := t.names.partition(subject)
	if !ok {
		return &stopError{fmt.Errorf("entry %d: subject %q is none of BARS", seq, subject)}
	}
	if err := t.fn(logs.Entry{Seq: seq, Partition: partition, Data: data}); err != nil {
		return &stopError{err}
	}
	t.last, t.next, t.lastSum = seq, seq+1, crc32.Checksum(data, castagnoli)
	t.seen.Store(seq)
	return nil
}

// watch compares the tail with the stream, and ends ctx when the stream moves on and the
// tail does not, or when the stream ends before the tail. It returns what ends and awaits it.
func (t *tail) watch(ctx context.Context, cancel context.CancelCauseFunc) (stop func()) {
	ctx, end := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		var was uint64
		for stalled := 0; ; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			seen := t.seen.Load()
			bounds, err := t.bounds(ctx)
			switch {
			case err != nil || !t.waiting.Load() || t.seen.Load() != seen: // no answer, or under way
				stalled = 0
			case bounds.Last < seen:
				cancel(fmt.Errorf("%w: it ends at %d, %d was read", logs.ErrRewound, bounds.Last, seen))
				return
			case seen == was && bounds.Last > seen && bounds.Last >= bounds.First:
				if stalled++; stalled >= stalledAfter {
					cancel(errStalled)
					return
				}
			default:
				stalled = 0
			}
			was = seen
		}
	})
	return func() {
		end()
		done.Wait()
	}
}
