package history

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/ring"
)

// logged is what BARS held of a symbol when it was read: the newest revision of each record,
// oldest first, and everything that ended up to a time.
type logged struct {
	records []market.Record
	reached int64
}

// addLogged puts what BARS holds before the ring's bars. Rings are filled from it, so there is
// nothing more unless bars were evicted or the timeframe is new. reaches: BARS begins before
// all that r selects.
func (s *Service) addLogged(ctx context.Context, r *Request, res *result, own, minutes ring.Info) (reaches bool, err error) {
	if !minutes.Evicted && !own.Evicted && !s.newTimeframe(r.Timeframe, own, minutes) {
		return false, nil
	}
	since, before, unknown := s.coverage.known(r.Symbol.Number) // what ends after before is not closed
	res.others = true
	l, ok := s.logged.get(r.Symbol.Number)
	if !ok || max(own.OldestSeq, minutes.OldestSeq)*60_000 > l.reached { // bars were evicted that came after it was read
		resets := s.resets.Load()
		records, err := s.scanner.records(ctx, r.Symbol.Number)
		if err != nil {
			return false, err
		}
		l = &logged{records, before}
		if resets == s.resets.Load() {
			s.logged.put(r.Symbol.Number, l, 64+220*len(records), time.Now().Add(loggedFor))
		}
	}
	if own.Len > 0 {
		before = min(before, own.OldestSeq*60_000)
	}
	if since > 0 {
		unknown = append(stretches{{0, since}}, unknown...).merged()
	}
	res.add(s.selected(l.records, *r, before, unknown), "log", r)
	return r.HasAfter && len(l.records) > 0 && market.Seq(l.records[0].StartMs) <= r.AfterSeq, nil
}

// newTimeframe reports whether 1m bars reach further back than those of a longer timeframe.
func (s *Service) newTimeframe(tf market.Timeframe, own, minutes ring.Info) bool {
	if tf == market.M1 || minutes.Len == 0 {
		return false
	}
	_, end := s.opts.Catalog.Session().Period(tf, minutes.OldestSeq*60_000)
	return own.Len == 0 || own.OldestSeq*60_000 >= end
}

// scanner reads BARS for symbols, one reading at a time. Whoever asks while one is under way
// waits for the next, together with all others that do.
type scanner struct {
	frames  Frames
	timeout time.Duration

	mu      sync.Mutex
	running bool
	queue   []*scan // those that have not begun
}

// scan is one reading of BARS from its beginning.
type scan struct {
	found   map[uint32]map[recordKey]market.Record // by symbol that is asked for
	waiting int                                    // callers; the last one to give up ends it
	cancel  context.CancelFunc                     // once it has begun
	done    chan struct{}
	err     error
}

// records returns all records of a symbol, the newest revision of each, oldest first.
func (s *scanner) records(ctx context.Context, symbol uint32) ([]market.Record, error) {
	n := s.join(symbol)
	select {
	case <-n.done:
		if n.err != nil {
			return nil, fmt.Errorf("reading BARS: %w", n.err)
		}
		return sorted(n.found[symbol]), nil
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		if n.waiting--; n.waiting == 0 && n.cancel != nil {
			n.cancel()
		}
		return nil, ctx.Err()
	}
}

// join takes part in the next scan that has room.
func (s *scanner) join(symbol uint32) *scan {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n *scan
	for _, q := range s.queue {
		if _, ok := q.found[symbol]; ok || len(q.found) < scanSymbols {
			n = q
			break
		}
	}
	if n == nil {
		n = &scan{found: make(map[uint32]map[recordKey]market.Record), done: make(chan struct{})}
		s.queue = append(s.queue, n)
	}
	if n.found[symbol] == nil {
		n.found[symbol] = make(map[recordKey]market.Record)
	}
	n.waiting++
	if !s.running {
		s.running = true
		go s.run()
	}
	return n
}

// run reads until nobody waits.
func (s *scanner) run() {
	for {
		s.mu.Lock()
		if len(s.queue) == 0 {
			s.running = false
			s.mu.Unlock()
			return
		}
		n := s.queue[0]
		s.queue = s.queue[1:]
		ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
		n.cancel = cancel
		given := n.waiting == 0
		s.mu.Unlock()
		if !given {
			n.err = s.frames.Frames(ctx, 1, func(_ uint64, f *logs.Frame) error {
				for i := range f.Records {
					if r := &f.Records[i]; n.found[r.Symbol] != nil {
						n.found[r.Symbol][recordKey{r.Timeframe, r.StartMs}] = *r
					}
				}
				return ctx.Err()
			})
		}
		cancel()
		close(n.done)
	}
}
