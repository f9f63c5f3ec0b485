package desired

import "github.com/marketstream/marketstream/api/v1alpha1"

// scraped reports whether a ServiceMonitor is made.
func (p *plan) scraped() bool {
	return p.Kinds.ServiceMonitor && monitoringOf(p.Stream).ServiceMonitor != v1alpha1.SwitchDisabled
}

// serviceMonitor has Prometheus scrape streamers and nodes. It goes by the names of ports, so one
// selector does for both Services; alerts tell them apart by the label service.
func serviceMonitor(p *plan) *Object {
	if !p.scraped() {
		return nil
	}
	m := monitoringOf(p.Stream)
	interval := v1alpha1.Duration("15s")
	if m.Interval != nil {
		interval = *m.Interval
	}
	ports := []string{nameInternal}
	if !p.external() {
		ports = append(ports, nameHealth)
	}
	endpoints := make([]any, len(ports))
	for i, port := range ports {
		endpoints[i] = map[string]any{"port": port, "path": "/metrics", "scheme": "http", "interval": string(interval)}
	}
	meta := p.meta(p.name, ComponentStreamer)
	meta.Labels = under(m.Labels, meta.Labels)
	return custom("monitoring.coreos.com", "v1", "ServiceMonitor", meta, map[string]any{
		"jobLabel":  LabelInstance,
		"selector":  map[string]any{"matchLabels": map[string]string{LabelName: "marketstream", LabelInstance: p.name}},
		"endpoints": endpoints,
	})
}
