package backbone

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketstream/marketstream/streamer/logs"
)

// Streams says whose the streams are.
type Streams uint8

const (
	// OwnStreams are made by whoever connects first, and get our settings.
	OwnStreams Streams = iota
	// GivenStreams belong to the owner of the server: what is there is checked, used and never
	// changed. What is not there is made, if the account may.
	GivenStreams
)

// RemoteOptions say which server keeps the logs, and how long they get.
type RemoteOptions struct {
	// Namespace and Name are the MarketStream's: DNS labels.
	Namespace, Name string
	// URLs are nats://host:port or tls://host:port of servers of one cluster, without user info.
	URLs []string
	// Credentials is a file with what the server knows us by, see [ReadCredentials]; "": nothing. It
	// is read again at every connect.
	Credentials string
	// CA is a file with the certificates that the server's may be signed by, Cert and Key are
	// files with our own; "": none. They are read again at every connect.
	CA, Cert, Key string
	// Prefix begins the subjects and ends the names of streams; "": <namespace>_<name>.
	Prefix  string
	Streams Streams
	// Replicas are those of streams that are made: 1 or 3; 0: as many as our own backbone has
	// nodes, 1 in somebody else's.
	Replicas int
	// Retention, MaxBytes, TicksAge and TicksBytes are as in [Options]; what our own backbone has
	// room for bounds them. Given streams have their own.
	Retention  time.Duration
	MaxBytes   int64
	TicksAge   time.Duration
	TicksBytes int64
	// MaxMessage is the longest message in bytes that will be appended; 0: [logs.MaxEntry].
	MaxMessage int64
	// WaitFor is how long to wait for the server; 0: until ctx ends.
	WaitFor time.Duration
	// Progress is told in a sentence what Connect waits for, whenever that changes; may be nil.
	Progress func(what string)
	Log      logr.Logger
}

// ErrUnfit is wrapped by the errors of [Connect] that waiting does not mend: the server, the
// account or a stream is not as we need it.
var ErrUnfit = errors.New("the NATS server does not fit")

func unfit(what string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnfit, fmt.Sprintf(what, args...))
}

// Bounds of waiting for a server.
const (
	connectWithin = 3 * time.Second
	pauseFirst    = 100 * time.Millisecond
	pauseLast     = time.Second
	// offFor is how long a server may say that JetStream is off before it is believed: one
	// that starts says so too.
	offFor = 3 * time.Second
	// pingEvery, three times without an answer: the connection is given up.
	pingEvery = 2 * time.Second
)

// remote is what Connect has made of its options.
type remote struct {
	RemoteOptions
	names *names
	link  link
	offAt time.Time // since when JetStream is said to be off
}

