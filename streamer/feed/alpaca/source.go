package alpaca

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/feed/account"
	"github.com/marketstream/marketstream/streamer/feed/link"
	"github.com/marketstream/marketstream/streamer/feed/pages"
	"github.com/marketstream/marketstream/streamer/market"
)

// Feed is one of the vendor's feeds.
type Feed string

// The feeds.
const (
	IEX    Feed = "IEX"
	SIP    Feed = "SIP"
	Crypto Feed = "Crypto"
	Test   Feed = "Test" // one symbol, FAKEPACA, at all hours; without REST
)

// DefaultRESTEndpoint is the vendor's own.
const DefaultRESTEndpoint = "https://data.alpaca.markets"

// DefaultEndpoint is the vendor's own for a feed.
func DefaultEndpoint(f Feed) string {
	const host = "wss://stream.data.alpaca.markets"
	switch f {
	case Crypto:
		return host + "/v1beta3/crypto/us"
	case Test:
		return host + "/v2/test"
	}
	return host + "/v2/" + strings.ToLower(string(f))
}

// Options say where the vendor is, who asks, and how patient one is. A zero field is the default that its comment names.
type Options struct {
	Feed         Feed         // IEX
	Endpoint     string       // ws or wss; DefaultEndpoint of Feed
	RESTEndpoint string       // http or https; DefaultRESTEndpoint
	Key          account.Read // two parts: the key's id and its secret
	Session      market.Session
	Log          logr.Logger
	TLS          *tls.Config // for both; the system's roots

	// Batch is how many symbols one message subscribes to: 500.
	Batch int
	// AnswerWithin is how long the vendor may take to answer: 10 s.
	AnswerWithin time.Duration
	// Remembered is how many trades are known, at most, to whoever takes one back: 131,072; a power of two.
	Remembered int

	RequestsPerSecond float64       // REST, over the process: 3; a paid account may have 150
	RequestBurst      int           // 20
	RequestWithin     time.Duration // one page: 30 s
	// Settle is how far the vendor's clock must be past the end of what REST is asked for: 5 s.
	Settle time.Duration

	// Link has how patient one is with the connection; what is above counts before it.
	Link link.Options
}

// Source is one feed of Alpaca: one connection for all its symbols.
type Source struct {
	*link.Link
	opts  Options
	key   *account.Keeper
	pages *pages.Client
	// corrected, cancelled and halts count messages.
	corrected, cancelled, halts atomic.Uint64
}

var (
	_ feed.Live     = (*Source)(nil)
	_ feed.Reporter = (*Source)(nil)
)

// New returns a source without symbols. It connects when Run is called and it has some.
func New(opts Options) (*Source, error) {
	link.Default(&opts.Feed, IEX)
	link.Default(&opts.Endpoint, DefaultEndpoint(opts.Feed))
	link.Default(&opts.RESTEndpoint, DefaultRESTEndpoint)
	link.Default(&opts.Batch, 500)
	link.Default(&opts.AnswerWithin, 10*time.Second)
	link.Default(&opts.Remembered, 1<<17)
	link.Default(&opts.RequestsPerSecond, 3)
	link.Default(&opts.RequestBurst, 20)
	link.Default(&opts.RequestWithin, 30*time.Second)
	link.Default(&opts.Settle, 5*time.Second)
	opts.RESTEndpoint = strings.TrimRight(opts.RESTEndpoint, "/")
	if err := link.Endpoint("restEndpoint", opts.RESTEndpoint, "https", "http"); err != nil {
		return nil, err
	}
	if n := opts.Remembered; n < 1 || n&(n-1) != 0 {
		return nil, fmt.Errorf("remembered %d: want a power of two", n)
	}
	if opts.Key == nil {
		opts.Key = account.Fixed("")
	}
	s := &Source{opts: opts, key: account.New(opts.Key)}
	o := opts.Link
	o.Endpoint, o.Log, o.TLS, o.Key, o.Fold = opts.Endpoint, opts.Log, opts.TLS, s.key, s.name
	if opts.Feed == SIP {
		link.Default(&o.Reports, 10*time.Second) // off-exchange trades are reported within that
	}
	var err error
	if s.Link, err = link.New(o); err != nil {
		return nil, err
	}
	s.pages = s.newPages()
	return s, nil
}

// name is a symbol as the vendor writes it: BRK.A, BTC/USD. Letters that are all small stand for large ones.
func (s *Source) name(symbol string) string {
	if s.opts.Feed == Crypto {
		return strings.ReplaceAll(strings.ToUpper(symbol), "-", "/")
	}
	if symbol == strings.ToLower(symbol) {
		return strings.ToUpper(symbol)
	}
	return symbol
}

// Traits implements [feed.Live]. Ids do not tell what is missing, and an account has one connection: the second is refused.
func (s *Source) Traits() feed.Traits { return feed.Traits{} }

// Run implements [feed.Source]. from and said mean nothing to it: a connection can't be read again.
func (s *Source) Run(ctx context.Context, _ market.SourcePosition, _ uint64, sink feed.Sink) error {
	return s.Link.Run(ctx, sink, func(l *link.Session) link.Speaker { return newSession(s, l) })
}

// Close implements [feed.Source].
func (s *Source) Close() error {
	s.Link.Close()
	s.pages.Close()
	return nil
}

// String names the source, without its key.
func (s *Source) String() string { return fmt.Sprintf("alpaca %s", s.opts.Endpoint) }
