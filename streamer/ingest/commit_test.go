package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/metrics"
)

// memory is a Log in memory that fails on cue.
type memory struct {
	mu      sync.Mutex // of entries, for who reads while a writer writes
	entries []logs.Entry
	seq     uint64
	// fault is asked before each append of a partition's frame with its number; after says that
	// the append happens all the same.
	fault func(number uint64) (err error, after bool)
}

// stored is what the log holds.
func (m *memory) stored() []logs.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.entries)
}

func (m *memory) lastOf(p int) (logs.Entry, bool) {
	for _, e := range slices.Backward(m.entries) {
		if e.Partition == p {
			return e, true
		}
	}
	return logs.Entry{}, false
}

func (m *memory) store(p int, data []byte) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seq++
	m.entries = append(m.entries, logs.Entry{Seq: m.seq, Partition: p, Data: slices.Clone(data)})
	return m.seq
}

func (m *memory) Append(_ context.Context, p int, expect uint64, data []byte) (uint64, error) {
	if last, _ := m.lastOf(p); last.Seq != expect {
		return 0, logs.ErrConflict
	}
	f, err := logs.DecodeFrame(data)
	if err != nil {
		return 0, err
	}
	if m.fault != nil {
		if err, after := m.fault(f.Number); err != nil {
			if after {
				m.store(p, data)
			}
			return 0, err
		}
	}
	return m.store(p, data), nil
}

func (m *memory) Last(_ context.Context, p int) (logs.Entry, error) {
	if e, ok := m.lastOf(p); ok {
		return e, nil
	}
	return logs.Entry{}, logs.ErrGone
}

