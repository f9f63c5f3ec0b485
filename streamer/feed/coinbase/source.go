package coinbase

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketstream/marketstream/streamer/feed"
)

// Source is the feed of Coinbase Exchange: one connection for all its symbols.
type Source struct {
	opts   Options
	dialer *http.Client
	rest   *rest
	counts counters

	mu      sync.Mutex
	carried []feed.Symbol
	changed chan struct{}       // holds a token once carried was replaced
	covered map[string]struct{} // products answered on the connection of now
	wake    chan struct{}       // closed when covered grows
}

var (
	_ feed.Live     = (*Source)(nil)
	_ feed.Reporter = (*Source)(nil)
)

// counters are what Stats shows.
type counters struct {
	frames, trades, bad, refusals, ahead, connects, disconnects, limited atomic.Uint64
	unknown, lag, offset                                                 atomic.Int64
}

// New returns a source without symbols. It connects when Run is called and it has some.
func New(opts Options) (*Source, error) {
	opts, err := opts.complete()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		DialContext:     (&net.Dialer{Timeout: opts.DialWithin, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig: opts.TLS,
		Protocols:       new(http.Protocols),
	}
	transport.Protocols.SetHTTP1(true) // a WebSocket is an upgrade of HTTP/1.1
	return &Source{opts: opts, dialer: &http.Client{Transport: transport}, rest: newREST(opts),
		changed: make(chan struct{}, 1), covered: map[string]struct{}{}, wake: make(chan struct{})}, nil
}

// Traits implements [feed.Live].
func (s *Source) Traits() feed.Traits { return feed.Traits{Gapless: true, Overlap: true} }

// SetSymbols implements [feed.Source]. A connection subscribes to and unsubscribes from the
// differences only.
func (s *Source) SetSymbols(symbols []feed.Symbol) {
	s.mu.Lock()
	s.carried = slices.Clone(symbols)
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *Source) symbols() []feed.Symbol {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.carried
}

// Covered implements [feed.Live].
func (s *Source) Covered(ctx context.Context, symbols []feed.Symbol) error {
	for {
		s.mu.Lock()
		wake := s.wake
		missing := slices.ContainsFunc(symbols, func(sym feed.Symbol) bool {
			_, ok := s.covered[strings.ToUpper(sym.Name)]
			return !ok
		})
		s.mu.Unlock()
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

// cover adds products to those that the vendor has answered.
func (s *Source) cover(products []*product) {
	if len(products) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range products {
		s.covered[p.name] = struct{}{}
	}
	close(s.wake)
	s.wake = make(chan struct{})
}

// uncover takes products out of them; nil: all.
func (s *Source) uncover(products []*product) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if products == nil {
		clear(s.covered)
	}
	for _, p := range products {
		delete(s.covered, p.name)
	}
}

// Stats implements [feed.Reporter].
func (s *Source) Stats() feed.Stats {
	c := &s.counts
	return feed.Stats{
		Frames: c.frames.Load(), Trades: c.trades.Load(), BadFrames: c.bad.Load(), ErrorFrames: c.refusals.Load(),
		Ahead: c.ahead.Load(), Connects: c.connects.Load(), Disconnects: c.disconnects.Load(), Limited: c.limited.Load(),
		Unknown: int(c.unknown.Load()), Lag: time.Duration(c.lag.Load()), Offset: time.Duration(c.offset.Load()),
	}
}

// Close implements [feed.Source].
func (s *Source) Close() error {
	s.rest.client.CloseIdleConnections()
	s.dialer.CloseIdleConnections()
	return nil
}
