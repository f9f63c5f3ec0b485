package backbone

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
	reviveEvery   = time.Second
	// orphanedAfter is how long a stream has had no leader, though its servers have, before it is
	// made anew: an election takes 9 s, and a member that starts may have to read what it has.
	orphanedAfter = 30 * time.Second
	askedAgain    = 3 * answerWithin // what was asked longer ago says nothing of the time between
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
	revived time.Time
	back    map[*func()]struct{} // called when the connection is back

	remake                     bool          // the stream may be made anew: its writers keep what matters of it
	orphanedAfter              time.Duration // orphanedAfter, but in tests
	leaderless, leaderlessSeen time.Time     // since when it has no leader, and when it was seen last

	denied atomic.Pointer[error] // the last permission that was missing
}

// session is one stretch in which the connection holds. up closes when the stream is known
// to be there, ctx ends at the loss.
type session struct {
	up  chan struct{}
	ctx context.Context
	end context.CancelFunc
	one sync.Once
}

// begin closes up, once.
func (s *session) begin() { s.one.Do(func() { close(s.up) }) }

func newSession() *session {
	s := &session{up: make(chan struct{})}
	s.ctx, s.end = context.WithCancel(context.Background())
	return s
}

// link is how a server is reached.
type link struct {
	urls    string // separated by commas; "" in the process
	options []nats.Option
	made    func(*nats.Conn) // is given the connection; may be nil
}

// inProcess is the link to a server in this process.
func inProcess(provider nats.InProcessConnProvider) link {
	return link{options: []nats.Option{nats.InProcessServer(provider),
		nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(0, 0)}}
}

