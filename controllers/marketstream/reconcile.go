package marketstream

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/controllers/reports"
)

// within is how long one reconcile may take: it waits for nothing but the API server.
const within = 30 * time.Second

// Reconciler reconciles MarketStreams. It is safe for concurrent use.
type Reconciler struct {
	opts Options
	// client reads from the caches, uncached from the API server.
	client   client.Client
	uncached client.Reader
	events   events.EventRecorder
	poller   *reports.Poller
	kinds    *kinds
	salt     string // the UID of namespace kube-system

	pace    pace
	touched touches
	sent    sent
	figures figures
}

// phases of a reconcile. One that returns an error ends it, but for the report.
var phases = []struct {
	name string
	of   func(*Reconciler, context.Context, *scope) error
}{
	{"gather", (*Reconciler).gather},
	{"decide", (*Reconciler).decide},
	{"apply", (*Reconciler).apply},
	{"act", (*Reconciler).act},
}

// Reconcile brings one stream on its way, and says how it is.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if wait := r.pace.wait(req.NamespacedName, time.Now()); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	s := &scope{log: ctrl.LoggerFrom(ctx), key: req.NamespacedName, stream: &v1alpha1.MarketStream{}}
	if err := r.client.Get(ctx, req.NamespacedName, s.stream); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(s)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if s.stream.DeletionTimestamp != nil { // the garbage collector does the rest
		r.forget(s)
		return ctrl.Result{}, nil
	}
	s.stream.Status = *r.figures.newest(s.stream) // else what was told would be told again
	s.paused = s.stream.Annotations[v1alpha1.AnnotationPaused] == "true"
	var failed error
	for _, phase := range phases {
		if failed = phase.of(r, ctx, s); failed != nil {
			failed = fmt.Errorf("%s: %w", phase.name, failed)
			break
		}
	}
	if s.live == nil || failed != nil && s.objects == nil { // nothing was seen or decided that could be reported
		return ctrl.Result{}, failed
	}
	if err := r.report(ctx, s); err != nil && failed == nil {
		failed = fmt.Errorf("report: %w", err)
	}
	return ctrl.Result{RequeueAfter: time.Duration(s.again)}, failed
}

// forget lets go of what is kept of a stream that is gone.
func (r *Reconciler) forget(s *scope) {
	r.poller.Set(s.key.String(), nil)
	r.pace.forget(s.key)
	r.touched.forget(s.key)
	r.sent.forget(s.key)
	r.figures.forget(s.key)
}
