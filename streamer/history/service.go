package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/ring"
)

// Service answers for history. Its methods may be called at the same time.
type Service struct {
	opts     Options
	coverage *Coverage
	pages    *cache[pageKey, []market.Record] // the vendor's days
	logged   *cache[logKey, []market.Record]  // what BARS holds of a symbol
	texts    *cache[textKey, *answer]
	flights  singleflight.Group
}

// New makes a service.
func New(opts Options) *Service {
	if opts.Timeout == 0 {
		opts.Timeout = defaultTimeout
	}
	return &Service{opts: opts, coverage: newCoverage(),
		pages:  newCache[pageKey, []market.Record](pageCacheBytes),
		logged: newCache[logKey, []market.Record](pageCacheBytes),
		texts:  newCache[textKey, *answer](textCacheBytes)}
}

// Coverage is what is known of which stretch; whoever follows BARS applies frames to it.
func (s *Service) Coverage() *Coverage { return s.coverage }

// Request asks for bars of one symbol and timeframe.
type Request struct {
	Symbol    Symbol
	Timeframe market.Timeframe
	ring.Query
	hereOnly bool // the vendor is not asked
}

// result is bars and where they came from.
type result struct {
	bars    []market.Bar
	from    string // ring, log or upstream
	version uint64 // of the ring
}

// Bars returns closed bars, oldest first: of a query with HasAfter the oldest Limit of those
// after it, else the newest Limit. Its errors wrap ErrUpstream, or are ctx's.
func (s *Service) Bars(ctx context.Context, r Request) ([]market.Bar, error) {
	res, err := s.collect(ctx, r)
	return res.bars, err
}

func (s *Service) collect(ctx context.Context, r Request) (result, error) {
	r.Oldest = r.HasAfter
	bars, info := s.opts.Rings.Read(r.Symbol.Number, r.Timeframe, r.Query, nil)
	res := result{bars: bars, from: "ring", version: info.Version}
	if !s.wantsOlder(&r, &res, info) {
		return res, nil
	}
	older, err := s.fromLog(ctx, r, info)
	if err != nil {
		return res, err
	}
	res.add(older, "log", &r)
	if r.hereOnly || r.Limit > 0 && len(res.bars) >= r.Limit && !r.HasAfter || s.opts.Upstream == nil || !s.opts.Catalog.UpstreamEnabled() {
		return res, nil
	}
	older, err = s.fromUpstream(ctx, r, res.oldest(r.BeforeMs), r.Limit-len(res.bars))
	if err != nil && len(older)+len(res.bars) > 0 && ctx.Err() == nil {
		s.opts.Log.Info("the vendor failed; what is here is served", "symbol", r.Symbol.Name, "reason", err.Error())
		err = nil
	}
	res.add(older, "upstream", &r)
	return res, err
}

// wantsOlder reports whether bars older than the ring's may be among those selected.
func (s *Service) wantsOlder(r *Request, res *result, info ring.Info) bool {
	if r.HasAfter {
		return info.Len == 0 || info.OldestSeq-1 > r.AfterSeq
	}
	return r.Limit == 0 || len(res.bars) < r.Limit
}

func (res *result) oldest(beforeMs int64) int64 {
	if len(res.bars) > 0 {
		return res.bars[0].StartMs
	}
	return beforeMs
}

// add puts older bars before those that are there.
func (res *result) add(older []market.Bar, from string, r *Request) {
	if len(older) == 0 {
		return
	}
	res.from = from
	res.bars = append(older, res.bars...)
	if n := len(res.bars); r.Limit > 0 && n > r.Limit {
		if r.HasAfter {
			res.bars = res.bars[:r.Limit]
		} else {
			res.bars = res.bars[n-r.Limit:]
		}
	}
}

// logKey names what BARS holds of a symbol before its ring begins.
type logKey struct {
	symbol uint32
	before int64 // start of the oldest bar in the 1m ring
}

