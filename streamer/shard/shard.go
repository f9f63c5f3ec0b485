package shard

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/peer"
	"github.com/marketstream/marketstream/streamer/pods"
	"github.com/marketstream/marketstream/streamer/ring"
)

// Frames reads BARS.
type Frames interface {
	Frames(ctx context.Context, from uint64, fn func(seq uint64, f *logs.Frame) error) error
}

// Asker asks other pods; a [peer.Client] does.
type Asker interface {
	Ask(ctx context.Context, address string, q *peer.Request) (applied uint64, out []peer.Answer, err error)
}

// Metrics is told what happens. Its methods may be called at the same time.
type Metrics interface {
	// Moved says that rings came ("in") or went ("out").
	Moved(direction string, rings int)
	// Forwarded says what came of reads of rings that are not here: cache, joined, ok, same, lacking, error, log or failed.
	Forwarded(result string, n int)
}

// Options are what a shard is made with.
type Options struct {
	Self    string // name of this pod
	Rings   *ring.Set
	Symbols *market.SymbolTable
	Frames  Frames
	// Peers asks other pods; nil: there are none, and all rings are here.
	Peers Asker
	Epoch string // of BARS
	// Tag returns the tag of the frame at a position that is applied; 0: not known. May be nil.
	Tag func(seq uint64) uint32
	// Since returns a place in BARS that is not after any frame with a bar of a symbol that ends after ms, and Reached
	// about where the newest of them ends, in ms; nil: BARS is read from its beginning.
	Since   func(symbol uint32, ms int64) uint64
	Reached func(symbol uint32) int64
	// Loaded is told for which set of warm pods all rings are loaded; may be nil.
	Loaded  func(id string)
	Metrics Metrics
	Log     logr.Logger
}

// Shard is the rings that this pod has, and a way to those that it has not. Its methods may
// be called at the same time; Apply and Reset by whoever follows BARS.
type Shard struct {
	opts  Options
	place atomic.Pointer[place]
	wake  chan struct{}

	mu      sync.Mutex
	symbols []uint32 // all that are carried
	frames  []market.Timeframe
	carried map[uint32]bool
	changes uint64        // of what is carried
	settled uint64        // changes when nothing was lacking last
	changed chan struct{} // closed and made again when settled moves
	wanted  int           // rings that are to be here

	*elsewhere
}

// place is who is alive and who is to hold what. It does not change.
type place struct {
	view pods.View
	now  *pods.Rings // by the pods that are warm
	// before is the last set for which all its pods had loaded; nil: not known.
	before *pods.Rings
}

// New returns a shard without rings. Carry and Begin come next, then Run.
func New(o Options) *Shard {
	s := &Shard{opts: o, wake: make(chan struct{}, 1), changed: make(chan struct{})}
	s.place.Store(&place{now: pods.NewRings([]string{o.Self})})
	s.elsewhere = newElsewhere(s)
	return s
}

// Carry says what the stream carries. Rings of anything else go at once; those that are
// lacking come by and by, see [Shard.Settle].
func (s *Shard) Carry(symbols []uint32, timeframes []market.Timeframe) {
	s.mu.Lock()
	s.symbols, s.frames = slices.Clone(symbols), slices.Clone(timeframes)
	s.carried = make(map[uint32]bool, len(symbols))
	for _, n := range symbols {
		s.carried[n] = true
	}
	s.changes++
	s.mu.Unlock()
	s.opts.Rings.Keep(symbols, timeframes)
	s.poke()
}

