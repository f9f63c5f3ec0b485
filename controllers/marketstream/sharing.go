package marketstream

import (
	"context"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

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
	slices.Sort(out)
	return slices.Compact(out)
}
