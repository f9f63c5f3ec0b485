package shard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/peer"
	"github.com/marketstream/marketstream/streamer/pods"
	"github.com/marketstream/marketstream/streamer/ring"
)

const (
	t0    = int64(1_709_596_800_000)
	guard = time.Minute // against hanging
)

// world is one pod, "self", whose log is in memory and whose peers are scripted.
type world struct {
	*Shard
	t       *testing.T
	rings   *ring.Set
	symbols market.SymbolTable
	numbers []uint32

	mu     sync.Mutex
	frames []*logs.Frame
	reads  int
	read   int // frames
	fails  int // readings of the log that fail first
	asked  map[string]int
	pods   map[string]*ring.Set // by address
	hang   chan struct{}        // asks wait for it
	counts map[string]int
	moved  map[string]int
	loaded []string
}

func newWorld(t *testing.T, symbols int, others ...string) *world {
	t.Helper()
	w := &world{t: t, rings: ring.NewSet(100), asked: map[string]int{}, pods: map[string]*ring.Set{}, counts: map[string]int{}, moved: map[string]int{}}
	for i := range symbols {
		w.numbers = append(w.numbers, w.symbols.Intern(fmt.Sprintf("S%d", i)))
	}
	w.Shard = New(Options{Self: "self", Rings: w.rings, Symbols: &w.symbols, Frames: w, Peers: w, Since: w.since, Reached: w.reached, Epoch: "e", Metrics: w, Log: logr.Discard(),
		Loaded: func(id string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.loaded = append(w.loaded, id)
		}})
	w.Carry(w.numbers, []market.Timeframe{market.M1})
	w.Begin(others)
	return w
}

// close closes a minute of all symbols: the log has it, the pods apply it, and self too.
func (w *world) close(minute int64) {
	f := &logs.Frame{Kind: logs.FrameBars}
	for _, n := range w.numbers {
		r := market.Record{Symbol: n, Timeframe: market.M1, StartMs: t0 + minute*60_000, EndMs: t0 + minute*60_000 + 60_000}
		e := market.Entry{Time: r.StartMs * 1e6, Price: market.Decimal{Coef: 100 + minute*7 + int64(n)}, Size: market.Decimal{Coef: 1}}
		if err := r.AddTrade(&e, market.UseAll); err != nil {
			w.t.Fatal(err)
		}
		f.Records = append(f.Records, r)
	}
	w.mu.Lock()
	w.frames = append(w.frames, f)
	seq := uint64(len(w.frames))
	all := []*ring.Set{w.rings}
	for _, p := range w.pods {
		all = append(all, p)
	}
	w.mu.Unlock()
	w.Apply(seq, f)
	for _, set := range all {
		for i := range f.Records {
			b, _ := f.Records[i].Bar()
			set.Apply(f.Records[i].Symbol, &b)
		}
		set.SetApplied(seq)
	}
}

// Frames implements Frames.
func (w *world) Frames(_ context.Context, from uint64, fn func(uint64, *logs.Frame) error) error {
	w.mu.Lock()
	w.reads++
	frames, fail := slices.Clone(w.frames), w.fails > 0
	w.fails--
	w.mu.Unlock()
	for i, f := range frames {
		if uint64(i+1) < from {
			continue
		}
		w.mu.Lock()
		w.read++
		w.mu.Unlock()
		if fail && i == len(frames)/2 {
			return fmt.Errorf("in the middle: %w", logs.ErrUnavailable)
		}
		if err := fn(uint64(i+1), f); err != nil {
			return err
		}
	}
	return nil
}

// since and reached are of a log with a frame a minute.
func (w *world) since(_ uint32, ms int64) uint64 {
	return uint64(max(1, (ms-t0)/60_000))
}

func (w *world) reached(uint32) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := w.frames[len(w.frames)-1].Records
	return last[len(last)-1].EndMs
}

// Ask implements Asker: who is not in pods is dead.
func (w *world) Ask(ctx context.Context, address string, q *peer.Request) (uint64, []peer.Answer, error) {
	w.mu.Lock()
	w.asked[address]++
	set, hang := w.pods[address], w.hang
	w.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		}
	}
	if set == nil {
		return 0, nil, peer.ErrNoAnswer
	}
	applied := set.Applied()
	out := make([]peer.Answer, len(q.Asks))
	for i, a := range q.Asks {
		n, _ := w.symbols.ID(a.Symbol)
		bars, info := set.Read(n, a.Timeframe, a.Query, nil)
		if out[i] = (peer.Answer{State: peer.Here, Info: info, Count: len(bars), Data: peer.AppendBars(nil, bars)}); info.Missing {
			out[i] = peer.Answer{State: peer.Lacks}
		} else if a.Unless != 0 && a.Unless == info.Version {
			out[i] = peer.Answer{State: peer.Here, Info: info, Same: true}
		}
	}
	return applied, out, nil
}

