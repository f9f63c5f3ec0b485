package coinbase

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/feed/coinbase/coinbasetest"
	"github.com/marketstream/marketstream/streamer/market"
)

// patience is how long a test waits for what must come; it is no measure of anything.
const patience = 30 * time.Second

// sink keeps what it is given, and can hold the source up.
type sink struct {
	mu       sync.Mutex
	entries  []market.Entry
	statuses []feed.Status
	flushes  int
	loose    int // entries since the last flush
	gate     chan struct{}
	fail     error
}

func newSink() *sink { return &sink{} }

func (s *sink) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

func (s *sink) Put(e *market.Entry) error {
	s.mu.Lock()
	gate, fail := s.gate, s.fail
	s.mu.Unlock()
	if gate != nil {
		<-gate
	}
	if fail != nil {
		return fail
	}
	s.change(func() { s.entries, s.loose = append(s.entries, *e), s.loose+1 })
	return nil
}

func (s *sink) Flush() error {
	s.change(func() { s.flushes, s.loose = s.flushes+1, 0 })
	return nil
}

func (s *sink) Status(st feed.Status) { s.change(func() { s.statuses = append(s.statuses, st) }) }

// hold makes Put wait until release.
func (s *sink) hold() (release func()) {
	s.change(func() { s.gate = make(chan struct{}) })
	return s.release
}

func (s *sink) release() {
	s.change(func() {
		if s.gate != nil {
			close(s.gate)
		}
		s.gate = nil
	})
}

// until waits for a condition of what the sink has, which stands still while it is asked. Only
// within it, or once the source can say no more, may the methods below be called that say so.
func (s *sink) until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	look := time.NewTicker(2 * time.Millisecond) // much of what is waited for is not the sink's
	defer look.Stop()
	for {
		s.mu.Lock()
		met := ok()
		s.mu.Unlock()
		if met {
			return
		}
		select {
		case <-look.C:
		case <-limit.C:
			s.mu.Lock()
			defer s.mu.Unlock()
			t.Fatalf("waited in vain: %s; %d entries, statuses %v", what, len(s.entries), s.statuses)
		}
	}
}

// got are the entries of a kind and symbol so far.
func (s *sink) got(kind market.EntryKind, symbol uint32) []market.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of(kind, symbol)
}

// all are all entries and statuses so far.
func (s *sink) all() ([]market.Entry, []feed.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.entries), slices.Clone(s.statuses)
}

// watermark is the newest mark so far.
func (s *sink) watermark() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mark()
}

// said is saw, from outside.
func (s *sink) said(state feed.State, part string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saw(state, part)
}

// times is count, from outside.
func (s *sink) times(state feed.State) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count(state)
}

// of are the entries of a kind and symbol; the lock is held.
func (s *sink) of(kind market.EntryKind, symbol uint32) (some []market.Entry) {
	for _, e := range s.entries {
		if e.Kind == kind && e.Symbol == symbol {
			some = append(some, e)
		}
	}
	return some
}

// has reports whether a trade came; the lock is held.
func (s *sink) has(symbol uint32, id uint64) bool {
	return slices.ContainsFunc(s.entries, func(e market.Entry) bool {
		return e.Kind == market.Trade && e.Symbol == symbol && e.ID == id
	})
}

func (s *sink) mark() (at int64) {
	for _, e := range s.entries {
		if e.Kind == market.Mark {
			at = e.Time
		}
	}
	return at
}

// saw reports whether a state was said with a reason that has a part; the lock is held.
func (s *sink) saw(state feed.State, part string) bool {
	return slices.ContainsFunc(s.statuses, func(st feed.Status) bool {
		return st.State == state && strings.Contains(st.Reason, part)
	})
}

func (s *sink) count(state feed.State) (n int) {
	for _, st := range s.statuses {
		if st.State == state {
			n++
		}
	}
	return n
}

// symbols are numbered from 1 in their order.
func symbols(names ...string) (some []feed.Symbol) {
	for i, name := range names {
		some = append(some, feed.Symbol{Number: uint32(i + 1), Name: name})
	}
	return some
}

