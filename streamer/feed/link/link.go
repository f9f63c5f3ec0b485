package link

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/feed/account"
)

// Link is a vendor's WebSocket, one connection for all symbols.
type Link struct {
	Options
	dialer *http.Client
	counts counters

	mu      sync.Mutex
	carried []feed.Symbol
	changed chan struct{}       // holds a token once carried was replaced
	covered map[string]struct{} // symbols that are answered on the connection of now
	wake    chan struct{}       // closed when covered grows
}

// counters are what Stats shows.
type counters struct {
	frames, trades, bad, refusals, ahead, connects, disconnects, limited atomic.Uint64
	unknown, lag, offset                                                 atomic.Int64
}

// New returns a link without symbols. It connects when Run is called and it has some.
func New(opts Options) (*Link, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	if opts.Key == nil {
		opts.Key = account.New(account.Fixed())
	}
	transport := &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		DialContext:     (&net.Dialer{Timeout: opts.DialWithin, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig: opts.TLS,
		Protocols:       new(http.Protocols),
	}
	transport.Protocols.SetHTTP1(true) // a WebSocket is an upgrade of HTTP/1.1
	return &Link{Options: opts, changed: make(chan struct{}, 1), covered: map[string]struct{}{}, wake: make(chan struct{}),
		dialer: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

// SetSymbols implements [feed.Source]. A connection subscribes to and unsubscribes from the differences only.
func (l *Link) SetSymbols(symbols []feed.Symbol) {
	l.mu.Lock()
	l.carried = slices.Clone(symbols)
	l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// Symbols are those that are carried.
func (l *Link) Symbols() []feed.Symbol {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.carried
}

// Covered implements [feed.Live].
func (l *Link) Covered(ctx context.Context, symbols []feed.Symbol) error {
	for {
		l.mu.Lock()
		wake := l.wake
		missing := slices.ContainsFunc(symbols, func(sym feed.Symbol) bool {
			_, ok := l.covered[l.Fold(sym.Name)]
			return !ok
		})
		l.mu.Unlock()
		if !missing {
			return nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Cover adds symbols, folded, to those that the vendor has answered.
func (l *Link) Cover(names ...string) {
	if len(names) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range names {
		l.covered[name] = struct{}{}
	}
	close(l.wake)
	l.wake = make(chan struct{})
}

// Uncover takes symbols out of them.
func (l *Link) Uncover(names ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range names {
		delete(l.covered, name)
	}
}

func (l *Link) uncoverAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.covered)
}

// Stats implements [feed.Reporter].
func (l *Link) Stats() feed.Stats {
	c := &l.counts
	return feed.Stats{
		Frames: c.frames.Load(), Trades: c.trades.Load(), BadFrames: c.bad.Load(), ErrorFrames: c.refusals.Load(),
		Ahead: c.ahead.Load(), Connects: c.connects.Load(), Disconnects: c.disconnects.Load(), Limited: c.limited.Load(),
		Unknown: int(c.unknown.Load()), Lag: time.Duration(c.lag.Load()), Offset: time.Duration(c.offset.Load()),
	}
}

// Close lets go of idle connections.
func (l *Link) Close() { l.dialer.CloseIdleConnections() }
