package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketstream/marketstream/streamer/ingest"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

const (
	// lingerFor is how long a partition is listened to that no client wants: pages reload.
	lingerFor = 10 * time.Second
	// listenLook is how often it is looked whether one has lingered long enough, and what failed
	// is tried again.
	listenLook = time.Second
)

// listener subscribes to the open bars and ticks that this pod's clients want, and to no others.
type listener struct {
	e     *Engine
	wake  chan struct{}
	mu    sync.Mutex // of stop, for the report
	kinds [2]listening
}

// listening is the subscriptions of one kind, by partition.
type listening struct {
	subscribe func(partition int, on *atomic.Bool) (stop func(), err error)
	end       func(partition int) // may be nil
	subs      [market.Partitions]subscription
}

type subscription struct {
	stop func()       // nil: there is none
	on   *atomic.Bool // false: what still comes is passed over
	idle time.Time    // since when nobody wants it; zero: somebody does
}

func newListener(e *Engine) *listener {
	l := &listener{e: e, wake: make(chan struct{}, 1)}
	l.kinds[0] = listening{subscribe: l.states, end: func(p int) { e.hub.Forget(p) }}
	l.kinds[1] = listening{subscribe: l.ticks}
	return l
}

// poke makes run look again.
func (l *listener) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run keeps the subscriptions in line with the demand until ctx ends.
func (l *listener) run(ctx context.Context) {
	tick := time.NewTicker(listenLook)
	defer tick.Stop()
	for {
		select {
		case <-l.wake:
		case <-tick.C:
		case <-ctx.Done():
			l.look(time.Now(), 0, 0, true)
			return
		}
		states, ticks := l.e.hub.Demand()
		l.look(time.Now(), states, ticks, false)
	}
}

// look begins what is wanted and ends what is not; at once at the end.
func (l *listener) look(now time.Time, states, ticks uint16, over bool) {
	for k, mask := range [...]uint16{states, ticks} {
		kind := &l.kinds[k]
		for p := range kind.subs {
			s := &kind.subs[p]
			switch wanted := mask&(1<<p) != 0; {
			case wanted && s.stop == nil:
				on := new(atomic.Bool)
				on.Store(true)
				stop, err := kind.subscribe(p, on)
				if err != nil {
					l.e.log.V(1).Info("a partition is not listened to yet", "partition", p, "reason", err.Error())
					continue
				}
				l.set(s, subscription{stop: stop, on: on})
			case wanted:
				s.idle = time.Time{}
			case s.stop == nil:
			case s.idle.IsZero() && !over:
				s.idle = now
			case over || now.Sub(s.idle) >= lingerFor:
				s.on.Store(false)
				s.stop()
				l.set(s, subscription{})
				if kind.end != nil {
					kind.end(p)
				}
			}
		}
	}
}

func (l *listener) set(s *subscription, to subscription) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*s = to
}

// report is the partitions that are listened to.
func (l *listener) report() (states, ticks []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := func(k *listening) []int {
		out := []int{}
		for p := range k.subs {
			if k.subs[p].stop != nil {
				out = append(out, p)
			}
		}
		return out
	}
	return of(&l.kinds[0]), of(&l.kinds[1])
}

// states subscribes to a partition's open bars.
func (l *listener) states(p int, on *atomic.Bool) (stop func(), err error) {
	var m logs.StateMessage
	var token uint64
	return l.e.backbone.Ticks().SubscribeState(p, func(data []byte) {
		if !on.Load() || logs.DecodeStateMessage(data, &m) != nil || m.Token < token {
			return // state: the next message has all that counts; or a holder that woke up too late
		}
		token = m.Token
		logs.RemapState(&m, l.e.symbols)
		for i := range m.States {
			l.e.hub.State(&m.States[i])
		}
	})
}

// ticks subscribes to a partition's trades.
func (l *listener) ticks(p int, on *atomic.Bool) (stop func(), err error) {
	var d display
	return l.e.backbone.Ticks().Subscribe(p, func(data []byte) {
		if !on.Load() || logs.DecodeBatch(data, &d.batch) != nil {
			return
		}
		token, number := d.token, d.number
		if d.isNews() {
			if token == d.token && d.number > number+1 { // we did not keep up, and the connection dropped some
				l.e.missedTicks(p, d.number-number-1)
			}
			l.e.showTicks(&d)
		}
	})
}

// display is what was shown of a partition's ticks.
type display struct {
	batch         logs.Batch
	token, number uint64 // of the newest batch
	offset        uint64 // place in a source that can be read again: after a restart it says some again
}

// isNews reports whether the batch is newer than what was shown, and not a fenced writer's.
func (d *display) isNews() bool {
	b := &d.batch
	if b.Token < d.token || b.Token == d.token && b.Number <= d.number {
		return false
	}
	d.token, d.number = b.Token, b.Number
	return true
}

// showTicks gives the hub the trades that clients wait for.
func (e *Engine) showTicks(d *display) {
	b := &d.batch
	shown := d.offset
	d.offset = max(d.offset, b.Source.Offset)
	wanted := false
	for _, name := range b.Symbols {
		if number, ok := e.symbols.ID(name); ok && e.hub.WantsTicks(number) {
			wanted = true
		}
	}
	if !wanted {
		return
	}
	logs.RemapBatch(b, e.symbols)
	if e.plane.Pressure() >= ingest.TicksGiveWay {
		e.shedTicks(b, shown)
		return
	}
	for i := range b.Entries {
		if x := &b.Entries[i]; x.Kind == market.Trade && (x.Offset == 0 || x.Offset > shown) {
			e.hub.Tick(x)
		}
	}
}

// shedTicks has the trades of a batch count as dropped: they come faster than they are folded here, and their display
// takes from the fold.
func (e *Engine) shedTicks(b *logs.Batch, shown uint64) {
	bySymbol := make(map[uint32]int)
	for i := range b.Entries {
		if x := &b.Entries[i]; x.Kind == market.Trade && (x.Offset == 0 || x.Offset > shown) && e.hub.WantsTicks(x.Symbol) {
			bySymbol[x.Symbol]++
		}
	}
	for symbol, n := range bySymbol {
		e.hub.Shed(symbol, n)
		e.metrics.FeedShed.WithLabelValues("ticks").Add(float64(n))
	}
}

// missedTicks notes that batches of a partition did not come here. How many ticks of which symbol they held is not known: one counts
// as dropped of each that a client waits for.
func (e *Engine) missedTicks(partition int, batches uint64) {
	e.log.Info("batches of ticks were dropped on their way here: this pod is slow", "partition", partition, "batches", batches)
	e.metrics.FeedShed.WithLabelValues("batches").Add(float64(batches))
	for _, s := range e.carried.Load().list {
		if market.PartitionOf(s.Name) == partition {
			e.hub.Shed(s.Number, 1)
		}
	}
}
