package stream

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/marketstream/marketstream/streamer/httperr"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// kinds is a set of event types that a client may choose.
type kinds uint8

const (
	wantBars kinds = 1 << iota
	wantMicrobars
	wantTicks
	wantForming
)

// query is what a client asks for.
type query struct {
	symbols    []*SymbolConfig // in the order asked for
	timeframes []market.Timeframe
	want       kinds
	seed       int
	since      int64
	hasSince   bool
	cursor     *logs.Cursor
	httpErrors bool
}

// parseQuery reads a request against what is carried.
func parseQuery(r *http.Request, s *settings) (*query, *httperr.Error) {
	v := r.URL.Query()
	q := &query{seed: s.SeedBars, want: wantBars | wantMicrobars | wantTicks, httpErrors: v.Get("errors") == "http"}
	if err := q.parseSymbols(v.Get("symbols"), s); err != nil {
		return q, err
	}
	if err := q.parseTimeframes(v.Get("timeframe"), s); err != nil {
		return q, err
	}
	if text := v.Get("events"); text != "" {
		q.want = 0
		for name := range strings.SplitSeq(text, ",") {
			k, ok := map[string]kinds{"bar": wantBars, "microbar": wantMicrobars, "tick": wantTicks, "forming": wantForming}[strings.TrimSpace(name)]
			if !ok {
				return q, httperr.New(http.StatusBadRequest, "events: %q is none of bar, microbar, tick, forming", httperr.Clip(name))
			}
			q.want |= k
		}
	}
	if text := v.Get("seed"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > maxSeed {
			return q, httperr.New(http.StatusBadRequest, "seed: %q: want a whole number from 0 to %d", httperr.Clip(text), maxSeed)
		}
		q.seed = n
	}
	if text := v.Get("sinceSeq"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return q, httperr.New(http.StatusBadRequest, "sinceSeq: %q: want a whole number, the seq of the last bar seen", httperr.Clip(text))
		}
		q.since, q.hasSince = n, true
	}
	q.parsePosition(r.Header.Get("Last-Event-ID"), v.Get("cursor"))
	return q, nil
}

// parsePosition: the header wins over cursor, which wins over sinceSeq. A bare integer is
// an old client's sinceSeq; what is malformed is a fresh connection.
func (q *query) parsePosition(header, cursor string) {
	for _, text := range []string{header, cursor} {
		if text == "" {
			continue
		}
		if c, err := logs.ParseCursor(text); err == nil {
			q.cursor, q.hasSince = &c, false
			return
		}
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			q.since, q.hasSince = n, true
			return
		}
	}
}

func (q *query) parseSymbols(text string, s *settings) *httperr.Error {
	names := strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
	if len(names) == 0 {
		return httperr.New(http.StatusBadRequest, "symbols: name at least one, as symbols=SPY,QQQ")
	}
	for _, name := range names {
		sym, ok := s.byName[upper(strings.TrimSpace(name))]
		if !ok {
			return httperr.New(http.StatusNotFound, "symbols: this stream does not carry %q", httperr.Clip(name))
		}
		if !slices.Contains(q.symbols, sym) {
			q.symbols = append(q.symbols, sym)
		}
		if len(q.symbols) > s.MaxSymbolsPerConnection {
			return httperr.New(http.StatusBadRequest, "symbols: at most %d on one connection", s.MaxSymbolsPerConnection)
		}
	}
	return nil
}

func (q *query) parseTimeframes(text string, s *settings) *httperr.Error {
	if text == "" {
		text = "1m"
	}
	for name := range strings.SplitSeq(text, ",") {
		tf, err := market.ParseTimeframe(strings.TrimSpace(name))
		if err != nil || !s.carries(tf) {
			return httperr.New(http.StatusBadRequest, "timeframe: %q is none of those of this stream: %s", httperr.Clip(name), timeframeNames(s.Timeframes))
		}
		if !slices.Contains(q.timeframes, tf) {
			q.timeframes = append(q.timeframes, tf)
		}
	}
	return nil
}

func timeframeNames(tfs []market.Timeframe) string {
	names := make([]string, len(tfs))
	for i, tf := range tfs {
		names[i] = tf.String()
	}
	return strings.Join(names, " ")
}

func upper(s string) string { return strings.ToUpper(s) }
