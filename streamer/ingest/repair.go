package ingest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
)

const (
	repairEvery = 250 * time.Millisecond // how often open gaps are looked for
	repairs     = 4                      // under way at once: the vendor's own limits pace them further
	fillTrades  = 20_000                 // what one batch fills at most; a longer gap is filled from its beginning on
	repairFirst = time.Second            // wait after a failure, doubled up to
	repairLast  = time.Minute
	hopeless    = 15 * time.Minute // after the vendor said that it does not have the trades
)

// repairer gets what a live source missed from the vendor's REST interface.
type repairer struct {
	plane *Plane
	room  chan struct{}

	mu    sync.Mutex
	tried map[gapKey]*attempt
}

type gapKey struct {
	symbol uint32
	fromMs int64
	after  uint64           // of a gap that trades fill
	reason market.GapReason // of a minute that is made again
}

func keyOf(g *market.Gap) gapKey {
	if g.Reason.Remakes() {
		return gapKey{symbol: g.Symbol, fromMs: g.FromMs, reason: g.Reason}
	}
	return gapKey{symbol: g.Symbol, fromMs: g.FromMs, after: g.AfterID}
}

type attempt struct {
	running bool
	wait    time.Duration
	next    time.Time
}

func newRepairer(p *Plane) *repairer {
	return &repairer{plane: p, room: make(chan struct{}, repairs), tried: make(map[gapKey]*attempt)}
}

// run looks for gaps until ctx ends; what is under way then has ended too.
func (r *repairer) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	tick := time.NewTicker(repairEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		open := make(map[gapKey]bool)
		for _, w := range r.plane.running() {
			gaps := w.openGaps.Load()
			if gaps == nil {
				continue
			}
			for _, g := range *gaps {
				k := keyOf(&g)
				open[k] = true
				if w.ripe(&g, *gaps) && r.begin(k, &g) {
					all.Go(func() { r.end(k, r.repair(ctx, w, g)) })
				}
			}
		}
		r.plane.Env.Metrics.FeedGapsOpen.Set(float64(len(open)))
		r.forget(open)
	}
}

// begin reports whether a gap is to be tried now.
func (r *repairer) begin(k gapKey, g *market.Gap) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.tried[k]
	if a == nil {
		a = &attempt{}
		if g.State == market.GapUnrepairable {
			a.next = time.Now().Add(hopeless)
		}
		r.tried[k] = a
	}
	if a.running || time.Now().Before(a.next) {
		return false
	}
	select {
	case r.room <- struct{}{}:
		a.running = true
		return true
	default:
		return false
	}
}

// end takes what a try came to.
func (r *repairer) end(k gapKey, err error) {
	<-r.room
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.tried[k]
	if a == nil {
		return
	}
	a.running = false
	if err == nil {
		a.wait, a.next = 0, time.Time{}
		return
	}
	a.wait = min(max(2*a.wait, repairFirst), repairLast)
	wait := a.wait
	var retry *feed.RetryError
	switch {
	case errors.Is(err, feed.ErrUnrepairable):
		wait = hopeless
	case errors.As(err, &retry):
		wait = max(wait, retry.After)
	}
	a.next = time.Now().Add(wait)
}

func (r *repairer) forget(open map[gapKey]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, a := range r.tried {
		if !open[k] && !a.running {
			delete(r.tried, k)
		}
	}
}

// errEnough ends a refill that has enough for one batch.
var errEnough = errors.New("enough")

// missing asks the vendor for the trades of a gap, for the first of them where there are many.
func (r *repairer) missing(ctx context.Context, s feed.Symbol, f *fill) error {
	g := &f.gap
	stretch := feed.Stretch{Symbol: s, AfterID: g.AfterID, BeforeID: g.BeforeID, FromNs: g.FromMs * 1e6, ToNs: g.ToMs * 1e6}
	return r.plane.live.Refill(ctx, stretch, func(e *market.Entry) error {
		if len(f.trades) == fillTrades {
			return errEnough
		}
		f.trades = append(f.trades, *e)
		f.trades[len(f.trades)-1].Symbol = g.Symbol
		return nil
	})
}

// repair asks the vendor for a gap and gives the writer what it says.
func (r *repairer) repair(ctx context.Context, w *Writer, g market.Gap) error {
	f := &fill{gap: g, done: make(chan error, 1)}
	f.gap.State = market.GapRepaired
	symbol := feed.Symbol{Number: g.Symbol, Name: r.plane.Env.Symbols.Name(g.Symbol)}
	var err error
	if g.Reason.Remakes() {
		f.trades, err = r.remake(ctx, symbol, &g)
	} else {
		err = r.missing(ctx, symbol, f)
	}
	metrics := r.plane.Env.Metrics
	switch {
	case errors.Is(err, errEnough):
		last := &f.trades[len(f.trades)-1]
		f.gap.BeforeID, f.gap.ToMs = last.ID+1, last.Time/1e6+1
		err = nil
	case errors.Is(err, feed.ErrUnrepairable):
		metrics.FeedRepairs.WithLabelValues("unrepairable").Inc()
		w.log.Info("a gap can't be filled: the vendor does not have its trades", "symbol", symbol.Name, "gap", g.Reason.String(), "afterId", g.AfterID, "beforeId", g.BeforeID, "reason", err.Error())
		f.gap.State, f.trades = market.GapUnrepairable, nil
	case err != nil:
		if ctx.Err() == nil {
			metrics.FeedRepairs.WithLabelValues("error").Inc()
			w.log.Info("a gap could not be filled; it is tried again", "symbol", symbol.Name, "gap", g.Reason.String(), "afterId", g.AfterID, "beforeId", g.BeforeID, "reason", err.Error())
		}
		return err
	}
	select {
	case w.fills <- f:
	case <-w.over:
		return nil // another writer will have it
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case werr := <-f.done:
		if werr == nil && err == nil {
			metrics.FeedRepairs.WithLabelValues("filled").Inc()
		}
	case <-w.over:
	case <-ctx.Done():
	}
	return err
}
