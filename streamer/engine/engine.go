package engine

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
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
	"github.com/marketstream/marketstream/streamer/peer"
	"github.com/marketstream/marketstream/streamer/pods"
	"github.com/marketstream/marketstream/streamer/ring"
	"github.com/marketstream/marketstream/streamer/shard"
	"github.com/marketstream/marketstream/streamer/stream"
)

// Options are what a streamer is started with.
type Options struct {
	// Document is the MarketStream, decoded, valid and found runnable, and Input what it was read from. nil: Run
	// waits for one that Read returns, and until one serves nothing that it finds ends it.
	Document *v1alpha1.MarketStream
	Input    Input
	// Read reads Input again, to see whether it has changed; nil: it does not.
	Read func() (Input, error)
	// DataDir is where BARS is kept, by a server in this process; "": in memory.
	DataDir string
	// Remote is where the backbone is; nil: in this process, which is then the only one.
	Remote *backbone.RemoteOptions
	// BackboneSecret is the name of the Secret that Remote's credentials are from; "": not known.
	BackboneSecret string
	// SecretsDir has the Secrets that the document names, SaltFile is the salt of their fingerprints; "": there are none.
	SecretsDir, SaltFile string
	// Recordings is the directory that what is replayed must lie in; "": it may be anywhere.
	Recordings string
	// TemplateRevision is that of the template that the process was started by; "": not known.
	TemplateRevision string
	// Address is host:port at which other pods reach the internal port; "": where it listens.
	Address string
	// Pod names this process among those of the stream; "": one is made.
	Pod string
	// Public and Internal are the two ports; the engine closes them.
	Public, Internal net.Listener
	Version          string
	Log              logr.Logger
	// Progress is told, in a few words each, what the start-up is doing; may be nil.
	Progress func(string)
	// Ready is called once it serves; may be nil.
	Ready func()
	// Draining is called when it begins to end, with how many streams are open; may be nil.
	Draining func(streams int)
	// DrainFor is how long open streams are given to end, spread over it.
	DrainFor time.Duration
	// Upstream serves history older than the log; nil: the feed does, if its vendor has bars.
	Upstream history.Upstream
	// Faults make the feed break on cue, in tests.
	Faults *feed.Faults
}

// Engine runs one document, from the start of an attempt to its end.
type Engine struct {
	opts    Options
	host    *host
	log     logr.Logger
	metrics *metrics.Set
	symbols *market.SymbolTable

	backbone *backbone.Backbone
	view     *view
	hub      *stream.Hub
	history  *history.Service
	cors     *cors
	shard    *shard.Shard
	asking   *peer.Client // nil: there are no other pods
	asked    *peer.Server
	listener *listener

	settings   atomic.Pointer[settings]
	pods       atomic.Pointer[pods.View]
	loaded     atomic.Pointer[string]      // the set of pods that the rings were announced for
	feed       atomic.Pointer[feed.Status] // of ours
	feedNews   chan struct{}               // a token when it has changed
	whole      atomic.Pointer[feed.Status] // of all pods
	wholeSince atomic.Int64                // Unix ns
	pressure   ingest.Pressure             // as logged last; observe's
	serving    atomic.Bool                 // the outer port answers
	ready      atomic.Bool
	draining   atomic.Bool
	assembled  atomic.Bool // everything below is there

	carried atomic.Pointer[carried]

	longest int64 // message that the user's NATS was checked for; 0: it is ours
	source  *openFeed
	plane   *ingest.Plane
	keeper  *pods.Keeper
	spec    func(*settings) *ingest.Spec

	work    context.Context // of everything that runs until the drain has ended
	failed  chan error      // the error that ends the process
	unsub   []func()
	running sync.WaitGroup
	leave   context.CancelFunc // lets the keeper hand over and end
	left    chan struct{}      // closed when it has
}

// place is where the process runs documents.
func (o *Options) place() v1alpha1.Place {
	if o.Remote != nil {
		return v1alpha1.OnePod
	}
	return v1alpha1.OneMachine
}

// newEngine makes what runs a document; nothing of it runs yet.
func newEngine(h *host, doc *v1alpha1.MarketStream, in Input) (*Engine, error) {
	set, err := newSettings(doc, in)
	if err != nil {
		return nil, err
	}
	e := &Engine{opts: h.opts, host: h, log: h.log, metrics: h.metrics, symbols: &market.SymbolTable{}, failed: make(chan error, 1),
		left: make(chan struct{}), feedNews: make(chan struct{}, 1)}
	e.opts.Document, e.opts.Input = doc, in
	e.settings.Store(set)
	e.feed.Store(&feed.Status{State: feed.Connecting})
	e.whole.Store(e.feed.Load())
	e.pods.Store(&pods.View{})
	return e, nil
}

