package backbone

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
)

const (
	// watchEvery is how often a reading is compared with the stream that it follows.
	watchEvery   = time.Second
	retryFirst   = 20 * time.Millisecond
	retryLast    = time.Second
	stalledAfter = 2 // looks without progress
)

var (
	errStalled     = errors.New("the log moves and its tail does not")
	errSessionOver = errors.New("the connection was lost")
)

// stopError is what fn said: the end, whatever it wraps.
type stopError struct{ err error }

func (e *stopError) Error() string { return e.err.Error() }

// again calls read, which follows the stream until something goes wrong, in session after
// session; ctx of read ends with its session. It ends with ctx, with what a stopError holds,
// with ErrRewound, or when the connection is closed. progress counts what was read.
func (c *conn) again(ctx context.Context, what string, progress func() uint64, read func(ctx context.Context) error) error {
	pause := retryFirst
	for {
		was := progress()
		err := c.during(ctx, read)
		var stop *stopError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &stop):
			return stop.err
		case errors.Is(err, logs.ErrRewound) || c.nc.IsClosed():
			return err
		}
		if progress() != was {
			pause = retryFirst
		}
		c.log.V(1).Info(what+" begins anew", "at", was, "reason", fmt.Sprint(err))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, retryLast)
	}
}

// during calls read once there is a session, with a context that ends with it.
func (c *conn) during(ctx context.Context, read func(ctx context.Context) error) error {
	up, err := c.wait(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(up, func() { cancel(errSessionOver) })()
	err = read(ctx)
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		return cause
	}
	return err
}

// watchdog looks whether a reading gets on.
type watchdog struct {
	seen    atomic.Uint64 // the last sequence that was read
	waiting atomic.Bool   // for a message, and not for whoever gets it
}

// watch compares the reading with the stream, and ends ctx with a cause when the stream moves on and
// the reading does not, or when the stream ends before it. It returns what ends and awaits it.
func (w *watchdog) watch(ctx context.Context, c *conn, cancel context.CancelCauseFunc) (stop func()) {
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
			seen := w.seen.Load()
			bounds, err := c.bounds(ctx)
			switch {
			case err != nil || !w.waiting.Load() || w.seen.Load() != seen: // no answer, or under way
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
