package backbone

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/marketstream/marketstream/streamer/logs"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Tail implements logs.Log.
func (b *bars) Tail(ctx context.Context, seq uint64, fn func(logs.Entry) error) error {
	t := &tail{bars: b, next: max(seq, 1), fn: fn}
	return b.again(ctx, "the tail of BARS", func() uint64 { return t.next }, t.session)
}

// tail is one reading of BARS, over as many consumers as it takes.
type tail struct {
	*bars
	watchdog
	fn   func(logs.Entry) error
	next uint64 // wanted next
	// The last entry that fn was given, to know it again: 0 before the first.
	last    uint64
	lastSum uint32
}

// session reads until the connection is lost or the reading fails.
func (t *tail) session(ctx context.Context) error {
	bounds, err := t.bounds(ctx)
	if err != nil {
		return err
	}
	if bounds.Last+1 < t.next {
		return fmt.Errorf("%w: it ends at %d, %d was read", logs.ErrRewound, bounds.Last, t.next-1)
	}
	t.seen.Store(t.next - 1)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer t.watch(ctx, t.conn, cancel)()
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
	p, err := t.newPuller(ctx, from, "")
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