func (w *world) Moved(direction string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moved[direction] += n
}

func (w *world) Forwarded(result string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[result] += n
}

func (w *world) n(result string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts[result]
}

// view is pods as they announce themselves: name to what they have loaded for.
func view(loaded map[string]string) (v pods.View) {
	for pod, id := range loaded {
		v.Pods = append(v.Pods, pods.Announcement{Pod: pod, Address: pod, State: pods.Warm, Rings: id})
	}
	slices.SortFunc(v.Pods, func(a, b pods.Announcement) int {
		if a.Pod < b.Pod {
			return -1
		}
		return 1
	})
	return v
}

// other adds a pod that has every ring.
func (w *world) other(name string) *ring.Set {
	set := ring.NewSet(100)
	set.Carry(w.numbers, []market.Timeframe{market.M1})
	w.pods[name] = set
	return set
}

func (w *world) asks() (asks []ring.Ask) {
	for _, n := range w.numbers {
		asks = append(asks, ring.Ask{Symbol: n, Timeframe: market.M1, Query: ring.Query{Limit: 5}})
	}
	return asks
}

// right reads all symbols, by Answer and by Walk, and wants the newest five minutes of each.
func (w *world) right(what string, newest int64) {
	w.t.Helper()
	check := func(i int, bars []market.Bar) {
		if len(bars) != 5 || bars[4].StartMs != t0+newest*60_000 || bars[4].Close != 100+newest*7+int64(w.numbers[i]) {
			w.t.Errorf("%s: S%d: %v", what, i, bars)
		}
	}
	seq := uint64(len(w.frames))
	got, err := w.Answer(w.t.Context(), seq, w.asks())
	if err != nil {
		w.t.Fatal(what, err)
	}
	for i := range got {
		check(i, got[i].Bars)
	}
	next := 0
	err = w.Walk(w.t.Context(), seq, w.asks(), func(i int, a ring.Answer) error {
		if i != next {
			w.t.Errorf("%s: %d comes, want %d", what, i, next)
		}
		next++
		check(i, a.Bars)
		return nil
	})
	if err != nil || next != len(w.numbers) {
		w.t.Errorf("%s: %d of %d, %v", what, next, len(w.numbers), err)
	}
}

// TestElsewhere: what is not here comes from the pod that has it, is kept until a frame has a bar of
// it, and comes from BARS when no pod has it.
func TestElsewhere(t *testing.T) {
	w := newWorld(t, 50, "b")
	id := pods.NewRings([]string{"self", "b"}).ID()
	b := w.other("b")
	for m := range int64(10) {
		w.close(m)
	}
	here := w.rings.Len()
	if here < 10 || here > 40 {
		t.Fatalf("%d of 50 rings are here", here)
	}
	w.Update(view(map[string]string{"self": id, "b": id}))
	w.right("at first", 9)
	if w.asked["b"] != 1 || w.n("ok") != 50-here || w.n("cache") != 50-here {
		t.Errorf("%d requests, %v", w.asked["b"], w.counts)
	}
	w.close(10)
	w.right("after another minute", 10)
	if w.asked["b"] != 2 {
		t.Errorf("%d requests: a new bar is asked for once", w.asked["b"])
	}
	gone := slices.DeleteFunc(slices.Clone(w.numbers), func(n uint32) bool { return w.rings.Has(n, market.M1) })[0]
	b.Drop(gone)
	w.close(11)
	w.right("a ring that b lacks", 11)
	if w.n("lacking") != 1 || w.n("log") != 1 || w.reads != 1 {
		t.Errorf("%v, BARS was read %d times", w.counts, w.reads)
	}
	w.close(12)
	delete(w.pods, "b")
	w.fails = 1
	w.right("b is dead, and BARS does not answer at once", 12)
	if w.reads != 3 {
		t.Errorf("BARS was read %d times, not once more and again", w.reads)
	}
}

