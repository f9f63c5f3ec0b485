package desired

import (
	"strconv"
	"strings"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/streamer/market"
)

// alert is one rule. In its texts {S} selects the series of the stream's streamers, {B} those of its
// nodes, {N} is the stream.
type alert struct {
	name     string
	severity string // critical: clients get less than they were promised; warning: they soon may
	after    string // how long it must be so
	expr     string
	summary  string
	runbook  string // what to do first
	when     func(*plan) bool
}

// Rules on series of shards are made only while there are to be some: one that asks for missing series
// would fire while a stream is hibernated, and so would one that looks back over minutes before it.
var (
	always   = func(*plan) bool { return true }
	awake    = func(p *plan) bool { return !p.hibernated() }
	expected = func(p *plan) bool { return p.scraped() && awake(p) }
	vendors  = func(p *plan) bool { return vendorOf(&p.Stream.Spec.Feed) != nil && awake(p) } // a recording ends, and may be old
)

// writes selects pods that write a partition: others need no feed.
const writes = ` and on (namespace, pod) partition_holder{S} == 1`

var streamerAlerts = []alert{
	{"MarketStreamDown", "critical", "3m", `absent(up{S} == 1)`,
		"No shard of {N} answers.",
		"Read the conditions of the MarketStream (kubectl describe); its reasons are the pods' own.", expected},
	{"MarketStreamShardDown", "warning", "5m", `up{S} == 0`,
		"Shard {{ $labels.pod }} of {N} does not answer.",
		"Look at the pod's events and last log; its clients are served by the others meanwhile.", awake},
	{"MarketStreamPartitionWithoutWriter", "critical", "2m", `(sum(partition_holder{S}) or 0 * sum(up{S})) < ` + partitions,
		"Only {{ $value }} of " + partitions + " partitions of {N} have a writer: the symbols of the others get no bars.",
		"See which shards hold what (kubectl marketstream shards) and whether the backbone takes writes.", awake},
	{"MarketStreamFeedDisconnected", "critical", "5m", `feed_connected{S} == 0` + writes,
		"Shard {{ $labels.pod }} of {N} writes partitions and has no connection to the vendor.",
		"The condition FeedConnected has the vendor's words: a refused key, an account's limit, or the network (see networkPolicy).", vendors},
	{"MarketStreamFeedLagging", "warning", "5m", `feed_lag_seconds{S} > 60` + writes,
		"Bars of {N} close {{ $value | humanizeDuration }} late.",
		"If feed_waiting_entries grows the pod lacks CPU: raise pod.resources or shards; else the vendor is late.", vendors},
	{"MarketStreamFeedShedding", "warning", "10m", `sum(rate(feed_shed_total{S}[5m])) > 0`,
		"Trades come to {N} faster than they are folded; ticks and open bars give way, closed bars do not.",
		"Raise pod.resources, or shards where the vendor allows more connections.", awake},
	{"MarketStreamGapsOpen", "warning", "1h", `sum(feed_gaps_open{S}) > 0`,
		"{{ $value }} gaps of {N} could be filled by the vendor and are not: their bars stay partial.",
		"See vendor_requests_total and feed_repairs_total by result: a key without rights to history, or a vendor that limits.", vendors},
	{"MarketStreamConfigRefused", "warning", "1m", `sum(increase(config_reload_errors_total{S}[10m])) > 0`,
		"Pods of {N} refuse its newest document and go on with the one before.",
		"The condition Stalled has the field, the value and what would be right.", awake},
	{"MarketStreamClientsPostponed", "warning", "10m", `sum(rate(sse_rejected_total{S,code="429"}[5m])) > 0`,
		"Pods of {N} have as many streams as they may and send clients away.",
		"Raise shards, or stream.maxConnections with the memory for it.", awake},
	{"MarketStreamAppendsSlow", "warning", "10m", `histogram_quantile(0.99, sum by (le) (rate(log_append_seconds_bucket{S}[5m]))) > 1`,
		"The log of {N} takes {{ $value | humanizeDuration }} to store a close.",
		"Look at the disks of the backbone: each close is synced before clients get it.", awake},
	{"MarketStreamLogRewound", "warning", "1m", `sum(increase(log_rewound_total{S}[15m])) > 0`,
		"The log of {N} lost its end; what was lost was made again and clients were reset.",
		"A backbone that syncs loses nothing but by its disk: check the volume, or the settings of an external NATS.", awake},
}

var backboneAlerts = []alert{
	{"MarketStreamBackboneDown", "critical", "3m", `absent(up{B} == 1)`,
		"No node of the backbone of {N} answers: no bar is closed.",
		"Look at the events of the StatefulSet's pods and claims; streams stay open and go on when it is back.", (*plan).scraped},
	{"MarketStreamBackboneNodeNotReady", "warning", "10m", `marketstream_backbone_ready{B} == 0`,
		"Node {{ $labels.pod }} of the backbone of {N} is not ready.",
		"Its /readyz says why in a sentence: it waits for others, for space, or copies what it lacks.", always},
	{"MarketStreamBackboneVolumeFull", "critical", "1m", `marketstream_backbone_volume_free_bytes{B} < 128 * 1024 * 1024`,
		"The volume of {{ $labels.pod }} of {N} has {{ $value | humanize1024 }}B left; below 32 MiB nothing is stored.",
		"Raise backbone.storage.size: it grows in place where the storage class allows it.", always},
	{"MarketStreamBackboneStoreFull", "warning", "1h", `marketstream_backbone_store_bytes{B} / marketstream_backbone_store_max_bytes{B} > 0.95`,
		"The store of {{ $labels.pod }} of {N} is full: the oldest bars go before backbone.retention is over.",
		"Raise backbone.storage.size, or lower backbone.retention to what fits.", always},
}

// partitions of a stream, each of which somebody writes.
var partitions = strconv.Itoa(market.Partitions)

// prometheusRule is the alerts, of this stream alone: they select by namespace and by its Services.
func prometheusRule(p *plan) *Object {
	if !p.Kinds.PrometheusRule || monitoringOf(p.Stream).Rules == v1alpha1.SwitchDisabled {
		return nil
	}
	var groups []any
	if awake(p) {
		groups = append(groups, group(p, "streamers", streamerAlerts))
	}
	if !p.external() {
		groups = append(groups, group(p, "backbone", backboneAlerts))
	}
	if len(groups) == 0 {
		return nil
	}
	meta := p.meta(p.name, ComponentStreamer)
	meta.Labels = under(monitoringOf(p.Stream).Labels, meta.Labels)
	return custom("monitoring.coreos.com", "v1", "PrometheusRule", meta, map[string]any{"groups": groups})
}

func group(p *plan, what string, alerts []alert) map[string]any {
	ns := p.Stream.Namespace
	selector := func(service string) string { return `namespace="` + ns + `",service="` + service + `"` }
	s, b := selector(InternalName(p.name)), selector(BackboneName(p.name))
	fill := strings.NewReplacer("{S}", "{"+s+"}", "{S,", "{"+s+",", "{B}", "{"+b+"}", "{N}", ns+"/"+p.name)
	var rules []any
	for _, a := range alerts {
		if !a.when(p) {
			continue
		}
		rules = append(rules, map[string]any{"alert": a.name, "for": a.after, "expr": fill.Replace(a.expr),
			"labels":      map[string]any{"severity": a.severity, "namespace": ns, "marketstream": p.name},
			"annotations": map[string]any{"summary": fill.Replace(a.summary), "runbook": a.runbook}})
	}
	return map[string]any{"name": "marketstream-" + what, "rules": rules}
}
