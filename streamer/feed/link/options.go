package link

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/feed/account"
	"github.com/marketstream/marketstream/streamer/feed/socket"
)

// Options say where a vendor is, and how patient one is with it. A zero field is the default that its comment names.
type Options struct {
	Endpoint string // ws or wss
	Log      logr.Logger
	TLS      *tls.Config     // the system's roots
	Key      *account.Keeper // none
	// Header is what the handshake has besides; nil: nothing.
	Header func() (http.Header, error)
	// Fold makes one name of the spellings of a symbol; nil: they are as they are.
	Fold func(symbol string) string
	// Gapless: ids tell what is missing, so no hole is said.
	Gapless bool
	// Reports is how much later than it happened a trade may be reported: 0.
	Reports time.Duration

	// Disorder is how far the watermark stays behind: 100 ms.
	Disorder time.Duration
	// MarkEvery is the shortest time between two marks while frames keep coming: 50 ms.
	MarkEvery time.Duration
	// QueueBytes bounds what is read and not yet parsed; it may be there twice: 32 MiB.
	QueueBytes int
	// FrameBytes is the longest frame that is taken: 16 MiB.
	FrameBytes int

	DialWithin  time.Duration // to connect, TLS and handshake included: 10 s
	WriteWithin time.Duration // for a message to leave: 5 s
	PingEvery   time.Duration // ± a quarter, drawn for each ping: 20 s
	Quiet       time.Duration // without a frame, after which a ping is sent at once: 5 s
	PongWithin  time.Duration // from a ping to any frame: 10 s

	RetryFirst  time.Duration // the first wait before reconnecting is drawn from 0 to this: 500 ms
	RetryMost   time.Duration // it doubles up to this: 30 s
	ResetAfter  time.Duration // life of a connection that makes the wait short again: 10 s
	LimitedWait time.Duration // when the vendor allows no more; drawn from this to one and a half: 60 s
	RefusedWait time.Duration // when the vendor refuses the key and it does not change: 5 min
	KeyEvery    time.Duration // how often the key is looked at: 1 s

	Draw func(bound time.Duration) time.Duration // of a wait: any from 0 to bound
	Now  func() int64                            // receive times, Unix ns; monotonic from the wall clock at New
}

// complete fills in what is not set and refuses what cannot be.
func (o *Options) complete() error {
	Default(&o.Disorder, 100*time.Millisecond)
	Default(&o.MarkEvery, 50*time.Millisecond)
	Default(&o.QueueBytes, 32<<20)
	Default(&o.FrameBytes, 16<<20)
	Default(&o.DialWithin, 10*time.Second)
	Default(&o.WriteWithin, 5*time.Second)
	Default(&o.PingEvery, 20*time.Second)
	Default(&o.Quiet, 5*time.Second)
	Default(&o.PongWithin, 10*time.Second)
	Default(&o.RetryFirst, 500*time.Millisecond)
	Default(&o.RetryMost, 30*time.Second)
	Default(&o.ResetAfter, 10*time.Second)
	Default(&o.LimitedWait, 60*time.Second)
	Default(&o.RefusedWait, 5*time.Minute)
	Default(&o.KeyEvery, time.Second)
	if o.Fold == nil {
		o.Fold = func(symbol string) string { return symbol }
	}
	if o.Draw == nil {
		o.Draw = func(bound time.Duration) time.Duration { return rand.N(bound + 1) }
	}
	if o.Now == nil {
		start := time.Now()
		base := start.UnixNano()
		o.Now = func() int64 { return base + int64(time.Since(start)) }
	}
	return Endpoint("endpoint", o.Endpoint, "wss", "ws")
}

// Default sets a field that is not set.
func Default[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Endpoint refuses what is no address of a vendor.
func Endpoint(field, text, secure, plain string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != secure && u.Scheme != plain || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%s %q: want %s://host[:port][/path]", field, text, secure)
	}
	return nil
}

// socket are those of a connection.
func (o *Options) socket() socket.Options {
	return socket.Options{Endpoint: o.Endpoint, Header: o.Header, QueueBytes: o.QueueBytes, FrameBytes: o.FrameBytes, DialWithin: o.DialWithin,
		WriteWithin: o.WriteWithin, PingEvery: o.PingEvery, Quiet: o.Quiet, PongWithin: o.PongWithin, Now: o.Now}
}
