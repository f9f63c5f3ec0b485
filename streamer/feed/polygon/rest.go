package polygon

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
	// pageTrades and pageBars are how many a page has at most; the vendor allows 50,000.
	pageTrades = 25_000
	pageBars   = 50_000
	// pageBytes bounds a page: a trade is about 250 bytes.
	pageBytes = 24 << 20
	// mostPages ends a walk that leads nowhere.
	mostPages = 10_000
	// delay is how old the newest is that a delayed plan has.
	delay = 15 * time.Minute
	// lateReports is for how long after it happened a trade may be reported and still be found by its time. (The rule for
	// reporting facilities is 10 s.)
	lateReports = 5 * time.Minute
	// clockSlack is how far a report's time may be before the trade's: clocks differ.
	clockSlack = time.Second
)

// newPages makes the client of REST.
func (s *Source) newPages() *pages.Client {
	o := &s.opts
	return pages.New(pages.Options{Base: o.RESTEndpoint, TLS: o.TLS, PerSecond: o.RequestsPerSecond, Burst: o.RequestBurst, Account: "polygon",
		Within: o.RequestWithin, Bytes: pageBytes, Clean: s.key.Clean, Authorize: func(r *http.Request) error {
			key, err := s.key.Key()
			if err == nil {
				r.Header.Set("Authorization", "Bearer "+key[0])
			}
			return err
		}})
}

// ticker is a symbol as REST has it: X:BTCUSD of BTC-USD.
func (s *Source) ticker(symbol string) string {
	name := s.topicName(symbol)
	if s.opts.Crypto {
		return "X:" + strings.ReplaceAll(name, "-", "")
	}
	return name
}

