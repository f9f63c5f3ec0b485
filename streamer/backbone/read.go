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

const (
	// readIdle is after how long without a message a read looks whether there is still anything
	// to come: the rest may have aged out meanwhile.
	readIdle = 500 * time.Millisecond
	// maxIdle is how many such looks in a row may find that there is: then another consumer, on another
	// replica by luck, is the quicker way. (Seen: a consumer of a stream of three that brought nothing for 10 s.)
	maxIdle = 2
	// maxTries is how many consumers in a row may bring nothing.
	maxTries = 15
)

// errBehind says that the replica that a reader was given does not have what the leader has.
var errBehind = errors.New("the replica that is read does not catch up with the leader")

// read calls fn with everything of a stream from seq on, on subject if it is not "", that
// is stored when it begins. Where it ends is asked of the leader: the replica that is read
// may lag behind.
func (c *conn) read(ctx context.Context, seq uint64, subject string, fn func(seq uint64, m jetstream.Msg) error) error {
	bounds, err := c.bounds(ctx)
	if err != nil {
		return err
	}
	end := bounds.Last
	if subject != "" && bounds.First <= bounds.Last {
		if end, err = c.lastOf(ctx, subject); errors.Is(err, logs.ErrGone) {
			return nil
		} else if err != nil {
			return err
		}
	}
	if seq > end || bounds.Last < bounds.First {
		return nil
	}
	next := max(seq, bounds.First)
	for tries := 0; ; tries++ {
		was := next
		err := c.readOnce(ctx, &next, end, subject, fn)
		var stop *stopError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &stop):
			return stop.err
		case next != was:
			tries = 0
		case ctx.Err() != nil || tries >= maxTries || !errors.Is(err, logs.ErrUnavailable):
			return err
		}
		c.log.V(1).Info("a read goes on with another consumer", "stream", c.config.Name, "at", next, "reason", err.Error())
	}
}

// readOnce reads with one consumer, and leaves in next where another one has to go on. What fn
// says is a stopError.
func (c *conn) readOnce(ctx context.Context, next *uint64, end uint64, subject string, fn func(seq uint64, m jetstream.Msg) error) error {
	p, err := c.newPuller(ctx, *next, subject)
	if err != nil {
		return err
	}
	defer p.close()
	for {
		m, at, err := c.await(ctx, p, end)
		if err != nil || m == nil || at.Sequence.Stream > end {
			return err
		}
		if err := fn(at.Sequence.Stream, m); err != nil {
			return &stopError{err}
		}
		if *next = at.Sequence.Stream + 1; at.Sequence.Stream == end {
			return nil
		}
	}
}

// lastOf is the sequence of a subject's last message, asked of the leader.
func (c *conn) lastOf(ctx context.Context, subject string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	m, err := c.handle().GetLastMsgForSubject(ctx, subject)
	if err != nil {
		return 0, fmt.Errorf("last of %s: %w", subject, c.gone(err))
	}
	return m.Sequence, nil
}

// await returns the next message of p, which is to read up to end; none and no error if end
// is gone and there is nothing left before it.
func (c *conn) await(ctx context.Context, p *puller, end uint64) (jetstream.Msg, *jetstream.MsgMetadata, error) {
	for range maxIdle {
		m, at, err := p.next(readIdle)
		switch {
		case err == nil:
			return m, at, nil
		case ctx.Err() != nil:
			return nil, nil, ctx.Err()
		case !errors.Is(err, nats.ErrTimeout):
			return nil, nil, fmt.Errorf("read %s: %w", c.config.Name, err)
		}
		asking, cancel := context.WithTimeout(ctx, answerWithin)
		_, err = c.handle().GetMsg(asking, end)
		cancel()
		if err = c.gone(err); errors.Is(err, logs.ErrGone) {
			return nil, nil, nil
		} else if err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", c.config.Name, err)
		}
	}
	return nil, nil, fmt.Errorf("read %s: %w", c.config.Name, unavailable(errBehind))
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
