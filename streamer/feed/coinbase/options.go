package coinbase

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/feed/socket"
)

// The vendor's own endpoints.
const (
	DefaultEndpoint     = "wss://ws-feed.exchange.coinbase.com"
	DefaultRESTEndpoint = "https://api.exchange.coinbase.com"
)

// Options say where the vendor is, and how patient one is with it. A zero field is the
// default that its comment names.
type Options struct {
	Endpoint     string // ws or wss; DefaultEndpoint
	RESTEndpoint string // http or https; DefaultRESTEndpoint
	Log          logr.Logger
	TLS          *tls.Config // for both; the system's roots

	// Disorder is how far the watermark stays behind: 100 ms.
	Disorder time.Duration
	// MarkEvery is the shortest time between two marks while frames keep coming: 50 ms.
	MarkEvery time.Duration
	// Batch is how many products one message subscribes to: 100.
	Batch int
	// QueueBytes bounds what is read and not yet parsed; it may be there twice: 8 MiB.
	QueueBytes int
	// FrameBytes is the longest frame that is taken: 4 MiB.
	FrameBytes int

	DialWithin   time.Duration // to connect, TLS and handshake included: 10 s
	AnswerWithin time.Duration // of the vendor to a subscription: 10 s
	WriteWithin  time.Duration // for a message to leave: 5 s
	PingEvery    time.Duration // ± a quarter, drawn for each ping: 20 s
	Quiet        time.Duration // without a frame, after which a ping is sent at once: 5 s
	PongWithin   time.Duration // from a ping to any frame: 10 s

	RetryFirst  time.Duration // the first wait before reconnecting is drawn from 0 to this: 500 ms
	RetryMost   time.Duration // it doubles up to this: 30 s
	ResetAfter  time.Duration // life of a connection that makes the wait short again: 10 s
	LimitedWait time.Duration // when the vendor allows no more; drawn from this to one and a half: 60 s

	RequestsPerSecond float64       // REST, over the process and endpoint: 8
	RequestBurst      int           // 20
	RequestWithin     time.Duration // one page: 15 s
	// PageTries is how often a page that lacks trades is asked for again at once: 3 times in all.
	PageTries int
	// PageWait is the wait before that: 500 ms.
	PageWait time.Duration

	draw func(bound time.Duration) time.Duration // of a wait: any from 0 to bound
	now  func() int64                            // receive times, Unix ns; monotonic from the wall clock at New
}

// complete fills in what is not set and refuses what cannot be.
func (o Options) complete() (Options, error) {
	set(&o.Endpoint, DefaultEndpoint)
	set(&o.RESTEndpoint, DefaultRESTEndpoint)
	set(&o.Disorder, 100*time.Millisecond)
	set(&o.MarkEvery, 50*time.Millisecond)
	set(&o.Batch, 100)
	set(&o.QueueBytes, 8<<20)
	set(&o.FrameBytes, 4<<20)
	set(&o.DialWithin, 10*time.Second)
	set(&o.AnswerWithin, 10*time.Second)
	set(&o.WriteWithin, 5*time.Second)
	set(&o.PingEvery, 20*time.Second)
	set(&o.Quiet, 5*time.Second)
	set(&o.PongWithin, 10*time.Second)
	set(&o.RetryFirst, 500*time.Millisecond)
	set(&o.RetryMost, 30*time.Second)
	set(&o.ResetAfter, 10*time.Second)
	set(&o.LimitedWait, 60*time.Second)
	set(&o.RequestsPerSecond, 8)
	set(&o.RequestBurst, 20)
	set(&o.RequestWithin, 15*time.Second)
	set(&o.PageTries, 3)
	set(&o.PageWait, 500*time.Millisecond)
	if o.draw == nil {
		o.draw = func(bound time.Duration) time.Duration { return rand.N(bound + 1) }
	}
	if o.now == nil {
		start := time.Now()
		base := start.UnixNano()
		o.now = func() int64 { return base + int64(time.Since(start)) }
	}
	if err := endpoint("endpoint", o.Endpoint, "wss", "ws"); err != nil {
		return o, err
	}
	o.RESTEndpoint = strings.TrimRight(o.RESTEndpoint, "/")
	return o, endpoint("restEndpoint", o.RESTEndpoint, "https", "http")
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func endpoint(field, text, secure, plain string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != secure && u.Scheme != plain || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("coinbase.%s %q: want %s://host[:port][/path]", field, text, secure)
	}
	return nil
}

// socket are those of a connection.
func (o *Options) socket() socket.Options {
	return socket.Options{Endpoint: o.Endpoint, QueueBytes: o.QueueBytes, FrameBytes: o.FrameBytes, DialWithin: o.DialWithin,
		WriteWithin: o.WriteWithin, PingEvery: o.PingEvery, Quiet: o.Quiet, PongWithin: o.PongWithin, Now: o.now}
}
