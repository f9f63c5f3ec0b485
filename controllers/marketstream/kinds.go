package marketstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/controllers/observed"
)

// kind is one of somebody else's: made where the cluster has its CRD.
type kind struct {
	gvk   schema.GroupVersionKind
	crd   string
	there func(*observed.Kinds) bool
	set   func(*observed.Kinds, bool)
}

var foreign = []kind{
	{schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}, "httproutes.gateway.networking.k8s.io",
		func(k *observed.Kinds) bool { return k.HTTPRoute }, func(k *observed.Kinds, v bool) { k.HTTPRoute = v }},
	{schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: "ServiceMonitor"}, "servicemonitors.monitoring.coreos.com",
		func(k *observed.Kinds) bool { return k.ServiceMonitor }, func(k *observed.Kinds, v bool) { k.ServiceMonitor = v }},
	{schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: "PrometheusRule"}, "prometheusrules.monitoring.coreos.com",
		func(k *observed.Kinds) bool { return k.PrometheusRule }, func(k *observed.Kinds, v bool) { k.PrometheusRule = v }},
}

var crdKind = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}

// kinds follows which of somebody else's kinds the cluster has, without a restart: by a watch on the
// names of CRDs, or where that is not permitted (the namespaced mode) by asking every minute.
type kinds struct {
	log       logr.Logger
	cache     cache.Cache
	mapper    meta.RESTMapper
	discovery discovery.DiscoveryInterface
	every     time.Duration // 0: by a watch
	all       chan event.GenericEvent
	client    client.Reader

	mu   sync.Mutex
	have observed.Kinds

	controller controller.Controller // set before Start
}

// now says which kinds there are.
func (k *kinds) now() observed.Kinds {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.have
}

// Start follows the CRDs until ctx ends.
func (k *kinds) Start(ctx context.Context) error {
	look := time.NewTicker(time.Minute)
	if k.every > 0 {
		look.Reset(k.every)
	}
	defer look.Stop()
	changed := make(chan struct{}, 1)
	poke := func(any) {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	if k.every == 0 {
		crd := &metav1.PartialObjectMetadata{}
		crd.SetGroupVersionKind(crdKind)
		informer, err := k.cache.GetInformer(ctx, crd)
		if err != nil {
			return fmt.Errorf("watch CRDs: %w", err)
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: poke, UpdateFunc: func(_, o any) { poke(o) }, DeleteFunc: poke}); err != nil {
			return fmt.Errorf("watch CRDs: %w", err)
		}
	}
	for {
		if err := k.refresh(ctx); err != nil && ctx.Err() == nil {
			k.log.Error(err, "the kinds that the cluster has are not known; what was known stays")
		}
		select {
		case <-changed:
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// NeedLeaderElection: whoever does not lead has no use for it.
func (k *kinds) NeedLeaderElection() bool { return true }

// refresh looks which kinds there are, follows those that came and leaves those that went.
func (k *kinds) refresh(ctx context.Context) error {
	before := k.now()
	have := before
	var errs []error
	for i := range foreign {
		f := &foreign[i]
		there, err := k.served(f)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if there == f.there(&before) {
			continue
		}
		if err := k.follow(ctx, f, there); err != nil {
			errs = append(errs, err)
			continue
		}
		f.set(&have, there)
		k.log.Info("a kind that others define", "kind", f.gvk.Kind, "there", there)
	}
	if have != before {
		k.mu.Lock()
		k.have = have
		k.mu.Unlock()
		k.everybody(ctx)
	}
	return errors.Join(errs...)
}

// served reports whether the API server serves a kind, not only that its CRD is there.
func (k *kinds) served(f *kind) (bool, error) {
	list, err := k.discovery.ServerResourcesForGroupVersion(f.gvk.GroupVersion().String())
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ask for %s: %w", f.gvk.GroupVersion(), err)
	}
	return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Kind == f.gvk.Kind }), nil
}

// follow begins or ends to watch a kind.
func (k *kinds) follow(ctx context.Context, f *kind, there bool) error {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(f.gvk)
	if !there {
		return k.cache.RemoveInformer(ctx, o)
	}
	owner := handler.EnqueueRequestForOwner(k.client.(client.Client).Scheme(), k.mapper, &v1alpha1.MarketStream{}, handler.OnlyControllerOwner())
	return k.controller.Watch(source.Kind[client.Object](k.cache, o, owner))
}

// everybody has every stream looked at.
func (k *kinds) everybody(ctx context.Context) {
	var list v1alpha1.MarketStreamList
	if err := k.client.List(ctx, &list); err != nil {
		k.log.Error(err, "the streams are not known")
		return
	}
	for i := range list.Items {
		select {
		case k.all <- event.GenericEvent{Object: &list.Items[i]}:
		case <-ctx.Done():
			return
		}
	}
}
