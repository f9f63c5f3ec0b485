package backbone

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/marketstream/marketstream/streamer/logs"
)

const (
	// maxInFlight bounds the appends to TICKS that are under way.
	maxInFlight = 256
	sweepEvery  = time.Second
)

var errClosed = fmt.Errorf("%w: the backbone is closed", logs.ErrUnavailable)

// acks publishes to a stream without waiting, and gives each append its answer. (The same
// by jetstream.PublishAsync costs more.)
type acks struct {
	conn   *conn
	inbox  string // of the answers; their number follows
	sub    *nats.Subscription
	room   chan struct{} // one token for each append under way
	closed chan struct{}
	swept  chan struct{}

	mu      sync.Mutex
	subject []byte
	number  uint64
	waiting map[uint64]*ack
}

// ack implements logs.Ack.
type ack struct {
	done  chan struct{}
	err   error // set before done closes
	until time.Time
}

// Wait implements logs.Ack.
func (a *ack) Wait(ctx context.Context) error {
	select {
	case <-a.done:
		return a.err
	default:
	}
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", logs.ErrUnavailable, ctx.Err())
	}
}

func newAcks(c *conn) (*acks, error) {
	a := &acks{conn: c, inbox: c.nc.NewInbox() + ".", room: make(chan struct{}, maxInFlight),
		closed: make(chan struct{}), swept: make(chan struct{}), waiting: make(map[uint64]*ack)}
	var err error
	if a.sub, err = c.nc.Subscribe(a.inbox+"*", a.answered); err != nil {
		return nil, fmt.Errorf("subscribe to answers: %w", unavailable(err))
	}
	if err = a.sub.SetPendingLimits(-1, -1); err != nil { // maxInFlight bounds them
		return nil, fmt.Errorf("subscribe to answers: %w", unavailable(err))
	}
	go a.sweep()
	return a, nil
}

// publish sends data; the client has copied it when this returns. It waits while too many are under way.
func (a *acks) publish(ctx context.Context, subject string, data []byte) (*ack, error) {
	select {
	case a.room <- struct{}{}:
	default:
		select {
		case a.room <- struct{}{}:
		case <-a.closed:
			return nil, errClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	w := &ack{done: make(chan struct{}), until: time.Now().Add(answerWithin)}
	a.mu.Lock()
	a.number++
	n := a.number
	a.waiting[n] = w
	a.subject = strconv.AppendUint(append(a.subject[:0], a.inbox...), n, 36)
	reply := string(a.subject)
	// Under the lock: two appends of a caller keep their order.
	err := a.conn.nc.PublishRequest(subject, reply, data)
	a.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("publish to TICKS: %w", unavailable(err))
		a.finish(n, err)
		return nil, err
	}
	return w, nil
}

var refused = []byte(`{"error"`)

func (a *acks) answered(m *nats.Msg) {
	n, err := strconv.ParseUint(m.Subject[len(a.inbox):], 36, 64)
	if err != nil {
		return
	}
	switch {
	case len(m.Data) == 0: // a status: nobody took it
		a.conn.revive()
		err = fmt.Errorf("publish to TICKS: %w: status %s", logs.ErrUnavailable, m.Header.Get("Status"))
	case bytes.HasPrefix(m.Data, refused):
		var r answer
		if err = json.Unmarshal(m.Data, &r); err != nil {
			err = fmt.Errorf("publish to TICKS: %w: answer %q: %w", logs.ErrUnavailable, m.Data, err)
		} else if r.Error != nil {
			err = fmt.Errorf("publish to TICKS: %w", refusal(r.Error))
		}
	}
	a.finish(n, err)
}

func (a *acks) finish(n uint64, err error) {
	a.mu.Lock()
	w := a.waiting[n]
	delete(a.waiting, n)
	a.mu.Unlock()
	if w == nil {
		return // given up before
	}
	w.err = err
	close(w.done)
	<-a.room
}

// sweep gives up what is not answered in time, or was under way when the connection was lost.
func (a *acks) sweep() {
	defer close(a.swept)
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		lost := a.conn.lossOf()
		select {
		case <-a.closed:
			a.giveUp(time.Time{}, errClosed)
			return
		case <-lost:
			a.giveUp(time.Time{}, fmt.Errorf("publish to TICKS: %w: %w", logs.ErrUnavailable, errSessionOver))
		case now := <-tick.C:
			if a.giveUp(now, fmt.Errorf("publish to TICKS: %w: no answer in %s", logs.ErrUnavailable, answerWithin)) > 0 {
				a.conn.revive() // others may listen to what nobody keeps
			}
		}
	}
}

// giveUp ends with err what was to be answered before now, or everything if now is zero, and returns how many.
func (a *acks) giveUp(now time.Time, err error) int {
	var late []uint64
	a.mu.Lock()
	for n, w := range a.waiting {
		if now.IsZero() || now.After(w.until) {
			late = append(late, n)
		}
	}
	a.mu.Unlock()
	for _, n := range late {
		a.finish(n, err)
	}
	return len(late)
}

// close waits for what is under way, for drainWithin at most, and gives up the rest.
func (a *acks) close() {
	timeout := time.NewTimer(drainWithin)
	defer timeout.Stop()
drain:
	for range maxInFlight {
		select {
		case a.room <- struct{}{}:
		case <-timeout.C:
			break drain
		}
	}
	close(a.closed)
	<-a.swept
	if err := a.sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		a.conn.log.V(1).Info("unsubscribe from answers", "reason", err.Error())
	}
}