// becomeReady makes the pod ready once nothing holds it: from then on only draining makes it unready.
func (e *Engine) becomeReady() {
	tick := time.NewTicker(catchUpLook)
	defer tick.Stop()
	for {
		if v := e.pods.Load(); v.Settled && v.Hold == "" {
			e.ready.Store(true)
			e.keeper.Ready(e.work)
			return
		}
		select {
		case <-tick.C:
		case <-e.work.Done():
			return
		}
	}
}

// PodName makes a name for a process: its host's, and eight letters and digits at random.
func PodName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "pod"
	}
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, strings.ToLower(host))
	return clean + "-" + newEpoch()[:8]
}

// openBackbone opens the logs: in this process, or where the options say.
func (e *Engine) openBackbone(ctx context.Context, set *settings) (*backbone.Backbone, error) {
	if r := e.opts.Remote; r != nil {
		return backbone.Connect(ctx, e.remoteOptions(*r, set))
	}
	return backbone.Open(ctx, backbone.Options{Namespace: set.Namespace, Name: set.Name, Dir: e.opts.DataDir,
		Retention: set.Retention, Log: e.log.WithName("backbone")})
}

// start brings everything up in order: log, owner, what the log holds, feed.
func (e *Engine) start(ctx context.Context, hurry <-chan struct{}) (err error) {
	set := e.settings.Load()
	e.opts.Progress("opening the log")
	if e.backbone, err = e.openBackbone(ctx, set); err != nil {
		return err
	}
	meeting, err := e.meet()
	if err != nil {
		return err
	}
	defer meeting.stop()
	if e.source, err = e.openFeed(ctx, set); err != nil {
		return err
	}
	want := logs.Owner{Namespace: set.Namespace, Name: set.Name, Feed: set.feedClass, ShiftMs: e.source.shiftMs, LoopMs: e.source.loopMs, BeginOffset: e.source.begin}
	if externalOf(set.document) != nil {
		want.UID = string(set.document.UID)
	}
	if set.generation != nil {
		want.Generation = *set.generation
	} else {
		want.Generation.Generation = 1
	}
	var owner *logs.Owner
	err = patiently(ctx, e.log, "whose it is", func() (err error) {
		owner, err = own(ctx, e.backbone.Bars(), want, time.Now())
		return err
	})
	if err != nil {
		return err
	}
	if err := e.assemble(set, owner); err != nil {
		return err
	}
	e.shard.Begin(meeting.warm(ctx, e))
	e.opts.Progress("reading what the log holds")
	if err := e.view.load(ctx); err != nil {
		return err
	}
	e.source.keep(owner, &e.view.heads)
	e.running.Go(func() { e.follow(e.work) })
	e.opts.Progress("starting the feed")
	e.makePlane(set, e.source, owner, meeting.all())
	unask, err := e.backbone.Ticks().Asked(e.plane.Repeat)
	if err != nil {
		return err
	}
	e.unsub = append(e.unsub, unask)
	e.running.Go(func() { e.listener.run(e.work) })
	e.assembled.Store(true)
	e.running.Go(func() { e.plane.Run(e.work) })
	e.running.Go(func() { e.shard.Run(e.work) })
	keeping, leave := context.WithCancel(e.work)
	e.leave = leave
	go func() {
		defer close(e.left)
		if err := e.keeper.Run(keeping, leaveWithin, hurry); err != nil {
			e.fail(err)
		}
	}()
	e.keeper.Set(e.work, pods.Warm, e.connections(set))
	if e.opts.Read != nil {
		e.running.Go(func() { watch(e.work, e.opts.Read, e.opts.Input, e.reload, e.unreadable) })
	}
	e.running.Go(func() { e.observe(e.work) })
	return nil
}

// connections is how many pods may take trades in: as many as the document or what is usual with
// the vendor allows, else every pod. More pods than partitions never do.
func (e *Engine) connections(set *settings) int {
	if set.Connections > 0 {
		return int(set.Connections)
	}
	return market.Partitions
}

// stopKeeper lets the keeper give back what it holds and waits for it.
func (e *Engine) stopKeeper() {
	if e.leave != nil {
		e.leave()
		<-e.left
	}
}

