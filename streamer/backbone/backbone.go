package backbone

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/logs"
)

// Options say where the logs are and how long they get.
type Options struct {
	// Namespace and Name are the MarketStream's: DNS labels.
	Namespace, Name string
	// Dir holds the files of BARS, and nothing else; it is made if need be. "": BARS is in memory.
	// TICKS always is.
	Dir string
	// Retention is how long BARS keeps an entry; 0: 168 h.
	Retention time.Duration
	// MaxBytes bounds BARS; the oldest entries go. 0: 8 GiB, or 256 MiB in memory. In files it is
	// never more than 80 % of what the volume has for it.
	MaxBytes int64
	// TicksAge is how long TICKS keeps a batch; 0: 5 min.
	TicksAge time.Duration
	// TicksBytes bounds TICKS; 0: 256 MiB.
	TicksBytes int64
	// Log gets what the server and the connections have to say.
	Log logr.Logger
}

const (
	defaultRetention   = 168 * time.Hour
	defaultTicksAge    = 5 * time.Minute
	defaultTicksBytes  = 256 << 20
	defaultMemoryBytes = 256 << 20
	defaultFileBytes   = 8 << 30
)

// Backbone is the two logs, what processes share beside them, and the server that keeps them
// if it is in this process. Its methods may be called at the same time.
type Backbone struct {
	server    *embedded
	guard     *guard // nil: BARS is in memory
	barsConn  *conn
	ticksConn *conn
	ctlConn   *conn
	bars      *bars
	ticks     *ticks
	registry  *registry
	peers     *peers

	once   sync.Once
	closed error
}

// Open starts the server and opens the logs, or says why not in one sentence. A directory
// that another process has open is refused.
func Open(ctx context.Context, o Options) (*Backbone, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Backbone{}
	if err := b.open(ctx, o); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *Backbone) open(ctx context.Context, o Options) (err error) {
	if b.server, err = startEmbedded(&o); err != nil {
		return err
	}
	names := newNames(o.Namespace + "_" + o.Name)
	barsStream, ticksStream, ctlStream := names.barsStream(o), names.ticksStream(o), names.ctlStream(o)
	// Three connections: what is published and shown of TICKS does not stand in the way of a
	// frame, and the renewal of a lease waits for neither.
	if b.barsConn, err = connect(ctx, b.server, barsStream, o.Log.WithValues("stream", barsStream.Name)); err != nil {
		return fmt.Errorf("open BARS: %w", err)
	}
	if b.ticksConn, err = connect(ctx, b.server, ticksStream, o.Log.WithValues("stream", ticksStream.Name)); err != nil {
		return fmt.Errorf("open TICKS: %w", err)
	}
	if b.ctlConn, err = connect(ctx, b.server, ctlStream, o.Log.WithValues("stream", ctlStream.Name)); err != nil {
		return fmt.Errorf("open CTL: %w", err)
	}
	b.bars = &bars{conn: b.barsConn, names: names}
	b.registry, b.peers = newRegistry(b.ctlConn, names), &peers{conn: b.ctlConn, names: names}
	if o.Dir != "" {
		b.guard = startGuard(b.server, barsStream.Name, o.Dir, o.Log)
		b.bars.room = b.guard.room
	}
	b.ticks, err = newTicks(b.ticksConn, names)
	return err
}

// Bars returns BARS.
func (b *Backbone) Bars() logs.Log { return b.bars }

// Ticks returns TICKS.
func (b *Backbone) Ticks() logs.Ticks { return b.ticks }

// Registry returns what processes share under keys.
func (b *Backbone) Registry() logs.Registry { return b.registry }

// Peers returns what processes tell each other.
func (b *Backbone) Peers() logs.Peers { return b.peers }

// Close lets what is under way come to its end, for a second at most, stops the server, if it
// is in this process, and gives the directory free. A second call does nothing more. What is
// called afterwards fails with [logs.ErrUnavailable].
func (b *Backbone) Close() error {
	b.once.Do(func() { b.closed = b.close() })
	return b.closed
}

func (b *Backbone) close() error {
	if b.guard != nil {
		b.guard.stop()
	}
	if b.ticks != nil {
		b.ticks.close()
	}
	for _, c := range []*conn{b.ticksConn, b.barsConn, b.ctlConn} {
		if c != nil {
			c.close()
		}
	}
	if b.server != nil {
		return b.server.close()
	}
	return nil
}

var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (o Options) withDefaults() (Options, error) {
	for _, f := range []struct{ field, value string }{{"namespace", o.Namespace}, {"name", o.Name}} {
		if !label.MatchString(f.value) {
			return o, fmt.Errorf("backbone: %s %q: want a DNS label: a-z, 0-9 and - inside, at most 63", f.field, f.value)
		}
	}
	for _, f := range []struct {
		field string
		value int64
	}{{"retention", int64(o.Retention)}, {"maxBytes", o.MaxBytes}, {"ticksAge", int64(o.TicksAge)}, {"ticksBytes", o.TicksBytes}} {
		if f.value < 0 {
			return o, fmt.Errorf("backbone: %s %d: want it positive, or 0 for the default", f.field, f.value)
		}
	}
	if o.Retention == 0 {
		o.Retention = defaultRetention
	}
	if o.TicksAge == 0 {
		o.TicksAge = defaultTicksAge
	}
	if o.TicksBytes == 0 {
		o.TicksBytes = defaultTicksBytes
	}
	if o.Log.GetSink() == nil {
		o.Log = logr.Discard()
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultFileBytes
		if o.Dir == "" {
			o.MaxBytes = defaultMemoryBytes
		}
	}
	return o, nil
}
