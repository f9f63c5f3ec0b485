package history

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/ring"
)

// logged is what BARS holds of a symbol up to a place: the newest revision of each record, oldest first.
type logged struct {
	records []market.Record
	seq     uint64
	until   time.Time // when it is read anew: meanwhile the log's beginning may have gone
}

// addLogged puts what BARS holds before the ring's bars. Rings are filled from it, so there is
// nothing more unless bars were evicted or the timeframe is new. reaches: BARS begins before
// all that r selects.
func (s *Service) addLogged(ctx context.Context, r *Request, res *result, own ring.Info) (reaches bool, err error) {
	since, before, unknown := s.coverage.known(r.Symbol.Number) // what ends after before is not closed
	if !s.hasOlder(r, own) {
		return false, nil
	}
	res.others = true
	l, err := s.read(ctx, r.Symbol.Number, r.Seq)
	if err != nil {
		return false, err
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

// hasOlder reports whether BARS may have bars that are older than the ring's: some were evicted, or
// minutes reach further back than a longer timeframe, which was added after them.
func (s *Service) hasOlder(r *Request, own ring.Info) bool {
	if own.Evicted || r.Timeframe == market.M1 {
		return own.Evicted
	}
	oldest := s.coverage.oldest(r.Symbol.Number)
	_, closed, _ := s.coverage.known(r.Symbol.Number)
	_, end := s.opts.Catalog.Session().Period(r.Timeframe, oldest)
	return oldest != 0 && end <= closed && (own.Len == 0 || own.OldestSeq*60_000 >= end)
}

// read returns what BARS holds of a symbol, with everything up to seq at least. What was read is
// kept for a while, and brought up to date by what came since.
func (s *Service) read(ctx context.Context, symbol uint32, seq uint64) (*logged, error) {
	for try := 0; ; try++ {
		l, ok := s.logged.get(symbol)
		if ok && l.seq >= seq {
			return l, nil
		}
		if !ok {
			resets := s.resets.Load()
			records, last, err := s.scanner.records(ctx, symbol)
			if err != nil {
				return nil, err
			}
			l = &logged{records, last, time.Now().Add(loggedFor)}
			s.keep(symbol, l, resets)
			return l, nil
		}
		v, err := s.once(ctx, fmt.Sprint("newer ", symbol), func(ctx context.Context) (any, error) { return s.newer(ctx, symbol) })
		if err != nil {
			return nil, fmt.Errorf("reading BARS: %w", err)
		}
		// A flight may have begun before seq was there, the next has not: then BARS has lost its end, which others tell.
		if n := v.(*logged); n != nil && (n.seq >= seq || try > 0) {
			return n, nil
		}
	}
}

// keep remembers what was read, unless BARS has lost its end since resets.
func (s *Service) keep(symbol uint32, l *logged, resets uint64) {
	if resets == s.resets.Load() {
		s.logged.put(symbol, l, 64+220*len(l.records), l.until)
	}
}

// newer brings what was read of a symbol up to date; nil: it is no longer kept.
func (s *Service) newer(ctx context.Context, symbol uint32) (*logged, error) {
	resets := s.resets.Load()
	l, ok := s.logged.get(symbol)
	if !ok {
		return (*logged)(nil), nil
	}
	n := *l
	shared := true // its records are l's
	err := s.opts.Frames.Frames(ctx, l.seq+1, func(seq uint64, f *logs.Frame) error {
		n.seq = max(n.seq, seq)
		for i := range f.Records {
			r := &f.Records[i]
			if r.Symbol != symbol {
				continue
			}
			if shared {
				n.records, shared = slices.Clone(n.records), false
			}
			if at, found := slices.BinarySearchFunc(n.records, r, byStart); found {
				n.records[at] = *r
			} else {
				n.records = slices.Insert(n.records, at, *r)
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	s.keep(symbol, &n, resets)
	return &n, nil
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
	last    uint64 // sequence of the last entry
	err     error
}

// records returns all records of a symbol, the newest revision of each, oldest first, and the
// place up to which it has them: not before what was there when it was called.
func (s *scanner) records(ctx context.Context, symbol uint32) ([]market.Record, uint64, error) {
	n := s.join(symbol)
	select {
	case <-n.done:
		if n.err != nil {
			return nil, 0, fmt.Errorf("reading BARS: %w", n.err)
		}
		return sorted(n.found[symbol]), n.last, nil
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		if n.waiting--; n.waiting == 0 && n.cancel != nil {
			n.cancel()
		}
		return nil, 0, ctx.Err()
	}
}

// join takes part in the next scan that has room.
func (s *scanner) join(symbol uint32) *scan {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n *scan
	for _, q := range s.queue {
		if _, ok := q.found[symbol]; ok || len(q.found) < Together {
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
			n.err = s.frames.Frames(ctx, 1, func(seq uint64, f *logs.Frame) error {
				n.last = max(n.last, seq)
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
