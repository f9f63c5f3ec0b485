package metrics

import (
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// MaxLabelledSymbols is how many symbols a stream may have before labels by symbol go off
// by themselves (monitoring.symbolLabels: Auto).
const MaxLabelledSymbols = 200

// AllSymbols is the value of the label symbol while labels by symbol are off.
const AllSymbols = "*"

// Set is all metrics of one process, with a registry of its own.
type Set struct {
	Connections   prometheus.Gauge
	Dropped       *prometheus.CounterVec // symbol, timeframe, event
	Events        *prometheus.CounterVec // event
	Delivery      prometheus.Histogram   // seconds from receipt of a trade or frame to the write
	Resumes       *prometheus.CounterVec // result
	BeatsSkipped  prometheus.Counter
	Sweeps        prometheus.Counter
	Rejected      *prometheus.CounterVec // code
	TailBytes     prometheus.Gauge
	RingSize      *prometheus.GaugeVec // symbol, timeframe
	RingBytes     prometheus.Gauge
	RingEvictions *prometheus.CounterVec // symbol, timeframe
	RingsHeld     prometheus.Gauge
	RingsWanted   prometheus.Gauge
	RingMoves     *prometheus.CounterVec // direction
	RingForwards  *prometheus.CounterVec // result
	RingSent      prometheus.Counter

	HistoryRequests  *prometheus.CounterVec // result
	HistoryCoalesced prometheus.Counter
	VendorRequests   *prometheus.CounterVec // result
	VendorEmpty      *prometheus.CounterVec // symbol, timeframe
	PolygonEmpty     *prometheus.CounterVec // symbol, timeframe: the old name

	FeedTicks     prometheus.Counter
	FeedRefused   *prometheus.CounterVec // reason
	FeedForgotten prometheus.Counter
	FeedLag       prometheus.Gauge       // seconds from the watermark to the clock
	FeedGaps      *prometheus.CounterVec // reason
	FeedGapsOpen  prometheus.Gauge       // gaps that may be filled and are not
	FeedRepairs   *prometheus.CounterVec // result
	FeedConnected prometheus.Gauge
	FeedWaiting   prometheus.Gauge
	FeedShed      *prometheus.CounterVec // what
	BarsClosed    *prometheus.CounterVec // timeframe
	BarsRevised   *prometheus.CounterVec // timeframe
	LogAppend     prometheus.Histogram
	LogFrames     prometheus.Counter
	LogRead       prometheus.Counter
	LogFenced     prometheus.Counter
	LogRewound    prometheus.Counter

	PartitionHolder *prometheus.GaugeVec   // partition
	PartitionMoves  *prometheus.CounterVec // reason

	ConfigGeneration   prometheus.Gauge
	ConfigReloads      prometheus.Counter
	ConfigReloadErrors prometheus.Counter

	registry *prometheus.Registry
	labelled atomic.Bool
}

// New makes the metrics of a process that runs version.
func New(version string) *Set {
	s := &Set{registry: prometheus.NewRegistry()}
	s.labelled.Store(true)
	f := factory{s.registry}
	bySymbol := []string{"symbol", "timeframe"}

	s.Connections = f.gauge("sse_connections", "Open streams.")
	s.Dropped = f.counters("sse_dropped_total", "Events that a client did not get because it was slow.", "symbol", "timeframe", "event")
	s.Events = f.counters("sse_events_total", "Events written to clients.", "event")
	s.Delivery = f.histogram("sse_delivery_seconds", "From the arrival of a trade or frame in this pod to its write to a client.", prometheus.ExponentialBuckets(0.001, 2, 14))
	s.Resumes = f.counters("sse_resumes_total", "Streams by how they began.", "result")
	s.BeatsSkipped = f.counter("sse_beats_skipped_total", "Beats at which a slow client could take nothing.")
	s.Sweeps = f.counter("sse_sweeps_total", "Passes over the log for clients that were behind the tail.")
	s.Rejected = f.counters("sse_rejected_total", "Streams refused before they began.", "code")
	s.TailBytes = f.gauge("sse_tail_bytes", "Bytes of frames in the shared tail.")
	s.RingSize = f.gauges("ring_size", "Closed bars in memory.", bySymbol...)
	s.RingBytes = f.gauge("ring_bytes", "Bytes of closed bars in memory.")
	s.RingEvictions = f.counters("ring_evictions_total", "Closed bars that made room for newer ones.", bySymbol...)
	s.RingsHeld = f.gauge("rings_held", "Rings, by symbol and timeframe, that this pod has.")
	s.RingsWanted = f.gauge("rings_wanted", "Rings that this pod is to have while the pods are as they are.")
	s.RingMoves = f.counters("ring_moves_total", "Rings that this pod loaded (in) or let go (out).", "direction")
	s.RingForwards = f.counters("ring_forwards_total", "Reads of rings that this pod does not have, by what came of them.", "result")
	s.RingSent = f.counter("ring_sent_bytes_total", "Bytes of closed bars sent to other pods, which asked for rings.")

	s.HistoryRequests = f.counters("history_requests_total", "Requests for history.", "result")
	s.HistoryCoalesced = f.counter("history_coalesced_total", "Requests that shared the work of an identical one.")
	s.VendorRequests = f.counters("vendor_requests_total", "Requests to the vendor's REST interface.", "result")
	s.VendorEmpty = f.counters("vendor_empty_total", "Pages for which the vendor had no bars.", bySymbol...)
	s.PolygonEmpty = f.counters("polygon_empty_total", "vendor_empty_total under its old name.", bySymbol...)

	s.FeedTicks = f.counter("feed_ticks_total", "Trades taken in from the feed.")
	s.FeedRefused = f.counters("feed_refused_total", "Trades that shape no bar, by reason.", "reason")
	s.FeedForgotten = f.counter("feed_ids_forgotten_total", "Trade ids that were not remembered as long as a trade may come twice.")
	s.FeedLag = f.gauge("feed_lag_seconds", "From the feed's watermark to the clock.")
	s.FeedGaps = f.counters("feed_gaps_total", "Stretches of a symbol that were not observed.", "reason")
	s.FeedGapsOpen = f.gauge("feed_gaps_open", "Gaps of partitions that this pod holds which the vendor may still fill.")
	s.FeedRepairs = f.counters("feed_repairs_total", "Gaps that the vendor was asked for, by what came of it.", "result")
	s.FeedConnected = f.gauge("feed_connected", "1 while the feed is connected.")
	s.FeedWaiting = f.gauge("feed_waiting_entries", "What the feed has said and is not folded yet.")
	s.FeedShed = f.counters("feed_shed_total", "What gave way because trades came faster than they were folded: ticks that clients were not shown, batches of ticks that did not reach this pod, messages of open bars that were not sent.", "what")
	s.BarsClosed = f.counters("bars_closed_total", "Bars closed for the first time.", "timeframe")
	s.BarsRevised = f.counters("bars_revised_total", "Revisions of closed bars.", "timeframe")
	s.LogAppend = f.histogram("log_append_seconds", "Time of an append to BARS.", prometheus.ExponentialBuckets(0.00005, 2, 16))
	s.LogFrames = f.counter("log_frames_total", "Frames appended to BARS.")
	s.LogRead = f.counter("log_read_bytes_total", "Bytes of BARS read for rings, sweeps and history; what follows the log live is not among them.")
	s.LogFenced = f.counter("log_fenced_total", "Appends refused because another writer had taken over.")
	s.LogRewound = f.counter("log_rewound_total", "Times that BARS was found to have lost its end.")

	s.PartitionHolder = f.gauges("partition_holder", "1 for each partition that this pod writes.", "partition")
	s.PartitionMoves = f.counters("partition_moves_total", "Partitions that this pod took, by why.", "reason")

	s.ConfigGeneration = f.gauge("config_generation", "The generation of the shape of bars that is in effect.")
	s.ConfigReloads = f.counter("config_reloads_total", "Configurations that took effect while running.")
	s.ConfigReloadErrors = f.counter("config_reload_errors_total", "Configurations that were refused while running.")
	info := f.gauges("marketstream_build_info", "1, labelled with the version that runs.", "version")
	info.WithLabelValues(version).Set(1)
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return s
}

// Expect makes the counters of what a stream may count that it has not counted yet: rate() does
// not see the first one of a counter that only then appears.
func (s *Set) Expect(timeframes, gapReasons []string) {
	for _, tf := range timeframes {
		s.BarsClosed.WithLabelValues(tf)
		s.BarsRevised.WithLabelValues(tf)
	}
	for _, what := range []string{"ticks", "batches", "states"} {
		s.FeedShed.WithLabelValues(what)
	}
	for _, reason := range gapReasons {
		s.FeedGaps.WithLabelValues(reason)
	}
}

// LabelSymbols decides whether labels name symbols: mode is monitoring.symbolLabels.
func (s *Set) LabelSymbols(mode string, symbols int) {
	on := mode == "Enabled" || mode != "Disabled" && symbols <= MaxLabelledSymbols
	if s.labelled.Swap(on) != on {
		s.RingSize.Reset() // gauges only: a counter's past stays
	}
}

// Symbol is the value of the label for symbol.
func (s *Set) Symbol(symbol string) string {
	if s.labelled.Load() {
		return symbol
	}
	return AllSymbols
}

// Registry is where the metrics are registered.
func (s *Set) Registry() *prometheus.Registry { return s.registry }

// Handler serves the metrics in Prometheus' text form.
func (s *Set) Handler() http.Handler {
	return promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{Registry: s.registry})
}

type factory struct{ reg *prometheus.Registry }

func (f factory) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	f.reg.MustRegister(c)
	return c
}

func (f factory) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	f.reg.MustRegister(c)
	return c
}

func (f factory) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	f.reg.MustRegister(g)
	return g
}

func (f factory) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	f.reg.MustRegister(g)
	return g
}

func (f factory) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	f.reg.MustRegister(h)
	return h
}
