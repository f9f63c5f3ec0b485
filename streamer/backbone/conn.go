package backbone

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketstream/marketstream/streamer/logs"
)

const (
	// answerWithin is how long a request waits for its answer if its context does not end before:
	// an election of three takes longer, and whoever asked tries again.
	answerWithin  = 5 * time.Second
	reconnectWait = 50 * time.Millisecond
	drainWithin   = time.Second
)

// conn is a connection to a NATS server and the one stream that it is for. It consists of
// sessions: from a connect to the next loss.
type conn struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	config jetstream.StreamConfig
	log    logr.Logger

	mu      sync.Mutex
	session *session
	stream  jetstream.Stream // never asked for its Info: that would be a race
}

// session is one stretch in which the connection holds. up closes when the stream is known
// to be there, ctx ends at the loss.
type session struct {
	up  chan struct{}
	ctx context.Context
	end context.CancelFunc
}

func newSession() *session {
	s := &session{up: make(chan struct{})}
	s.ctx, s.end = context.WithCancel(context.Background())
	return s
}

// connect connects to provider's server and makes the stream, or brings it in line.
func connect(ctx context.Context, provider nats.InProcessConnProvider, stream jetstream.StreamConfig, log logr.Logger) (*conn, error) {
	c := &conn{config: stream, log: log, session: newSession()}
	nc, err := nats.Connect("",
		nats.InProcessServer(provider), nats.Name(stream.Name),
		nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(0, 0),
		nats.ReconnectBufSize(-1), // see doc.go
		nats.DisconnectErrHandler(c.lost), nats.ReconnectHandler(c.found),
		nats.ClosedHandler(func(nc *nats.Conn) { c.lost(nc, nil) }),
		nats.ErrorHandler(c.complain),
	)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	c.nc = nc
	if c.js, err = jetstream.New(nc); err == nil {
		err = refuseForeign(ctx, c.js, stream.Name)
	}
	if err == nil {
		err = c.ensure(ctx)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	close(c.session.up)
	return c, nil
}

// ensure makes the stream. A stream in memory is gone after a restart of its server.
func (c *conn) ensure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	s, err := c.js.CreateOrUpdateStream(ctx, c.config)
	if err != nil {
		return fmt.Errorf("make stream %s: %w", c.config.Name, unavailable(err))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stream = s
	return nil
}

func (c *conn) handle() jetstream.Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stream
}

// bounds asks the leader.
func (c *conn) bounds(ctx context.Context) (logs.Bounds, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	s, err := c.js.Stream(ctx, c.config.Name)
	if err != nil {
		return logs.Bounds{}, fmt.Errorf("ask for %s: %w", c.config.Name, gone(err))
	}
	state := s.CachedInfo().State
	if state.Msgs == 0 {
		return logs.Bounds{First: state.LastSeq + 1, Last: state.LastSeq}, nil
	}
	return logs.Bounds{First: state.FirstSeq, Last: state.LastSeq}, nil
}

func (c *conn) lost(_ *nats.Conn, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session.end()
	c.session = newSession()
	if err != nil {
		c.log.Info("the connection to NATS is lost", "reason", err.Error())
	}
}

func (c *conn) found(*nats.Conn) {
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	if err := c.ensure(s.ctx); err != nil {
		c.log.Error(err, "after a reconnect")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s == c.session {
		close(s.up)
		c.log.Info("the connection to NATS is back")
	}
}

func (c *conn) complain(_ *nats.Conn, sub *nats.Subscription, err error) {
	if sub == nil {
		c.log.Info("NATS complains", "reason", err.Error())
		return
	}
	dropped, _ := sub.Dropped()
	c.log.Info("NATS complains", "reason", err.Error(), "subject", sub.Subject, "dropped", dropped)
}

// wait returns the session that is up, once there is one: a context that ends with it. An
// error wraps ErrUnavailable if the connection was closed, else it is ctx's.
func (c *conn) wait(ctx context.Context) (context.Context, error) {
	for {
		c.mu.Lock()
		s := c.session
		c.mu.Unlock()
		if c.nc.IsClosed() { // if it is after this, s ends
			return nil, unavailable(nats.ErrConnectionClosed)
		}
		select {
		case <-s.up:
			return s.ctx, nil
		case <-s.ctx.Done():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *conn) close() {
	// What was published shall reach the server; if it does not answer, so be it.
	if err := c.nc.FlushTimeout(drainWithin); err != nil {
		c.log.V(1).Info("the connection did not drain", "reason", err.Error())
	}
	c.nc.Close()
}

// lossOf returns what closes when the present session ends.
func (c *conn) lossOf() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session.ctx.Done()
}
