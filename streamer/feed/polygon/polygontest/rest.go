package polygontest

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/marketstream/marketstream/streamer/feed/vendortest"
	"github.com/marketstream/marketstream/streamer/market"
)

// REST implements [vendortest.Script].
func (s script) REST(w http.ResponseWriter, r *http.Request) {
	v := s.v
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Date", v.Now().UTC().Format(http.TimeFormat))
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if key == "" {
		key = r.URL.Query().Get("apiKey")
	}
	v.mu.Lock()
	right := key == v.key
	v.mu.Unlock()
	if !right {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"status":"ERROR","request_id":"1","error":"Unknown API Key"}`))
		return
	}
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case len(path) == 3 && path[0] == "v3" && path[1] == "trades":
		v.serveTrades(w, r, path[2])
	case len(path) == 9 && path[0] == "v2" && path[1] == "aggs" && path[2] == "ticker" && path[4] == "range":
		v.serveBars(w, r, path[3], path[5:])
	default:
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"status":"NOT_FOUND","request_id":"1","message":"Data not found."}`))
	}
}

// symbol is a ticker without the prefix that REST has for crypto: X:BTCUSD is BTC-USD.
func (v *Vendor) symbol(ticker string) string {
	if pair, ok := strings.CutPrefix(ticker, "X:"); ok {
		for _, s := range v.Symbols() {
			if strings.ReplaceAll(s, "-", "") == pair {
				return s
			}
		}
	}
	return ticker
}

// bound reads a time of a query: a date, or Unix ns.
func bound(text string, otherwise int64) (int64, error) {
	if text == "" {
		return otherwise, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	at, err := time.Parse(time.DateOnly, text)
	return at.UnixNano(), err
}

// serveTrades serves a page of trades. A cursor is the place by time and sequence number, so pages go on where they were
// though trades are made meanwhile.
func (v *Vendor) serveTrades(w http.ResponseWriter, r *http.Request, ticker string) {
	q := r.URL.Query()
	if c := q.Get("cursor"); c != "" {
		text, err := base64.RawURLEncoding.DecodeString(c)
		if err == nil {
			q, err = url.ParseQuery(string(text))
		}
		if err != nil {
			badRequest(w, "cursor")
			return
		}
	}
	from, err1 := bound(q.Get("timestamp.gte"), 0)
	to, err2 := bound(q.Get("timestamp.lt"), math.MaxInt64)
	limit, err3 := strconv.Atoi(q.Get("limit"))
	if q.Get("limit") == "" {
		limit, err3 = 1000, nil
	}
	if err1 != nil || err2 != nil || err3 != nil || limit < 1 || limit > 50_000 || q.Get("order") != "asc" {
		badRequest(w, "timestamp, limit or order")
		return
	}
	after, _ := strconv.ParseUint(q.Get("after"), 10, 64)
	limit = min(limit, v.opts.PageTrades)
	var page []vendortest.Trade
	next := ""
	for _, t := range v.Trades(v.symbol(ticker), from, to) {
		if t.SentNs == from && t.Seq <= after {
			continue
		}
		if len(page) == limit {
			last := &page[limit-1]
			q.Set("timestamp.gte", strconv.FormatInt(last.SentNs, 10))
			q.Set("after", strconv.FormatUint(last.Seq, 10))
			next = fmt.Sprintf("%s/v3/trades/%s?cursor=%s", v.RESTURL(), ticker, base64.RawURLEncoding.EncodeToString([]byte(q.Encode())))
			break
		}
		page = append(page, t)
	}
	if r.Header.Get(vendortest.EmptyPage) != "" {
		page, next = nil, ""
	}
	b := []byte(`{"status":"OK","request_id":"1"`)
	if len(page) > 0 {
		b = append(b, `,"results":[`...)
		for i := range page {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, v.result(&page[i])...)
		}
		b = append(b, ']')
	}
	if next != "" {
		b = fmt.Appendf(b, `,"next_url":%q`, next)
	}
	_, _ = w.Write(append(b, '}'))
}

