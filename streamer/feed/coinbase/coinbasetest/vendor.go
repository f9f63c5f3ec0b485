package coinbasetest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/marketstream/marketstream/streamer/feed/vendortest/wire"
)

// Options say what is sold, and how. A zero field is the default that its comment names.
type Options struct {
	Seed     uint64
	Products []Product // BTC-USD at 10 and ETH-USD at 5 trades a second
	// Past is how long before the start the schedule begins: those trades are there at once.
	Past time.Duration
	// Keep is how many trades of a product are remembered at least: 1,000,000.
	Keep int

	Address, RESTAddress string // 127.0.0.1:0
	TLS                  bool

	// Skew is how far the exchange's clock is ahead at the start.
	Skew time.Duration
	// Now is the wall clock: time.Now.
	Now func() time.Time
	// Tick is how often what is due is done: 5 ms; negative: only by Step.
	Tick time.Duration
	// Heartbeat is how often each subscribed product has one: 1 s.
	Heartbeat time.Duration
	// SubscribeWithin is how long a connection may be without a subscription: 5 s.
	SubscribeWithin time.Duration
	// SlowBytes is how much a connection may lag before it is cut: 64 MiB.
	SlowBytes int
	// Unknown is what happens to a subscription that names a product that is none: IgnoreWhole.
	Unknown Unknown
	// RequestsPerSecond and RequestBurst limit REST: 10 and 15; negative: not at all.
	RequestsPerSecond float64
	RequestBurst      int
}

// Unknown is what happens to a subscription that names products that are none.
type Unknown string

// What happens to it.
const (
	// IgnoreWhole: an error names the first of them, and nothing is subscribed to. So does Coinbase.
	IgnoreWhole Unknown = ""
	// IgnoreVaguely: an error says that there is one, but not which.
	IgnoreVaguely Unknown = "vaguely"
	// TakeRest: an error for each, and the rest is subscribed to.
	TakeRest Unknown = "rest"
	// TakeSilently: the rest is subscribed to and nothing is said.
	TakeSilently Unknown = "silently"
)

// Stats is what a vendor counts.
type Stats struct {
	Open, Accepted, Refused, Evicted, Killed, Cut int // connections; Killed: slow readers
	Subscribes, Unsubscribes, Ignored             int // messages
	Trades, Sent                                  uint64
	Requests, Throttled, Faulty                   int // of REST
}

// Vendor is one scripted vendor.
type Vendor struct {
	opts    Options
	tls     *wire.Pair
	servers []*http.Server
	sockets *wire.Listener // of the WebSocket side
	rests   net.Listener
	limiter *rate.Limiter
	stop    chan struct{}
	done    sync.WaitGroup
	killed  atomic.Int64

	mu       sync.Mutex
	closed   bool
	books    map[string]*book
	names    []string // of books, sorted
	clients  []*client
	dead     []*client // half open
	stats    Stats
	skew     time.Duration
	beat     time.Time // when heartbeats were last sent
	mute     bool      // no heartbeats
	deaf     bool      // no answers
	pongless bool      // no pongs
	limit    limit
	subs     int // products that a connection may subscribe to; 0: any number
	refuse   refusal
	rest     RESTFault
	late     []delayed
	scratch  []byte
}

// delayed is a frame that is sent later.
type delayed struct {
	at    time.Time
	book  *book
	frame []byte
}

// Start makes a vendor and listens.
func Start(opts Options) (*Vendor, error) {
	if opts.Products == nil {
		opts.Products = []Product{{Name: "BTC-USD", PerSecond: 10, Price: "43210.55"}, {Name: "ETH-USD", PerSecond: 5, Price: "2345.67"}}
	}
	set(&opts.Keep, 1_000_000)
	set(&opts.Address, "127.0.0.1:0")
	set(&opts.RESTAddress, "127.0.0.1:0")
	set(&opts.Tick, 5*time.Millisecond)
	set(&opts.Heartbeat, time.Second)
	set(&opts.SubscribeWithin, 5*time.Second)
	set(&opts.SlowBytes, 64<<20)
	set(&opts.RequestsPerSecond, 10)
	set(&opts.RequestBurst, 15)
	if opts.Now == nil {
		opts.Now = time.Now
	}
	v := &Vendor{opts: opts, skew: opts.Skew, books: map[string]*book{}, stop: make(chan struct{}), limiter: rate.NewLimiter(rate.Inf, 0)}
	if opts.RequestsPerSecond > 0 {
		v.limiter = rate.NewLimiter(rate.Limit(opts.RequestsPerSecond), opts.RequestBurst)
	}
	now := opts.Now()
	for _, p := range opts.Products {
		b, err := newBook(p, opts.Seed, now.Add(-opts.Past))
		if err != nil {
			return nil, err
		}
		v.books[p.Name] = b
		v.names = append(v.names, p.Name)
	}
	slices.Sort(v.names)
	if err := v.listen(); err != nil {
		return nil, err
	}
	v.Step()
	if opts.Tick > 0 {
		v.done.Go(v.pump)
	}
	return v, nil
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (v *Vendor) listen() error {
	raw, err := net.Listen("tcp", v.opts.Address)
	if err != nil {
		return fmt.Errorf("address: %w", err)
	}
	v.sockets = &wire.Listener{Listener: raw}
	if v.rests, err = net.Listen("tcp", v.opts.RESTAddress); err != nil {
		return errors.Join(fmt.Errorf("REST address: %w", err), raw.Close())
	}
	var sockets, rests net.Listener = v.sockets, v.rests
	if v.opts.TLS {
		if v.tls, err = wire.NewPair(); err != nil {
			return errors.Join(err, raw.Close(), v.rests.Close())
		}
		sockets, rests = tls.NewListener(sockets, v.tls.Server), tls.NewListener(rests, v.tls.Server)
	}
	for l, h := range map[net.Listener]http.Handler{sockets: http.HandlerFunc(v.serveSocket), rests: v.restHandler()} {
		s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: wire.Silent()}
		v.servers = append(v.servers, s)
		v.done.Go(func() { _ = s.Serve(l) })
	}
	return nil
}

