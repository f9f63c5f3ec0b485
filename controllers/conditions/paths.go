package conditions

import (
	"strings"

	"github.com/marketstream/marketstream/api/v1alpha1"
)

// hibernated reports whether no streamers are wanted.
func hibernated(in *Input) bool { return in.Stream.Spec.Shards != nil && *in.Stream.Spec.Shards == 0 }

func paused(in *Input, _ map[string]Condition) Condition {
	if in.Stream.Annotations[v1alpha1.AnnotationPaused] == "true" {
		return is("Annotated", "the annotation %s is there: nothing is changed until it goes", v1alpha1.AnnotationPaused)
	}
	return not("NotPaused", "")
}

func backboneReady(in *Input, _ map[string]Condition) Condition {
	if in.Backbone == nil {
		for _, p := range in.Seen.Streamers.Staying() {
			if p.Ready {
				return is("External", "%s is reached", in.Stream.Spec.Backbone.External.URL)
			}
		}
		if hibernated(in) {
			return unknown("External", "no pods run that could say whether %s is reached", in.Stream.Spec.Backbone.External.URL)
		}
		return unknown("External", "no pod is ready that could say whether %s is reached", in.Stream.Spec.Backbone.External.URL)
	}
	nodes := &in.Seen.Nodes
	var ready int
	var says []string
	for _, p := range nodes.Staying() {
		switch {
		case p.Ready:
			ready++
		case p.Stuck != "":
			says = append(says, p.Name+": "+p.Stuck)
		case p.Unscheduled != "":
			says = append(says, p.Name+": "+p.Unscheduled)
		case p.Node != nil && p.Node.Reason != "":
			says = append(says, p.Name+": "+p.Node.Reason)
		case p.Silent != "":
			says = append(says, p.Name+": "+p.Silent)
		}
	}
	if nodes.Failure != "" {
		says = append(says, nodes.Failure)
	}
	detail := ""
	if len(says) > 0 {
		detail = "; " + strings.Join(says, "; ")
	}
	want := int(in.Backbone.Nodes)
	switch {
	case ready >= want:
		return is("Serving", "%s of %d ready", count(ready, "node"), want)
	case ready > want/2 && want > 1:
		return is("Degraded", "%s of %d ready: it serves, and has no node to spare%s", count(ready, "node"), want, detail)
	case in.Backbone.Moving != "":
		return not("Moving", "%s", in.Backbone.Moving)
	}
	return not("NotReady", "%s of %d ready%s", count(ready, "node"), want, detail)
}

func exposed(in *Input, _ map[string]Condition) Condition {
	spec, seen := &in.Stream.Spec, in.Seen.Exposure
	switch {
	case spec.Gateway != nil && !in.Kinds.HTTPRoute:
		return not("NoGatewayAPI", "spec.gateway: the cluster has no HTTPRoute; install the Gateway API, or use spec.ingress")
	case spec.Gateway != nil && !seen.Route:
		return not("Pending", "the HTTPRoute is not there yet")
	case spec.Gateway != nil && !seen.RouteAccepted:
		says := seen.RouteSays
		if says == "" {
			says = "no gateway has answered yet"
		}
		return not("NotAccepted", "the HTTPRoute is not accepted: %s", says)
	case spec.Ingress != nil && !seen.Ingress:
		return not("Pending", "the Ingress is not there yet")
	case spec.Gateway != nil && spec.Ingress != nil:
		return is("Exposed", "by Ingress and HTTPRoute")
	case spec.Gateway != nil:
		return is("Exposed", "by HTTPRoute")
	case spec.Ingress != nil:
		return is("Exposed", "by Ingress")
	}
	return is("ServiceOnly", "by its Service alone; spec.ingress or spec.gateway would expose it")
}

func monitored(in *Input, _ map[string]Condition) Condition {
	monitor, rules := v1alpha1.SwitchAuto, v1alpha1.SwitchAuto
	if m := in.Stream.Spec.Monitoring; m != nil {
		if m.ServiceMonitor != "" {
			monitor = m.ServiceMonitor
		}
		if m.Rules != "" {
			rules = m.Rules
		}
	}
	var missing []string
	if monitor == v1alpha1.SwitchEnabled && !in.Kinds.ServiceMonitor {
		missing = append(missing, "spec.monitoring.serviceMonitor: the cluster has no ServiceMonitor")
	}
	if rules == v1alpha1.SwitchEnabled && !in.Kinds.PrometheusRule {
		missing = append(missing, "spec.monitoring.rules: the cluster has no PrometheusRule")
	}
	seen := in.Seen.Exposure
	switch {
	case len(missing) > 0:
		return not("CRDMissing", "%s; install prometheus-operator, or leave it to Auto", strings.Join(missing, "; "))
	case monitor == v1alpha1.SwitchDisabled && rules == v1alpha1.SwitchDisabled:
		return not("Disabled", "spec.monitoring asks for nothing")
	case monitor != v1alpha1.SwitchDisabled && !in.Kinds.ServiceMonitor && !seen.Rules:
		return not("NoPrometheusOperator", "the cluster has no ServiceMonitor; one is made when its CRD comes")
	case monitor != v1alpha1.SwitchDisabled && !seen.Monitor:
		return not("Pending", "the ServiceMonitor is not there yet")
	case seen.Monitor && seen.Rules:
		return is("Monitored", "by ServiceMonitor and PrometheusRule")
	case seen.Monitor:
		return is("Monitored", "by ServiceMonitor")
	}
	return not("Pending", "the PrometheusRule is not there yet")
}
