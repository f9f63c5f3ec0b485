package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/api/podreport"
	v1alpha1 "github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/streamer/backbone"
	"github.com/marketstream/marketstream/streamer/metrics"
	"github.com/marketstream/marketstream/streamer/secrets"
)

const (
	// againFirst and againLast bound how long it is until a document is tried again that did not come to serve.
	againFirst = time.Second
	againLast  = 30 * time.Second
)

// errNewer ends an attempt to run a document, since there is a newer one.
var errNewer = errors.New("there is a newer document")

// host is what of a process outlives an attempt to run a document: its ports, its metrics, what is known of
// Secrets, and why the newest document is not run.
type host struct {
	opts     Options
	log      logr.Logger
	metrics  *metrics.Set
	secrets  *secrets.Store
	servers  *servers
	running  sync.WaitGroup
	fail     context.CancelCauseFunc
	engine   atomic.Pointer[Engine] // the attempt under way; nil: none
	step     atomic.Pointer[string] // what it is doing
	refused  atomic.Pointer[refusal]
	stopping atomic.Bool
}

// refusal is why the newest document is not run: a word, and the mistakes, one per line.
type refusal struct{ reason, text string }

// Run runs a streamer until ctx ends, then drains and returns nil; or until something that
// it cannot get over. hurry cuts the drain short.
func Run(ctx context.Context, opts Options, hurry <-chan struct{}) error {
	if opts.Progress == nil {
		opts.Progress = func(string) {}
	}
	if opts.Pod == "" {
		opts.Pod = PodName()
	}
	if opts.Address == "" {
		opts.Address = opts.Internal.Addr().String()
	}
	ctx, fail := context.WithCancelCause(ctx)
	h := &host{opts: opts, log: opts.Log, metrics: metrics.New(opts.Version), fail: fail,
		secrets: secrets.New(opts.SecretsDir, opts.SaltFile, opts.Log.WithName("secrets"))}
	h.opts.Progress = func(what string) {
		h.step.Store(&what)
		opts.Progress(what)
	}
	h.servers = h.serve()
	h.running.Go(func() { h.secrets.Watch(ctx) })
	var err error
	if opts.Document != nil {
		h.need(opts.Document)
		_, err = h.attempt(ctx, opts.Document, opts.Input, hurry)
	} else {
		err = h.stay(ctx, hurry)
	}
	h.stopping.Store(true)
	if cause := context.Cause(ctx); errors.As(cause, new(portError)) {
		err = errors.Join(err, cause)
	}
	fail(nil)
	h.servers.stop()
	h.running.Wait()
	return err
}

