package desired

// httpRoute attaches the Service to Gateways. Its timeouts are off: Envoy cuts a stream after 15 s
// unless a route says otherwise.
func httpRoute(p *plan) *Object {
	spec := p.Stream.Spec.Gateway
	if spec == nil || !p.Kinds.HTTPRoute {
		return nil
	}
	parents := make([]any, len(spec.ParentRefs))
	for i, ref := range spec.ParentRefs {
		parent := map[string]any{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": ref.Name}
		if ref.Namespace != "" {
			parent["namespace"] = ref.Namespace
		}
		if ref.SectionName != "" {
			parent["sectionName"] = ref.SectionName
		}
		parents[i] = parent
	}
	_, port := p.publicPort()
	return custom("gateway.networking.k8s.io", "v1", "HTTPRoute", p.meta(p.name, ComponentStreamer), map[string]any{
		"parentRefs": parents,
		"hostnames":  spec.Hostnames,
		"rules": []any{map[string]any{
			"matches":     []any{map[string]any{"path": map[string]any{"type": "PathPrefix", "value": "/"}}},
			"backendRefs": []any{map[string]any{"group": "", "kind": "Service", "name": p.name, "port": port, "weight": 1}},
			"timeouts":    map[string]any{"request": "0s", "backendRequest": "0s"},
		}},
	})
}