// Connect opens the logs on a server elsewhere. It waits for the server, and gives up what
// waiting cannot mend with an error that wraps [ErrUnfit] and says in one sentence what would do.
func Connect(ctx context.Context, o RemoteOptions) (*Backbone, error) {
	r, err := newRemote(o)
	if err != nil {
		return nil, err
	}
	limit := time.Time{}
	if o.WaitFor > 0 {
		limit = time.Now().Add(o.WaitFor)
	}
	said := ""
	for pause := pauseFirst; ; pause = min(2*pause, pauseLast) {
		b, err := r.try(ctx)
		switch {
		case err == nil:
			return b, nil
		case errors.Is(err, ErrUnfit):
			return nil, err
		case ctx.Err() != nil:
			return nil, fmt.Errorf("wait for NATS at %s: %w: %w", r.link.urls, ctx.Err(), err)
		case o.WaitFor > 0 && time.Now().After(limit):
			return nil, fmt.Errorf("NATS at %s is not there after %s: %w", r.link.urls, o.WaitFor, err)
		}
		if text := "waiting for NATS at " + r.link.urls + ": " + err.Error(); text != said && r.Progress != nil {
			said = text
			r.Progress(text)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

var prefixForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// Check says what is wrong with the options that do not depend on a stream.
func (o *RemoteOptions) Check() error {
	switch {
	case o.Replicas != 0 && o.Replicas != 1 && o.Replicas != 3:
		return fmt.Errorf("backbone: replicas %d: want 1 or 3, or 0 for as many as the backbone has nodes", o.Replicas)
	case len(o.URLs) == 0:
		return errors.New("backbone: no URL: want nats://host:port")
	case (o.Cert == "") != (o.Key == ""):
		return fmt.Errorf("backbone: certificate %q, key %q: want both or neither", o.Cert, o.Key)
	}
	for _, raw := range o.URLs {
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls"}, u.Scheme) {
			return fmt.Errorf("backbone: URL %q: want nats://host:port or tls://host:port", raw)
		}
		if u.User != nil {
			return fmt.Errorf("backbone: URL %s holds user info: want it in the credentials file", u.Redacted())
		}
	}
	return nil
}

func newRemote(o RemoteOptions) (*remote, error) {
	local, err := Options{Namespace: o.Namespace, Name: o.Name, Dir: "-", Retention: o.Retention, MaxBytes: o.MaxBytes,
		TicksAge: o.TicksAge, TicksBytes: o.TicksBytes, Log: o.Log}.withDefaults()
	if err != nil {
		return nil, err
	}
	o.Retention, o.MaxBytes, o.TicksAge, o.TicksBytes, o.Log = local.Retention, local.MaxBytes, local.TicksAge, local.TicksBytes, local.Log
	if o.Prefix == "" {
		o.Prefix = o.Namespace + "_" + o.Name
	}
	if o.MaxMessage == 0 {
		o.MaxMessage = logs.MaxEntry
	}
	switch {
	case !prefixForm.MatchString(o.Prefix):
		return nil, fmt.Errorf("backbone: prefix %q: want 1 to 128 of A-Z, a-z, 0-9, _ and -", o.Prefix)
	case o.MaxMessage < 0 || o.MaxMessage > logs.MaxEntry:
		return nil, fmt.Errorf("backbone: longest message %d: want 1 to %d bytes", o.MaxMessage, logs.MaxEntry)
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	r := &remote{RemoteOptions: o, names: newNames(o.Prefix)}
	r.link = link{urls: strings.Join(o.URLs, ","), options: []nats.Option{
		nats.Timeout(connectWithin), nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(2),
		nats.ReconnectWait(5 * reconnectWait), nats.ReconnectJitter(5*reconnectWait, 5*reconnectWait),
		nats.IgnoreAuthErrorAbort(), // what is refused today may be accepted once the file has its new value
	}}
	return r, nil
}

// dial connects once, with the files as they are now.
func (r *remote) dial(stream jetstream.StreamConfig) (*conn, error) {
	l := r.link
	l.options = slices.Clone(l.options)
	if r.CA != "" {
		l.options = append(l.options, nats.RootCAs(r.CA))
	}
	if r.Cert != "" {
		l.options = append(l.options, nats.ClientCert(r.Cert, r.Key))
	}
	if r.Credentials != "" {
		c, err := newCredentials(r.Credentials, r.Log)
		if err != nil {
			return nil, err
		}
		l.options, l.made = append(l.options, c.options()...), func(nc *nats.Conn) { c.nc.Store(nc) }
	}
	return dial(l, stream, r.Log.WithValues("stream", stream.Name))
}

// try is attempt, but for one thing: once ctx ends it does not wait for a server that does not answer. What then comes of the
// attempt, after a few seconds at most, is closed.
func (r *remote) try(ctx context.Context) (*Backbone, error) {
	type result struct {
		b   *Backbone
		err error
	}
	done := make(chan result, 1)
	go func() {
		b, err := r.attempt(ctx)
		done <- result{b, err}
	}()
	select {
	case got := <-done:
		return got.b, got.err
	case <-ctx.Done():
	}
	go func() {
		if got := <-done; got.err == nil {
			_ = got.b.Close()
		}
	}()
	return nil, ctx.Err()
}

// attempt connects once. An error that does not wrap ErrUnfit may be gone the next time.
func (r *remote) attempt(ctx context.Context) (_ *Backbone, err error) {
	b := &Backbone{}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	local := Options{Dir: "-", Retention: r.Retention, MaxBytes: r.MaxBytes, TicksAge: r.TicksAge, TicksBytes: r.TicksBytes}
	var has nodes
	for _, s := range []struct {
		conn   **conn
		stream jetstream.StreamConfig
	}{{&b.barsConn, r.names.barsStream(local)}, {&b.ticksConn, r.names.ticksStream(local)}, {&b.ctlConn, r.names.ctlStream(local)}} {
		c, err := r.dial(s.stream)
		if err != nil {
			return nil, connectError(err)
		}
		if *s.conn = c; s.conn == &b.barsConn {
			if err := r.checkServer(ctx, c); err != nil {
				return nil, err
			}
			if r.Streams == OwnStreams {
				if has, err = nodesOf(ctx, c.js); err != nil {
					return nil, err
				}
			}
		}
		has.fit(&c.config, r.Replicas)
		c.remake = s.conn == &b.ticksConn && r.Streams == OwnStreams
		if err := r.openStream(ctx, c); err != nil {
			return nil, err
		}
	}
	if r.Streams == GivenStreams {
		if err := r.checkAccount(ctx, b); err != nil {
			return nil, err
		}
	}
	b.bars = &bars{conn: b.barsConn, names: r.names}
	b.registry, b.peers = newRegistry(b.ctlConn, r.names), &peers{conn: b.ctlConn, names: r.names}
	b.ticks, err = newTicks(b.ticksConn, r.names)
	return b, err
}

func (r *remote) openStream(ctx context.Context, c *conn) error {
	if r.Streams == OwnStreams {
		return c.open(ctx, makeOrUpdate)
	}
	if err := c.open(ctx, makeIfAbsent); err != nil {
		var answer *jetstream.APIError
		if denied := c.denied.Load(); denied != nil {
			return unfit("stream %s: %v: allow it, and have the stream made with subjects %q", c.config.Name, *denied, c.config.Subjects)
		} else if errors.As(err, &answer) && !passes(answer) {
			return unfit("stream %s is not there and cannot be made (%s): have it made with subjects %q, storage %s, max_bytes %d, max_age %s",
				c.config.Name, answer.Description, c.config.Subjects, c.config.Storage, c.config.MaxBytes, c.config.MaxAge)
		}
		return err
	}
	asking, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	s, err := c.js.Stream(asking, c.config.Name)
	if err != nil {
		return fmt.Errorf("ask for %s: %w", c.config.Name, c.gone(err))
	}
	return r.checkStream(s.CachedInfo().Config, c.config)
}

// connectError says what is missing in our own files as it is, and the rest as unavailable.
func connectError(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return err
	}
	return unavailable(err)
}
