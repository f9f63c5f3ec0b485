package marketstream

import (
	"context"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/marketstream/marketstream/api/v1alpha1"
)

// byKey is the index of streams by the vendor's key that they name.
const byKey = "vendorKey"

// vendorKey says which vendor's key a stream names; empty: none, or one whose account allows more than
// one connection.
func vendorKey(m *v1alpha1.MarketStream) string {
	f := &m.Spec.Feed
	switch {
	case f.Polygon != nil && single(f.Polygon.Connections):
		return "polygon " + f.Polygon.APIKeySecretRef.Name + "/" + f.Polygon.APIKeySecretRef.Key
	case f.Alpaca != nil && single(f.Alpaca.Connections):
		return "alpaca " + f.Alpaca.KeySecretRef.Name
	}
	return ""
}

func single(connections *int32) bool { return connections == nil || *connections == 1 }

// sharing names the streams that use the same vendor's key: in the namespace by the same reference,
// elsewhere by the fingerprint that pods report.
func (r *Reconciler) sharing(ctx context.Context, s *scope) []string {
	key := vendorKey(s.stream)
	if key == "" {
		return nil
	}
	var out []string
	var list v1alpha1.MarketStreamList
	if err := r.client.List(ctx, &list, client.InNamespace(s.key.Namespace), client.MatchingFields{byKey: key}); err != nil {
		s.log.Error(err, "the streams that share a vendor's key are not known")
	}
	for i := range list.Items {
		if o := &list.Items[i]; o.Name != s.key.Name && o.DeletionTimestamp == nil {
			out = append(out, client.ObjectKeyFromObject(o).String())
		}
	}
	prints := make(map[string]bool)
	for _, p := range s.seen.Streamers.Pods {
		if p.Report != nil {
			for _, secret := range p.Report.Secrets {
				if secret.Fingerprint != "" {
					prints[secret.Fingerprint] = true
				}
			}
		}
	}
	if len(prints) > 0 {
		out = append(out, r.poller.Sharing(s.key.String(), prints)...)
	}
	if len(out) > 0 {
		s.again.after(forOthers) // nothing tells when another's pods are gone
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// sharers are the other streams of a namespace that name the same vendor's key: what becomes of one is news to them.
func (r *Reconciler) sharers(ctx context.Context, o client.Object) (out []reconcile.Request) {
	key := vendorKey(o.(*v1alpha1.MarketStream))
	if key == "" {
		return nil
	}
	var list v1alpha1.MarketStreamList
	if err := r.client.List(ctx, &list, client.InNamespace(o.GetNamespace()), client.MatchingFields{byKey: key}); err != nil {
		return nil // it reads a cache
	}
	for i := range list.Items {
		if list.Items[i].Name != o.GetName() {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return out
}