// dial connects. The stream is not looked at before open.
func dial(l link, stream jetstream.StreamConfig, log logr.Logger) (*conn, error) {
	c := &conn{config: stream, log: log, session: newSession(), orphanedAfter: orphanedAfter}
	nc, err := nats.Connect(l.urls, append([]nats.Option{
		nats.Name(stream.Name), nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1), // see doc.go
		nats.DisconnectErrHandler(c.lost), nats.ReconnectHandler(c.found),
		nats.ClosedHandler(func(nc *nats.Conn) { c.lost(nc, nil) }),
		nats.ErrorHandler(c.complain),
	}, l.options...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	if c.nc = nc; l.made != nil {
		l.made(nc)
	}
	if c.js, err = jetstream.New(nc); err != nil {
		nc.Close()
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return c, nil
}

// connect connects to provider's server and makes the stream, or brings it in line.
func connect(ctx context.Context, provider nats.InProcessConnProvider, stream jetstream.StreamConfig, log logr.Logger) (*conn, error) {
	c, err := dial(inProcess(provider), stream, log)
	if err != nil {
		return nil, err
	}
	if err = refuseForeign(ctx, c.js, stream.Name); err == nil {
		err = c.open(ctx, makeOrUpdate)
	}
	if err != nil {
		c.nc.Close()
		return nil, err
	}
	return c, nil
}

// open makes sure of the stream and begins the first session.
func (c *conn) open(ctx context.Context, with stance) error {
	if err := c.ensure(ctx, with); err != nil {
		return err
	}
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	s.begin()
	return nil
}

// stance is what may be done to a stream.
type stance uint8

const (
	makeOrUpdate stance = iota // it is ours, and gets our settings
	makeIfAbsent               // what is there stays as it is
)

// ensure makes the stream. A stream in memory is gone after a restart of its server.
func (c *conn) ensure(ctx context.Context, with stance) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	s, err := c.js.Stream(ctx, c.config.Name)
	orphaned := c.orphaned(ctx, s, err)
	switch {
	case orphaned && !c.remake:
		err = fmt.Errorf("it has had no leader for %s, and its servers have: delete it, and it is made again: %w", c.orphanedAfter, err)
	case orphaned:
		s, err = c.replace(ctx)
	case err == nil && (with == makeIfAbsent || sameSettings(s.CachedInfo().Config, c.config)):
	case err == nil:
		s, err = c.js.UpdateStream(ctx, c.config)
	case errors.Is(err, jetstream.ErrStreamNotFound):
		s, err = c.js.CreateStream(ctx, c.config)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // somebody was faster, and asks for something else
			s, err = c.js.Stream(ctx, c.config.Name)
		}
	}
	if err != nil {
		return fmt.Errorf("make stream %s: %w", c.config.Name, unavailable(err))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stream = s
	return nil
}

// orphaned reports whether the stream has had no leader for a long time though its servers have one: s or
// err is the answer to the question for it. (Members of a stream in memory that start again faster than one
// gives the others what it has elect nobody any more: the one that was given a part waits for the rest and
// does not stand, and those that have nothing need its vote. Seen with server 2.15 at restarts one
// after another under load.)
func (c *conn) orphaned(ctx context.Context, s jetstream.Stream, err error) bool {
	var answer *jetstream.APIError
	lacks := err == nil && s.CachedInfo().Cluster != nil && s.CachedInfo().Cluster.Leader == "" ||
		errors.As(err, &answer) && (answer.ErrorCode == codeNotAvailable || answer.ErrorCode == codeOffline)
	if lacks {
		_, err := c.js.AccountInfo(ctx) // only servers that have a leader answer
		lacks = err == nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch {
	case !lacks:
		c.leaderless = time.Time{}
		return false
	case c.leaderless.IsZero() || now.Sub(c.leaderlessSeen) > askedAgain:
		c.leaderless = now
	}
	c.leaderlessSeen = now
	return now.Sub(c.leaderless) >= c.orphanedAfter
}

// replace makes the stream anew in the place of one that has no leader.
func (c *conn) replace(ctx context.Context) (jetstream.Stream, error) {
	c.log.Info("the stream has had no leader, and its servers have: it is made anew, and its writers publish again what they keep", "for", c.orphanedAfter.String())
	deleting, cancel := context.WithTimeout(ctx, answerWithin/4)
	defer cancel()
	// Whoever would answer may be who is lacking: what counts is whether it can be made then.
	if err := c.js.DeleteStream(deleting, c.config.Name); err != nil {
		c.log.V(1).Info("the deletion was not answered", "reason", err.Error())
	}
	return c.js.CreateStream(ctx, c.config)
}

// sameSettings reports whether a stream has the settings that we would give it.
func sameSettings(has, want jetstream.StreamConfig) bool {
	return slices.Equal(has.Subjects, want.Subjects) && has.Storage == want.Storage && has.Discard == want.Discard &&
		has.Retention == want.Retention && has.MaxAge == want.MaxAge && has.MaxBytes == want.MaxBytes && has.MaxMsgs == want.MaxMsgs &&
		max(has.MaxMsgsPerSubject, 0) == max(want.MaxMsgsPerSubject, 0) && max(has.Replicas, 1) == max(want.Replicas, 1) &&
		has.AllowDirect == want.AllowDirect && !has.Sealed && !has.NoAck
}

func (c *conn) handle() jetstream.Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stream
}

// connected refuses a request that could not be sent: the client keeps the answer's place of one that it
// does not get rid of, for ever, and whoever asks while the server is away asks often.
func (c *conn) connected() error {
	if c.nc.IsConnected() {
		return nil
	}
	return unavailable(nats.ErrDisconnected)
}

// bounds asks the leader.
func (c *conn) bounds(ctx context.Context) (logs.Bounds, error) {
	if err := c.connected(); err != nil {
		return logs.Bounds{}, fmt.Errorf("ask for %s: %w", c.config.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	s, err := c.js.Stream(ctx, c.config.Name)
	if err != nil {
		return logs.Bounds{}, fmt.Errorf("ask for %s: %w", c.config.Name, c.gone(err))
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

// found goes on beside the client's callbacks, which come one after the other: a loss must
// not wait for a stream that the server is slow to give.
func (c *conn) found(*nats.Conn) {
	c.mu.Lock()
	s := c.session
	back := slices.Collect(maps.Keys(c.back))
	c.mu.Unlock()
	go func() {
		for _, fn := range back { // the server has our subscriptions again
			(*fn)()
		}
		pause := time.NewTicker(reviveEvery)
		defer pause.Stop()
		for c.ensureIn(s) != nil {
			select {
			case <-pause.C:
			case <-s.ctx.Done():
				return
			}
		}
		s.begin()
		c.log.Info("the connection to NATS is back")
	}()
}

// whenBack calls fn each time that the connection is back, with its subscriptions, until the
// returned function is called.
func (c *conn) whenBack(fn func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.back == nil {
		c.back = make(map[*func()]struct{})
	}
	c.back[&fn] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.back, &fn)
	}
}

func (c *conn) ensureIn(s *session) error {
	err := c.ensure(s.ctx, makeIfAbsent)
	if err != nil && s.ctx.Err() == nil {
		c.log.Info("the stream is not there", "reason", err.Error())
	}
	return err
}

// revive makes a stream again that the server turns out not to have: it was in memory, or
// somebody took it away. At most one attempt is under way, and one in reviveEvery begins.
func (c *conn) revive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.session
	if time.Since(c.revived) < reviveEvery || s.ctx.Err() != nil {
		return
	}
	c.revived = time.Now()
	go func() { _ = c.ensureIn(s) }() // it is said in the log
}

func (c *conn) complain(_ *nats.Conn, sub *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrPermissionViolation) {
		c.denied.Store(&err)
	}
	switch {
	case sub == nil:
		c.log.Info("trouble on the connection to the backbone", "reason", err.Error())
	case errors.Is(err, nats.ErrSlowConsumer):
		dropped, _ := sub.Dropped()
		what, then := missed(sub.Subject)
		c.log.Info("this process is too busy to read all that it is sent: messages were dropped", "of", what, "droppedSoFar", dropped, "then", then)
	default:
		c.log.Info("trouble with a subscription in the backbone", "subject", sub.Subject, "reason", err.Error())
	}
}

// missed says in words what comes on a subject, and what becomes of it when some of it is dropped.
func missed(subject string) (what, then string) {
	parts := strings.Split(subject, ".")
	last := parts[len(parts)-1]
	kind := last
	if len(parts) > 1 && last != "pods" {
		kind = parts[len(parts)-2]
	}
	switch kind {
	case "state":
		return "open bars of partition " + last, "the next message has the newest; closed bars do not come this way"
	case "ticks":
		return "single trades of partition " + last, "clients here miss these trades; bars do not: they are made elsewhere"
	case "ask":
		return "requests for the open bars of partition " + last, "who asked gets them with the next trades"
	case "pods":
		return "what the other pods say of themselves", "they say it again within a second"
	}
	return subject, "they are lost here"
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