// fromLog returns bars older than the ring's from what BARS holds: rings are filled from it,
// so there is nothing more unless bars were evicted or the timeframe is new.
func (s *Service) fromLog(ctx context.Context, r Request, info ring.Info) ([]market.Bar, error) {
	_, minutes := s.opts.Rings.Read(r.Symbol.Number, market.M1, ring.Query{Limit: 1}, nil)
	if minutes.Len > 0 && !minutes.Evicted && !info.Evicted && (r.Timeframe == market.M1 || !s.newTimeframe(r, info, minutes)) {
		return nil, nil
	}
	key := logKey{r.Symbol.Number, minutes.OldestSeq}
	records, ok := s.logged.get(key)
	if !ok {
		v, err := s.once(ctx, fmt.Sprint("log ", key), func(ctx context.Context) (any, error) {
			return s.scan(ctx, r.Symbol.Number)
		})
		if err != nil {
			return nil, err
		}
		records = v.([]market.Record)
		s.logged.put(key, records, 64+220*len(records), time.Now().Add(emptyFor))
	}
	_, before, _ := s.coverage.known(r.Symbol.Number) // what ends later is not closed
	if info.Len > 0 {
		before = min(before, info.OldestSeq*60_000)
	}
	return s.selected(records, r, before), nil
}

// newTimeframe reports whether 1m bars reach further back than those of the timeframe.
func (s *Service) newTimeframe(r Request, info, minutes ring.Info) bool {
	if minutes.Len == 0 {
		return false
	}
	_, end := s.opts.Catalog.Session().Period(r.Timeframe, minutes.OldestSeq*60_000)
	return info.Len == 0 || info.OldestSeq*60_000 > end
}