// TestCoalesced: any number of the same questions at once make one request; who gives up
// takes nothing from the others.
func TestCoalesced(t *testing.T) {
	w := newWorld(t, 20, "b")
	w.other("b")
	for m := range int64(6) {
		w.close(m)
	}
	id := pods.NewRings([]string{"self", "b"}).ID()
	w.Update(view(map[string]string{"self": id, "b": id}))
	w.hang = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	gaveUp := make(chan error, 1)
	all.Go(func() {
		_, err := w.Answer(ctx, 6, w.asks())
		gaveUp <- err
	})
	until(t, "the first is under way", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.asked["b"] == 1
	})
	for range 10 {
		all.Go(func() { w.right("with others", 5) })
	}
	lacks := 20 - w.rings.Len()
	until(t, "all have joined", func() bool { return w.n("joined") == 10*lacks })
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(w.hang)
	all.Wait()
	if w.asked["b"] != 1 || w.n("log")+w.n("failed") > 0 {
		t.Errorf("%d requests, %v", w.asked["b"], w.counts)
	}
}

// until polls until cond holds.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for limit := time.After(guard); !cond(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("waited in vain until ", what)
		}
	}
}

// TestMoves: a pod loads what becomes its own in one pass, says so, and lets go what another
// has announced to have, not before.
func TestMoves(t *testing.T) {
	w := newWorld(t, 300)
	for m := range int64(20) {
		w.close(m)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	defer running.Wait()
	defer cancel()
	alone, two := pods.NewRings([]string{"self"}).ID(), pods.NewRings([]string{"self", "b"}).ID()
	until := func(what string, cond func() bool) {
		t.Helper()
		until(t, what, func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return cond()
		})
	}
	said := func(id string) func() bool {
		return func() bool { return len(w.loaded) > 0 && w.loaded[len(w.loaded)-1] == id }
	}
	w.Update(view(map[string]string{"self": alone}))
	until("it has loaded for itself", said(alone))
	w.Update(view(map[string]string{"self": alone, "b": ""}))
	until("it has what it is to have of two", said(two))
	w.passes()
	if w.rings.Len() != 300 {
		t.Errorf("%d rings: some were let go before b has them", w.rings.Len())
	}
	w.Update(view(map[string]string{"self": two, "b": two}))
	until("what b has is let go", func() bool { return w.moved["out"] > 0 && w.rings.Len() == w.half() })
	half := w.rings.Len()
	if half < 75 || half > 225 {
		t.Errorf("%d rings of 300", half)
	}
	w.other("b")
	reads := w.reads
	w.Update(view(map[string]string{"self": two}))
	until("it has all again", func() bool { return w.rings.Len() == 300 && said(alone)() })
	if w.reads != reads+1 || w.moved["in"] != 300-half {
		t.Errorf("BARS was read %d times for %v rings", w.reads-reads, w.moved)
	}
	w.right("after all", 19)
	if w.n("ok")+w.n("log") > 0 {
		t.Errorf("others were asked: %v", w.counts)
	}
	draining := view(map[string]string{"b": "x"})
	draining.Pods = append(draining.Pods, pods.Announcement{Pod: "self", State: pods.Draining})
	w.Update(draining)
	until("it is to hold nothing", said(pods.NewRings([]string{"b"}).ID()))
	w.passes()
	if w.rings.Len() != 300 {
		t.Errorf("a draining pod has %d rings before the other has loaded", w.rings.Len())
	}
}

// passes waits until a pass over the rings that is under way has ended, and another has begun.
func (w *world) passes() {
	w.t.Helper()
	w.mu.Lock()
	n := len(w.loaded)
	w.mu.Unlock()
	w.poke()
	until(w.t, "another pass begins", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.loaded) > n
	})
}

// half is how many rings are ours of two pods.
func (w *world) half() (n int) {
	r := pods.NewRings([]string{"self", "b"})
	for _, x := range w.numbers {
		if r.Holder(w.symbols.Name(x)) == "self" {
			n++
		}
	}
	return n
}

// TestBefore: while a new holder has not loaded, the one before is asked.
func TestBefore(t *testing.T) {
	w := newWorld(t, 60, "b")
	w.other("b")
	w.other("c")
	for m := range int64(6) {
		w.close(m)
	}
	two, three := pods.NewRings([]string{"self", "b"}).ID(), pods.NewRings([]string{"self", "b", "c"}).ID()
	w.Update(view(map[string]string{"self": two, "b": two}))
	w.Update(view(map[string]string{"self": two, "b": two, "c": ""}))
	w.right("c loads", 5)
	if w.asked["c"] > 0 || w.asked["b"] == 0 {
		t.Errorf("%v", w.asked)
	}
	w.close(6)
	w.Update(view(map[string]string{"self": two, "b": two, "c": three}))
	w.right("c has loaded", 6)
	if w.asked["c"] == 0 {
		t.Errorf("%v", w.asked)
	}
}

