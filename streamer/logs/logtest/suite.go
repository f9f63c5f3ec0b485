package logtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// Subject is a log under test. Hooks that an implementation cannot offer are nil.
type Subject struct {
	Log logs.Log
	// Reopen ends the log as a crash or a restart does and opens what it kept.
	Reopen func() logs.Log
	// Rewind is Reopen with the state at the last call of Keep in place.
	Keep   func() logs.Log // Reopen, and remember the state
	Rewind func() logs.Log
	// Age is how long to wait until every entry so far has aged out.
	Age time.Duration
}

// guard is a limit against hanging, far above what anything here takes on a busy machine.
const guard = 3 * time.Minute

// Run runs the suite; open opens an empty log for each test.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, context.Context, Subject)
	}{
		{"append", testAppend}, {"owner", testOwner}, {"tail", testTail}, {"paused writer", testPaused},
		{"writers", testWriters}, {"large", testLarge}, {"restart", testRestart}, {"rewound", testRewound}, {"aged out", testAged},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), guard)
			defer cancel()
			c.run(t, ctx, open(t))
		})
	}
}

func mustAppend(t *testing.T, ctx context.Context, l logs.Log, partition int, expect uint64, data string) uint64 {
	t.Helper()
	seq, err := l.Append(ctx, partition, expect, []byte(data))
	if err != nil {
		t.Fatalf("append %q after %d: %v", data, expect, err)
	}
	return seq
}