func (m *memory) Read(_ context.Context, from uint64, fn func(logs.Entry) error) error {
	for _, e := range m.entries {
		if e.Seq >= from {
			if err := fn(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *memory) Get(context.Context, uint64) (logs.Entry, error) { return logs.Entry{}, logs.ErrGone }
func (m *memory) Tail(context.Context, uint64, func(logs.Entry) error) error {
	return errors.ErrUnsupported
}
func (m *memory) Bounds(context.Context) (logs.Bounds, error) {
	if len(m.entries) == 0 {
		return logs.Bounds{First: m.seq + 1, Last: m.seq}, nil
	}
	return logs.Bounds{First: m.entries[0].Seq, Last: m.entries[len(m.entries)-1].Seq}, nil
}

// noTicks takes ticks and keeps none.
type noTicks struct{}

func (noTicks) Publish(context.Context, int, []byte) (logs.Ack, error)         { return done{}, nil }
func (noTicks) Read(context.Context, int, func([]byte) error) error            { return nil }
func (noTicks) Last(context.Context, int) ([]byte, error)                      { return nil, logs.ErrGone }
func (noTicks) Subscribe(int, func([]byte)) (func(), error)                    { return func() {}, nil }
func (noTicks) PublishState(int, []byte) error                                 { return nil }
func (noTicks) Asked(func(int)) (func(), error)                                { return func() {}, nil }
func (noTicks) SubscribeState(int, func([]byte)) (unsubscribe func(), e error) { return func() {}, nil }

type done struct{}

func (done) Wait(context.Context) error { return nil }

// script is a source that can be read again: it says its entries.
type script struct{ entries []market.Entry }

func (s *script) SetSymbols([]feed.Symbol) {}
func (s *script) Close() error             { return nil }
func (s *script) Run(ctx context.Context, from market.SourcePosition, _ uint64, sink feed.Sink) error {
	for i := range s.entries {
		e := s.entries[i]
		if e.Kind != market.Mark && e.Offset <= from.Offset {
			continue
		}
		if err := sink.Put(&e); err != nil {
			return err
		}
	}
	if err := sink.Flush(); err != nil {
		return err
	}
	sink.Status(feed.Status{State: feed.Ended})
	return nil
}

// always is a gate that is open.
type always struct{}

func (always) Wait(context.Context) error { return nil }

// headsOf reads a log's heads.
func headsOf(l logs.Log, table *market.SymbolTable) func(context.Context) (Heads, logs.Bounds, error) {
	return func(ctx context.Context) (h Heads, b logs.Bounds, err error) {
		r := logs.Reader{Log: l, Symbols: table}
		err = r.Frames(ctx, 1, func(seq uint64, f *logs.Frame) error {
			if b.Last = seq; b.First == 0 {
				b.First = seq
			}
			if f.Kind == logs.FrameOwner {
				return nil
			}
			x := &h[f.Partition]
			x.Seq, x.Frame = seq, f
			if f.Shape != nil {
				x.Shape, x.ShapeSeq = f.Shape, seq
			}
			return nil
		})
		return h, b, err
	}
}

func testSpec(t testing.TB) *Spec {
	t.Helper()
	spec := &Spec{Symbols: []string{"SPY"}, Timeframes: []market.Timeframe{market.M1}, ConditionsName: "None", CloseGraceMs: 0, RevisionMs: 900_000, Source: "test"}
	var err error
	if spec.Session.Calendar, err = market.LookupCalendar("AlwaysOpen"); err != nil {
		t.Fatal(err)
	}
	if spec.Conditions, err = market.LookupConditions("None"); err != nil {
		t.Fatal(err)
	}
	return spec
}

// folded runs trades of n minutes through a plane over a log, and returns how its writer ended.
func folded(t *testing.T, log *memory, n int) error {
	t.Helper()
	table := &market.SymbolTable{}
	table.Intern("SPY")
	env := &Env{Bars: log, Ticks: noTicks{}, Symbols: table, Metrics: metrics.New("test"), Log: logr.Discard(), Heads: headsOf(log, table)}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	src := &script{}
	for i := range n {
		at := int64(1_709_649_000_000) + int64(i)*60_000
		src.entries = append(src.entries, market.Entry{Kind: market.Mark, Symbol: market.AllSymbols, Time: at * 1e6, Offset: uint64(i)},
			market.Entry{Kind: market.Trade, Time: at * 1e6, Price: market.MustDecimal("1.5"), Size: market.MustDecimal("2"), Offset: uint64(i + 1)})
	}
	result := make(chan error, 1)
	p := NewPlane(PlaneOptions{Env: env, Source: src, Spec: testSpec(t),
		Status: func(feed.Status) {},
		Ended:  func(_ int, err error) { result <- err }, Failed: func(err error) { result <- err }})
	var done sync.WaitGroup
	done.Go(func() { p.Run(ctx) })
	spy := market.PartitionOf("SPY")
	p.Claim(Claim{Partition: spy, Token: 1, Gate: always{}})
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	last := int64(1_709_649_000_000) + int64(n-1)*60_000
	for reached := false; !reached; {
		select {
		case err := <-result:
			cancel()
			done.Wait()
			return err
		case <-tick.C:
			g := p.Progress()
			reached = len(g) == 1 && g[0].WatermarkMs == last
		case <-ctx.Done():
			t.Fatal("the writer does not get on")
		}
	}
	p.Release(ctx, spy)
	cancel()
	done.Wait()
	select {
	case err := <-result:
		return err
	default:
		return nil
	}
}

// numbers are those of the frames in a log.
func (m *memory) numbers(t *testing.T) (out []uint64) {
	t.Helper()
	for _, e := range m.entries {
		f, err := logs.DecodeFrame(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f.Number)
	}
	return out
}

// TestAppendFails: what a writer does when an append fails is decided by what the log then holds.
func TestAppendFails(t *testing.T) {
	want := []uint64{1, 2, 3, 4, 5} // the configuration, and four closes
	once := func(number uint64, err error, after bool) func(uint64) (error, bool) {
		failed := false
		return func(n uint64) (error, bool) {
			if n != number || failed {
				return nil, false
			}
			failed = true
			return err, after
		}
	}
	t.Run("not stored", func(t *testing.T) {
		for _, err := range []error{logs.ErrUnavailable, logs.ErrFull, fmt.Errorf("wrapped: %w", logs.ErrUnavailable)} {
			log := &memory{fault: once(3, err, false)}
			if err := folded(t, log, 5); err != nil {
				t.Error(err)
			}
			if got := log.numbers(t); !slices.Equal(got, want) {
				t.Errorf("%v: frames %v, want %v", err, got, want)
			}
		}
	})
	t.Run("stored, the answer lost", func(t *testing.T) {
		log := &memory{fault: once(3, logs.ErrUnavailable, true)}
		if err := folded(t, log, 5); err != nil {
			t.Error(err)
		}
		if got := log.numbers(t); !slices.Equal(got, want) {
			t.Errorf("frames %v, want %v: nothing twice", got, want)
		}
	})
	t.Run("fenced", func(t *testing.T) {
		log := &memory{}
		log.fault = func(n uint64) (error, bool) {
			if n == 3 { // another writer has just written
				f := logs.Frame{Kind: logs.FrameBars, Partition: uint8(market.PartitionOf("SPY")), Number: 3, Token: 2, Tag: 9}
				data, err := f.AppendBinary(nil)
				if err != nil {
					t.Error(err)
				}
				log.store(market.PartitionOf("SPY"), data)
				return logs.ErrConflict, false
			}
			return nil, false
		}
		if err := folded(t, log, 5); !errors.Is(err, ErrFenced) {
			t.Errorf("%v, want ErrFenced", err)
		}
		if got := log.numbers(t); !slices.Equal(got, []uint64{1, 2, 3}) {
			t.Errorf("frames %v: a fenced writer wrote", got)
		}
	})
	t.Run("rewound", func(t *testing.T) {
		log := &memory{}
		log.fault = func(n uint64) (error, bool) {
			if n == 4 {
				log.entries, log.seq = log.entries[:1], 1
				return logs.ErrConflict, false
			}
			return nil, false
		}
		if err := folded(t, log, 5); !errors.Is(err, logs.ErrRewound) {
			t.Errorf("%v, want ErrRewound", err)
		}
	})
	t.Run("aged out", func(t *testing.T) {
		log := &memory{}
		failed := false
		log.fault = func(n uint64) (error, bool) {
			if n == 4 && !failed {
				failed = true
				log.entries = nil
				return logs.ErrConflict, false
			}
			return nil, false
		}
		if err := folded(t, log, 5); err != nil {
			t.Error(err)
		}
		if got := log.numbers(t); !slices.Equal(got, []uint64{4, 5}) {
			t.Errorf("frames %v, want the numbers to go on", got)
		}
	})
}

// TestOtherSource: positions of one source are never taken for another's.
func TestOtherSource(t *testing.T) {
	heads := Heads{}
	heads[3].Shape = &logs.Shape{Source: "replay:1"}
	env := &Env{Heads: func(context.Context) (Heads, logs.Bounds, error) { return heads, logs.Bounds{}, nil }}
	_, err := openWriters(context.Background(), env, &Spec{Source: "replay:2"}, nil, nil)
	if !errors.Is(err, ErrOtherSource) {
		t.Error(err)
	}
}
