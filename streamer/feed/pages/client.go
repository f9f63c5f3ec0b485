package pages

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/feed/socket"
)

const (
	// waitAsked is the wait after a 429 that does not say how long.
	waitAsked = 15 * time.Second
	// waitFailed is the wait after a failure of the vendor or the way to it.
	waitFailed = 2 * time.Second
	// waitForbidden is the wait after an answer that a moment does not mend: 401, 403.
	waitForbidden = time.Minute
	// waitMost bounds what a vendor may ask for.
	waitMost = time.Hour
)

// Options say how a vendor is asked.
type Options struct {
	Base      string      // https://host[/path], without a / at its end
	TLS       *tls.Config // the system's roots
	PerSecond float64     // requests, over the process for Base and Account
	Burst     int
	Account   string        // tells accounts apart that ask one host; it is no key
	Within    time.Duration // one page
	Bytes     int           // that a page may have
	// Authorize puts the key into the headers of a request.
	Authorize func(*http.Request) error
	// Clean takes the key out of an error, should the vendor have said it again.
	Clean func(error) error
}

// Client asks one vendor. Its methods may be called at the same time.
type Client struct {
	opts   Options
	client *http.Client
	pace   *pace
}

// pace is what all clients of the process share that ask one host for one account.
type pace struct {
	limiter *rate.Limiter
	mu      sync.Mutex
	until   time.Time // the vendor asked for quiet until then
}

type paceKey struct {
	base, account string
	perSec        float64
	burst         int
}

// paces holds one for each account that was ever configured in this process.
var paces sync.Map // paceKey → *pace

// New makes a client.
func New(opts Options) *Client {
	opts.Base = strings.TrimRight(opts.Base, "/")
	p, _ := paces.LoadOrStore(paceKey{opts.Base, opts.Account, opts.PerSecond, opts.Burst}, &pace{limiter: rate.NewLimiter(rate.Limit(opts.PerSecond), opts.Burst)})
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     opts.TLS,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     time.Minute,
	}
	return &Client{opts: opts, pace: p.(*pace), client: &http.Client{Transport: transport, Timeout: opts.Within,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Close lets go of idle connections.
func (c *Client) Close() { c.client.CloseIdleConnections() }

// Page is an answer. Its zero value is ready for use, again and again.
type Page struct {
	Body []byte
	Date time.Time // the vendor's clock when it answered; ours if it did not say
}

// Get asks for a path, with its query, and overwrites p.
func (c *Client) Get(ctx context.Context, path string, p *Page) error {
	err := c.get(ctx, path, p)
	if err != nil && c.opts.Clean != nil {
		return c.opts.Clean(err)
	}
	return err
}

func (c *Client) get(ctx context.Context, path string, p *Page) error {
	if err := c.pace.wait(ctx); err != nil {
		return err
	}
	where := c.opts.Base + path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", feed.ErrUnrepairable, err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "marketstream")
	if err := c.opts.Authorize(req); err != nil {
		return &feed.RetryError{After: waitForbidden, Err: err}
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return failed(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	var bad error
	if p.Date, bad = http.ParseTime(resp.Header.Get("Date")); bad != nil {
		p.Date = time.Now()
	}
	if p.Body, err = readAll(resp.Body, p.Body[:0], c.opts.Bytes); err != nil {
		return failed(ctx, fmt.Errorf("GET %s: %w", where, err))
	}
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return c.status(where, resp, p.Body)
}

// Bad is a page that can't be read: the vendor may do better next time.
func (c *Client) Bad(path string, err error) error {
	return &feed.RetryError{After: waitFailed, Err: fmt.Errorf("GET %s%s: %w", c.opts.Base, path, err)}
}

// Next is the path of the page that a link leads to, without what a vendor may have put a key into. A link to another host
// leads to the same path here.
func Next(link string) (path string, err error) {
	u, err := url.Parse(link)
	if err != nil || u.Path == "" {
		return "", errors.New("the link to the next page can't be read")
	}
	q := u.Query()
	for name := range q {
		if strings.Contains(strings.ToLower(name), "key") {
			q.Del(name)
		}
	}
	return u.EscapedPath() + "?" + q.Encode(), nil
}

// wait waits for a turn. While the vendor wants quiet it returns a RetryError.
func (p *pace) wait(ctx context.Context) error {
	p.mu.Lock()
	quiet := time.Until(p.until)
	p.mu.Unlock()
	if quiet > 0 {
		return &feed.RetryError{After: quiet, Err: errors.New("the vendor asked for fewer requests")}
	}
	if err := p.limiter.Wait(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &feed.RetryError{After: waitFailed, Err: fmt.Errorf("waiting for a turn: %w", err)} // the deadline comes first
	}
	return nil
}

func (p *pace) hush(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := time.Now().Add(d); at.After(p.until) {
		p.until = at
	}
}

// failed is an error on the way to the vendor: ask again, unless the caller has gone.
func failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &feed.RetryError{After: waitFailed, Err: err}
}

// status turns an answer that is none into an error.
func (c *Client) status(where string, resp *http.Response, body []byte) error {
	err := fmt.Errorf("GET %s: %s", where, resp.Status)
	if text := socket.OneLine(body); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	after := retryAfter(resp.Header, time.Now())
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests:
		if after == 0 {
			after = waitAsked
		}
		c.pace.hush(after)
	case code == http.StatusBadRequest || code == http.StatusNotFound || code == http.StatusGone || code == http.StatusUnprocessableEntity:
		return fmt.Errorf("%w: %w", feed.ErrUnrepairable, err)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		after = max(after, waitForbidden)
	default:
		after = max(after, waitFailed)
	}
	return &feed.RetryError{After: after, Err: err}
}

// retryAfter is how long a vendor wants one to wait: in seconds or by a date, or, of a limit, by the second of its end.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if s, err := strconv.Atoi(text); err == nil && s >= 0 {
		return min(time.Duration(s)*time.Second, waitMost)
	}
	at, err := http.ParseTime(text)
	if err != nil {
		s, bad := strconv.ParseInt(h.Get("X-Ratelimit-Reset"), 10, 64)
		if bad != nil {
			return 0
		}
		at = time.Unix(s, 0).Add(time.Second)
	}
	return min(max(at.Sub(now), 0), waitMost)
}

// readAll reads at most bytes into buf.
func readAll(r io.Reader, buf []byte, bytes int) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if len(buf) > bytes {
			return buf, fmt.Errorf("the answer is longer than %d bytes", bytes)
		}
		if err == io.EOF { //nolint:errorlint // what wraps it is a body that was cut off
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}
