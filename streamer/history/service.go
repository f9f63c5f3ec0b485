package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/ring"
)

// Service answers for history. Its methods may be called at the same time.
type Service struct {
	opts     Options
	coverage *Coverage
	pages    *cache[pageKey, []market.Record] // the vendor's days
	scanner  *scanner
	logged   *cache[uint32, *logged] // what BARS holds of a symbol
	texts    *cache[textKey, *answer]
	flights  singleflight.Group
	closes   map[uint32]closes // of the flight "symbols"
	resets   atomic.Uint64
}

// New makes a service.
func New(opts Options) *Service {
	if opts.Timeout == 0 {
		opts.Timeout = defaultTimeout
	}
	if opts.WriteTimeout == 0 {
		opts.WriteTimeout = defaultPatience
	}
	s := &Service{opts: opts, coverage: newCoverage(),
		pages:  newCache[pageKey, []market.Record](pageCacheBytes),
		logged: newCache[uint32, *logged](pageCacheBytes),
		texts:  newCache[textKey, *answer](textCacheBytes)}
	s.scanner = &scanner{frames: opts.Frames, timeout: opts.Timeout}
	return s
}

// Coverage is what is known of which stretch; whoever follows BARS applies frames to it.
func (s *Service) Coverage() *Coverage { return s.coverage }

// Request asks for bars of one symbol and timeframe.
type Request struct {
	Symbol    Symbol
	Timeframe market.Timeframe
	ring.Query
	// HereOnly: the vendor is not asked.
	HereOnly bool
	// Newest selects the newest Limit of a query with HasAfter too, in place of the oldest.
	Newest bool
	// Seq: the answer has everything up to this of BARS, and up to [Options.Position] at least.
	Seq uint64
}

// result is bars and where they came from.
type result struct {
	bars    []market.Bar
	from    string // ring, log or upstream
	others  bool   // the log or the vendor was asked, whether or not it had anything
	version uint64 // of the ring
}

// Bars returns closed bars, oldest first: of a query with HasAfter the oldest Limit of those
// after it, else the newest Limit. Its errors wrap ErrUpstream, or are ctx's.
func (s *Service) Bars(ctx context.Context, r Request) ([]market.Bar, error) {
	res, err := s.collect(ctx, r)
	return res.bars, err
}

func (s *Service) collect(ctx context.Context, r Request) (result, error) {
	r.Oldest = r.HasAfter && !r.Newest
	r.Seq = max(r.Seq, s.opts.Position().Seq)
	answers, err := s.opts.Rings.Answer(ctx, r.Seq, []ring.Ask{{Symbol: r.Symbol.Number, Timeframe: r.Timeframe, Query: r.Query}})
	if err != nil {
		return result{}, fmt.Errorf("reading the ring of %s: %w", r.Symbol.Name, err)
	}
	return s.complete(ctx, r, answers[0])
}

// complete puts what log and vendor have before what the ring has.
func (s *Service) complete(ctx context.Context, r Request, own ring.Answer) (result, error) {
	res := result{bars: own.Bars, from: "ring", version: own.Version}
	if r.Unless != 0 && r.Unless == own.Version || !r.wantsOlder(len(res.bars), own.Info) {
		return res, nil
	}
	reaches, err := s.addLogged(ctx, &r, &res, own.Info)
	if err != nil {
		return res, err
	}
	if r.HereOnly || reaches || r.Limit > 0 && len(res.bars) >= r.Limit && !r.Oldest || s.opts.Upstream == nil || !s.opts.Catalog.UpstreamEnabled() {
		return res, nil
	}
	res.others = true
	older, err := s.fromUpstream(ctx, r, res.oldest(r.BeforeMs), r.Limit-len(res.bars))
	// The newest bars are served all the same. After a seq they are not: what the vendor failed
	// to give lies between it and them, and the client would go on from their end.
	if err != nil && !r.HasAfter && len(older)+len(res.bars) > 0 && ctx.Err() == nil {
		s.opts.Log.Info("the vendor failed; what is here is served", "symbol", r.Symbol.Name, "reason", err.Error())
		err = nil
	}
	res.add(older, "upstream", &r)
	return res, err
}

// wantsOlder reports whether bars older than the ring's may be among those selected, beside n that it has.
func (r *Request) wantsOlder(n int, info ring.Info) bool {
	if r.HasAfter && info.Len > 0 && info.OldestSeq-1 <= r.AfterSeq {
		return false
	}
	return r.Oldest || r.Limit == 0 || n < r.Limit
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
		if r.Oldest {
			res.bars = res.bars[:r.Limit]
		} else {
			res.bars = res.bars[n-r.Limit:]
		}
	}
}

type recordKey struct {
	tf    market.Timeframe
	start int64
}

func sorted(records map[recordKey]market.Record) []market.Record {
	out := make([]market.Record, 0, len(records))
	for _, r := range records {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b market.Record) int { return byStart(a, &b) })
	return out
}

// byStart orders records of one symbol.
func byStart(a market.Record, b *market.Record) int {
	return cmp.Or(cmp.Compare(a.StartMs, b.StartMs), cmp.Compare(a.Timeframe, b.Timeframe))
}

// selected rolls 1m records up and returns the bars that r selects among those that end at
// or before a time.
func (s *Service) selected(records []market.Record, r Request, before int64, unknown stretches) []market.Bar {
	var out []market.Bar
	for _, b := range rollUp(records, r.Timeframe, s.opts.Catalog.Session(), unknown) {
		if b.EndMs <= before && (r.BeforeMs == 0 || b.EndMs <= r.BeforeMs) && (!r.HasAfter || b.Seq() > r.AfterSeq) && b.Flags&market.Void == 0 {
			out = append(out, b)
		}
	}
	return out
}

// rollUp returns the bars of a timeframe that records, oldest first, hold: those of the
// timeframe itself, and where there is none, the merge of the 1m records. A merge of a period
// that was unknown in part is partial, also where no minute of its records is.
func rollUp(records []market.Record, tf market.Timeframe, session market.Session, unknown stretches) []market.Bar {
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
			if unknown.touch(start, end) {
				sum.Flags |= market.Partial
			}
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
		bars = append(s.selected(records, r, before, nil), bars...)
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
	kept := make(map[recordKey]market.Record, len(records))
	for _, r := range records {
		if r.StartMs < start || r.StartMs >= end || r.StartMs%60_000 != 0 {
			continue
		}
		r.Timeframe, r.EndMs = market.M1, r.StartMs+60_000
		kept[recordKey{market.M1, r.StartMs}] = r
	}
	return sorted(kept)
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
	s.resets.Add(1)
	s.logged.clear()
	s.texts.clear()
	s.coverage.Reset()
}

// Respelled forgets encoded pages: symbols are spelled otherwise now.
func (s *Service) Respelled() { s.texts.clear() }

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