var quietProducts = []coinbasetest.Product{{Name: "BTC-USD", Price: "43210.55"}, {Name: "ETH-USD", Price: "2345.67"}, {Name: "SOL-USD", Price: "100.123"}}

// vendor starts a vendor that trades only when told to, if nothing else is wanted.
func vendor(t testing.TB, opts coinbasetest.Options) *coinbasetest.Vendor {
	t.Helper()
	if opts.Products == nil {
		opts.Products = quietProducts
	}
	if opts.RequestsPerSecond == 0 {
		opts.RequestsPerSecond = -1
	}
	opts.Heartbeat = max(opts.Heartbeat, 20*time.Millisecond)
	v, err := coinbasetest.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

// source makes a source of a vendor: impatient, so that tests are not long.
func source(t testing.TB, v *coinbasetest.Vendor, change func(*Options)) *Source {
	t.Helper()
	opts := Options{Endpoint: v.URL(), RESTEndpoint: v.RESTURL(), TLS: v.ClientTLS(), RetryFirst: 2 * time.Millisecond, RetryMost: 20 * time.Millisecond,
		LimitedWait: 50 * time.Millisecond, RequestsPerSecond: 1e6, RequestBurst: 1000, PageWait: time.Millisecond}
	if change != nil {
		change(&opts)
	}
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// run runs a source until the test ends, and wants it to end for that reason.
func run(t testing.TB, s *Source, names ...string) *sink {
	t.Helper()
	k := newSink()
	s.SetSymbols(symbols(names...))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, market.SourcePosition{}, 0, k) }()
	t.Cleanup(func() {
		cancel()
		k.release()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
	return k
}

func covered(t testing.TB, s *Source, names ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Covered(ctx, symbols(names...)); err != nil {
		t.Fatalf("not covered: %v; %v", err, names)
	}
}

func do(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// entry is an oracle's trade as the source has to say it.
func entry(x coinbasetest.Trade, symbol uint32) market.Entry {
	return market.Entry{Kind: market.Trade, Side: x.Taker, Symbol: symbol, Time: x.TimeNs, Price: x.Price, Size: x.Size, Order: x.ID, ID: x.ID}
}

// check wants what came to be just the vendor's trades with ids after after, up to before.
func check(t testing.TB, v *coinbasetest.Vendor, product string, symbol uint32, after, before uint64, got []market.Entry) {
	t.Helper()
	trades, err := v.Trades(product, after, before)
	do(t, err)
	if len(trades) != len(got) {
		t.Fatalf("%s: %d trades between %d and %d, want %d", product, len(got), after, before, len(trades))
	}
	for i, x := range trades {
		if want := entry(x, symbol); got[i] != want {
			t.Fatalf("%s: trade %d is %+v\nwant %+v", product, i, got[i], want)
		}
	}
}

// whole does what ingest does: it takes each id once, and refills what is missing up to the newest.
func (s *sink) whole(t testing.TB, src *Source, product string, symbol uint32, after uint64) (trades []market.Entry) {
	t.Helper()
	s.mu.Lock()
	byID := map[uint64]market.Entry{}
	newest := after
	for _, e := range s.entries {
		if e.Symbol != symbol || e.ID <= after {
			continue
		}
		newest = max(newest, e.ID)
		if e.Kind == market.Trade {
			if old, twice := byID[e.ID]; twice && old != e {
				t.Errorf("trade %d came as %+v and as %+v", e.ID, old, e)
			}
			byID[e.ID] = e
		}
	}
	s.mu.Unlock()
	for id := after + 1; id <= newest; id++ {
		if _, ok := byID[id]; ok {
			continue
		}
		to := id + 1
		for ; to <= newest; to++ {
			if _, ok := byID[to]; ok {
				break
			}
		}
		do(t, src.Refill(context.Background(), feed.Stretch{Symbol: feed.Symbol{Number: symbol, Name: product}, AfterID: id - 1, BeforeID: to},
			func(e *market.Entry) error {
				byID[e.ID] = *e
				return nil
			}))
		id = to
	}
	for id := after + 1; id <= newest; id++ {
		if e, ok := byID[id]; ok {
			trades = append(trades, e)
		}
	}
	return trades
}
