package alpacatest

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
	v.mu.Lock()
	right, forbidden := r.Header.Get("APCA-API-KEY-ID") == v.keyID && r.Header.Get("APCA-API-SECRET-KEY") == v.secret, v.forbidden
	v.mu.Unlock()
	switch {
	case !right && !v.opts.Crypto:
		say(w, http.StatusForbidden, "forbidden.")
		return
	case forbidden:
		say(w, http.StatusForbidden, "subscription does not permit querying recent SIP data")
		return
	}
	prefix := "/v2/stocks/"
	if v.opts.Crypto {
		prefix = "/v1beta3/crypto/us/"
	}
	switch r.URL.Path {
	case prefix + "trades":
		v.serve(w, r, "trades")
	case prefix + "bars":
		v.serve(w, r, "bars")
	default:
		say(w, http.StatusNotFound, "endpoint not found.")
	}
}

func say(w http.ResponseWriter, status int, message string) {
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"message":%q}`, message)
}

// serve serves a page of one symbol's trades or bars of minutes. A token is the place by time and id.
func (v *Vendor) serve(w http.ResponseWriter, r *http.Request, what string) {
	q := r.URL.Query()
	symbol := q.Get("symbols")
	limit := 1000
	var err error
	if text := q.Get("limit"); text != "" {
		limit, err = strconv.Atoi(text)
	}
	from, to := int64(0), int64(math.MaxInt64)
	for name, at := range map[string]*int64{"start": &from, "end": &to} {
		if text := q.Get(name); text != "" {
			t, bad := time.Parse(time.RFC3339Nano, text)
			if bad != nil {
				err = bad
			}
			*at = t.UnixNano()
		}
	}
	after := uint64(0)
	if text := q.Get("page_token"); text != "" {
		raw, bad := base64.RawURLEncoding.DecodeString(text)
		t, bad2 := url.ParseQuery(string(raw))
		if bad != nil || bad2 != nil {
			say(w, http.StatusBadRequest, "invalid page_token")
			return
		}
		from, _ = strconv.ParseInt(t.Get("from"), 10, 64)
		after, _ = strconv.ParseUint(t.Get("after"), 10, 64)
	}
	if err != nil || limit < 1 || limit > 10_000 || symbol == "" || q.Get("sort") == "desc" {
		say(w, http.StatusBadRequest, "invalid limit, start, end or symbols")
		return
	}
	limit = min(limit, v.opts.PageTrades)
	var items []string
	token := "null"
	all := v.Trades(symbol, 0, math.MaxInt64)
	if what == "trades" {
		var last *vendortest.Trade
		for i := range all {
			t := &all[i]
			if t.TimeNs < from || t.TimeNs > to || t.TimeNs == from && t.ID <= after {
				continue
			}
			if len(items) == limit {
				token = strconv.Quote(base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "from=%d&after=%d", last.TimeNs, last.ID)))
				break
			}
			last = t
			update := ""
			if t.Gone {
				update = `,"u":"canceled"`
				for k := range all {
					if all[k].Instead == t.ID {
						update = `,"u":"incorrect"`
					}
				}
			} else if t.Instead > 0 {
				update = `,"u":"corrected"`
			}
			items = append(items, "{"+v.body(t)+update+"}")
		}
	} else {
		items, token = v.bars(all, from, to, limit)
	}
	if r.Header.Get(vendortest.EmptyPage) != "" {
		items, token = nil, "null"
	}
	body := "{}"
	if len(items) > 0 {
		body = fmt.Sprintf(`{%q:[%s]}`, symbol, strings.Join(items, ","))
	}
	_, _ = fmt.Fprintf(w, `{%q:%s,"next_page_token":%s}`, what, body, token)
}

// bars are the bars of minutes of the trades that are not gone, whatever their conditions.
func (v *Vendor) bars(all []vendortest.Trade, from, to int64, limit int) (items []string, token string) {
	token = "null"
	type bar struct {
		start, volume, n       int64
		open, high, low, close market.Decimal
	}
	var bars []*bar
	for _, t := range all {
		start := t.TimeNs - t.TimeNs%60e9
		if t.Gone || start < from || start > to {
			continue
		}
		if len(bars) == 0 || bars[len(bars)-1].start != start {
			bars = append(bars, &bar{start: start, open: t.Price, high: t.Price, low: t.Price})
		}
		b := bars[len(bars)-1]
		coef, _ := t.Size.Rescale(9)
		b.volume, b.close, b.n = b.volume+coef, t.Price, b.n+1
		at := func(d market.Decimal) int64 { c, _ := d.Rescale(8); return c }
		if at(t.Price) > at(b.high) {
			b.high = t.Price
		}
		if at(t.Price) < at(b.low) {
			b.low = t.Price
		}
	}
	if len(bars) > limit {
		token = strconv.Quote(base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "from=%d", bars[limit].start)))
		bars = bars[:limit]
	}
	for _, b := range bars {
		items = append(items, fmt.Sprintf(`{"t":%q,"o":%s,"h":%s,"l":%s,"c":%s,"v":%s,"n":%d,"vw":1}`, stamp(b.start), b.open, b.high, b.low, b.close, market.AppendDecimal(nil, b.volume, 9), b.n))
	}
	return items, token
}
