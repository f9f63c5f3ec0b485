package desired

import (
	"crypto/sha256"
	"encoding/hex"

	"sigs.k8s.io/yaml"

	"github.com/marketstream/marketstream/api/v1alpha1"
)

// Document is stream.yaml of the ConfigMap: the MarketStream with what streamers read, and nothing else,
// so that a change of scale, exposure or pods reloads nobody. Two specs that differ in nothing of it give
// the same bytes.
func Document(s *v1alpha1.MarketStream) ([]byte, error) {
	from := &s.Spec
	spec := v1alpha1.MarketStreamSpec{Symbols: from.Symbols, Timeframes: from.Timeframes, Feed: from.Feed, Bars: from.Bars,
		Stream: from.Stream, History: from.History, Access: from.Access, Overrides: from.Overrides}
	if b := backboneOf(s); b.Retention != nil || b.External != nil {
		spec.Backbone = &v1alpha1.Backbone{Retention: b.Retention, External: b.External}
	}
	if l := monitoringOf(s).SymbolLabels; l != "" {
		spec.Monitoring = &v1alpha1.Monitoring{SymbolLabels: l}
	}
	meta := map[string]any{"name": s.Name, "namespace": s.Namespace}
	if backboneOf(s).External != nil { // a log there outlives the stream, and may be met by one of its name in another cluster
		meta["uid"] = string(s.UID)
	}
	return yaml.Marshal(map[string]any{ // keys come in order
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": v1alpha1.Kind, "metadata": meta, "spec": spec})
}

// ConfigRevision is the hash of a document, as pods report it.
func ConfigRevision(document []byte) string {
	sum := sha256.Sum256(document)
	return hex.EncodeToString(sum[:8])
}
