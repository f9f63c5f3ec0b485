package polygon

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

// DefaultRESTEndpoint is the vendor's own.
const DefaultRESTEndpoint = "https://api.massive.com"

// Plan is what an account may see.
type Plan string

// The plans.
const (
	RealTime Plan = ""
	Delayed  Plan = "delayed" // 15 minutes late
	Business Plan = "business"
)

// DefaultEndpoint is the vendor's own for a market and a plan.
func DefaultEndpoint(crypto bool, plan Plan) string {
	host := map[Plan]string{RealTime: "socket", Delayed: "delayed", Business: "business"}[plan]
	if crypto {
		return "wss://" + host + ".massive.com/crypto"
	}
	return "wss://" + host + ".massive.com/stocks"
}

// Options say where the vendor is, who asks, and how patient one is. A zero field is the default that its comment names.
type Options struct {
	Endpoint     string // ws or wss; DefaultEndpoint of Crypto and Plan
	RESTEndpoint string // http or https; DefaultRESTEndpoint
	Plan         Plan
	Crypto       bool         // pairs, as BTC-USD; else stocks
	Key          account.Read // one part
	Session      market.Session
	Log          logr.Logger
	TLS          *tls.Config // for both; the system's roots

	// Unchecked: the vendor's bars of seconds are not subscribed to, by which trades are found that did not come.
	Unchecked bool
	// Batch is how many topics one message subscribes to: 200.
	Batch int
	// AnswerWithin is how long the vendor may take to answer: 10 s.
	AnswerWithin time.Duration

	RequestsPerSecond float64       // REST, over the process: 50; an account without a paid plan has 5 a minute
	RequestBurst      int           // 20
	RequestWithin     time.Duration // one page: 30 s
	// Settle is how far the vendor's clock must be past the end of what REST is asked for: 5 s.
	Settle time.Duration

	// Link has how patient one is with the connection; what is above counts before it.
	Link link.Options
}

// Source is the feed of Massive: one connection for all its symbols.
type Source struct {
	*link.Link
	opts  Options
	key   *account.Keeper
	pages *pages.Client
	// reportedOnly: trades on the WebSocket do not say when they happened, but when they were reported.
	reportedOnly atomic.Bool
	// missed counts seconds of which the vendor's bar has more than came, limits the price bands that were sent.
	missed, limits atomic.Uint64
}

var (
	_ feed.Live     = (*Source)(nil)
	_ feed.Reporter = (*Source)(nil)
)

// New returns a source without symbols. It connects when Run is called and it has some.
func New(opts Options) (*Source, error) {
	link.Default(&opts.Endpoint, DefaultEndpoint(opts.Crypto, opts.Plan))
	link.Default(&opts.RESTEndpoint, DefaultRESTEndpoint)
	link.Default(&opts.Batch, 200)
	link.Default(&opts.AnswerWithin, 10*time.Second)
	link.Default(&opts.RequestsPerSecond, 50)
	link.Default(&opts.RequestBurst, 20)
	link.Default(&opts.RequestWithin, 30*time.Second)
	link.Default(&opts.Settle, 5*time.Second)
	opts.RESTEndpoint = strings.TrimRight(opts.RESTEndpoint, "/")
	if err := link.Endpoint("restEndpoint", opts.RESTEndpoint, "https", "http"); err != nil {
		return nil, err
	}
	if opts.Key == nil {
		opts.Key = account.Fixed("")
	}
	s := &Source{opts: opts, key: account.New(opts.Key)}
	o := opts.Link
	o.Endpoint, o.Log, o.TLS, o.Key, o.Fold = opts.Endpoint, opts.Log, opts.TLS, s.key, s.topicName
	if !opts.Crypto {
		link.Default(&o.Reports, 10*time.Second) // off-exchange trades are reported within that
	}
	var err error
	if s.Link, err = link.New(o); err != nil {
		return nil, err
	}
	s.pages = s.newPages()
	return s, nil
}

// topicName is a symbol as the vendor writes it: BRK.A, BACpB, BTC-USD. Letters that are all small stand for large ones.
func (s *Source) topicName(symbol string) string {
	if s.opts.Crypto {
		return strings.ReplaceAll(strings.ToUpper(strings.TrimPrefix(symbol, "X:")), "/", "-")
	}
	if symbol == strings.ToLower(symbol) {
		return strings.ToUpper(symbol)
	}
	return symbol
}

// Traits implements [feed.Live]. Sequence numbers skip, so ids do not tell what is missing; and a second connection would
// throw out the first.
func (s *Source) Traits() feed.Traits { return feed.Traits{} }

// Run implements [feed.Source]. from and said mean nothing to it: a connection can't be read again.
func (s *Source) Run(ctx context.Context, _ market.SourcePosition, _ uint64, sink feed.Sink) error {
	return s.Link.Run(ctx, sink, func(l *link.Session) link.Speaker { return newSession(s, l) })
}

// Missed is how many seconds were found in which trades had not come.
func (s *Source) Missed() uint64 { return s.missed.Load() }

// Close implements [feed.Source].
func (s *Source) Close() error {
	s.Link.Close()
	s.pages.Close()
	return nil
}

// String names the source, without its key.
func (s *Source) String() string { return fmt.Sprintf("polygon %s", s.opts.Endpoint) }