// result is a trade as REST has it.
func (v *Vendor) result(t *vendortest.Trade) string {
	if v.opts.Crypto {
		return fmt.Sprintf(`{"conditions":[%d],"exchange":%d,"id":"%d","participant_timestamp":%d,"price":%s,"size":%s}`, 1+t.ID%2, t.Exchange, t.ID, t.TimeNs, t.Price, t.Size)
	}
	b := `{`
	if len(t.Conditions) > 0 {
		b += `"conditions":` + ids(t.Conditions) + ","
	}
	if t.Gone {
		b += `"correction":8,`
	}
	b += fmt.Sprintf(`"exchange":%d,"id":"%d","participant_timestamp":%d,"price":%s,"sequence_number":%d,"sip_timestamp":%d,"size":%d,"decimal_size":"%s","tape":3`,
		t.Exchange, t.ID, t.TimeNs, t.Price, t.Seq, t.SentNs, whole(t.Size), t.Size)
	if t.Facility > 0 {
		b += fmt.Sprintf(`,"trf_id":%d,"trf_timestamp":%d`, t.Facility, t.SentNs)
	}
	return b + "}"
}

func badRequest(w http.ResponseWriter, what string) {
	w.WriteHeader(http.StatusBadRequest)
	_, _ = fmt.Fprintf(w, `{"status":"ERROR","request_id":"1","error":"invalid %s"}`, what)
}

// serveBars serves bars of minutes or days (UTC), made of the trades that are not gone, whatever their conditions.
func (v *Vendor) serveBars(w http.ResponseWriter, r *http.Request, ticker string, what []string) {
	length := map[string]int64{"minute": 60e9, "day": 86400e9}[what[1]]
	ms := func(text string) (int64, error) {
		n, err := bound(text, 0)
		if err == nil && n < 1e15 && !strings.Contains(text, "-") {
			n *= 1e6
		}
		return n, err
	}
	from, err1 := ms(what[2])
	to, err2 := ms(what[3])
	if c := r.URL.Query().Get("cursor"); c != "" {
		from, err1 = strconv.ParseInt(c, 10, 64)
	}
	limit, err3 := strconv.Atoi(r.URL.Query().Get("limit"))
	if err1 != nil || err2 != nil || err3 != nil || length == 0 || what[0] != "1" || limit < 1 || limit > 50_000 {
		badRequest(w, "range")
		return
	}
	limit = min(limit, v.opts.PageTrades)
	type bar struct {
		start, volume, n       int64
		open, high, low, close market.Decimal
	}
	var bars []*bar
	for _, t := range v.Trades(v.symbol(ticker), from-from%length, to+1) {
		if t.Gone {
			continue
		}
		start := t.SentNs - t.SentNs%length
		if len(bars) == 0 || bars[len(bars)-1].start != start {
			bars = append(bars, &bar{start: start, open: t.Price, high: t.Price, low: t.Price})
		}
		b := bars[len(bars)-1]
		coef, _ := t.Size.Rescale(volumeScale)
		b.volume, b.close, b.n = b.volume+coef, t.Price, b.n+1
		at := func(d market.Decimal) int64 { c, _ := d.Rescale(8); return c }
		if at(t.Price) > at(b.high) {
			b.high = t.Price
		}
		if at(t.Price) < at(b.low) {
			b.low = t.Price
		}
	}
	next := ""
	if len(bars) > limit {
		next = fmt.Sprintf(`,"next_url":"%s%s?limit=%d&cursor=%d"`, v.RESTURL(), r.URL.Path, limit, bars[limit].start)
		bars = bars[:limit]
	}
	if r.Header.Get(vendortest.EmptyPage) != "" {
		bars, next = nil, ""
	}
	b := fmt.Appendf(nil, `{"ticker":%q,"queryCount":1,"resultsCount":%d,"adjusted":false,"status":"OK","request_id":"1"`, ticker, len(bars))
	if len(bars) > 0 {
		b = append(b, `,"results":[`...)
		for i, x := range bars {
			if i > 0 {
				b = append(b, ',')
			}
			b = fmt.Appendf(b, `{"v":%s,"vw":1,"o":%s,"c":%s,"h":%s,"l":%s,"t":%d,"n":%d}`, market.AppendDecimal(nil, x.volume, volumeScale), x.open, x.close, x.high, x.low, x.start/1e6, x.n)
		}
		b = append(b, ']')
	}
	_, _ = w.Write(append(append(b, next...), '}'))
}
