package backbone

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketstream/marketstream/streamer/logs"
)

// readIdle is after how long without a message a read looks whether there is still anything
// to come: the rest may have aged out meanwhile.
const readIdle = 2 * time.Second

// read calls fn with everything of a stream from seq on, on subject if it is not "", that
// is stored when it begins.
func (c *conn) read(ctx context.Context, seq uint64, subject string, fn func(seq uint64, m jetstream.Msg) error) error {
	bounds, err := c.bounds(ctx)
	if err != nil {
		return err
	}
	if seq > bounds.Last || bounds.Last < bounds.First {
		return nil
	}
	p, err := newPuller(ctx, c.handle(), max(seq, bounds.First), subject)
	if err != nil {
		return err
	}
	defer p.close()
	for left := p.pending; left > 0; {
		m, at, err := p.next(readIdle)
		switch {
		case errors.Is(err, nats.ErrTimeout) && ctx.Err() == nil:
			if left, err = p.left(); err != nil {
				return err
			}
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("read %s: %w", c.config.Name, err)
		case at.Sequence.Stream > bounds.Last:
			return nil
		}
		if err := fn(at.Sequence.Stream, m); err != nil {
			return err
		}
		left = at.NumPending
		if at.Sequence.Stream == bounds.Last {
			return nil
		}
	}
	return nil
}

// Read implements logs.Log.
func (b *bars) Read(ctx context.Context, seq uint64, fn func(logs.Entry) error) error {
	return b.read(ctx, seq, "", func(seq uint64, m jetstream.Msg) error {
		partition, ok := b.names.partition(m.Subject())
		if !ok {
			return fmt.Errorf("entry %d: subject %q is none of BARS", seq, m.Subject())
		}
		return fn(logs.Entry{Seq: seq, Partition: partition, Data: m.Data()})
	})
}
