package backbone

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// nodeMetrics answers with the gauges of a node, and what Go and the process say of themselves.
func nodeMetrics(n *Node) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(nodeGauges{n}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// nodeGauges are read from a node's status when they are asked for.
type nodeGauges struct{ n *Node }

func gaugeOf(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("marketstream_backbone_"+name, help, nil, nil)
}

var (
	nodeReady       = gaugeOf("ready", "1 while clients are let in and the node has what the others have.")
	nodeGeneration  = gaugeOf("generation", "Generation of the store; a move between 1 and 3 nodes begins a new one.")
	nodeReplicas    = gaugeOf("replicas", "Nodes of the generation.")
	nodeClients     = gaugeOf("clients", "Connected clients.")
	nodeStoreBytes  = gaugeOf("store_bytes", "Stored in files.")
	nodeStoreMax    = gaugeOf("store_max_bytes", "The most that may be stored in files.")
	nodeVolumeFree  = gaugeOf("volume_free_bytes", "Free on the volume of the store.")
	nodeMemoryBytes = gaugeOf("memory_bytes", "Stored in memory.")
)

// Describe implements [prometheus.Collector].
func (nodeGauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{nodeReady, nodeGeneration, nodeReplicas, nodeClients, nodeStoreBytes, nodeStoreMax, nodeVolumeFree, nodeMemoryBytes} {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (g nodeGauges) Collect(to chan<- prometheus.Metric) {
	s := g.n.Status()
	ready := 0.0
	if s.Ready {
		ready = 1
	}
	say := func(d *prometheus.Desc, v float64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	say(nodeReady, ready)
	say(nodeGeneration, float64(s.Generation))
	say(nodeReplicas, float64(s.Replicas))
	say(nodeClients, float64(s.Clients))
	say(nodeStoreBytes, float64(s.StoreBytes))
	say(nodeStoreMax, float64(s.MaxBytes))
	say(nodeVolumeFree, float64(s.FreeBytes))
	say(nodeMemoryBytes, float64(s.Memory))
}
