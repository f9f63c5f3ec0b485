package history

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/gzhttp"

	"github.com/marketstream/marketstream/streamer/httperr"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/ring"
)

// Handler serves everything under /api/, compressed where the client accepts it. A client that
// does not read its answer loses it.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/history", s.serveHistory)
	mux.HandleFunc("GET /api/coverage", s.serveCoverage)
	mux.HandleFunc("GET /api/symbols", s.serveSymbols)
	mux.HandleFunc("GET /api/market/status", s.serveStatus)
	mux.HandleFunc("POST /api/symbols/subscribe", s.serveSubscribe)
	for path, want := range map[string]string{"/api/history": "GET, HEAD", "/api/coverage": "GET, HEAD", "/api/symbols": "GET, HEAD",
		"/api/market/status": "GET, HEAD", "/api/symbols/subscribe": "POST"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", want)
			httperr.New(http.StatusMethodNotAllowed, "method %s: want %s", r.Method, want).Write(w)
		})
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		httperr.New(http.StatusNotFound, "there is nothing at %s", httperr.Clip(r.URL.Path)).Write(w)
	})
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(1024), gzhttp.EnableZstd(true), gzhttp.KeepAcceptRanges(), gzhttp.SuffixETag(compressed))
	if err != nil {
		return s.patient(mux) // its options are constants
	}
	return s.patient(wrap(mux))
}

// compressed ends the ETag of a compressed page: its bytes are others (RFC 9110, 8.8.3). The
// wrapper adds a dash and the encoding.
const compressed = "-z"

func bad(format string, args ...any) *httperr.Error {
	return httperr.New(http.StatusBadRequest, format, args...)
}

// head sets the headers that every answer has.
func (s *Service) head(w http.ResponseWriter) {
	st := s.opts.Catalog.Status()
	h := w.Header()
	h.Set("X-Market-Source", st.Source)
	h.Set("X-Market-Reason", st.Reason)
	h.Set("X-Epoch-Id", st.Epoch)
}

func (s *Service) symbol(text string) (Symbol, *httperr.Error) {
	if text == "" {
		return Symbol{}, bad("symbol: name one, as symbol=SPY")
	}
	if strings.Contains(text, ",") {
		return Symbol{}, bad("symbol: %q: want one; a request each for several", httperr.Clip(text))
	}
	sym, ok := s.opts.Catalog.Lookup(text)
	if !ok {
		return Symbol{}, httperr.New(http.StatusNotFound, "symbol: this stream does not carry %q", httperr.Clip(text))
	}
	return sym, nil
}

// maxTime is the last millisecond that is understood: the end of the year 9999.
const maxTime = 253_402_300_799_999

// historyQuery is a request for /api/history.
type historyQuery struct {
	Request
	cursor *logs.Cursor
	csv    bool
}

func (s *Service) parseHistory(r *http.Request) (*historyQuery, *httperr.Error) {
	v := r.URL.Query()
	q := &historyQuery{}
	for _, name := range [...]string{"from", "to"} {
		if v.Has(name) {
			return nil, bad("%s: /api/history does not know it; want before=ms for the bars that end by then, with limit=N, or sinceSeq=N for those after a bar (seq = Unix ms / 60000)", name)
		}
	}
	sym, err := s.symbol(v.Get("symbol"))
	if err != nil {
		return nil, err
	}
	q.Symbol, q.Limit, q.Timeframe = sym, defaultLimit, market.M1
	if text := v.Get("timeframe"); text != "" {
		tf, perr := market.ParseTimeframe(text)
		carried := false
		var names []string
		for _, t := range s.opts.Catalog.Timeframes() {
			carried = carried || t == tf
			names = append(names, t.String())
		}
		if perr != nil || !carried {
			return nil, bad("timeframe: %q is none of those of this stream: %s", httperr.Clip(text), strings.Join(names, " "))
		}
		q.Timeframe = tf
	}
	if text := v.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxLimit {
			return nil, bad("limit: %q: want a whole number from 1 to %d", httperr.Clip(text), maxLimit)
		}
		q.Limit = n
	}
	if text := v.Get("before"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n <= 0 || n > maxTime {
			return nil, bad("before: %q: want Unix milliseconds, from 1 to %d", httperr.Clip(text), maxTime)
		}
		q.BeforeMs = n
	}
	if text := v.Get("sinceSeq"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n > maxTime/60_000 || n < -maxTime/60_000 {
			return nil, bad("sinceSeq: %q: want the seq of the last bar seen, a whole number to %d (seq = Unix ms / 60000)", httperr.Clip(text), maxTime/60_000)
		}
		q.AfterSeq, q.HasAfter = n, true
	}
	if text := v.Get("cursor"); text != "" {
		c, err := logs.ParseCursor(text)
		if err != nil {
			return nil, bad("cursor: %s; want the id of a stream's event or the header X-Market-Cursor, as it came", err.Error())
		}
		q.cursor = &c
	}
	q.csv = strings.Contains(r.Header.Get("Accept"), "text/csv")
	return q, nil
}

