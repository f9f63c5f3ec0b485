package desired_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketstream/marketstream/controllers/desired"
	"github.com/marketstream/marketstream/streamer/metrics"
)

// nodeMetrics are those of docs/contracts/cluster.md.
var nodeMetrics = []string{"ready", "generation", "replicas", "clients", "store_bytes", "store_max_bytes", "volume_free_bytes", "memory_bytes"}

var (
	series   = regexp.MustCompile(`([a-z_]+)\{([^}]*)\}`)
	fullName = regexp.MustCompile(`fqName: "([a-z_]+)"`)
)

// known are the metrics that there are, and what Prometheus adds.
func known() map[string]bool {
	names := map[string]bool{"up": true}
	for _, n := range nodeMetrics {
		names["marketstream_backbone_"+n] = true
	}
	described := make(chan *prometheus.Desc)
	go func() {
		defer close(described)
		metrics.New("test").Registry().Describe(described)
	}()
	for d := range described {
		if m := fullName.FindStringSubmatch(d.String()); m != nil {
			names[m[1]] = true
		}
	}
	return names
}

// rulesOf are the rules of an input, by alert.
func rulesOf(t *testing.T, in *desired.Input) map[string]map[string]any {
	t.Helper()
	all, _ := bodies(t, in)
	out := make(map[string]map[string]any)
	for _, body := range all {
		if body["kind"] != "PrometheusRule" {
			continue
		}
		groups, _ := at(body, "spec", "groups").([]any)
		for _, g := range groups {
			rules, _ := g.(map[string]any)["rules"].([]any)
			for _, r := range rules {
				rule, _ := r.(map[string]any)
				name, _ := rule["alert"].(string)
				if out[name] != nil {
					t.Errorf("alert %s is there twice", name)
				}
				out[name] = rule
			}
		}
	}
	return out
}

// TestRules: each alert asks for metrics that there are, of this stream alone, and says what to do.
func TestRules(t *testing.T) {
	names := known()
	if len(names) < 50 {
		t.Fatalf("only %d metrics", len(names))
	}
	for name := range cases {
		in := load(t, name)
		ns, stream := in.Stream.Namespace, in.Stream.Name
		for alert, rule := range rulesOf(t, in) {
			expr, _ := rule["expr"].(string)
			asked := series.FindAllStringSubmatch(expr, -1)
			if len(asked) == 0 || strings.ContainsAny(series.ReplaceAllString(expr, ""), "{}") {
				t.Errorf("%s %s: selects no series that can be read here: %s", name, alert, expr)
			}
			for _, a := range asked {
				if metric := strings.TrimSuffix(a[1], "_bucket"); !names[metric] {
					t.Errorf("%s %s: there is no metric %s", name, alert, metric)
				}
				node := strings.HasPrefix(alert, "MarketStreamBackbone")
				service := map[bool]string{true: stream + "-backbone", false: stream + "-internal"}[node]
				if !strings.HasPrefix(a[2]+",", `namespace="`+ns+`",service="`+service+`",`) {
					t.Errorf("%s %s: not of this stream alone: %s", name, alert, a[2])
				}
			}
			labels, notes := at(rule, "labels"), at(rule, "annotations")
			if l, _ := labels.(map[string]any); l["namespace"] != ns || l["marketstream"] != stream || !slices.Contains([]any{"critical", "warning"}, l["severity"]) {
				t.Errorf("%s %s: labels %v", name, alert, l)
			}
			for _, k := range []string{"summary", "runbook"} {
				n, _ := notes.(map[string]any)
				if s, _ := n[k].(string); !strings.HasSuffix(s, ".") || strings.Contains(s, "{S}") || strings.Contains(s, "{N}") {
					t.Errorf("%s %s: %s %q", name, alert, k, s)
				}
			}
			if _, ok := rule["for"].(string); !ok {
				t.Errorf("%s %s: fires at once", name, alert)
			}
		}
	}
}

// TestRulesByCase: which alerts a stream has.
func TestRulesByCase(t *testing.T) {
	for _, c := range []struct {
		name, alert string
		change      func(*desired.Input)
		want        bool
	}{
		{"ticks", "MarketStreamDown", nil, true},
		{"hibernated", "MarketStreamDown", nil, false},                                                    // no shard is no mistake
		{"hibernated", "MarketStreamShardDown", nil, false},                                               // nor is what was before
		{"hibernated", "MarketStreamBackboneDown", nil, true},                                             // the log stays
		{"ticks", "MarketStreamDown", func(in *desired.Input) { in.Kinds.ServiceMonitor = false }, false}, // nobody is known to scrape
		{"ticks", "MarketStreamBackboneDown", func(in *desired.Input) { in.Kinds.ServiceMonitor = false }, false},
		{"ticks", "MarketStreamFeedLagging", nil, true},
		{"replay-volume", "MarketStreamFeedLagging", nil, false}, // a recording is old
		{"replay-volume", "MarketStreamFeedDisconnected", nil, false},
		{"ticks", "MarketStreamBackboneVolumeFull", nil, true},
		{"ticks", "MarketStreamDown", func(in *desired.Input) { in.Kinds.PrometheusRule = false }, false},
		{"external-backbone", "MarketStreamDown", func(in *desired.Input) { in.Stream.Spec.Monitoring = nil }, true},
		{"external-backbone", "MarketStreamBackboneDown", func(in *desired.Input) { in.Stream.Spec.Monitoring = nil }, false},
		{"external-backbone", "MarketStreamDown", nil, false}, // rules: Disabled
	} {
		in := load(t, c.name)
		if c.change != nil {
			c.change(in)
		}
		if got := rulesOf(t, in)[c.alert] != nil; got != c.want {
			t.Errorf("%s has %s: %v", c.name, c.alert, got)
		}
	}
}
