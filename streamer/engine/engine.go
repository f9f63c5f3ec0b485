package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	v1alpha1 "github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/streamer/backbone"
	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/history"
	"github.com/marketstream/marketstream/streamer/ingest"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/metrics"
	"github.com/marketstream/marketstream/streamer/ring"
	"github.com/marketstream/marketstream/streamer/stream"
)

// Options are what a streamer is started with.
type Options struct {
	// Document is the MarketStream, decoded, valid and found runnable.
	Document *v1alpha1.MarketStream
	// Path is the file that Document (whose bytes were Source) came from; it is watched for changes. "": not watched.
	Path   string
	Source []byte
	// DataDir is where BARS is kept; "": in memory.
	DataDir string
	// Public and Internal are the two ports; the engine closes them.
	Public, Internal net.Listener
	Version          string
	Log              logr.Logger
	// Progress is told, in a few words each, what the start-up is doing; may be nil.
	Progress func(string)
	// Ready is called once it serves; may be nil.
	Ready func()
	// DrainFor is how long open streams are given to end, spread over it.
	DrainFor time.Duration
	// Upstream serves history older than the log; nil: none.
	Upstream history.Upstream
	// Faults make the feed break on cue, in tests.
	Faults *feed.Faults
}

// Engine is a running streamer.
type Engine struct {
	opts    Options
	log     logr.Logger
	metrics *metrics.Set
	symbols *market.SymbolTable
	started time.Time

	backbone *backbone.Backbone
	view     *view
	hub      *stream.Hub
	history  *history.Service
	cors     *cors

	settings    atomic.Pointer[settings]
	generation  atomic.Pointer[logs.ConfigGeneration]
	feed        atomic.Pointer[feed.Status]
	configError atomic.Pointer[string]
	ready       atomic.Bool
	draining    atomic.Bool

	carried atomic.Pointer[carried]
	plane   atomic.Pointer[plane]

	mu     sync.Mutex // one reload, restart or stop at a time
	failed chan error // the error that ends the process
	unsub  []func()
}

// Run runs a streamer until ctx ends, then drains and returns nil; or until something that
// it cannot get over. hurry cuts the drain short.
func Run(ctx context.Context, opts Options, hurry <-chan struct{}) (err error) {
	if opts.Progress == nil {
		opts.Progress = func(string) {}
	}
	e := &Engine{opts: opts, log: opts.Log, metrics: metrics.New(opts.Version), symbols: &market.SymbolTable{},
		started: time.Now(), failed: make(chan error, 1)}
	set, err := newSettings(opts.Document, opts.Source)
	if err != nil {
		return errors.Join(err, opts.Public.Close(), opts.Internal.Close())
	}
	e.settings.Store(set)
	e.feed.Store(&feed.Status{State: feed.Connecting})

	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer func() { err = errors.Join(err, e.close()) }()
	if err := e.start(ctx, work); err != nil {
		return errors.Join(err, opts.Public.Close(), opts.Internal.Close())
	}
	if err := e.catchUp(ctx); err != nil {
		return errors.Join(err, opts.Public.Close(), opts.Internal.Close())
	}
	servers := e.serve()
	defer servers.stop()
	e.ready.Store(true)
	if opts.Ready != nil {
		opts.Ready()
	}
	select {
	case <-ctx.Done():
	case err := <-e.failed:
		return err
	}
	e.drain(hurry)
	return nil
}

// start brings everything up in order: log, owner, what the log holds, feed.
func (e *Engine) start(ctx, work context.Context) error {
	set := e.settings.Load()
	e.opts.Progress("opening the log")
	b, err := backbone.Open(ctx, backbone.Options{Namespace: set.Namespace, Name: set.Name, Dir: e.opts.DataDir,
		Retention: set.Retention, Log: e.log.WithName("backbone")})
	if err != nil {
		return err
	}
	e.backbone = b
	owner, err := own(ctx, b.Bars(), logs.Owner{Namespace: set.Namespace, Name: set.Name, Feed: set.feedClass}, time.Now())
	if err != nil {
		return err
	}
	e.assemble(set, owner)

	e.opts.Progress("reading what the log holds")
	if err := e.view.load(ctx); err != nil {
		return err
	}
	go e.follow(work)
	heads, err := e.view.headsAt(ctx, 0)
	if err != nil {
		return err
	}
	e.opts.Progress("starting the feed")
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.listen(); err != nil {
		return err
	}
	p, err := e.startPlane(work, set, heads, e.planeEnded(work))
	if err != nil {
		return err
	}
	e.plane.Store(p)
	if e.opts.Path != "" {
		go watch(work, e.opts.Path, e.opts.Source, func(data []byte) { e.reload(work, data) }, func(err error) { e.reloadFailed(err) })
	}
	go e.observe(work)
	return nil
}

