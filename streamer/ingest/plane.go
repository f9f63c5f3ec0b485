package ingest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

const (
	// seekableRoom is how many entries may wait for all writers before a source that can be read again is held up.
	seekableRoom = 16 * 8 * chunkEntries
	// liveRoom is the same for one that cannot: half a minute of 20,000 trades a second, 64 MB.
	liveRoom = 600_000
)

// PlaneOptions are what a plane is made with.
type PlaneOptions struct {
	Env    *Env
	Source feed.Source
	Spec   *Spec
	// Status is told what the feed says of itself.
	Status func(feed.Status)
	// Ended is told when a writer ended by itself and why: its partition must be claimed anew.
	Ended func(partition int, err error)
	// Failed is told what the process cannot get over, and again whenever that is tried again.
	Failed func(error)
	// Covered is told when Gathered has changed; may be nil.
	Covered func()
}

// Plane is the feed of a process and the writers of the partitions that it holds. Partitions
// come and go while it runs: each is opened from the logs alone, and a source that can be read
// again begins again where the newcomer needs it; the others pass over what they have.
type Plane struct {
	PlaneOptions
	live   feed.Live // nil: the source can be read again
	room   *room
	router *router
	poke   chan struct{}

	mu    sync.Mutex
	spec  *Spec
	parts [market.Partitions]*part
	stale bool // the document changed: every writer is to be opened anew
	again bool // the source is to begin again

	writers sync.WaitGroup
}

// part is a partition that this process holds, or is offered.
type part struct {
	lane   *lane
	claim  *Claim // nil: offered only
	writer *Writer
	halt   chan struct{} // closed: the writer ends at its next chunk, and another takes its queue over
	cancel context.CancelFunc
	done   chan struct{} // closed when the writer has ended
	opened bool
	// asked: the source was asked to say when it covers what is offered; covered: it does.
	asked, covered bool
}

// NewPlane returns a plane without partitions.
func NewPlane(o PlaneOptions) *Plane {
	p := &Plane{PlaneOptions: o, spec: o.Spec, poke: make(chan struct{}, 1)}
	size := int64(seekableRoom)
	if live, ok := o.Source.(feed.Live); ok {
		p.live, size = live, liveRoom
	}
	p.room = newRoom(size)
	p.router = newRouter(o.Status)
	return p
}

// wake makes Run look again.
func (p *Plane) wake() {
	select {
	case p.poke <- struct{}{}:
	default:
	}
}

// Prepare lets what comes for a partition gather: it is going to be ours.
func (p *Plane) Prepare(partition int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live != nil && p.parts[partition] == nil {
		p.parts[partition] = &part{lane: p.newLane()}
	}
	p.wake()
}

func (p *Plane) newLane() *lane { return &lane{queue: newQueue(p.room)} }

// Forget takes Prepare back.
func (p *Plane) Forget(partition int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x := p.parts[partition]; x != nil && x.claim == nil {
		x.lane.queue.close(true)
		p.parts[partition] = nil
	}
	p.wake()
}

// Claim says that a partition is ours: it is opened and written from now on.
func (p *Plane) Claim(c Claim) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.parts[c.Partition]
	if x == nil || x.claim != nil {
		if x != nil {
			x.drop()
		}
		x = &part{lane: p.newLane()}
		p.parts[c.Partition] = x
	}
	x.claim = &c
	p.wake()
}

// drop ends a part at once; with p.mu held.
func (x *part) drop() {
	x.lane.queue.close(true)
	if x.cancel != nil {
		x.cancel()
	}
}

// Lost says that a partition is another's: what was not written is void.
func (p *Plane) Lost(partition int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x := p.parts[partition]; x != nil {
		x.drop()
		p.parts[partition] = nil
	}
	p.wake()
}

// Release ends a partition's writer after it has written everything that it was given, or
// at ctx's end.
func (p *Plane) Release(ctx context.Context, partition int) {
	p.mu.Lock()
	x := p.parts[partition]
	p.parts[partition] = nil
	p.mu.Unlock()
	p.wake()
	if x == nil {
		return
	}
	x.lane.queue.close(false)
	if x.done != nil {
		select {
		case <-x.done:
		case <-ctx.Done():
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	x.drop()
}

// Reload puts another document into effect: every partition is opened anew from the logs
// under it, while what comes gathers.
func (p *Plane) Reload(spec *Spec) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spec, p.stale = spec, true
	p.wake()
}

// Progress returns how far each writer is.
func (p *Plane) Progress() []Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Progress
	for _, x := range p.parts {
		if x != nil && x.writer != nil {
			out = append(out, x.writer.Progress())
		}
	}
	return out
}