func (s *Service) serveHistory(w http.ResponseWriter, r *http.Request) {
	s.head(w)
	q, aerr := s.parseHistory(r)
	if aerr != nil {
		s.opts.Metrics.Requested(strconv.Itoa(aerr.Code))
		aerr.Write(w)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.opts.Timeout)
	defer cancel()
	if c := q.cursor; c != nil && c.Epoch == s.opts.Position().Epoch {
		// A position of this log is waited for, but not for ever: it may be beyond the log's end.
		wait, stop := context.WithTimeout(ctx, cursorWait)
		err := s.opts.Rings.WaitApplied(wait, c.Seq)
		stop()
		if err != nil && ctx.Err() != nil {
			s.failed(w, ctx.Err())
			return
		}
	}
	position := s.opts.Position() // before anything is read
	a, from, err := s.answer(ctx, q)
	if err != nil {
		s.failed(w, err)
		return
	}
	h := w.Header()
	h.Set("X-Market-Cursor", position.String())
	h.Set("ETag", a.etag)
	h.Set("Cache-Control", "no-cache")
	h.Add("Vary", "Accept") // others have added what they vary by
	if matches(r.Header.Get("If-None-Match"), a.etag) {
		s.opts.Metrics.Requested("not_modified")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	s.opts.Metrics.Requested(from)
	h.Set("Content-Type", a.kind)
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	_, _ = w.Write(a.body)
}

// cursorWait is how long a page waits for a position to be applied.
const cursorWait = 5 * time.Second

func (s *Service) failed(w http.ResponseWriter, err error) {
	code, result := statusOf(err)
	s.opts.Metrics.Requested(result)
	httperr.New(code, "%s", err.Error()).Write(w)
}

// matches reports whether an If-None-Match names etag; a compressing layer may have weakened it.
func matches(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if bare, end, ok := strings.Cut(tag, compressed); ok && (end == `-gzip"` || end == `-zstd"`) {
			tag = bare + `"`
		}
		if tag == etag || tag == "*" {
			return true
		}
	}
	return false
}

// textKey names an encoded page.
type textKey struct {
	symbol uint32
	tf     market.Timeframe
	ring.Query
	csv bool
}

// answer is an encoded page.
type answer struct {
	version uint64 // of the ring that it was made from
	body    []byte
	etag    string
	kind    string
}

// answer returns the page of a query, encoded once for a version of its ring.
func (s *Service) answer(ctx context.Context, q *historyQuery) (*answer, string, error) {
	key := textKey{q.Symbol.Number, q.Timeframe, q.Query, q.csv}
	have, ok := s.texts.get(key)
	r := q.Request
	if ok {
		r.Unless = have.version
	}
	res, err := s.collect(ctx, r)
	if err != nil {
		return nil, "", err
	}
	if ok && res.version == have.version {
		return have, "cache", nil
	}
	a := &answer{version: res.version, kind: "application/json"}
	if q.csv {
		a.kind = "text/csv; charset=utf-8"
		a.body = encodeCSV(res.bars, q.Symbol.Name)
	} else {
		a.body = encodeJSON(res.bars, q.Symbol.Name)
	}
	a.etag = fmt.Sprintf("\"%016x\"", xxhash.Sum64(a.body))
	if !res.others { // what others have may change without the ring
		s.texts.put(key, a, len(a.body)+128, time.Time{})
	}
	return a, res.from, nil
}

