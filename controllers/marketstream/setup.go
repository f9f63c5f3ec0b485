package marketstream

import (
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"k8s.io/utils/ptr"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/controllers/desired"
	"github.com/marketstream/marketstream/controllers/reports"
)

// leaderID is the name of the Lease.
const leaderID = "marketstream-operator"

// Scheme has the types that the operator uses.
func Scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(s); err != nil {
		return nil, err
	}
	return s, v1alpha1.AddToScheme(s)
}

// New makes the operator: a manager that runs it when it is started.
func New(o Options) (manager.Manager, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o.defaults()
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	metrics := server.Options{BindAddress: o.MetricsListen}
	if !o.PlainMetrics {
		metrics.SecureServing, metrics.FilterProvider = true, filters.WithAuthenticationAndAuthorization
	}
	m, err := ctrl.NewManager(o.Config, manager.Options{
		Scheme: scheme, Logger: o.Log, Cache: caches(o.Namespace), Metrics: metrics, HealthProbeBindAddress: o.HealthListen,
		LeaderElection: o.LeaderElection, LeaderElectionID: leaderID, LeaderElectionNamespace: o.OwnNamespace, LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return nil, err
	}
	return m, register(m, &o)
}

func (o *Options) defaults() {
	if o.Workers == 0 {
		o.Workers = 4
	}
	if o.Level == nil {
		o.Level = (*v1alpha1.MarketStream).Level
	}
	if o.Least == 0 {
		o.Least = 250 * time.Millisecond
	}
	if o.LookEvery == 0 {
		o.LookEvery = time.Minute
	}
}

// caches hold what has our label, without what nobody reads.
func caches(namespace string) cache.Options {
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{desired.LabelManagedBy: desired.Manager}), Transform: pack}
	pods := ours
	pods.Transform = slimPod
	o := cache.Options{ByObject: map[client.Object]cache.ByObject{
		&corev1.ConfigMap{}: ours, &corev1.ServiceAccount{}: ours, &corev1.Service{}: ours, &corev1.Pod{}: pods,
		&networkingv1.NetworkPolicy{}: ours, &networkingv1.Ingress{}: ours, &policyv1.PodDisruptionBudget{}: ours,
		&appsv1.StatefulSet{}: ours, &appsv1.Deployment{}: ours,
	}, DefaultTransform: slim}
	if namespace != "" {
		o.DefaultNamespaces = map[string]cache.Config{namespace: {}}
	}
	return o
}

// slim takes off an object what is not read here.
func slim(in any) (any, error) {
	o, ok := in.(client.Object)
	if !ok {
		return in, nil
	}
	o.SetManagedFields(nil)
	if o, ok := o.(*metav1.PartialObjectMetadata); ok {
		o.Annotations, o.Labels = nil, nil
	}
	return o, nil
}

// register adds the controller and what runs beside it to a manager.
func register(m manager.Manager, o *Options) error {
	ctx := context.Background()
	if err := index(ctx, m); err != nil {
		return err
	}
	looks := make(chan event.GenericEvent, 1024)
	r := &Reconciler{opts: *o, client: m.GetClient(), uncached: m.GetAPIReader(), events: m.GetEventRecorder("marketstream"),
		pace: pace{every: o.Least, last: make(map[types.NamespacedName]time.Time)}}
	r.poller = reports.New(reports.Options{Every: o.PollEvery, Changed: func(ctx context.Context, stream string) {
		select {
		case looks <- look(stream):
		case <-ctx.Done():
		}
	}})
	disco, err := discovery.NewDiscoveryClientForConfigAndClient(o.Config, m.GetHTTPClient())
	if err != nil {
		return err
	}
	r.kinds = &kinds{log: o.Log.WithName("kinds"), cache: m.GetCache(), mapper: m.GetRESTMapper(), discovery: disco, all: looks, client: m.GetClient()}
	if o.Namespace != "" {
		r.kinds.every = o.LookEvery
	}
	salt, err := r.systemUID(ctx)
	if err != nil {
		return err
	}
	r.salt = salt
	c, err := ctrl.NewControllerManagedBy(m).Named("marketstream").
		For(&v1alpha1.MarketStream{}, builder.WithPredicates(predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}))).
		Owns(&corev1.ConfigMap{}).Owns(&corev1.ServiceAccount{}).Owns(&corev1.Service{}).Owns(&networkingv1.NetworkPolicy{}).
		Owns(&policyv1.PodDisruptionBudget{}).Owns(&appsv1.StatefulSet{}).Owns(&appsv1.Deployment{}).Owns(&networkingv1.Ingress{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(streamOf)).
		Watches(&v1alpha1.MarketStream{}, handler.EnqueueRequestsFromMapFunc(r.sharers), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(source.Channel(looks, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: o.Workers, SkipNameValidation: ptr.To(true)}).
		Build(r)
	if err != nil {
		return err
	}
	r.kinds.controller = c
	for _, runs := range []manager.Runnable{r.kinds, manager.RunnableFunc(r.poller.Run)} {
		if err := m.Add(runs); err != nil {
			return err
		}
	}
	if err := m.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	return m.AddReadyzCheck("ping", healthz.Ping)
}

func index(ctx context.Context, m manager.Manager) error {
	err := m.GetFieldIndexer().IndexField(ctx, &corev1.Pod{}, byInstance, func(o client.Object) []string {
		return []string{o.GetLabels()[desired.LabelInstance]}
	})
	if err != nil {
		return fmt.Errorf("index pods: %w", err)
	}
	return m.GetFieldIndexer().IndexField(ctx, &v1alpha1.MarketStream{}, byKey, func(o client.Object) []string {
		if k := vendorKey(o.(*v1alpha1.MarketStream)); k != "" {
			return []string{k}
		}
		return nil
	})
}

// look asks for a look at a stream, by namespace/name.
func look(stream string) event.GenericEvent {
	namespace, name, _ := strings.Cut(stream, "/")
	return event.GenericEvent{Object: &v1alpha1.MarketStream{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}}
}

// streamOf names the stream that a pod is of.
func streamOf(_ context.Context, o client.Object) []reconcile.Request {
	name := o.GetLabels()[desired.LabelInstance]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
}

// systemUID is the UID of namespace kube-system, the salt of fingerprints; empty where it may not be read.
func (r *Reconciler) systemUID(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var ns corev1.Namespace
	err := r.uncached.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, &ns)
	if apierrors.IsForbidden(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read namespace %s: %w", metav1.NamespaceSystem, err)
	}
	return string(ns.UID), nil
}
