package rules

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"go.yaml.in/yaml/v2"
	k8syaml "sigs.k8s.io/yaml"
)

var rewrite = flag.Bool("rewrite", false, "write the rule files anew from the operator's goldens")

const (
	tests   = "../../config/prometheus/tests"
	goldens = "../../controllers/desired/testdata"
)

// ruleFiles are what promtool's tests name, and the goldens that they are the spec of.
var ruleFiles = map[string]string{
	"polygon.rules.yaml":    "polygon/prometheusrule-us.yaml",
	"hibernated.rules.yaml": "hibernated/prometheusrule-btc.yaml",
}

// file is a file of promtool's unit tests, as far as ours use it.
type file struct {
	RuleFiles          []string       `yaml:"rule_files"`
	EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	Tests              []course       `yaml:"tests"`
}

// course is a course of series and the alerts that fire on the way.
type course struct {
	Name        string         `yaml:"name"`
	Interval    model.Duration `yaml:"interval"`
	InputSeries []struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	} `yaml:"input_series"`
	Alerts []struct {
		EvalTime  model.Duration `yaml:"eval_time"`
		Alertname string         `yaml:"alertname"`
		Expected  []struct {
			Labels      map[string]string `yaml:"exp_labels"`
			Annotations map[string]string `yaml:"exp_annotations"`
		} `yaml:"exp_alerts"`
	} `yaml:"alert_rule_test"`
}

// fired is an alert that fires, as it is compared.
type fired struct{ Labels, Annotations map[string]string }

// TestRuleFilesAreFresh: the files that promtool reads are what the operator makes.
func TestRuleFilesAreFresh(t *testing.T) {
	for name, golden := range ruleFiles {
		text, err := os.ReadFile(filepath.Join(goldens, golden))
		if err != nil {
			t.Fatal(err)
		}
		var o struct {
			Spec map[string]any `json:"spec"`
		}
		if err := k8syaml.Unmarshal(text, &o); err != nil {
			t.Fatal(err)
		}
		want, err := k8syaml.Marshal(o.Spec)
		if err != nil {
			t.Fatal(err)
		}
		want = append([]byte("# Generated from controllers/desired/testdata/"+golden+": cd hack/rules && go test . -rewrite\n"), want...)
		path := filepath.Join(tests, name)
		if *rewrite {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what %s has (%v): go test . -rewrite", name, golden, err)
		}
	}
}

func read(t *testing.T, path string) (f file) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, &f); err != nil {
		t.Fatal(path, err)
	}
	return f
}

// TestAlerts runs promtool's unit tests.
func TestAlerts(t *testing.T) {
	for _, name := range []string{"alerts.yaml", "hibernated.yaml"} {
		f := read(t, filepath.Join(tests, name))
		if len(f.Tests) == 0 {
			t.Errorf("%s has no tests", name)
		}
		for _, c := range f.Tests {
			t.Run(c.Name, func(t *testing.T) { c.run(t, f) })
		}
	}
}

// TestEveryAlertFires: each has a course at which it fires and one moment at which it does not.
func TestEveryAlertFires(t *testing.T) {
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, c := range read(t, filepath.Join(tests, "alerts.yaml")).Tests {
		for _, a := range c.Alerts {
			if len(a.Expected) > 0 {
				fires[a.Alertname] = true
			} else {
				silent[a.Alertname] = true
			}
		}
	}
	seen := 0
	for _, r := range alerts(t, "polygon.rules.yaml") {
		seen++
		if !fires[r.Name()] || !silent[r.Name()] {
			t.Errorf("%s: fires in a test: %v, is silent in one: %v", r.Name(), fires[r.Name()], silent[r.Name()])
		}
	}
	if seen < 10 {
		t.Errorf("only %d alerts", seen)
	}
}

// alerts are the rules of a file.
func alerts(t *testing.T, name string) (out []*rules.AlertingRule) {
	t.Helper()
	m := rules.NewManager(&rules.ManagerOptions{Context: t.Context(), Logger: promslog.NewNopLogger(), Parser: parser.NewParser(parser.Options{})})
	groups, errs := m.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, filepath.Join(tests, name))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for _, g := range groups {
		for _, r := range g.Rules() {
			if a, ok := r.(*rules.AlertingRule); ok {
				out = append(out, a)
			}
		}
	}
	return out
}

func (c *course) run(t *testing.T, f file) {
	load := "load " + time.Duration(c.Interval).String() + "\n"
	for _, s := range c.InputSeries {
		load += "  " + s.Series + " " + s.Values + "\n"
	}
	p := parser.NewParser(parser.Options{})
	suite, err := promqltest.NewLazyLoader(load, promqltest.LazyLoaderOpts{Parser: p, StartTime: time.Unix(0, 0).UTC()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = suite.Close() }()
	every := time.Duration(f.EvaluationInterval)
	suite.SubqueryInterval = every
	m := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: rules.EngineQueryFunc(suite.QueryEngine(), suite.Storage()), AppendableV2: suite.Storage(), Context: t.Context(),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {}, Logger: promslog.NewNopLogger(), Parser: p,
	})
	var paths []string
	for _, r := range f.RuleFiles {
		paths = append(paths, filepath.Join(tests, r))
	}
	groups, errs := m.LoadGroups(every, labels.EmptyLabels(), "", nil, false, paths...)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var all []*rules.AlertingRule
	for _, g := range groups {
		for _, r := range g.Rules() {
			a, ok := r.(*rules.AlertingRule)
			if !ok {
				continue
			}
			a.SetRestored(true)
			all = append(all, a)
		}
	}
	last := time.Duration(0)
	for _, a := range c.Alerts {
		last = max(last, time.Duration(a.EvalTime))
	}
	for at := time.Duration(0); at <= last; at += every {
		suite.WithSamplesTill(time.Unix(0, 0).UTC().Add(at), func(err error) {
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range groups {
				g.Eval(suite.Context(), time.Unix(0, 0).UTC().Add(at))
			}
		})
		for _, r := range all {
			if r.LastError() != nil {
				t.Fatal(r.Name(), r.LastError())
			}
		}
		for _, a := range c.Alerts {
			if e := time.Duration(a.EvalTime); e < at || e >= at+every {
				continue
			}
			var want []fired
			for _, e := range a.Expected {
				l := map[string]string{labels.AlertName: a.Alertname}
				for k, v := range e.Labels {
					l[k] = v
				}
				want = append(want, fired{l, e.Annotations})
			}
			if diff := cmp.Diff(want, firing(all, a.Alertname)); diff != "" {
				t.Errorf("%s at %v (- want, + got):\n%s", a.Alertname, a.EvalTime, diff)
			}
		}
	}
}

// firing are the alerts of a name that fire now.
func firing(all []*rules.AlertingRule, name string) (out []fired) {
	for _, r := range all {
		if r.Name() != name {
			continue
		}
		for _, a := range r.ActiveAlerts() {
			if a.State == rules.StateFiring {
				out = append(out, fired{a.Labels.Map(), a.Annotations.Map()})
			}
		}
	}
	slices.SortFunc(out, func(a, b fired) int { return labels.Compare(labels.FromMap(a.Labels), labels.FromMap(b.Labels)) })
	return out
}
