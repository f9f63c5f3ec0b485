// Package rules plays series into the alerts that the operator makes, in promtool's form
// (config/prometheus/tests), and holds alerts and dashboards to the metrics that there are. It has a
// go.mod of its own: Prometheus wants other versions than the rest.
package rules
