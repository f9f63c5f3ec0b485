package coinbase

import (
	"context"
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
	"github.com/marketstream/marketstream/streamer/market"
)

const (
	// pageTrades is how many trades a page has at most.
	pageTrades = 1000
	// pageBytes bounds a page: a trade is about 150 bytes.
	pageBytes = 2 << 20
	// waitAsked is the wait after a 429 that does not say how long.
	waitAsked = 2 * time.Second
	// waitFailed is the wait after a failure of the vendor or the way to it.
	waitFailed = 2 * time.Second
	// waitForbidden is the wait after an answer that a moment does not mend: 401, 403.
	waitForbidden = time.Minute
)

// rest asks for pages of trades.
type rest struct {
	base   string
	opts   Options
	client *http.Client
	pace   *pace
}

// pace is what all sources of the process that ask one endpoint share.
type pace struct {
	limiter *rate.Limiter
	mu      sync.Mutex
	until   time.Time // the vendor asked for quiet until then
}

type paceKey struct {
	base   string
	perSec float64
	burst  int
}

// paces holds one for each endpoint that was ever configured in this process.
var paces sync.Map // paceKey → *pace

func newREST(opts Options) *rest {
	p, _ := paces.LoadOrStore(paceKey{opts.RESTEndpoint, opts.RequestsPerSecond, opts.RequestBurst},
		&pace{limiter: rate.NewLimiter(rate.Limit(opts.RequestsPerSecond), opts.RequestBurst)})
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     opts.TLS,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     time.Minute,
	}
	return &rest{base: opts.RESTEndpoint, opts: opts, client: &http.Client{Transport: transport, Timeout: opts.RequestWithin}, pace: p.(*pace)}
}

// wait waits for a turn. While the vendor wants quiet, for longer than one would wait here,
// it returns a RetryError.
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

// page is one answer.
type page struct {
	trades []market.Entry // newest first, as the vendor has them
	// date is the vendor's clock when it answered; zero if it did not say.
	date  time.Time
	body  []byte
	frame frame
}

// get fetches the newest trades below id after (0: the newest of all), at most limit. p is
// overwritten and may be used again.
func (r *rest) get(ctx context.Context, product feed.Symbol, after uint64, limit int, p *page) error {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if after > 0 {
		q.Set("after", strconv.FormatUint(after, 10))
	}
	where := r.base + "/products/" + url.PathEscape(strings.ToUpper(product.Name)) + "/trades?" + q.Encode()
	if err := r.pace.wait(ctx); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "marketstream") // the vendor refuses requests without one
	resp, err := r.client.Do(req)
	if err != nil {
		return r.failed(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	p.date, _ = http.ParseTime(resp.Header.Get("Date"))
	if p.body, err = readAll(resp.Body, p.body[:0]); err != nil {
		return r.failed(ctx, fmt.Errorf("GET %s: %w", where, err))
	}
	if resp.StatusCode != http.StatusOK {
		return r.status(where, resp, p.body)
	}
	if err := p.parse(product.Number); err != nil {
		return &feed.RetryError{After: waitFailed, Err: fmt.Errorf("GET %s: %w", where, err)}
	}
	if len(p.trades) > limit {
		return &feed.RetryError{After: waitFailed, Err: fmt.Errorf("GET %s: a page of %d trades, want at most %d", where, len(p.trades), limit)}
	}
	return nil
}

// failed is an error on the way to the vendor: ask again, unless the caller has gone.
func (r *rest) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &feed.RetryError{After: waitFailed, Err: err}
}

// status turns an answer that is none into an error.
func (r *rest) status(where string, resp *http.Response, body []byte) error {
	err := fmt.Errorf("GET %s: %s", where, resp.Status)
	if text := socket.OneLine(body); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	after := socket.RetryAfter(resp.Header, time.Now())
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests:
		if after == 0 {
			after = waitAsked
		}
		r.pace.hush(after)
	case code == http.StatusBadRequest || code == http.StatusNotFound || code == http.StatusGone:
		return fmt.Errorf("%w: %w", feed.ErrUnrepairable, err)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		after = max(after, waitForbidden)
	default:
		after = max(after, waitFailed)
	}
	return &feed.RetryError{After: after, Err: err}
}

// readAll reads at most pageBytes into buf.
func readAll(r io.Reader, buf []byte) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if len(buf) > pageBytes {
			return buf, fmt.Errorf("the answer is longer than %d bytes", pageBytes)
		}
		if err == io.EOF { //nolint:errorlint // what wraps it is a body that was cut off
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}

// parse reads the body of a page.
func (p *page) parse(symbol uint32) error {
	p.trades = p.trades[:0]
	s := scanner{b: p.body}
	err := s.array(func() error {
		from := s.i
		if err := s.object(&p.frame.fields); err != nil {
			return err
		}
		if field := p.frame.trade(); field != "" {
			return fmt.Errorf("%s: %s is missing or no %s", shown(s.b[from:s.i]), field, wanted(field))
		}
		p.trades = append(p.trades, market.Entry{})
		p.frame.entry(&p.trades[len(p.trades)-1], symbol)
		return nil
	})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return fmt.Errorf("a page of trades: %w", err)
	}
	return nil
}
