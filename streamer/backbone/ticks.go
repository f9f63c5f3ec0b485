package backbone

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// Bounds of what one subscription for display holds until it is read; what comes on top is
// dropped, and said in the log.
const (
	displayMessages = 1024
	displayBytes    = 16 << 20
)

// ticks is TICKS over a connection, and the state messages. It implements logs.Ticks.
type ticks struct {
	*conn
	names *names
	acks  *acks
}

func newTicks(c *conn, n *names) (*ticks, error) {
	a, err := newAcks(c)
	if err != nil {
		return nil, fmt.Errorf("open TICKS: %w", err)
	}
	return &ticks{conn: c, names: n, acks: a}, nil
}

func checkPartition(p int) error {
	if p < 0 || p >= market.Partitions {
		return fmt.Errorf("TICKS: no partition %d", p)
	}
	return nil
}

// Publish implements logs.Ticks.
func (t *ticks) Publish(ctx context.Context, partition int, data []byte) (logs.Ack, error) {
	if err := checkPartition(partition); err != nil {
		return nil, err
	}
	if len(data) > logs.MaxEntry {
		return nil, fmt.Errorf("publish to TICKS: %w: %d bytes, at most %d", logs.ErrTooLarge, len(data), logs.MaxEntry)
	}
	return t.acks.publish(ctx, t.names.ticks[partition], data)
}

// Read implements logs.Ticks.
func (t *ticks) Read(ctx context.Context, partition int, fn func(data []byte) error) error {
	if err := checkPartition(partition); err != nil {
		return err
	}
	return t.read(ctx, 1, t.names.ticks[partition], func(_ uint64, m jetstream.Msg) error { return fn(m.Data()) })
}

// Last implements logs.Ticks.
func (t *ticks) Last(ctx context.Context, partition int) ([]byte, error) {
	if err := checkPartition(partition); err != nil {
		return nil, err
	}
	if err := t.connected(); err != nil {
		return nil, fmt.Errorf("last of %s: %w", t.names.ticks[partition], err)
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	m, err := t.handle().GetLastMsgForSubject(ctx, t.names.ticks[partition])
	if err != nil {
		return nil, fmt.Errorf("last of %s: %w", t.names.ticks[partition], t.gone(err))
	}
	return m.Data, nil
}

// Subscribe implements logs.Ticks.
func (t *ticks) Subscribe(partition int, fn func(data []byte)) (unsubscribe func(), err error) {
	if err := checkPartition(partition); err != nil {
		return nil, err
	}
	return t.subscribe(t.names.ticks[partition], fn)
}

// PublishState implements logs.Ticks.
func (t *ticks) PublishState(partition int, data []byte) error {
	if err := checkPartition(partition); err != nil {
		return err
	}
	if err := t.nc.Publish(t.names.state[partition], data); err != nil {
		return fmt.Errorf("publish state: %w", unavailable(err))
	}
	return nil
}

// SubscribeState implements logs.Ticks.
func (t *ticks) SubscribeState(partition int, fn func(data []byte)) (unsubscribe func(), err error) {
	if err := checkPartition(partition); err != nil {
		return nil, err
	}
	end, err := t.subscribe(t.names.state[partition], fn)
	if err != nil {
		return nil, err
	}
	ask := func() {
		if err := t.nc.Publish(t.names.ask[partition], nil); err != nil {
			t.log.V(1).Info("the open bars were not asked for", "partition", partition, "reason", err.Error())
		}
	}
	forget := t.whenBack(ask)
	ask()
	return func() {
		forget()
		end()
	}, nil
}

// Asked implements logs.Ticks.
func (t *ticks) Asked(fn func(partition int)) (stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, s := range stops {
			s()
		}
	}
	for p, subject := range t.names.ask {
		unsubscribe, err := t.subscribe(subject, func([]byte) { fn(p) })
		if err != nil {
			stop()
			return nil, err
		}
		stops = append(stops, unsubscribe)
	}
	stops = append(stops, t.whenBack(func() { // who was back sooner may have asked in vain
		for p := range t.names.ask {
			fn(p)
		}
	}))
	return stop, nil
}

// subscribe calls fn with every message on a subject from now on.
func (c *conn) subscribe(subject string, fn func(data []byte)) (unsubscribe func(), err error) {
	sub, err := c.nc.Subscribe(subject, func(m *nats.Msg) { fn(m.Data) })
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, unavailable(err))
	}
	if err := sub.SetPendingLimits(displayMessages, displayBytes); err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, unavailable(err))
	}
	// The server must know of it before the caller goes on: what is published next is to come.
	if err := c.nc.FlushTimeout(answerWithin); err != nil {
		_ = sub.Unsubscribe() // the connection keeps it otherwise
		return nil, fmt.Errorf("subscribe to %s: %w", subject, unavailable(err))
	}
	return func() {
		if err := sub.Unsubscribe(); err != nil {
			c.log.V(1).Info("unsubscribe", "subject", subject, "reason", err.Error())
		}
	}, nil
}

func (t *ticks) close() { t.acks.close() }