// stay runs the document that is there, as soon as there is one that can be run. What it finds ends nothing before
// a document has come to serve; afterwards the process is begun anew by whoever looks after it.
func (h *host) stay(ctx context.Context, hurry <-chan struct{}) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var tried *Input // the last one, if it is not run
	var again time.Time
	for pause := againFirst; ; {
		in, err := h.opts.Read()
		if err == nil && len(strings.TrimSpace(string(in.Document))) == 0 {
			err = errors.New("the document is empty")
		}
		switch {
		case err != nil:
			h.refuse(podreport.ConfigUnreadable, err)
			tried = nil
		case tried != nil && in.equal(tried) && time.Now().Before(again):
		default:
			if tried == nil || !in.equal(tried) {
				pause = againFirst
				h.refused.Store(nil)
			}
			tried = &in
			served, err := h.try(ctx, in, hurry)
			if served || ctx.Err() != nil {
				return err
			}
			if errors.Is(err, errNewer) {
				continue
			}
			h.refuse(reasonOf(err), err)
			again, pause = time.Now().Add(pause), min(2*pause, againLast)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// try runs a document if it can be run.
func (h *host) try(ctx context.Context, in Input, hurry <-chan struct{}) (served bool, err error) {
	if doc, err := v1alpha1.Decode(in.Document); err == nil {
		h.need(doc) // also while it cannot be run: who mends it wants to know what else is missing
	}
	doc, _, err := v1alpha1.DecodeRunnable(in.Document, h.opts.place())
	if err != nil {
		return false, err
	}
	return h.attempt(ctx, doc, in, hurry)
}

// refuse notes why the newest document is not run. Until it serves clients are told so as well.
func (h *host) refuse(reason string, err error) {
	wrong := v1alpha1.AsMistakes(err)
	r := &refusal{reason, wrong.Error()}
	was := h.refused.Swap(r)
	if was != nil && *was == *r {
		return
	}
	h.servers.answer()
	h.log.Error(nil, "the document is not run; it is looked at again", "reason", reason, "mistakes", []string(wrong))
}

// reasonOf is the word for why a document is not run.
func reasonOf(err error) string {
	var wrong v1alpha1.Mistakes
	for _, r := range []struct {
		is   bool
		word string
	}{
		{errors.Is(err, ErrOtherFeed), podreport.ConfigDataOfAnotherFeed},
		{errors.Is(err, ErrOtherOwner), podreport.ConfigForeignLog},
		{errors.Is(err, backbone.ErrUnfit), podreport.ConfigBackboneUnfit},
		{errors.Is(err, errNeedsRestart), podreport.ConfigNeedsRestart},
		{errors.Is(err, v1alpha1.ErrNotAvailable), podreport.ConfigNotAvailable},
		{errors.As(err, &wrong), podreport.ConfigInvalid},
	} {
		if r.is {
			return r.word
		}
	}
	return podreport.ConfigStartFailed
}

// attempt runs a document until ctx ends. served: it came to serve clients.
func (h *host) attempt(ctx context.Context, doc *v1alpha1.MarketStream, in Input, hurry <-chan struct{}) (served bool, err error) {
	e, err := newEngine(h, doc, in)
	if err != nil {
		return false, err
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	e.work = work
	h.engine.Store(e)
	defer func() {
		e.stopKeeper()
		cancel()
		err = errors.Join(err, e.close())
		if !served {
			h.engine.Store(nil)
		}
	}()
	before := h.refused.Load()
	starting, end := context.WithCancelCause(ctx)
	stop := h.untilNewer(starting, in, end)
	err = e.start(starting, hurry)
	stop()
	switch {
	case err == nil:
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return false, nil // it was told to end before it had begun
	case errors.Is(context.Cause(starting), errNewer):
		return false, errNewer
	default:
		return false, err
	}
	if err := e.catchUp(ctx); err != nil {
		return false, err
	}
	if ctx.Err() == nil {
		h.refused.CompareAndSwap(before, nil) // another one is of a newer document
		h.servers.open(e.publicMux())
		e.serving.Store(true)
		e.running.Go(e.becomeReady)
		if h.opts.Ready != nil {
			h.opts.Ready()
		}
	}
	select {
	case <-ctx.Done():
	case err = <-e.failed:
	}
	e.drain(hurry)
	return true, err
}

// untilNewer ends an attempt that has not come to serve once there is a newer document, until stop.
func (h *host) untilNewer(ctx context.Context, in Input, end context.CancelCauseFunc) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if h.opts.Document != nil { // who started us with it wants it
			<-ctx.Done()
			return
		}
		watch(ctx, h.opts.Read, in, func(Input) { end(errNewer) }, func(error) {})
	}()
	return func() {
		cancel()
		<-ended
	}
}

// need says to the store of Secrets which the process needs.
func (h *host) need(doc *v1alpha1.MarketStream) {
	var wants []secrets.Want
	if r := h.opts.Remote; r != nil {
		name, file := h.opts.BackboneSecret, r.Credentials
		if x := externalOf(doc); x != nil && x.CredentialsSecretRef != nil {
			name = x.CredentialsSecretRef.Name
			if file == "" {
				file = h.secrets.Path(name, x.CredentialsSecretRef.Key)
			}
		}
		if name == "" {
			name = file
		}
		if name != "" {
			wants = append(wants, secrets.Want{Name: name, Files: []string{file}, Check: backbone.CheckCredentials})
		}
	}
	for _, u := range doc.SecretUses() {
		w := secrets.Want{Name: u.Name}
		for _, key := range u.Keys {
			w.Files = append(w.Files, h.secrets.Path(u.Name, key))
		}
		if u.VendorKey != "" {
			w.Fingerprint = h.secrets.Path(u.Name, u.VendorKey)
		}
		wants = append(wants, w)
	}
	h.secrets.Need(wants)
}

// unready is why the process takes no clients from a load balancer, in a sentence; "": it does.
func (h *host) unready() string {
	e := h.engine.Load()
	r := h.refused.Load()
	switch {
	case h.stopping.Load() || e != nil && e.draining.Load():
		return "draining"
	case e != nil && e.serving.Load() && e.ready.Load():
		return ""
	case e != nil && e.serving.Load():
		return "holding: " + e.pods.Load().Hold
	case r != nil:
		return r.sentence()
	}
	if step := h.step.Load(); step != nil {
		return "starting: " + *step
	}
	return "starting"
}

// sentence is the refusal on one line.
func (r *refusal) sentence() string {
	first, more, several := strings.Cut(r.text, "\n")
	if several {
		first = fmt.Sprintf("%s, and %d more: see /status", first, 1+strings.Count(more, "\n"))
	}
	return "the document is not run: " + first
}

// report is what the process says of itself.
func (h *host) report() podreport.Report {
	r := podreport.Report{Moves: []podreport.Move{}, Partitions: []podreport.Partition{}, Draining: h.stopping.Load()}
	if e := h.engine.Load(); e != nil {
		r = e.report()
	}
	r.Version, r.Schema, r.TemplateRevision, r.Secrets = h.opts.Version, v1alpha1.SchemaLevel, h.opts.TemplateRevision, h.secrets.Report()
	if why := h.refused.Load(); why != nil {
		r.ConfigError, r.ConfigReason = why.text, why.reason
	}
	return r
}

// portError is why a port is served no more.
type portError struct{ error }

// serveRings answers other pods, if a document is run.
func (h *host) serveRings(w http.ResponseWriter, r *http.Request) {
	if e := h.engine.Load(); e != nil {
		e.serveRings(w, r)
		return
	}
	noRings(w)
}
