package rules

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/marketstream/marketstream/streamer/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql/parser"
)

// known are the metrics that there are, and the labels of each besides those that Prometheus adds.
func known(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{"up": nil}
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		metrics.New("test").Registry().Describe(descs)
	}()
	form := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	for d := range descs {
		m := form.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatal("another form of description: ", d)
		}
		var names []string
		if m[2] != "" {
			names = strings.Split(m[2], ",")
		}
		out[m[1]] = names
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			out[m[1]+part] = append(slices.Clone(names), "le")
		}
	}
	// Those of the backbone are in a registry of a running node's alone.
	source, err := os.ReadFile("../../streamer/backbone/nodemetrics.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`gaugeOf\("([a-z_]+)", "`).FindAllStringSubmatch(string(source), -1) {
		out["marketstream_backbone_"+m[1]] = nil
	}
	if _, there := out["marketstream_backbone_ready"]; len(out) < 60 || !there {
		t.Fatalf("only %d metrics were found", len(out))
	}
	return out
}

// added are the labels that Prometheus gives every series by the ServiceMonitor.
var added = []string{"namespace", "service", "pod", "job", "instance", "endpoint", "container"}

// check holds an expression against the metrics: each exists and has the labels that it is selected
// and grouped by, and all of one stream are selected by namespace and Service.
func check(expr string, metrics map[string][]string) (wrong []string, names []string) {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return []string{err.Error()}, nil
	}
	var labels []string
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			names = append(names, n.Name)
			of, ok := metrics[n.Name]
			if !ok {
				wrong = append(wrong, fmt.Sprintf("there is no metric %s", n.Name))
				return nil
			}
			labels = append(labels, of...)
			scoped := 0
			for _, m := range n.LabelMatchers {
				if m.Name == "namespace" || m.Name == "service" {
					scoped++
				}
				if m.Name != "__name__" && !slices.Contains(added, m.Name) && !slices.Contains(of, m.Name) {
					wrong = append(wrong, fmt.Sprintf("%s has no label %s", n.Name, m.Name))
				}
			}
			if scoped < 2 {
				wrong = append(wrong, n.Name+" is of every stream: select namespace and service")
			}
		}
		return nil
	})
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if a, ok := n.(*parser.AggregateExpr); ok {
			for _, g := range a.Grouping {
				if !slices.Contains(added, g) && !slices.Contains(labels, g) {
					wrong = append(wrong, fmt.Sprintf("nothing here has the label %s", g))
				}
			}
		}
		return nil
	})
	return wrong, names
}

// TestCheckCanFail: what is wrong with an expression is found.
func TestCheckCanFail(t *testing.T) {
	all := known(t)
	for expr, want := range map[string]int{
		`sum(sse_connections{namespace="a",service="b"})`:                        0,
		`sum by (event) (rate(sse_events_total{namespace="a",service="b"}[5m]))`: 0,
		`sum(sse_conections{namespace="a",service="b"})`:                         1,
		`sse_connections{namespace="a"}`:                                         1,
		`sse_connections{namespace="a",service="b",symbol="SPY"}`:                1,
		`sum by (symbol) (sse_connections{namespace="a",service="b"})`:           1,
		`sum(`: 1,
	} {
		if wrong, _ := check(expr, all); len(wrong) != want {
			t.Errorf("%s: %q", expr, wrong)
		}
	}
}

// TestAlertsNameMetrics: every metric that an alert names exists.
func TestAlertsNameMetrics(t *testing.T) {
	all := known(t)
	for name := range ruleFiles {
		for _, a := range alerts(t, name) {
			wrong, _ := check(a.Query().String(), all)
			for _, w := range wrong {
				t.Errorf("%s, %s: %s", name, a.Name(), w)
			}
		}
	}
}

// panel is one of a dashboard, as far as it is looked at.
type panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	GridPos     struct{ H, W, X, Y int }
	Datasource  struct{ UID string }
	FieldConfig struct {
		Defaults struct{ Unit string }
	} `json:"fieldConfig"`
	Targets []struct{ Expr, LegendFormat, RefID string }
}

type dashboard struct {
	UID, Title string
	Templating struct {
		List []struct {
			Name  string
			Query any
		}
	}
	Panels []panel
}

// TestDashboards: every metric that a dashboard names exists, and its panels lie beside each other.
func TestDashboards(t *testing.T) {
	files, err := filepath.Glob("../../config/grafana/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no dashboards", err)
	}
	all := known(t)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(f, err)
		}
		ids, named := map[int]bool{}, map[string]bool{}
		taken := map[[2]int]string{}
		for _, p := range d.Panels {
			if ids[p.ID] {
				t.Errorf("%s: id %d stands twice", p.Title, p.ID)
			}
			ids[p.ID] = true
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
						t.Fatalf("%s lies over %s, or outside", p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
			if p.Type == "row" {
				continue
			}
			if p.Title == "" || p.Description == "" || len(p.Targets) == 0 || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "${datasource}" {
				t.Errorf("panel %d %q lacks a title, description, unit, target or data source", p.ID, p.Title)
			}
			for _, target := range p.Targets {
				expr := strings.NewReplacer("$__rate_interval", "5m", "$namespace", "n", "$stream", "s").Replace(target.Expr)
				wrong, names := check(expr, all)
				for _, w := range wrong {
					t.Errorf("%s: %s: %s", p.Title, target.Expr, w)
				}
				for _, n := range names {
					named[n] = true
				}
			}
		}
		if len(named) < 30 {
			t.Errorf("%s names only %d metrics", f, len(named))
		}
	}
}