// Begin makes the rings that this pod will hold when it is as warm as these are. BARS has
// not been applied yet.
func (s *Shard) Begin(warm []string) {
	now := pods.NewRings(with(warm, s.opts.Self))
	p := &place{now: now}
	if len(warm) > 0 {
		p.before = pods.NewRings(warm)
	}
	s.place.Store(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.Rings.Carry(s.held(now, s.symbols), s.frames)
}

func with(warm []string, self string) []string {
	if slices.Contains(warm, self) {
		return warm
	}
	return append(slices.Clone(warm), self)
}

// held are those of symbols that this pod is to hold.
func (s *Shard) held(r *pods.Rings, symbols []uint32) (out []uint32) {
	for _, n := range symbols {
		if s.opts.Peers == nil || r.Holder(s.opts.Symbols.Name(n)) == s.opts.Self {
			out = append(out, n)
		}
	}
	return out
}

// Update takes who is alive.
func (s *Shard) Update(v pods.View) {
	old := s.place.Load()
	p := &place{view: v, now: old.now, before: old.before}
	warm := v.Warm()
	if self, ok := v.Get(s.opts.Self); !ok || self.State == pods.Joining {
		warm = with(warm, s.opts.Self) // soon we are; what was loaded for it stays
		slices.Sort(warm)
	}
	if len(warm) > 0 && !slices.Equal(warm, old.now.Pods()) {
		p.now = pods.NewRings(warm)
	}
	if p.all() {
		p.before = p.now
	}
	s.place.Store(p)
	s.poke()
}

// all reports whether every pod has loaded what it is to hold.
func (p *place) all() bool {
	for _, name := range p.now.Pods() {
		if a, ok := p.view.Get(name); !ok || a.Rings != p.now.ID() {
			return false
		}
	}
	return true
}

func (s *Shard) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Settle waits until all rings that are to be here are, by what is carried now.
func (s *Shard) Settle(ctx context.Context) error {
	s.mu.Lock()
	changes := s.changes
	s.mu.Unlock()
	for {
		s.mu.Lock()
		settled, changed := s.settled, s.changed
		s.mu.Unlock()
		if settled >= changes {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Counts returns how many rings are here, and how many are to be.
func (s *Shard) Counts() (held, wanted int) {
	s.mu.Lock()
	wanted = s.wanted
	s.mu.Unlock()
	return s.opts.Rings.Len(), wanted
}

// Set is the id of the set of pods that are to hold the rings now.
func (s *Shard) Set() string { return s.place.Load().now.ID() }

const (
	// portion is how many symbols are let go at once.
	portion = 256
	// loadAgain is after how long a pass over BARS that failed is tried again.
	loadAgain = time.Second
)

// Run moves rings until ctx ends.
func (s *Shard) Run(ctx context.Context) {
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-s.wake:
		case <-again.C:
		case <-ctx.Done():
			return
		}
		if err := s.move(ctx); err != nil && ctx.Err() == nil {
			if !errors.Is(err, errVoid) {
				s.opts.Log.Info("rings could not be loaded; tried again soon", "reason", err.Error())
			}
			again.Reset(loadAgain)
		}
	}
}

// errVoid says that what is carried, or the log, changed while rings were loaded.
var errVoid = errors.New("what was loaded is void")

// move brings the rings in line with who is to hold them.
func (s *Shard) move(ctx context.Context) error {
	for {
		p := s.place.Load()
		s.mu.Lock()
		changes, frames := s.changes, s.frames
		hold := s.held(p.now, s.symbols)
		s.wanted = len(hold) * len(frames)
		s.mu.Unlock()
		if lacking := s.opts.Rings.Lacking(hold, frames); len(lacking) > 0 {
			if err := s.load(ctx, lacking, frames); err != nil {
				return err
			}
			continue // meanwhile more may be ours
		}
		s.settle(changes)
		if s.opts.Loaded != nil {
			s.opts.Loaded(p.now.ID())
		}
		if s.drop(p) < portion {
			return ctx.Err()
		}
	}
}

func (s *Shard) settle(changes uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settled < changes {
		s.settled = changes
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

// load fills rings from BARS in one pass.
func (s *Shard) load(ctx context.Context, symbols []uint32, frames []market.Timeframe) error {
	began := time.Now()
	l := s.opts.Rings.Load(symbols, frames)
	pace := pacer{began: began}
	err := s.opts.Frames.Frames(ctx, 1, func(_ uint64, f *logs.Frame) error {
		for i := range f.Records {
			if b, ok := f.Records[i].Bar(); ok {
				l.Apply(f.Records[i].Symbol, &b)
			}
		}
		return pace.wait(ctx)
	})
	if err != nil {
		return err
	}
	rings, ok := l.Done()
	s.opts.Metrics.Moved("in", rings)
	if !ok {
		return errVoid
	}
	s.opts.Log.Info("rings were loaded", "symbols", len(symbols), "rings", rings, "took", time.Since(began).Round(time.Millisecond).String())
	return nil
}

// drop lets go a portion of what other pods have loaded, and returns how many symbols.
func (s *Shard) drop(p *place) (n int) {
	if s.opts.Peers == nil {
		return 0
	}
	rings := 0
	for _, number := range s.opts.Rings.Symbols() {
		holder := p.now.Holder(s.opts.Symbols.Name(number))
		if a, ok := p.view.Get(holder); holder == s.opts.Self || !ok || a.Rings != p.now.ID() {
			continue
		}
		rings += s.opts.Rings.Drop(number)
		if n++; n == portion {
			break
		}
	}
	if rings > 0 {
		s.opts.Metrics.Moved("out", rings)
	}
	return n
}
