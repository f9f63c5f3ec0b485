package engine

import (
	v1alpha1 "github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/streamer/backbone"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

const (
	// leastMessage is what a NATS server must take for the smallest stream: it is half of what one takes
	// that nobody configured, so that symbols can be added.
	leastMessage = 512 << 10
	// besideRecords is what a frame holds besides records: names, gaps, the trade ids of open minutes.
	besideRecords = 128 << 10
)

// externalOf is the NATS of the user's that a document names; nil: none.
func externalOf(m *v1alpha1.MarketStream) *v1alpha1.ExternalBackbone {
	if m.Spec.Backbone == nil {
		return nil
	}
	return m.Spec.Backbone.External
}

// sameLog reports whether two documents have their log in the same place, as far as they say.
func sameLog(s, o *settings) bool {
	a, b := externalOf(s.document), externalOf(o.document)
	return (a == nil) == (b == nil) && (a == nil || a.Prefix == b.Prefix)
}

// longestMessage bounds what a stream has to append at once, in bytes, in steps that double.
func longestMessage(s *settings) int64 {
	var symbols [market.Partitions]int64
	most := int64(0)
	for _, name := range s.Symbols {
		p := market.PartitionOf(name)
		symbols[p]++
		most = max(most, symbols[p])
	}
	need := most*int64(len(s.Timeframes))*logs.MaxRecord + besideRecords
	step := int64(leastMessage)
	for step < need && step < logs.MaxEntry {
		step *= 2
	}
	return min(step, logs.MaxEntry)
}

// remoteOptions are r as the document has it. In the user's own NATS streams are theirs: what is there is checked and not changed.
func (e *Engine) remoteOptions(r backbone.RemoteOptions, set *settings) backbone.RemoteOptions {
	r.Namespace, r.Name, r.Retention, r.Log = set.Namespace, set.Name, set.Retention, e.log.WithName("backbone")
	r.Progress = e.opts.Progress
	x := externalOf(set.document)
	if x == nil {
		return r
	}
	e.longest = longestMessage(set)
	r.Streams, r.Prefix, r.MaxMessage = backbone.GivenStreams, x.Prefix, e.longest
	if x.CredentialsSecretRef != nil && r.Credentials == "" {
		r.Credentials = e.host.secrets.Path(x.CredentialsSecretRef.Name, x.CredentialsSecretRef.Key)
	}
	if len(r.URLs) != 1 || r.URLs[0] != x.URL {
		e.log.Info("the command line says where the NATS server is; what the document says is passed over", "document", x.URL)
	}
	return r
}