// Repeat has the writer of a partition, if it is here, send the states of all its open minutes again.
func (p *Plane) Repeat(partition int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x := p.parts[partition]; x != nil && x.writer != nil {
		x.writer.repeat.Store(true)
	}
}

// running returns the writers that run.
func (p *Plane) running() (out []*Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.parts {
		if x != nil && x.writer != nil {
			out = append(out, x.writer)
		}
	}
	return out
}

// Run works until ctx ends. Partitions should have been released by then.
func (p *Plane) Run(ctx context.Context) {
	defer p.writers.Wait()
	defer p.dropAll()
	source := &running{plane: p}
	defer source.stop()
	if p.live != nil {
		p.writers.Go(func() { newRepairer(p).run(ctx) })
	}
	for {
		select {
		case <-p.poke:
			p.gather(ctx)
		case err := <-source.ended:
			source.finished()
			if err != nil && ctx.Err() == nil {
				p.Failed(fmt.Errorf("the feed: %w", err))
			}
			continue
		case <-ctx.Done():
			return
		}
		p.look(ctx, source)
	}
}

// gatherFor is how long claims that come together are waited for: one pass over the log serves all.
const gatherFor = 5 * time.Millisecond

func (p *Plane) gather(ctx context.Context) {
	t := time.NewTimer(gatherFor)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (p *Plane) dropAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, x := range p.parts {
		if x != nil {
			x.drop()
			p.parts[i] = nil
		}
	}
}

// look opens what was claimed, and brings router and source in line with what there is.
func (p *Plane) look(ctx context.Context, source *running) {
	p.haltStale()
	for claims := p.unopened(); len(claims) > 0; claims = p.unopened() {
		if !p.open(ctx, claims) {
			break
		}
	}
	if p.beginsAnew() { // before newcomers are routed to: its marks are of a later time than their trades
		source.stop()
	}
	symbols, restart := p.route()
	if !slices.Equal(symbols, source.symbols) {
		source.symbols = symbols
		p.Source.SetSymbols(symbols)
	}
	if p.live != nil { // it takes newcomers up while it runs
		restart = !source.on() && (restart || !source.over)
	}
	if len(symbols) == 0 || restart {
		source.stop()
	}
	if len(symbols) > 0 && restart {
		from, said := p.from()
		source.start(ctx, from, said)
	}
	p.cover(ctx)
}

// cover has the source say when it gets the trades of what is offered.
func (p *Plane) cover(ctx context.Context) {
	if p.live == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, x := range p.parts {
		if x == nil || x.claim != nil || x.asked {
			continue
		}
		x.asked = true
		symbols := p.named(i)
		p.writers.Go(func() {
			if p.live.Covered(ctx, symbols) != nil {
				return
			}
			p.mu.Lock()
			x.covered = true
			p.mu.Unlock()
			if p.PlaneOptions.Covered != nil {
				p.PlaneOptions.Covered()
			}
		})
	}
}

// named are the symbols of a partition by the document; with p.mu held.
func (p *Plane) named(partition int) (out []feed.Symbol) {
	for _, name := range p.spec.Symbols {
		if market.PartitionOf(name) == partition {
			out = append(out, feed.Symbol{Number: p.Env.Symbols.Intern(name), Name: name})
		}
	}
	return out
}

// Gathered returns the partitions that are offered and whose trades come already.
func (p *Plane) Gathered() (out []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, x := range p.parts {
		if x != nil && x.claim == nil && x.covered {
			out = append(out, i)
		}
	}
	return out
}

// unopened returns the claims that have no writer yet.
func (p *Plane) unopened() (claims []Claim) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.parts {
		if x != nil && x.claim != nil && !x.opened {
			claims = append(claims, *x.claim)
		}
	}
	return claims
}

// haltStale ends the writers of a document before this one; their queues go on to those that come.
func (p *Plane) haltStale() {
	p.mu.Lock()
	var opened []*part
	for _, x := range p.parts {
		if p.stale && x != nil && x.claim != nil && x.opened {
			opened = append(opened, x)
		}
	}
	p.stale = false
	p.mu.Unlock()
	for _, x := range opened {
		if x.writer != nil {
			close(x.halt)
			<-x.done
		}
		p.mu.Lock()
		if x.writer != nil {
			x.claim.Batches = x.writer.number
		}
		x.writer, x.opened = nil, false
		p.mu.Unlock()
	}
}

// openAgain is after how long partitions that could not be opened are tried again.
const openAgain = 250 * time.Millisecond

