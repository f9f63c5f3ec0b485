package ingest

import (
	"context"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
)

// flight is a batch on its way to TICKS. Its bytes are used again once it is stored.
type flight struct {
	number uint64
	data   []byte
	ack    logs.Ack
	err    error // of the publishing itself
}

// wait waits until it is stored, or says why not.
func (f *flight) wait(ctx context.Context) error {
	if f.err != nil {
		return f.err
	}
	return f.ack.Wait(ctx)
}

// flights are the batches under way of one writer, oldest first.
type flights struct {
	ring     [2]flight
	first, n int
}

func (f *flights) full() bool { return f.n == len(f.ring) }

func (f *flights) oldest() *flight { return &f.ring[f.first] }

// next returns the place of one more.
func (f *flights) next(number uint64) *flight {
	x := &f.ring[(f.first+f.n)%len(f.ring)]
	f.n++
	x.number, x.ack, x.err = number, nil, nil
	return x
}

func (f *flights) pop() {
	f.first = (f.first + 1) % len(f.ring)
	f.n--
}

const (
	retryFirst = 20 * time.Millisecond
	retryLast  = 2 * time.Second
)

// backoff waits ever longer between tries.
type backoff struct{ pause time.Duration }

func (b *backoff) wait(ctx context.Context) error {
	b.pause = min(max(2*b.pause, retryFirst), retryLast)
	t := time.NewTimer(b.pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