// catchUp waits until a feed that invents or repeats its past has come to the present, so
// that the first client finds a seed; it says how far it is.
func (e *Engine) catchUp(ctx context.Context) error {
	tick := time.NewTicker(catchUpLook)
	defer tick.Stop()
	said := time.Now()
	for e.opts.Remote == nil && (e.feed.Load().State == feed.CatchingUp || e.feed.Load().State == feed.Connecting) {
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
	if e.opts.Remote == nil && e.feed.Load().State == feed.Failed {
		select {
		case err := <-e.failed:
			return err
		case <-ctx.Done():
		}
	}
	return nil
}

// catchUpLook is how often the catching up is looked at.
const catchUpLook = 20 * time.Millisecond

// assemble makes the parts that readers meet.
func (e *Engine) assemble(set *settings, owner *logs.Owner) error {
	reader := &logs.Reader{Log: e.backbone.Bars(), Symbols: e.symbols, Read: func(n int) { e.metrics.LogRead.Add(float64(n)) }}
	rings := ring.NewSet(int(set.RingCapacity))
	e.view = &view{reader: reader, symbols: e.symbols, rings: rings, epoch: owner.Epoch, log: e.log.WithName("view"), changed: make(chan struct{})}
	if err := e.makeShard(reader, rings, owner.Epoch); err != nil {
		return err
	}
	e.listener = newListener(e)
	e.history = history.New(history.Options{
		Rings: e.shard, Frames: reader, Upstream: e.upstream(), Catalog: catalog{e}, Position: e.view.Position,
		Metrics: historyMetrics{e.metrics}, Log: e.log.WithName("history"),
	})
	e.view.history = e.history
	e.hub = stream.NewHub(stream.Options{
		Log: e.log.WithName("stream"), Metrics: streamMetrics{e.metrics}, Symbols: e.symbols,
		Frames: reader, Seeds: seeds{e.history, e.symbols}, Epoch: owner.Epoch, EpochStartMs: owner.EpochStartMs,
		Demanded: e.listener.poke,
	})
	e.view.hub = e.hub
	e.cors = &cors{}
	e.apply(set)
	return nil
}

// apply puts into effect what needs no new plane.
func (e *Engine) apply(set *settings) {
	respelled := e.symbols.Respell(set.spec.Symbols)
	numbers := make([]uint32, 0, len(set.Symbols))
	now := &carried{names: make(map[uint32]string)}
	for _, s := range e.feedSymbols(set) {
		numbers = append(numbers, s.Number)
		now.list = append(now.list, history.Symbol(s))
		now.names[s.Number] = s.Name
	}
	e.carried.Store(now)
	e.view.rings.SetCapacity(int(set.RingCapacity))
	e.shard.Carry(numbers, set.spec.Timeframes)
	e.metrics.LabelSymbols(string(set.SymbolLabels), len(numbers))
	e.metrics.Expect(append([]string{market.M1.String()}, set.Timeframes...), market.GapReasons())
	e.hub.Configure(set.streamConfig(e.symbols.Intern))
	e.cors.configure(set.AllowedOrigins)
	e.settings.Store(set)
	if len(respelled) > 0 {
		e.hub.Respelled(respelled)
		e.history.Respelled()
	}
}

// follow applies frames as they come. What a log that lost its end means to writers they find themselves.
func (e *Engine) follow(ctx context.Context) {
	err := e.view.follow(ctx, func(err error) {
		if errors.Is(err, errAgedOut) {
			e.log.Info("BARS moved on faster than it was read here: rings and streams begin again from what it has", "reason", err.Error())
			return
		}
		e.metrics.LogRewound.Inc()
		e.log.Info("BARS has lost its end: streams begin again from what is left", "reason", err.Error())
	})
	if ctx.Err() == nil {
		e.fail(err)
	}
}

func (e *Engine) fail(err error) {
	select {
	case e.failed <- err:
	default: // one reason is enough
	}
}

// close stops what start began, in the reverse order; e.work has ended.
func (e *Engine) close() error {
	for _, unsubscribe := range e.unsub {
		unsubscribe()
	}
	e.running.Wait()
	var err error
	if e.source != nil {
		err = e.source.Close()
	}
	if e.hub != nil {
		e.hub.Close()
	}
	if e.asking != nil {
		e.asking.Close()
	}
	if e.backbone != nil {
		err = errors.Join(err, e.backbone.Close())
	}
	return err
}

// drain refuses new streams, hands the partitions over, ends the open streams spread over
// the window, and returns.
func (e *Engine) drain(hurry <-chan struct{}) {
	e.draining.Store(true)
	if e.opts.Draining != nil {
		e.opts.Draining(e.hub.Connections())
	}
	ctx, cancel := context.WithTimeout(context.Background(), e.opts.DrainFor+time.Second)
	defer cancel()
	go func() {
		select {
		case <-hurry:
			cancel()
		case <-ctx.Done():
		}
	}()
	e.keeper.Set(ctx, pods.Draining, e.connections(e.settings.Load()))
	e.leave()
	e.hub.Drain(ctx, e.opts.DrainFor)
}