// openLater is the same for those that wait for another document.
const openLater = 5 * time.Second

// open makes and starts the writers of claims; false: it failed, and is tried again soon, or has been given up.
func (p *Plane) open(ctx context.Context, claims []Claim) (ok bool) {
	p.mu.Lock()
	spec := p.spec
	p.mu.Unlock()
	var tr *feed.Traits
	if p.live != nil {
		t := p.live.Traits()
		tr = &t
	}
	writers, err := openWriters(ctx, p.Env, spec, tr, claims)
	switch {
	case ctx.Err() != nil:
		return false
	case err == nil:
	case errors.Is(err, logs.ErrUnavailable), errors.Is(err, ErrFenced), errors.Is(err, logs.ErrRewound):
		p.Env.Log.Info("partitions could not be opened; they are tried again", "reason", err.Error())
		time.AfterFunc(openAgain, p.wake)
		return false
	case errors.Is(err, errOlder): // our document comes, or another pod takes them
		p.Env.Log.Info("partitions are not opened yet", "reason", err.Error())
		time.AfterFunc(openLater, p.wake)
		return false
	default:
		if !p.lost(claims) {
			p.Failed(fmt.Errorf("opening the partitions: %w", err))
		}
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	byPartition := make(map[int]*Writer, len(writers))
	for _, w := range writers {
		byPartition[w.Partition] = w
	}
	for _, c := range claims {
		x := p.parts[c.Partition]
		if x == nil || x.claim == nil || x.claim.Token != c.Token {
			continue // lost meanwhile
		}
		x.opened = true
		if w := byPartition[c.Partition]; w != nil {
			p.again = true
			p.start(ctx, x, w)
		}
	}
	return true
}

// lost reports whether a claim is no longer ours.
func (p *Plane) lost(claims []Claim) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range claims {
		if x := p.parts[c.Partition]; x == nil || x.claim == nil || x.claim.Token != c.Token {
			return true
		}
	}
	return false
}

// start lets a writer run; with p.mu held.
func (p *Plane) start(ctx context.Context, x *part, w *Writer) {
	ctx, cancel := context.WithCancel(ctx)
	x.writer, x.cancel, x.done, x.halt = w, cancel, make(chan struct{}), make(chan struct{})
	w.repeat.Store(true) // who listened to the one before may have missed some
	w.strained = func() bool { return p.Pressure() >= StatesGiveWay }
	w.queue, w.halt, w.over, w.fills = x.lane.queue, x.halt, x.done, make(chan *fill)
	done := x.done
	p.writers.Go(func() {
		defer cancel()
		err := w.Run(ctx)
		close(done)
		p.mu.Lock()
		failed := err != nil && ctx.Err() == nil && p.parts[w.Partition] == x && x.writer == w
		if failed {
			x.drop()
			p.parts[w.Partition] = nil
		}
		p.mu.Unlock()
		if failed {
			p.Ended(w.Partition, err)
			p.wake()
		}
	})
}

// route tells the router who takes what, and returns the symbols that the source is to
// have; restart: it has to begin again.
func (p *Plane) route() (symbols []feed.Symbol, restart bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var lanes []*lane
	var by [][]uint32
	for i, x := range p.parts {
		if x == nil || x.claim != nil && x.opened && x.writer == nil {
			continue
		}
		var numbers []uint32
		switch {
		case x.writer != nil:
			numbers = x.writer.symbols
		case p.live != nil: // it gathers
			for _, sym := range p.named(i) {
				numbers = append(numbers, sym.Number)
			}
		default:
			continue
		}
		for _, n := range numbers {
			symbols = append(symbols, feed.Symbol{Number: n, Name: p.Env.Symbols.Name(n)})
		}
		lanes, by = append(lanes, x.lane), append(by, numbers)
	}
	restart = p.again
	p.again = false
	p.router.route(lanes, by)
	return symbols, restart
}

// beginsAnew reports whether the source has to go back for writers that came.
func (p *Plane) beginsAnew() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live == nil && p.again
}

// from is where a source that can be read again has to begin for the writers that there
// are, and up to where it was said already.
func (p *Plane) from() (from market.SourcePosition, said uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from.Offset = math.MaxUint64
	for _, x := range p.parts {
		if x == nil || x.writer == nil {
			continue
		}
		g := x.writer.Progress()
		if g.Offset < from.Offset {
			from = market.SourcePosition{Offset: g.Offset}
		}
		said = max(said, g.Offset, g.Applied)
	}
	if from.Offset == math.MaxUint64 {
		from.Offset = 0
	}
	return from, said
}