// Refill implements [feed.Refiller], by times: ids do not tell here how many trades there are. Trades come in the order in
// which they were reported. Trades that were cancelled are left out, and so is one that is reported more than five minutes
// after it happened.
func (s *Source) Refill(ctx context.Context, stretch feed.Stretch, fn func(*market.Entry) error) error {
	if stretch.ToNs <= stretch.FromNs || stretch.FromNs <= 0 {
		return fmt.Errorf("polygon: refilling %s: %w: want a stretch of time, the ids here do not say what lies between them", stretch.Symbol.Name, feed.ErrUnrepairable)
	}
	var ofFn error
	err := s.trades(ctx, stretch, func(e *market.Entry) error {
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
	return fmt.Errorf("polygon: refilling %s: %w", stretch.Symbol.Name, err)
}

func (s *Source) trades(ctx context.Context, stretch feed.Stretch, fn func(*market.Entry) error) error {
	q := url.Values{"timestamp.gte": {strconv.FormatInt(stretch.FromNs-int64(clockSlack), 10)}, "timestamp.lt": {strconv.FormatInt(stretch.ToNs+int64(lateReports), 10)},
		"order": {"asc"}, "sort": {"timestamp"}, "limit": {strconv.Itoa(pageTrades)}}
	p := page{crypto: s.opts.Crypto, reported: s.reportedOnly.Load()}
	return s.walk(ctx, "/v3/trades/"+url.PathEscape(s.ticker(stretch.Symbol.Name))+"?"+q.Encode(), &p, stretch.ToNs, func() error {
		e, err := p.trade()
		if err != nil || e == nil || e.Time < stretch.FromNs || e.Time >= stretch.ToNs {
			return err
		}
		e.Symbol = stretch.Symbol.Number
		return fn(e)
	})
}

// Records returns the vendor's bars of minutes in [fromMs, toMs), oldest first. It is what history asks for beyond the log.
func (s *Source) Records(ctx context.Context, symbol string, fromMs, toMs int64) (records []market.Record, err error) {
	q := url.Values{"adjusted": {"false"}, "sort": {"asc"}, "limit": {strconv.Itoa(pageBars)}}
	p := page{crypto: s.opts.Crypto}
	path := fmt.Sprintf("/v2/aggs/ticker/%s/range/1/minute/%d/%d?%s", url.PathEscape(s.ticker(symbol)), fromMs, toMs-1, q.Encode())
	err = s.walk(ctx, path, &p, 0, func() error {
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
		return nil, fmt.Errorf("polygon: bars of %s: %w", symbol, err)
	}
	return records, nil
}

// walk calls each with every result of a page and of those that it leads on to. toNs is up to when all is wanted, Unix ns: if
// the vendor's clock, as far as the plan may see, has not passed it, more may come, and that is an error; 0: it is not looked at.
func (s *Source) walk(ctx context.Context, path string, p *page, toNs int64, each func() error) error {
	for n := 0; ; n++ {
		if n > mostPages {
			return s.pages.Bad(path, errors.New("the pages do not end"))
		}
		if err := s.pages.Get(ctx, path, &p.Page); err != nil {
			return err
		}
		err := p.parse(each)
		if err == nil && n == 0 && toNs > 0 {
			err = s.passed(p, toNs)
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
		if path, err = pages.Next(p.next); err != nil {
			return s.pages.Bad(path, err)
		}
	}
}

// passed makes sure that the vendor's clock has passed a time by so much that its REST side has all of it.
func (s *Source) passed(p *page, toNs int64) error {
	clock := p.Date.UnixNano() - int64(s.opts.Settle)
	if p.delayed {
		clock -= int64(delay)
	}
	if missing := toNs - clock; missing > 0 {
		return &feed.RetryError{After: min(time.Duration(missing), time.Hour) + time.Second,
			Err: fmt.Errorf("the stretch ends at %d ns and the vendor has what was before %d ns: trades may still come", toNs, clock)}
	}
	return nil
}

// page is one answer of REST.
type page struct {
	pages.Page
	crypto   bool
	reported bool // trades have the time of their report: so has the WebSocket

	next    string
	delayed bool // the plan sees the past alone

	scan   scan.Scanner
	values [restKeys]scan.Token
	entry  market.Entry
}

// The values of a result, by key.
const (
	rConditions = iota
	rCorrection
	rExchange
	rID
	rParticipant
	rPrice
	rSequence
	rSIP
	rSize
	rExact
	rFacility
	rTime
	rOpen
	rHigh
	rLow
	rClose
	rVolume
	rVWAP
	rCount
	restKeys
)

var restNames = map[string]int{"conditions": rConditions, "correction": rCorrection, "exchange": rExchange, "id": rID, "participant_timestamp": rParticipant, "price": rPrice,
	"sequence_number": rSequence, "sip_timestamp": rSIP, "size": rSize, "decimal_size": rExact, "trf_id": rFacility,
	"t": rTime, "o": rOpen, "h": rHigh, "l": rLow, "c": rClose, "v": rVolume, "vw": rVWAP, "n": rCount}

// parse reads the body, and calls each with every result's values in p.
func (p *page) parse(each func() error) error {
	s := &p.scan
	s.Reset(p.Body)
	p.next, p.delayed = "", false
	var state, words scan.Token
	more, err := s.Open('{')
	for more && err == nil {
		var name []byte
		if name, err = s.Key(); err != nil {
			break
		}
		var next scan.Token
		switch string(name) {
		case "results":
			if s.Peek() == '[' {
				err = p.results(each)
			} else {
				err = s.Skip()
			}
		case "status":
			err = s.Value(&state)
		case "error", "message":
			err = s.Value(&words)
		case "next_url":
			if err = s.Value(&next); err == nil && next.Kind() == scan.String {
				p.next = string(next.Text())
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
	if err != nil {
		return err
	}
	switch string(state.Text()) {
	case "OK":
	case "DELAYED":
		p.delayed = true
	default:
		return fmt.Errorf("its status is %s: %s", shown(state.Text()), shown(words.Text()))
	}
	return nil
}

func (p *page) results(each func() error) error {
	s := &p.scan
	more, err := s.Open('[')
	for more && err == nil {
		clear(p.values[:])
		var member bool
		member, err = s.Open('{')
		for member && err == nil {
			var name []byte
			if name, err = s.Key(); err != nil {
				return err
			}
			if k, ok := restNames[string(name)]; ok {
				err = s.Value(&p.values[k])
			} else {
				err = s.Skip()
			}
			if err == nil {
				member, err = s.More('{')
			}
		}
		if err == nil {
			err = each()
		}
		if err == nil {
			more, err = s.More('[')
		}
	}
	return err
}

// errField says that a field of a result can't be read.
type errField string

func (e errField) Error() string { return "its " + string(e) + " can't be read" }

// trade reads a trade, as the WebSocket would have said it: in whole milliseconds. It returns nil for one that does not count:
// of nothing, for nothing, or taken back. (What correction means is not documented; these are the numbers of the SIPs' files:
// 0 to 2 stand, from 7 on they are errors, cancels and records of them.)
func (p *page) trade() (*market.Entry, error) {
	v, e := &p.values, &p.entry
	*e = market.Entry{Kind: market.Trade}
	if !v[rCorrection].Null() {
		n, ok := v[rCorrection].Uint()
		if !ok {
			return nil, errField("correction")
		}
		if n > 2 {
			return nil, nil
		}
	}
	var ok bool
	if e.Price, ok = v[rPrice].Decimal(); !ok || e.Price.Coef < 0 {
		return nil, errField("price")
	}
	size, name := &v[rSize], "size"
	if !v[rExact].Null() {
		size, name = &v[rExact], "decimal_size"
	}
	if e.Size, ok = size.Decimal(); !ok || e.Size.Coef < 0 {
		return nil, errField(name)
	}
	at := &v[rParticipant]
	if p.reported && !p.crypto || at.Null() {
		at = &v[rSIP]
	}
	if e.Time, ok = unix(at); !ok {
		return nil, errField("time")
	}
	e.Time -= e.Time % 1e6
	set, ok := conditions(&v[rConditions])
	if !ok {
		return nil, errField("conditions")
	}
	if p.crypto {
		e.ID = identify(v[rExchange].Text(), v[rID].Text(), nil)
		e.Order = e.ID
		if n, ok := scan.Uint(v[rID].Text()); ok {
			e.Order = n
		}
		e.Side = takers(set)
	} else {
		if e.Conditions = set; !v[rSequence].Null() {
			if e.ID, ok = v[rSequence].Uint(); !ok {
				return nil, errField("sequence_number")
			}
		}
		if e.ID == 0 {
			e.ID = identify(v[rExchange].Text(), v[rID].Text(), v[rFacility].Text())
		}
		e.Order = e.ID
	}
	if e.Price.Coef == 0 || e.Size.Coef == 0 {
		return nil, nil
	}
	return e, nil
}

// bar reads a bar.
func (p *page) bar() (b scan.Bar, err error) {
	v := &p.values
	n, ok := v[rTime].Uint()
	if !ok || n > uint64(feed.MaxTime)/1e6 {
		return b, errField("t")
	}
	b.StartMs = int64(n)
	for _, f := range [...]struct {
		to   *market.Decimal
		key  int
		name string
	}{{&b.Open, rOpen, "o"}, {&b.High, rHigh, "h"}, {&b.Low, rLow, "l"}, {&b.Close, rClose, "c"}, {&b.Volume, rVolume, "v"}} {
		if *f.to, ok = v[f.key].Decimal(); !ok || f.to.Coef < 0 {
			return b, errField(f.name)
		}
	}
	if !v[rVWAP].Null() { // a bar without it is a bar
		b.VWAP, _ = v[rVWAP].Decimal()
	}
	if !v[rCount].Null() {
		if n, ok = v[rCount].Uint(); !ok || n > 1<<62 {
			return b, errField("n")
		}
		b.N = int64(n)
	}
	return b, nil
}
