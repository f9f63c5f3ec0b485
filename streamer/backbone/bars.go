package backbone

import (
	"context"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketstream/marketstream/streamer/logs"
)

// bars is BARS over a connection. It implements logs.Log.
type bars struct {
	*conn
	names *names
	// room, if there is one, refuses what the volume has no space for.
	room func(n int) error
}

// Append implements logs.Log.
func (b *bars) Append(ctx context.Context, partition int, expect uint64, data []byte) (uint64, error) {
	subject := b.names.barsSubject(partition)
	if subject == "" {
		return 0, fmt.Errorf("append to BARS: no partition %d", partition)
	}
	if len(data) > logs.MaxEntry {
		return 0, fmt.Errorf("append to BARS: %w: %d bytes, at most %d", logs.ErrTooLarge, len(data), logs.MaxEntry)
	}
	if b.room != nil {
		if err := b.room(len(data)); err != nil {
			return 0, fmt.Errorf("append to BARS: %w", err)
		}
	}
	seq, err := b.append(ctx, &nats.Msg{Subject: subject, Data: data, Header: nats.Header{}}, expect)
	if err != nil {
		return 0, fmt.Errorf("append to BARS: %w", err)
	}
	return seq, nil
}

// Last implements logs.Log.
func (b *bars) Last(ctx context.Context, partition int) (logs.Entry, error) {
	subject := b.names.barsSubject(partition)
	if subject == "" {
		return logs.Entry{}, fmt.Errorf("last of BARS: no partition %d", partition)
	}
	return b.get(ctx, "last of "+subject, func(ctx context.Context, s jetstream.Stream) (*jetstream.RawStreamMsg, error) {
		return s.GetLastMsgForSubject(ctx, subject)
	})
}

// Get implements logs.Log.
func (b *bars) Get(ctx context.Context, seq uint64) (logs.Entry, error) {
	if seq == 0 {
		return logs.Entry{}, fmt.Errorf("entry 0 of BARS: %w", logs.ErrGone)
	}
	return b.get(ctx, "entry "+strconv.FormatUint(seq, 10)+" of BARS", func(ctx context.Context, s jetstream.Stream) (*jetstream.RawStreamMsg, error) {
		return s.GetMsg(ctx, seq)
	})
}

func (b *bars) get(ctx context.Context, what string, ask func(context.Context, jetstream.Stream) (*jetstream.RawStreamMsg, error)) (logs.Entry, error) {
	if err := b.connected(); err != nil {
		return logs.Entry{}, fmt.Errorf("%s: %w", what, err)
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	m, err := ask(ctx, b.handle())
	if err != nil {
		return logs.Entry{}, fmt.Errorf("%s: %w", what, b.gone(err))
	}
	p, ok := b.names.partition(m.Subject)
	if !ok {
		return logs.Entry{}, fmt.Errorf("%s: subject %q is none of BARS", what, m.Subject)
	}
	return logs.Entry{Seq: m.Sequence, Partition: p, Data: m.Data}, nil
}

// Bounds implements logs.Log.
func (b *bars) Bounds(ctx context.Context) (logs.Bounds, error) {
	return b.bounds(ctx)
}
