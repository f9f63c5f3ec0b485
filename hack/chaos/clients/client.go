// Package clients are browsers: EventSources that come back with the last id that they saw, some of
// them slow to read, and that write down what they got.
package clients

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketstream/marketstream/streamer/eventsource"
)

const (
	// DefaultRetry is the reconnection time where a stream names none.
	DefaultRetry = time.Second
	dialWithin   = 3 * time.Second
	headWithin   = 10 * time.Second
)

// Options are those of one client.
type Options struct {
	Name       string
	URL        string // of the balancer
	Symbols    []string
	Timeframes []string
	Query      url.Values // more
	Slow       bool       // it reads a few hundred bytes a second
	Persistent bool       // it comes back though its query is refused: what it asks for comes and goes
	// Lean keeps of each event its cursor and a hash, and no bars: for thousands of clients.
	Lean bool
	// TLS is for a URL that begins with https.
	TLS *tls.Config
	// LastID is what it comes with first, as a browser that was here before; "": nothing.
	LastID string
	// Pick returns the address of a pod and its name, to connect to directly; nil: URL is connected to.
	Pick func() (address, pod string)
	// Silence is after how long without a byte it gives a connection up, as the browser client does; three heartbeats.
	Silence time.Duration
	// Served says which pod a connection from a local address reached.
	Served func(local string) string
	// Wrong is told what is wrong with an event; from the client's goroutine.
	Wrong func(c *Client, what string)
	// Reset is told of resets.
	Reset func(c *Client, why string)
}

// Client is one EventSource.
type Client struct {
	Options
	*History
	symbols map[string]bool
	hurry   atomic.Bool // read as fast as it comes, though slow
	gaveUp  atomic.Pointer[string]
	visits  atomic.Int64
	running sync.WaitGroup
}

// Start starts a client that runs until ctx ends.
func Start(ctx context.Context, o Options) *Client {
	c := &Client{Options: o, History: newHistory(o.Lean, o.LastID), symbols: make(map[string]bool, len(o.Symbols))}
	for _, s := range o.Symbols {
		c.symbols[s] = true
	}
	c.running.Go(func() { c.run(ctx) })
	return c
}

// Wait waits until it has ended.
func (c *Client) Wait() { c.running.Wait() }

// Hurry makes a slow client a quick one.
func (c *Client) Hurry() { c.hurry.Store(true) }

// GaveUp says why it does not come back, "" if it does.
func (c *Client) GaveUp() string {
	if s := c.gaveUp.Load(); s != nil {
		return *s
	}
	return ""
}

// Visits is how often it connected.
func (c *Client) Visits() int64 { return c.visits.Load() }

func (c *Client) run(ctx context.Context) {
	last, retry := c.Options.LastID, DefaultRetry
	for ctx.Err() == nil {
		v := Visit{From: time.Now(), LastID: last}
		c.attempt()
		err := c.connect(ctx, &last, &retry, &v)
		v.To, v.End = time.Now(), fmt.Sprint(err)
		c.visits.Add(1)
		c.visit(v)
		var refused refusedError
		if errors.As(err, &refused) && !c.Persistent {
			why := refused.Error()
			c.gaveUp.Store(&why)
			c.Wrong(c, "an EventSource gives up at "+why)
			return
		}
		t := time.NewTimer(retry)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}

// refusedError is an answer at which an EventSource gives up.
type refusedError string

func (e refusedError) Error() string { return string(e) }

// connect reads one stream to its end.
func (c *Client) connect(ctx context.Context, last *string, retry *time.Duration, v *Visit) error {
	q := url.Values{"symbols": {strings.Join(c.Symbols, ",")}, "timeframe": {strings.Join(c.Timeframes, ",")}}
	for k, x := range c.Query {
		q[k] = x
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+"/stream/market?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	if *last != "" {
		req.Header.Set("Last-Event-ID", *last)
	}
	transport := &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: headWithin, TLSClientConfig: c.TLS,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return c.dial(ctx, network, addr, v)
		}}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		return refusedError(fmt.Sprintf("%s from %s: %s", res.Status, v.Pod, body))
	}
	in := eventsource.NewReader(res.Body, *last)
	for {
		e, err := in.Next()
		if r := in.Retry(); r > 0 {
			*retry = r
		}
		if err != nil {
			*last = in.LastID()
			return err
		}
		*last = e.ID
		if e.Type == "bootstrap" {
			v.Began = true
		}
		wrong := c.take(&e, v.Pod)
		if e.Type == "reset" {
			c.Reset(c, e.Data)
		}
		if wrong != "" {
			c.Wrong(c, wrong)
		}
	}
}

func (c *Client) dial(ctx context.Context, network, addr string, v *Visit) (net.Conn, error) {
	if c.Pick != nil {
		if addr, v.Pod = c.Pick(); addr == "" {
			return nil, errors.New("no pod is ready")
		}
	}
	raw, err := (&net.Dialer{Timeout: dialWithin}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if tcp, ok := raw.(*net.TCPConn); ok && c.Slow {
		_ = tcp.SetReadBuffer(4 << 10)
	}
	return &conn{Conn: raw, client: c, visit: v}, nil
}

const (
	slowPiece = 512
	slowPause = 400 * time.Millisecond
)

// conn reads slowly for a slow client, and gives up what says nothing for too long.
type conn struct {
	net.Conn
	client *Client
	visit  *Visit
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if c.client.Slow && !c.client.hurry.Load() {
		time.Sleep(slowPause)
		p = p[:min(len(p), slowPiece)]
	}
	if err := c.SetReadDeadline(time.Now().Add(c.client.Silence)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	if c.visit.Pod == "" {
		c.visit.Pod = c.client.Served(c.LocalAddr().String())
	}
	return n, err
}

// Wants reports whether its query names a symbol and the timeframe of bar; nil: a gap.
func (c *Client) Wants(symbol string, bar *Bar) bool {
	return c.symbols[symbol] && (bar == nil || slices.Contains(c.Timeframes, bar.Timeframe))
}