// scan reads all records of a symbol from BARS, the newest revision of each, oldest first.
func (s *Service) scan(ctx context.Context, symbol uint32) ([]market.Record, error) {
	byStart := make(map[recordKey]market.Record)
	err := s.opts.Frames.Frames(ctx, 1, func(_ uint64, f *logs.Frame) error {
		for i := range f.Records {
			if r := &f.Records[i]; r.Symbol == symbol {
				byStart[recordKey{r.Timeframe, r.StartMs}] = *r
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading BARS: %w", err)
	}
	return sorted(byStart), nil
}

type recordKey struct {
	tf    market.Timeframe
	start int64
}

func sorted(byStart map[recordKey]market.Record) []market.Record {
	out := make([]market.Record, 0, len(byStart))
	for _, r := range byStart {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b market.Record) int { return cmp.Compare(a.StartMs, b.StartMs) })
	return out
}

// selected rolls 1m records up and returns the bars that r selects among those that end at
// or before a time.
func (s *Service) selected(records []market.Record, r Request, before int64) []market.Bar {
	var out []market.Bar
	for _, b := range rollUp(records, r.Timeframe, s.opts.Catalog.Session()) {
		if b.EndMs <= before && (r.BeforeMs == 0 || b.EndMs <= r.BeforeMs) && (!r.HasAfter || b.Seq() > r.AfterSeq) && b.Flags&market.Void == 0 {
			out = append(out, b)
		}
	}
	return out
}

// rollUp returns the bars of a timeframe that records, oldest first, hold: those of the
// timeframe itself, and where there is none, the merge of the 1m records.
func rollUp(records []market.Record, tf market.Timeframe, session market.Session) []market.Bar {
	made := make(map[int64]*market.Record)
	for i := range records {
		if r := &records[i]; r.Timeframe == tf {
			made[r.StartMs] = r
		}
	}
	var sum market.Record
	flush := func() {
		if sum.Timeframe != 0 && made[sum.StartMs] == nil {
			r := sum
			made[r.StartMs] = &r
		}
	}
	for i := range records {
		r := &records[i]
		if tf == market.M1 || r.Timeframe != market.M1 || r.Flags&market.Void != 0 || !session.Includes(r.StartMs) {
			continue
		}
		if start, end := session.Period(tf, r.StartMs); sum.StartMs != start || sum.Timeframe == 0 {
			flush()
			sum = market.Record{Timeframe: tf, StartMs: start, EndMs: end}
		}
		sum.Flags |= r.Flags & market.Partial
		if sum.Merge(r) != nil {
			sum.Flags |= market.Partial
		}
	}
	flush()
	var out []market.Bar
	for _, start := range slices.Sorted(maps.Keys(made)) {
		if b, ok := made[start].Bar(); ok {
			out = append(out, b)
		}
	}
	return out
}

// pageKey names a day of a symbol's 1m records.
type pageKey struct {
	symbol string
	start  int64 // local midnight
}

// fromUpstream returns up to limit bars that end at or before a time from the vendor, day by day
// backwards.
func (s *Service) fromUpstream(ctx context.Context, r Request, before int64, limit int) ([]market.Bar, error) {
	if before == 0 {
		before = time.Now().UnixMilli()
	}
	if r.HasAfter && market.Seq(before)-r.AfterSeq > maxPages*1440 {
		return nil, nil // further back than one request reads
	}
	day := s.opts.Catalog.Session()
	day.Hours = market.HoursContinuous
	var bars []market.Bar
	at := before - 1
	for range maxPages {
		start, end := day.Period(market.D1, at)
		if r.HasAfter && market.Seq(end)-1 <= r.AfterSeq || !r.HasAfter && len(bars) >= limit {
			break
		}
		records, err := s.page(ctx, r.Symbol.Name, start, end, r.Timeframe)
		if err != nil {
			return bars, err
		}
		bars = append(s.selected(records, r, before), bars...)
		at = start - 1
	}
	return bars, nil
}

// page returns a day of the vendor's 1m records, asked for once however many want it.
func (s *Service) page(ctx context.Context, symbol string, start, end int64, tf market.Timeframe) ([]market.Record, error) {
	key := pageKey{symbol, start}
	if records, ok := s.pages.get(key); ok {
		return records, nil
	}
	v, err := s.once(ctx, fmt.Sprint("page ", key), func(ctx context.Context) (any, error) {
		if records, ok := s.pages.get(key); ok { // another flight has just landed
			return records, nil
		}
		records, err := s.opts.Upstream.Records(ctx, symbol, start, end)
		if err != nil {
			s.opts.Metrics.VendorRequest("error")
			return nil, fmt.Errorf("%s: %w", symbol, err)
		}
		s.opts.Metrics.VendorRequest("ok")
		records = tidy(records, start, end)
		until := time.Time{}
		if len(records) == 0 {
			s.opts.Metrics.VendorEmpty(symbol, tf.String())
		}
		if len(records) == 0 || end > time.Now().UnixMilli() { // it may have more soon
			until = time.Now().Add(emptyFor)
		}
		s.pages.put(key, records, 64+220*len(records), until)
		return records, nil
	})
	if err != nil {
		return nil, err
	}
	return v.([]market.Record), nil
}

// tidy makes sure of what a vendor sent: whole minutes inside the page, each once, in order.
func tidy(records []market.Record, start, end int64) []market.Record {
	byStart := make(map[recordKey]market.Record, len(records))
	for _, r := range records {
		if r.StartMs < start || r.StartMs >= end || r.StartMs%60_000 != 0 {
			continue
		}
		r.Timeframe, r.EndMs = market.M1, r.StartMs+60_000
		byStart[recordKey{market.M1, r.StartMs}] = r
	}
	return sorted(byStart)
}

// once lets callers with one key share one run of fn, which ends with none of them but
// after the service's timeout.
func (s *Service) once(ctx context.Context, key string, fn func(context.Context) (any, error)) (any, error) {
	leader := false
	ch := s.flights.DoChan(key, func() (any, error) {
		leader = true
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.Timeout)
		defer cancel()
		return fn(ctx)
	})
	select {
	case res := <-ch:
		if res.Shared && !leader {
			s.opts.Metrics.Coalesced()
		}
		return res.Val, res.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Reset forgets what was read of BARS: it has lost its end.
func (s *Service) Reset() {
	s.logged.clear()
	s.texts.clear()
	s.coverage.Reset()
}

// statusOf is the HTTP status of an error of Bars.
func statusOf(err error) (int, string) {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return 504, "timeout"
	case errors.Is(err, context.Canceled):
		return 499, "cancelled"
	case errors.Is(err, ErrUpstream):
		return 502, "upstream_error"
	}
	return 503, "error"
}
