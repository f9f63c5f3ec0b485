package coinbasetest

import (
	"net/http"
	"strconv"
	"time"

	"github.com/marketstream/marketstream/streamer/market"
)

// maxPage is how many trades a page has at most.
const maxPage = 1000

func (v *Vendor) restHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /products/{id}/trades", v.servePage)
	mux.HandleFunc("/control/", v.control)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusNotFound, "Route not found") })
	return mux
}

// say answers as Coinbase does where there is no page.
func say(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`{"message":` + strconv.Quote(message) + `}`))
}

// servePage serves a page of trades, newest first.
func (v *Vendor) servePage(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	v.stats.Requests++
	f, faulty := v.rest, v.rest != RESTFault{}
	if faulty {
		v.stats.Faulty++
		if v.rest.Times == 1 {
			v.rest = RESTFault{}
		} else if v.rest.Times > 1 {
			v.rest.Times--
		}
	}
	throttled := !v.limiter.Allow()
	if throttled {
		v.stats.Throttled++
	}
	v.mu.Unlock()

	if f.Delay > 0 {
		t := time.NewTimer(f.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.Context().Done():
			return
		case <-v.stop:
			return
		}
	}
	if f.Status != 0 {
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int((f.RetryAfter+time.Second-1)/time.Second)))
		}
		say(w, f.Status, http.StatusText(f.Status))
		return
	}
	if throttled {
		say(w, http.StatusTooManyRequests, "Public rate limit exceeded")
		return
	}
	limit, after, before := maxPage, uint64(0), uint64(0)
	for name, field := range map[string]any{"limit": &limit, "after": &after, "before": &before} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			say(w, http.StatusBadRequest, "Invalid "+name)
			return
		}
		switch p := field.(type) {
		case *int:
			*p = min(max(int(n), 1), maxPage)
		case *uint64:
			*p = n
		}
	}
	body, first, last, ok := v.page(r.PathValue("id"), limit, after, before, f)
	if !ok {
		say(w, http.StatusNotFound, "NotFound")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Date", v.date().Format(http.TimeFormat))
	if first > 0 {
		h.Set("Cb-Before", strconv.FormatUint(first, 10))
		h.Set("Cb-After", strconv.FormatUint(last, 10))
	}
	if f.Cut {
		h.Set("Content-Length", strconv.Itoa(len(body)))
		body = body[:len(body)/2]
	}
	_, _ = w.Write(body)
}

// date is the exchange's clock.
func (v *Vendor) date() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.opts.Now().Add(v.skew).UTC()
}

// page is at most limit trades with ids below after and above before, the newest of them,
// newest first, and the first and last of their ids.
func (v *Vendor) page(product string, limit int, after, before uint64, f RESTFault) (body []byte, first, last uint64, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	b := v.books[product]
	if b == nil {
		return nil, 0, 0, false
	}
	top := b.next()
	if after > 0 {
		top = min(top, after)
	}
	horizon := v.opts.Now().Add(v.skew - f.Lag).UnixMicro()
	var ids []uint64
	for id := top; len(ids) < limit && id > max(b.first, before+1); {
		id--
		r, _ := b.at(id)
		if f.Lag > 0 && r.time > horizon || b.forgotten(id) {
			continue
		}
		ids = append(ids, id)
	}
	if f.Drop > 0 && len(ids) > 0 {
		ids = ids[:max(len(ids)-f.Drop, 1)]
	}
	if n := min(f.Hole, len(ids)-1); n > 0 {
		at := (len(ids) - n) / 2
		ids = append(ids[:at], ids[at+n:]...)
	}
	body = append(body, '[')
	for i, id := range ids {
		if i > 0 {
			body = append(body, ',')
		}
		r, _ := b.at(id)
		body = b.appendPageTrade(body, id, r)
	}
	if body = append(body, ']'); len(ids) > 0 {
		first, last = ids[0], ids[len(ids)-1]
	}
	return body, first, last, true
}

func (b *book) forgotten(id uint64) bool {
	for _, f := range b.forgot {
		if f[0] <= id && id <= f[1] {
			return true
		}
	}
	return false
}

// appendPageTrade appends a trade as pages have it: prices and sizes with all their decimals.
func (b *book) appendPageTrade(dst []byte, id uint64, r record) []byte {
	dst = append(dst, `{"trade_id":`...)
	dst = strconv.AppendUint(dst, id, 10)
	dst = append(dst, `,"side":"`...)
	dst = append(dst, r.maker()...)
	dst = append(dst, `","size":"`...)
	dst = appendPadded(dst, r.size, sizeScale, 8)
	dst = append(dst, `","price":"`...)
	dst = appendPadded(dst, r.price, b.scale, 8)
	dst = append(dst, `","time":"`...)
	dst = appendTime(dst, r.time)
	return append(dst, `"}`...)
}

// appendPadded appends a decimal with at least so many decimals.
func appendPadded(dst []byte, coef int64, scale uint8, decimals int) []byte {
	from := len(dst)
	dst = market.AppendDecimal(dst, coef, scale)
	point := -1
	for i := from; i < len(dst); i++ {
		if dst[i] == '.' {
			point = i
		}
	}
	if point < 0 {
		point = len(dst)
		dst = append(dst, '.')
	}
	for len(dst)-point-1 < decimals {
		dst = append(dst, '0')
	}
	return dst
}
