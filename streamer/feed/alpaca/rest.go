package alpaca

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/feed/pages"
	"github.com/marketstream/marketstream/streamer/feed/scan"
	"github.com/marketstream/marketstream/streamer/market"
)

const (
	// pageItems is how many trades or bars a page has at most.
	pageItems = 10_000
	// pageBytes bounds a page: a trade is about 130 bytes.
	pageBytes = 8 << 20
	// mostPages ends a walk that leads nowhere.
	mostPages = 10_000
)

// newPages makes the client of REST.
func (s *Source) newPages() *pages.Client {
	o := &s.opts
	return pages.New(pages.Options{Base: o.RESTEndpoint, TLS: o.TLS, PerSecond: o.RequestsPerSecond, Burst: o.RequestBurst, Account: "alpaca",
		Within: o.RequestWithin, Bytes: pageBytes, Clean: s.key.Clean, Authorize: func(r *http.Request) error {
			key, err := s.key.Key()
			if err == nil && len(key) == 2 {
				r.Header.Set("APCA-API-KEY-ID", key[0])
				r.Header.Set("APCA-API-SECRET-KEY", key[1])
			}
			return err
		}})
}

// Refill implements [feed.Refiller], by times: ids do not tell here how many trades there are. Trades that were cancelled or
// corrected are left out; what took their places is not.
func (s *Source) Refill(ctx context.Context, stretch feed.Stretch, fn func(*market.Entry) error) error {
	if stretch.ToNs <= stretch.FromNs || stretch.FromNs <= 0 {
		return fmt.Errorf("alpaca: refilling %s: %w: want a stretch of time, the ids here do not say what lies between them", stretch.Symbol.Name, feed.ErrUnrepairable)
	}
	var p page
	var ofFn error
	err := s.walk(ctx, "trades", stretch.Symbol.Name, stretch.FromNs, stretch.ToNs, url.Values{}, &p, true, func() error {
		e, err := p.trade()
		if err != nil || e == nil || e.Time < stretch.FromNs || e.Time >= stretch.ToNs {
			return err
		}
		e.Symbol = stretch.Symbol.Number
		ofFn = fn(e)
		return ofFn
	})
	switch {
	case err == nil:
		return nil
	case ofFn != nil:
		return ofFn
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("alpaca: refilling %s: %w", stretch.Symbol.Name, err)
}

// Records returns the vendor's bars of minutes in [fromMs, toMs), oldest first. It is what history asks for beyond the log.
func (s *Source) Records(ctx context.Context, symbol string, fromMs, toMs int64) (records []market.Record, err error) {
	var p page
	err = s.walk(ctx, "bars", symbol, fromMs*1e6, toMs*1e6, url.Values{"timeframe": {"1Min"}, "adjustment": {"raw"}}, &p, false, func() error {
		b, err := p.bar()
		if err != nil || b.StartMs < fromMs || b.StartMs >= toMs {
			return err
		}
		if r, ok := b.Record(s.opts.Session.OutsideRegular(b.StartMs)); ok {
			records = append(records, r)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("alpaca: bars of %s: %w", symbol, err)
	}
	return records, nil
}

// walk calls each with everything on the pages of a symbol's trades or bars in [from, to), Unix ns. whole: if the vendor's clock has
// not passed the end, more may come, and that is an error.
func (s *Source) walk(ctx context.Context, what, symbol string, from, to int64, q url.Values, p *page, whole bool, each func() error) error {
	base := "/v2/stocks/"
	switch s.opts.Feed {
	case Test:
		return fmt.Errorf("%w: the test feed has no REST side", feed.ErrUnrepairable)
	case Crypto:
		base = "/v1beta3/crypto/us/"
		q.Del("adjustment")
	default:
		q.Set("feed", strings.ToLower(string(s.opts.Feed)))
	}
	stamp := func(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }
	q.Set("symbols", s.name(symbol))
	q.Set("start", stamp(from))
	q.Set("end", stamp(to-1)) // the vendor's end is inclusive
	q.Set("limit", strconv.Itoa(pageItems))
	q.Set("sort", "asc")
	for n := 0; ; n++ {
		path := base + what + "?" + q.Encode()
		if n > mostPages {
			return s.pages.Bad(path, errors.New("the pages do not end"))
		}
		if err := s.pages.Get(ctx, path, &p.Page); err != nil {
			return err
		}
		err := p.parse(what, each)
		if err == nil && n == 0 && whole {
			err = s.passed(p, to)
		}
		if err != nil {
			var retry *feed.RetryError
			if errors.As(err, &retry) || errors.Is(err, feed.ErrUnrepairable) {
				return err
			}
			return s.key.Clean(s.pages.Bad(path, err))
		}
		if p.next == "" {
			return nil
		}
		if q.Get("page_token") == p.next {
			return s.pages.Bad(path, errors.New("a page leads on to itself"))
		}
		q.Set("page_token", p.next)
	}
}

// passed makes sure that the vendor's clock has passed a time by so much that its REST side has all of it.
func (s *Source) passed(p *page, to int64) error {
	clock := p.Date.UnixNano() - int64(s.opts.Settle)
	if missing := to - clock; missing > 0 {
		return &feed.RetryError{After: min(time.Duration(missing), time.Hour) + time.Second,
			Err: fmt.Errorf("the stretch ends at %d ns and the vendor has what was before %d ns: trades may still come", to, clock)}
	}
	return nil
}

// page is one answer of REST.
type page struct {
	pages.Page
	parser
	next string
}

// parse reads the body, and calls each with the values of everything under what, whatever its symbol: one was asked for.
func (p *page) parse(what string, each func() error) error {
	s := &p.scan
	s.Reset(p.Body)
	p.next = ""
	there := false
	var token scan.Token
	more, err := s.Open('{')
	for more && err == nil {
		var name []byte
		if name, err = s.Key(); err != nil {
			break
		}
		switch string(name) {
		case what:
			there = true
			err = p.bySymbol(each)
		case "next_page_token":
			if err = s.Value(&token); err == nil && token.Kind() == scan.String {
				p.next = string(token.Text())
			}
		default:
			err = s.Skip()
		}
		if err == nil {
			more, err = s.More('{')
		}
	}
	if err == nil {
		err = s.End()
	}
	if err == nil && !there {
		err = fmt.Errorf("it has no %s: %s", what, shown(p.Body))
	}
	return err
}

// bySymbol reads {"A":[…],…}, or […] of one symbol, or null.
func (p *page) bySymbol(each func() error) error {
	s := &p.scan
	switch s.Peek() {
	case '[':
		return p.items(each)
	case '{':
	default:
		return s.Skip()
	}
	more, err := s.Open('{')
	for more && err == nil {
		if _, err = s.Key(); err != nil {
			break
		}
		if s.Peek() == '[' {
			err = p.items(each)
		} else {
			err = s.Skip()
		}
		if err == nil {
			more, err = s.More('{')
		}
	}
	return err
}

func (p *page) items(each func() error) error {
	s := &p.scan
	more, err := s.Open('[')
	for more && err == nil {
		if err = p.object(); err == nil {
			err = each()
		}
		if err == nil {
			more, err = s.More('[')
		}
	}
	return err
}

// errField says that a field of a page can't be read.
type errField string

func (e errField) Error() string { return "its " + string(e) + " can't be read" }

// trade reads a trade as the WebSocket said it; nil: it does not count, because it was taken back or is none.
func (p *page) trade() (*market.Entry, error) {
	v, m := &p.values, &p.message
	*m = message{}
	switch string(v[kUpdate].Text()) {
	case "canceled", "cancelled", "incorrect":
		return nil, nil
	}
	var ok bool
	if m.sent, ok = v[kTime].Time(); !ok {
		return nil, errField("t")
	}
	if wrong := p.parser.trade(&m.entry, kID, kPrice, kSize, kConditions, "i", "p", "s", "c"); wrong != "" {
		return nil, errField(wrong)
	}
	if m.entry.Kind == 0 {
		return nil, nil
	}
	return &m.entry, nil
}

// bar reads a bar.
func (p *page) bar() (b scan.Bar, err error) {
	v := &p.values
	ns, ok := v[kTime].Time()
	if !ok {
		return b, errField("t")
	}
	b.StartMs = ns / 1e6
	for _, f := range [...]struct {
		to   *market.Decimal
		key  int
		name string
	}{{&b.Open, kOpen, "o"}, {&b.High, kHigh, "h"}, {&b.Low, kLow, "l"}, {&b.Close, kConditions, "c"}, {&b.Volume, kVolume, "v"}} {
		if *f.to, ok = v[f.key].Decimal(); !ok || f.to.Coef < 0 {
			return b, errField(f.name)
		}
	}
	if !v[kVWAP].Null() { // a bar without it is a bar
		b.VWAP, _ = v[kVWAP].Decimal()
	}
	if !v[kCount].Null() {
		n, ok := v[kCount].Uint()
		if !ok || n > 1<<62 {
			return b, errField("n")
		}
		b.N = int64(n)
	}
	return b, nil
}