// URL is the WebSocket's address.
func (v *Vendor) URL() string { return v.url("ws", v.sockets.Addr()) }

// RESTURL is the address of REST, and of /control/.
func (v *Vendor) RESTURL() string { return v.url("http", v.rests.Addr()) }

func (v *Vendor) url(scheme string, addr net.Addr) string {
	if v.opts.TLS {
		scheme += "s"
	}
	return scheme + "://" + addr.String()
}

// ClientTLS trusts the vendor; nil without TLS.
func (v *Vendor) ClientTLS() *tls.Config {
	if v.tls == nil {
		return nil
	}
	return v.tls.Client.Clone()
}

// CertificatePEM is what a client in another process has to trust; nil without TLS.
func (v *Vendor) CertificatePEM() []byte {
	if v.tls == nil {
		return nil
	}
	return v.tls.PEM
}

// Close ends every connection and goroutine.
func (v *Vendor) Close() error {
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return nil
	}
	v.closed = true
	v.mu.Unlock()
	close(v.stop)
	var err error
	for _, s := range v.servers {
		err = errors.Join(err, s.Close())
	}
	v.DropAll()
	for _, c := range v.dead {
		c.abort()
	}
	v.done.Wait()
	return err
}

func (v *Vendor) pump() {
	t := time.NewTicker(v.opts.Tick)
	defer t.Stop()
	for {
		select {
		case <-v.stop:
			return
		case <-t.C:
			v.Step()
		}
	}
}

// Step does what is due: trades, late frames, heartbeats.
func (v *Vendor) Step() {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.opts.Now()
	for _, name := range v.names {
		b := v.books[name]
		b.due(now.UnixNano(), int64(v.skew), v.opts.Keep, func(id uint64, r record) { v.made(b, id, r) })
	}
	v.late = slices.DeleteFunc(v.late, func(d delayed) bool {
		if d.at.After(now) {
			return false
		}
		v.send(d.book, d.frame)
		return true
	})
	if v.mute || now.Sub(v.beat) < v.opts.Heartbeat {
		return
	}
	v.beat = now
	for _, name := range v.names {
		b := v.books[name]
		v.scratch = b.appendHeartbeat(v.scratch[:0], now.Add(v.skew).UnixMicro())
		for _, c := range v.clients {
			if c.subscribed(name, heartbeatChannel) {
				c.send(v.scratch)
			}
		}
	}
}

// made sends a trade, or does with it what a fault wants.
func (v *Vendor) made(b *book, id uint64, r record) {
	v.stats.Trades++
	switch {
	case b.skip > 0:
		b.skip--
		return
	case b.late > 0:
		b.late--
		v.late = append(v.late, delayed{v.opts.Now().Add(b.lateBy), b, b.appendMatch(nil, "match", id, r)})
		return
	case b.disorder > 0:
		b.disorder--
		b.held = append(b.held, b.appendMatch(nil, "match", id, r))
		if b.disorder == 0 {
			for _, frame := range slices.Backward(b.held) {
				v.send(b, frame)
			}
			b.held = nil
		}
		return
	}
	v.scratch = b.appendMatch(v.scratch[:0], "match", id, r)
	v.send(b, v.scratch)
	if b.duplicate > 0 {
		b.duplicate--
		v.send(b, v.scratch)
	}
}

// send queues a frame for all that subscribe to a product's matches.
func (v *Vendor) send(b *book, frame []byte) {
	for _, c := range v.clients {
		if c.subscribed(b.Name, matchesChannel) {
			v.stats.Sent++
			c.send(frame)
		}
	}
}

// Stats are the counts of now.
func (v *Vendor) Stats() Stats {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.stats
	s.Open, s.Killed = len(v.clients), int(v.killed.Load())
	return s
}
