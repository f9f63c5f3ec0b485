package vendortest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
)

// Sink keeps what a source says. Its methods may be called at the same time.
type Sink struct {
	mu      sync.Mutex
	entries []market.Entry
	counts  [8]int // by kind
	status  []feed.Status
	gate    chan struct{} // Put waits while it is not nil and open
	err     error
}

// NewSink makes a sink.
func NewSink() *Sink { return &Sink{} }

// Put implements [feed.Sink].
func (s *Sink) Put(e *market.Entry) error {
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		<-gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = append(s.entries, *e)
	s.counts[e.Kind%8]++
	return s.err
}

// Flush implements [feed.Sink].
func (s *Sink) Flush() error { return nil }

// Status implements [feed.Sink].
func (s *Sink) Status(st feed.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = append(s.status, st)
}

// Hold makes Put wait until the function that it returns is called.
func (s *Sink) Hold() (release func()) {
	gate := make(chan struct{})
	s.mu.Lock()
	s.gate = gate
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		s.gate = nil
		s.mu.Unlock()
		close(gate)
	}
}

// Fail makes Put return an error.
func (s *Sink) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Count is how many entries of a kind were put.
func (s *Sink) Count(kind market.EntryKind) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[kind%8]
}

// Of are the entries of some kinds, in the order in which they were put.
func (s *Sink) Of(kinds ...market.EntryKind) (out []market.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.entries {
		if e := &s.entries[i]; slices.Contains(kinds, e.Kind) {
			out = append(out, *e)
		}
	}
	return out
}

// Statuses are what the source said of itself.
func (s *Sink) Statuses() []feed.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.status)
}

// Said counts the statuses of a state whose reason has a text in it.
func (s *Sink) Said(state feed.State, part string) (n int) {
	for _, st := range s.Statuses() {
		if st.State == state && strings.Contains(st.Reason, part) {
			n++
		}
	}
	return n
}

// Until waits until something is so, and fails the test if it is not after a minute.
func (s *Sink) Until(t testing.TB, what string, so func() bool) {
	t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for !so() {
		select {
		case <-look.C:
		case <-late.C:
			t.Fatalf("not within a minute: %s\nstatuses %+v\n%d entries", what, s.Statuses(), len(s.Of(market.Trade, market.Cancel, market.Mark, market.Hole)))
		}
	}
}

// Run runs a source into a sink until the test is over, or the function that it returns was called; that returns what Run did.
func Run(t testing.TB, src feed.Source, sink feed.Sink) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- src.Run(ctx, market.SourcePosition{}, 0, sink) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() {
			cancel()
			err = <-done
			if e := src.Close(); e != nil {
				err = fmt.Errorf("closing: %w", e)
			}
		})
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

// Symbols numbers names from 1.
func Symbols(names ...string) (out []feed.Symbol) {
	for i, name := range names {
		out = append(out, feed.Symbol{Number: uint32(i + 1), Name: name})
	}
	return out
}

// Log gathers what is logged, for tests that look for what must not be there.
type Log struct {
	mu   sync.Mutex
	text strings.Builder
}

// Add takes a line.
func (l *Log) Add(prefix, args string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(&l.text, prefix, args)
}

// String is all of it.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
