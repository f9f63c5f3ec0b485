package v1alpha1

import "slices"

// SecretUse is a Secret that a document names for its streamers, and what they read of it.
//
// +kubebuilder:object:generate=false
type SecretUse struct {
	Name string
	// Keys that are read, sorted.
	Keys []string
	// VendorKey is the one of Keys that says which account with a vendor it is; "": the Secret is no vendor's.
	VendorKey string
}

// Keys that Secrets of a fixed form have.
const (
	AlpacaKeyID     = "keyID"
	AlpacaSecretKey = "secretKey"
	TLSCertificate  = "tls.crt"
	TLSPrivateKey   = "tls.key"
)

// SecretUses returns the Secrets that the document names for its feed and for access, by first mention, each
// once. The one of an external backbone is not among them: its place is another.
func (m *MarketStream) SecretUses() []SecretUse {
	var out []SecretUse
	use := func(name, vendor string, keys ...string) {
		i := slices.IndexFunc(out, func(u SecretUse) bool { return u.Name == name })
		if i < 0 {
			i = len(out)
			out = append(out, SecretUse{Name: name})
		}
		u := &out[i]
		u.Keys = append(u.Keys, keys...)
		slices.Sort(u.Keys)
		u.Keys = slices.Compact(u.Keys)
		if vendor != "" {
			u.VendorKey = vendor
		}
	}
	if p := m.Spec.Feed.Polygon; p != nil {
		use(p.APIKeySecretRef.Name, p.APIKeySecretRef.Key, p.APIKeySecretRef.Key)
	}
	if a := m.Spec.Feed.Alpaca; a != nil {
		use(a.KeySecretRef.Name, AlpacaKeyID, AlpacaKeyID, AlpacaSecretKey)
	}
	access := or(m.Spec.Access)
	if auth := access.Auth; auth != nil && auth.PIN != nil {
		use(auth.PIN.SecretRef.Name, "", auth.PIN.SecretRef.Key)
		if s := auth.PIN.SessionKeyRef; s != nil {
			use(s.Name, "", s.Key)
		}
	}
	if access.TLSSecretName != "" {
		use(access.TLSSecretName, "", TLSCertificate, TLSPrivateKey)
	}
	return out
}