func encodeJSON(bars []market.Bar, symbol string) []byte {
	dst := append(make([]byte, 0, 2+240*len(bars)), '[')
	for i := range bars {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = bars[i].AppendJSON(dst, symbol)
	}
	return append(dst, ']', '\n')
}

// encodeCSV has what JSON has: what is optional there is 0, false or empty here. There are no void bars in history.
func encodeCSV(bars []market.Bar, symbol string) []byte {
	dst := []byte("symbol,timeframe,seq,bar_start,bar_end,open,high,low,close,volume,vwap,n,rev,partial,date\n")
	for i := range bars {
		b := &bars[i]
		dst = append(append(append(append(dst, symbol...), ','), b.Timeframe.String()...), ',')
		for _, n := range [...]int64{b.Seq(), b.StartMs, b.EndMs} {
			dst = append(strconv.AppendInt(dst, n, 10), ',')
		}
		for _, p := range [...]int64{b.Open, b.High, b.Low, b.Close} {
			dst = append(market.AppendDecimal(dst, p, b.PriceScale), ',')
		}
		dst = append(b.Volume.AppendScaled(dst, b.VolumeScale), ',')
		if b.HasVWAP {
			dst = market.AppendDecimal(dst, b.VWAP, b.PriceScale+2)
		}
		dst = strconv.AppendInt(append(dst, ','), b.N, 10)
		dst = strconv.AppendUint(append(dst, ','), uint64(b.Rev), 10)
		dst = append(strconv.AppendBool(append(dst, ','), b.Flags&market.Partial != 0), ',')
		if b.Timeframe == market.D1 {
			dst = market.TradeDateOf(b.StartMs).AppendFormat(dst, time.DateOnly)
		}
		dst = append(dst, '\n')
	}
	return dst
}

func (s *Service) serveCoverage(w http.ResponseWriter, r *http.Request) {
	s.head(w)
	v := r.URL.Query()
	sym, aerr := s.symbol(v.Get("symbol"))
	if aerr != nil {
		aerr.Write(w)
		return
	}
	var at [2]int64
	for i, name := range [...]string{"from", "to"} {
		n, err := strconv.ParseInt(v.Get(name), 10, 64)
		if err != nil || n <= 0 || n > maxTime {
			bad("%s: %q: want Unix milliseconds, from 1 to %d", name, httperr.Clip(v.Get(name)), maxTime).Write(w)
			return
		}
		at[i] = n
	}
	if at[1] <= at[0] || at[1]-at[0] > maxCoverage.Milliseconds() {
		bad("from, to: %d, %d: want from before to and at most %v between them", at[0], at[1], maxCoverage).Write(w)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.opts.Timeout)
	defer cancel()
	res, err := s.collect(ctx, Request{Symbol: sym, Timeframe: market.M1, HereOnly: true,
		Query: ring.Query{HasAfter: true, AfterSeq: market.Seq(at[0]) - 1, BeforeMs: at[1] + 59_999}})
	if err != nil && !errors.Is(err, ErrUpstream) {
		s.failed(w, err)
		return
	}
	s.json(w, s.coverage.spans(sym.Number, at[0], at[1], res.bars))
}

func (s *Service) json(w http.ResponseWriter, v any) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		httperr.New(http.StatusInternalServerError, "%s", err.Error()).Write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(b.Bytes())
}

func (s *Service) serveStatus(w http.ResponseWriter, _ *http.Request) {
	s.head(w)
	s.json(w, s.opts.Catalog.Status())
}

func (s *Service) serveSubscribe(w http.ResponseWriter, r *http.Request) {
	s.head(w)
	var body struct {
		Symbol string `json:"symbol"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&body); err != nil {
		bad(`body: want {"symbol":"SPY"}`).Write(w)
		return
	}
	if _, aerr := s.symbol(body.Symbol); aerr != nil {
		aerr.Write(w)
		return
	}
	s.json(w, map[string]bool{"ok": true, "already": true})
}