// TestReset: after a rewind nothing of before is given.
func TestReset(t *testing.T) {
	w := newWorld(t, 20, "b")
	b := w.other("b")
	for m := range int64(6) {
		w.close(m)
	}
	id := pods.NewRings([]string{"self", "b"}).ID()
	w.Update(view(map[string]string{"self": id, "b": id}))
	w.right("before", 5)
	w.rings.Reset()
	w.Reset()
	b.Reset()
	w.frames = nil
	for m := range int64(6) {
		w.close(m + 10)
	}
	w.right("after", 15)
}

// TestJoining: a pod that is not warm yet keeps what it has loaded for when it is.
func TestJoining(t *testing.T) {
	w := newWorld(t, 60, "b")
	two := pods.NewRings([]string{"self", "b"}).ID()
	v := view(map[string]string{"b": two})
	v.Pods = append(v.Pods, pods.Announcement{Pod: "self", State: pods.Joining})
	had := w.rings.Len()
	w.Update(v)
	if err := w.move(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := w.rings.Len(); n != had || n == 0 || w.Set() != two {
		t.Errorf("%d rings, had %d; the set is %s, want %s", n, had, w.Set(), two)
	}
}

// TestLogFallbackIsBounded: what no pod has is read from BARS no further back than it lies, however long BARS is, and says
// what the whole of BARS would.
func TestLogFallbackIsBounded(t *testing.T) {
	w := newWorld(t, 40, "b")
	w.rings.SetCapacity(1000)
	for m := range int64(3000) {
		w.close(m)
	}
	lacking := slices.DeleteFunc(slices.Clone(w.numbers), func(n uint32) bool { return w.rings.Has(n, market.M1) })
	seq, first := uint64(len(w.frames)), market.Seq(t0)
	rare := lacking[0]
	for m, f := range w.frames { // one symbol trades once an hour
		if m%60 != 59 {
			f.Records = slices.DeleteFunc(slices.Clone(f.Records), func(r market.Record) bool { return r.Symbol == rare })
		}
	}
	old := *w.frames[7] // the last frame revises an old bar: what lies between is not known by that
	w.frames[2999].Records = append(slices.Clone(old.Records), w.frames[2999].Records...)
	for _, c := range []struct {
		what    string
		symbol  uint32
		query   ring.Query
		first   int64 // minute of the first bar that is wanted
		bars    int
		evicted bool
		most    int // frames that may be read
	}{
		{"the newest", lacking[1], ring.Query{Limit: 5}, 2995, 5, true, 60},
		{"before a time", lacking[1], ring.Query{Limit: 5, BeforeMs: t0 + 2500*60_000}, 2495, 5, true, 600},
		{"after a bar", lacking[1], ring.Query{AfterSeq: first + 2979, HasAfter: true}, 2980, 20, false, 30},
		{"after a bar, the oldest", lacking[1], ring.Query{AfterSeq: first + 2899, HasAfter: true, Limit: 3, Oldest: true}, 2900, 3, false, 110},
		{"after the newest", lacking[1], ring.Query{AfterSeq: first + 2999, HasAfter: true}, 0, 0, false, 10},
		{"a whole ring", lacking[1], ring.Query{}, 2000, 1000, true, 2100},
		{"of a symbol that rarely trades", rare, ring.Query{Limit: 3}, 2879, 3, true, 450},
		{"more than there is", rare, ring.Query{Limit: 900}, 59, 50, false, 6100},
	} {
		w.read = 0
		got, err := w.Answer(t.Context(), seq, []ring.Ask{{Symbol: c.symbol, Timeframe: market.M1, Query: c.query}})
		if err != nil {
			t.Fatal(c.what, err)
		}
		a := got[0]
		if len(a.Bars) != c.bars || a.Evicted != c.evicted || c.bars > 0 && a.Bars[0].StartMs != t0+c.first*60_000 {
			t.Errorf("%s: %d bars, evicted %v, %+v, want %d from minute %d on", c.what, len(a.Bars), a.Evicted, a.Info, c.bars, c.first)
		}
		if c.query.HasAfter && c.bars > 0 && a.OldestSeq > c.query.AfterSeq+1 {
			t.Errorf("%s: the oldest is %d: that there is none between is known", c.what, a.OldestSeq-first)
		}
		if c.evicted && a.OldestSeq-first == 7 {
			t.Errorf("%s: the oldest is the one that was revised", c.what)
		}
		if w.read > c.most {
			t.Errorf("%s: %d frames were read, want %d at most", c.what, w.read, c.most)
		}
	}
}