// catchUp waits until a feed that invents or repeats its past has come to the present, so
// that the first client finds a seed; it says how far it is.
func (e *Engine) catchUp(ctx context.Context) error {
	tick := time.NewTicker(catchUpLook)
	defer tick.Stop()
	said := time.Now()
	for e.feed.Load().State == feed.CatchingUp || e.feed.Load().State == feed.Connecting {
		select {
		case <-ctx.Done():
			return nil
		case err := <-e.failed:
			return err
		case <-tick.C:
		}
		if ms, ok := e.watermark(); ok && time.Since(said) > time.Second {
			said = time.Now()
			e.opts.Progress("inventing the past: at " + time.UnixMilli(ms).UTC().Format(time.DateTime))
		}
	}
	if e.feed.Load().State == feed.Failed {
		return <-e.failed
	}
	return nil
}

// catchUpLook is how often the catching up is looked at.
const catchUpLook = 20 * time.Millisecond

// assemble makes the parts that readers meet.
func (e *Engine) assemble(set *settings, owner *logs.Owner) {
	reader := &logs.Reader{Log: e.backbone.Bars(), Symbols: e.symbols}
	rings := ring.NewSet(int(set.RingCapacity))
	e.view = &view{reader: reader, symbols: e.symbols, rings: rings, epoch: owner.Epoch, changed: make(chan struct{})}
	e.hub = stream.NewHub(stream.Options{
		Log: e.log.WithName("stream"), Metrics: streamMetrics{e.metrics}, Symbols: e.symbols,
		Frames: reader, Seeds: seeds{rings}, Epoch: owner.Epoch, EpochStartMs: owner.EpochStartMs,
	})
	e.view.hub = e.hub
	e.history = history.New(history.Options{
		Rings: rings, Frames: reader, Upstream: e.opts.Upstream, Catalog: catalog{e}, Position: e.view.Position,
		Metrics: historyMetrics{e.metrics}, Log: e.log.WithName("history"),
	})
	e.view.history = e.history
	e.cors = &cors{}
	e.apply(set)
}

// apply puts into effect what needs no new plane.
func (e *Engine) apply(set *settings) {
	numbers := make([]uint32, 0, len(set.Symbols))
	now := &carried{names: make(map[uint32]string)}
	for _, s := range e.feedSymbols(set) {
		numbers = append(numbers, s.Number)
		now.list = append(now.list, history.Symbol(s))
		now.names[s.Number] = s.Name
	}
	e.carried.Store(now)
	e.view.rings.SetCapacity(int(set.RingCapacity))
	e.view.rings.Carry(numbers, set.spec.Timeframes)
	e.metrics.LabelSymbols(string(set.SymbolLabels), len(numbers))
	e.hub.Configure(set.streamConfig(e.symbols.Intern))
	e.cors.configure(set.AllowedOrigins)
	e.settings.Store(set)
}

// follow applies frames as they come; a log that lost its end restarts the plane.
func (e *Engine) follow(ctx context.Context) {
	err := e.view.follow(ctx, func(err error) {
		e.metrics.LogRewound.Inc()
		e.log.Info("BARS has lost its end: streams begin again from what is left", "reason", err.Error())
	})
	if err != nil && ctx.Err() == nil {
		e.fail(err)
	}
}

// planeEnded decides what the end of a plane by itself means: a log that lost its end is
// read again, everything else ends the process with its reason.
func (e *Engine) planeEnded(ctx context.Context) func(error) {
	return func(err error) {
		if !errors.Is(err, logs.ErrRewound) {
			e.fail(err)
			return
		}
		e.log.Info("the writers begin again from the log", "reason", err.Error())
		if err := e.restartPlane(ctx, e.settings.Load()); err != nil && ctx.Err() == nil {
			e.fail(err)
		}
	}
}

// restartPlane stops the plane and makes a new one from the log.
func (e *Engine) restartPlane(ctx context.Context, set *settings) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.plane.Load().stop()
	heads, err := e.headsNow(ctx)
	if err != nil {
		return err
	}
	p, err := e.startPlane(ctx, set, heads, e.planeEnded(ctx))
	if err != nil {
		return err
	}
	e.plane.Store(p)
	return nil
}

// headsNow returns the heads once the view has applied everything that is stored.
func (e *Engine) headsNow(ctx context.Context) (ingest.Heads, error) {
	b, err := e.backbone.Bars().Bounds(ctx)
	if err != nil {
		return ingest.Heads{}, fmt.Errorf("asking for the end of BARS: %w", err)
	}
	return e.view.headsAt(ctx, b.Last)
}

func (e *Engine) fail(err error) {
	select {
	case e.failed <- err:
	default: // one reason is enough
	}
}

// close stops what start began, in the reverse order.
func (e *Engine) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, unsubscribe := range e.unsub {
		unsubscribe()
	}
	if p := e.plane.Load(); p != nil {
		p.stop()
	}
	if e.hub != nil {
		e.hub.Close()
	}
	if e.backbone != nil {
		return e.backbone.Close()
	}
	return nil
}

// drain refuses new streams, ends the open ones spread over the window, and returns.
func (e *Engine) drain(hurry <-chan struct{}) {
	e.draining.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), e.opts.DrainFor+time.Second)
	defer cancel()
	go func() {
		select {
		case <-hurry:
			cancel()
		case <-ctx.Done():
		}
	}()
	e.hub.Drain(ctx, e.opts.DrainFor)
}