func read(t *testing.T, ctx context.Context, l logs.Log, from uint64) (out []string) {
	t.Helper()
	last := uint64(0)
	err := l.Read(ctx, from, func(e logs.Entry) error {
		if e.Seq <= last || e.Seq < from {
			t.Errorf("sequence %d after %d, from %d", e.Seq, last, from)
		}
		last = e.Seq
		out = append(out, fmt.Sprint(e.Partition, " ", string(e.Data)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// testAppend: an append happens exactly if its expectation holds.
func testAppend(t *testing.T, ctx context.Context, s Subject) {
	l := s.Log
	if b, err := l.Bounds(ctx); err != nil || b.Last >= b.First && b.Last != 0 {
		t.Errorf("bounds of an empty log: %+v %v", b, err)
	}
	if _, err := l.Last(ctx, 3); !errors.Is(err, logs.ErrGone) {
		t.Errorf("the last of an empty partition: %v", err)
	}
	a := mustAppend(t, ctx, l, 3, 0, "a")
	b := mustAppend(t, ctx, l, 3, a, "b")
	c := mustAppend(t, ctx, l, 5, 0, "c")
	for _, expect := range []uint64{0, a, c, b + 100} {
		if _, err := l.Append(ctx, 3, expect, []byte("x")); !errors.Is(err, logs.ErrConflict) {
			t.Errorf("append after %d: %v, want a conflict", expect, err)
		}
	}
	same(t, "all", read(t, ctx, l, 1), []string{"3 a", "3 b", "5 c"})
	same(t, "from b", read(t, ctx, l, b), []string{"3 b", "5 c"})
	same(t, "from beyond the end", read(t, ctx, l, c+1), nil)
	if e, err := l.Last(ctx, 3); err != nil || e.Seq != b || string(e.Data) != "b" || e.Partition != 3 {
		t.Errorf("last: %+v %v", e, err)
	}
	if e, err := l.Get(ctx, c); err != nil || e.Partition != 5 || string(e.Data) != "c" {
		t.Errorf("get: %+v %v", e, err)
	}
	if _, err := l.Get(ctx, c+1); !errors.Is(err, logs.ErrGone) {
		t.Errorf("get beyond the end: %v", err)
	}
	if bounds, err := l.Bounds(ctx); err != nil || bounds.First != a || bounds.Last != c {
		t.Errorf("bounds: %+v %v", bounds, err)
	}
	stop := errors.New("stop")
	if err := l.Read(ctx, 1, func(logs.Entry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("fn's error: %v", err)
	}
}

// testOwner: the owner's subject is one of its own.
func testOwner(t *testing.T, ctx context.Context, s Subject) {
	seq := mustAppend(t, ctx, s.Log, logs.OwnerSubject, 0, "me")
	mustAppend(t, ctx, s.Log, 0, 0, "a")
	mustAppend(t, ctx, s.Log, logs.OwnerSubject, seq, "me again")
	same(t, "all", read(t, ctx, s.Log, 1), []string{"-1 me", "0 a", "-1 me again"})
	if _, err := s.Log.Append(ctx, logs.OwnerSubject, seq, []byte("x")); !errors.Is(err, logs.ErrConflict) {
		t.Error(err)
	}
}

// testTail: a tail has what is stored and what comes, in order, each once.
func testTail(t *testing.T, ctx context.Context, s Subject) {
	const n = 300
	last := uint64(0)
	for i := range n / 2 {
		last = mustAppend(t, ctx, s.Log, 1, last, fmt.Sprint(i))
	}
	go func() {
		at := last
		for i := n / 2; i < n; i++ {
			var err error
			if at, err = s.Log.Append(ctx, 1, at, []byte(fmt.Sprint(i))); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	next, done := 0, errors.New("done")
	err := s.Log.Tail(ctx, 1, func(e logs.Entry) error {
		if string(e.Data) != fmt.Sprint(next) {
			return fmt.Errorf("%q, want %d", e.Data, next)
		}
		if next++; next == n {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Errorf("at %d: %v", next, err)
	}
}

// testPaused: a writer that slept while another wrote stores nothing when it wakes.
func testPaused(t *testing.T, ctx context.Context, s Subject) {
	first := mustAppend(t, ctx, s.Log, 7, 0, "old writer")
	second := mustAppend(t, ctx, s.Log, 7, first, "new writer")
	if _, err := s.Log.Append(ctx, 7, first, []byte("old writer wakes")); !errors.Is(err, logs.ErrConflict) {
		t.Error(err)
	}
	if e, err := s.Log.Last(ctx, 7); err != nil || e.Seq != second {
		t.Errorf("%+v %v", e, err)
	}
	same(t, "all", read(t, ctx, s.Log, 1), []string{"7 old writer", "7 new writer"})
}

// testWriters: partitions are written side by side, and no two writers of one succeed at once.
func testWriters(t *testing.T, ctx context.Context, s Subject) {
	var wait sync.WaitGroup
	for p := range market.Partitions {
		for w := range 2 {
			wait.Go(func() {
				for n := 0; n < 20; {
					expect := uint64(0)
					if e, err := s.Log.Last(ctx, p); err == nil {
						expect = e.Seq
					}
					_, err := s.Log.Append(ctx, p, expect, []byte(fmt.Sprint(w, n)))
					switch {
					case err == nil:
						n++
					case !errors.Is(err, logs.ErrConflict):
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wait.Wait()
	if n := len(read(t, ctx, s.Log, 1)); n != market.Partitions*2*20 {
		t.Errorf("%d entries", n)
	}
}

// testLarge: the longest entry is kept as it is, a longer one refused.
func testLarge(t *testing.T, ctx context.Context, s Subject) {
	data := bytes.Repeat([]byte("0123456789abcdef"), logs.MaxEntry/16)
	// A busy machine may take longer than a request has; what was not answered may be stored.
	seq := eventually(t, ctx, func() (uint64, error) {
		seq, err := s.Log.Append(ctx, 2, 0, data)
		if errors.Is(err, logs.ErrConflict) {
			e, err := s.Log.Last(ctx, 2)
			return e.Seq, err
		}
		return seq, err
	})
	if e := eventually(t, ctx, func() (logs.Entry, error) { return s.Log.Get(ctx, seq) }); !bytes.Equal(e.Data, data) {
		t.Errorf("%d bytes", len(e.Data))
	}
	if _, err := s.Log.Append(ctx, 2, seq, append(data, 'x')); err == nil {
		t.Error("an entry that is too long was taken")
	}
}

// testRestart: what was acknowledged is there after a restart, under its sequences.
func testRestart(t *testing.T, ctx context.Context, s Subject) {
	if s.Reopen == nil {
		t.Skip("it keeps nothing")
	}
	a := mustAppend(t, ctx, s.Log, 1, 0, "a")
	b := mustAppend(t, ctx, s.Log, 1, a, "b")
	l := s.Reopen()
	same(t, "after", read(t, ctx, l, 1), []string{"1 a", "1 b"})
	if _, err := l.Append(ctx, 1, a, []byte("x")); !errors.Is(err, logs.ErrConflict) {
		t.Error(err)
	}
	if c := mustAppend(t, ctx, l, 1, b, "c"); c <= b {
		t.Errorf("sequence %d after %d", c, b)
	}
}

// testRewound: after the log has lost its end, a tail from beyond it says so, and what was
// acknowledged before is not expected any more.
func testRewound(t *testing.T, ctx context.Context, s Subject) {
	if s.Rewind == nil {
		t.Skip("it cannot be rewound")
	}
	a := mustAppend(t, ctx, s.Log, 1, 0, "a")
	l := s.Keep()
	b := mustAppend(t, ctx, l, 1, a, "lost")
	c := mustAppend(t, ctx, l, 1, b, "lost too")
	l = s.Rewind()
	same(t, "after", read(t, ctx, l, 1), []string{"1 a"})
	if _, err := l.Append(ctx, 1, c, []byte("x")); !errors.Is(err, logs.ErrConflict) {
		t.Errorf("append after what was lost: %v", err)
	}
	if e, err := l.Last(ctx, 1); err != nil || e.Seq != a {
		t.Errorf("last: %+v %v", e, err)
	}
	if err := l.Tail(ctx, c+1, func(logs.Entry) error { return nil }); !errors.Is(err, logs.ErrRewound) {
		t.Errorf("a tail from beyond the end: %v", err)
	}
}

// testAged: a subject whose entries have aged out expects nothing, and sequences go on.
func testAged(t *testing.T, ctx context.Context, s Subject) {
	if s.Age == 0 {
		t.Skip("its entries do not age")
	}
	a := mustAppend(t, ctx, s.Log, 1, 0, "a")
	tick := time.NewTicker(s.Age / 10)
	defer tick.Stop()
	for {
		if _, err := s.Log.Last(ctx, 1); errors.Is(err, logs.ErrGone) {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it does not age out")
		}
	}
	if b := mustAppend(t, ctx, s.Log, 1, 0, "b"); b <= a {
		t.Errorf("sequence %d after %d", b, a)
	}
	if _, err := s.Log.Get(ctx, a); !errors.Is(err, logs.ErrGone) {
		t.Error(err)
	}
}
