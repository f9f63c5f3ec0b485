package desired_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/controllers/desired"
)

var rewrite = flag.Bool("rewrite", false, "write what is built into testdata; read the difference")

// cases says for each directory of testdata what its input has besides the stream and the usual.
var cases = map[string]func(*desired.Input){
	"minimal":           func(in *desired.Input) { in.Kinds = desired.Kinds{} }, // a bare cluster
	"everything":        func(*desired.Input) {},
	"external-backbone": func(*desired.Input) {},
	"ticks":             func(*desired.Input) {},
	"hibernated":        func(*desired.Input) {},
	"three-nodes":       func(*desired.Input) {},
	"polygon":           func(*desired.Input) {},
	"replay-volume":     func(*desired.Input) {},
	"replay-configmap":  func(*desired.Input) {},
}

// input is what a controller would pass for the stream, in a cluster that has everything.
func input(t *testing.T, document []byte) *desired.Input {
	t.Helper()
	s, err := v1alpha1.Decode(document)
	if err != nil {
		t.Fatal(err)
	}
	if errs := v1alpha1.Validate(s); len(errs) > 0 {
		t.Fatal(errs)
	}
	s.UID = "0a1b2c3d-0000-4000-8000-000000000001"
	in := &desired.Input{Stream: s, Generation: desired.Generation{CreatedMs: 1767225600000, Generation: 3},
		FingerprintSalt: "0a1b2c3d-0000-4000-8000-000000000002", OperatorNamespace: "marketstream-system",
		Kinds:         desired.Kinds{ServiceMonitor: true, PrometheusRule: true, HTTPRoute: true},
		Streamer:      desired.Workload{Revision: desired.Newest, Image: "marketstream:1.2.3", Replicas: 1},
		Backbone:      desired.Workload{Revision: desired.Newest, Image: "marketstream:1.2.2", Replicas: 1},
		BackboneNodes: 1}
	if s.Spec.Shards != nil {
		in.Streamer.Replicas = *s.Spec.Shards
	}
	if b := s.Spec.Backbone; b != nil && b.Replicas != nil {
		in.Backbone.Replicas, in.BackboneNodes = *b.Replicas, *b.Replicas
	}
	if p := s.Spec.Pod; p != nil && p.Image != "" {
		in.Streamer.Image = p.Image
	}
	return in
}

// load is the input of a case.
func load(t *testing.T, name string) *desired.Input {
	t.Helper()
	document, err := os.ReadFile(filepath.Join("testdata", name, "marketstream.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	in := input(t, document)
	cases[name](in)
	return in
}

// bodies are the objects of an input in JSON form, by kind and name, and these in order.
func bodies(t *testing.T, in *desired.Input) (all map[string]map[string]any, order []string) {
	t.Helper()
	objects, err := desired.Objects(in)
	if err != nil {
		t.Fatal(err)
	}
	all = make(map[string]map[string]any)
	for i := range objects {
		o := &objects[i]
		body, err := o.Body()
		if err != nil {
			t.Fatal(err)
		}
		id := strings.ToLower(o.Kind.Kind) + "-" + o.Name
		if all[id] != nil {
			t.Errorf("%s is built twice", id)
		}
		if body["kind"] != o.Kind.Kind || body["apiVersion"] != o.Kind.GroupVersion().String() {
			t.Errorf("%s: is a %v of %v", id, body["kind"], body["apiVersion"])
		}
		all[id], order = body, append(order, id)
	}
	return all, order
}

// TestGolden: each object of each case, as it is sent.
func TestGolden(t *testing.T) {
	dirs, err := filepath.Glob("testdata/*/marketstream.yaml")
	if err != nil || len(dirs) != len(cases) {
		t.Fatalf("%d cases in testdata, %d here: %v", len(dirs), len(cases), err)
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("testdata", name)
			all, order := bodies(t, load(t, name))
			files := map[string]string{"order.txt": strings.Join(order, "\n") + "\n"}
			for id, body := range all {
				files[id+".yaml"] = text(t, body)
			}
			compare(t, dir, files, "marketstream.yaml")
			again, _ := bodies(t, load(t, name))
			if d := cmp.Diff(all, again); d != "" {
				t.Errorf("built anew they differ:\n%s", d)
			}
		})
	}
}

// compare holds files against those of a directory, or writes them.
func compare(t *testing.T, dir string, files map[string]string, besides ...string) {
	t.Helper()
	there, err := os.ReadDir(dir)
	if err != nil && !(*rewrite && os.IsNotExist(err)) {
		t.Fatal(err)
	}
	for _, f := range there {
		if _, wanted := files[f.Name()]; !wanted && !slices.Contains(besides, f.Name()) {
			if !*rewrite {
				t.Errorf("%s is there and nothing builds it", f.Name())
			} else if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name)
		if *rewrite {
			if err := os.MkdirAll(dir, 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(files[name]), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		} else if d := cmp.Diff(string(want), files[name]); d != "" {
			t.Errorf("%s is built otherwise; if that is right, go test -rewrite\n%s", path, d)
		}
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	out, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// at is what lies at a path of maps.
func at(m map[string]any, path ...string) any {
	var v any = m
	for _, k := range path {
		in, _ := v.(map[string]any)
		v = in[k]
	}
	return v
}

// TestEveryObject: what the contract says of all of them.
func TestEveryObject(t *testing.T) {
	for name := range cases {
		in := load(t, name)
		all, _ := bodies(t, in)
		for id, body := range all {
			for _, e := range empties("", body) {
				t.Errorf("%s %s: %s is empty", name, id, e)
			}
			owners, _ := at(body, "metadata", "ownerReferences").([]any)
			want := []any{map[string]any{"apiVersion": "marketstream.dev/v1alpha1", "kind": "MarketStream", "name": in.Stream.Name,
				"uid": string(in.Stream.UID), "controller": true, "blockOwnerDeletion": true}}
			if d := cmp.Diff(want, owners); d != "" {
				t.Errorf("%s %s: owners:\n%s", name, id, d)
			}
			if at(body, "metadata", "namespace") != in.Stream.Namespace {
				t.Errorf("%s %s: in namespace %v", name, id, at(body, "metadata", "namespace"))
			}
			labels, _ := at(body, "metadata", "labels").(map[string]any)
			component, _ := labels[desired.LabelComponent].(string)
			if !slices.Contains([]string{"streamer", "backbone", "config"}, component) {
				t.Errorf("%s %s: component %q", name, id, component)
			}
			for k, v := range desired.Labels(in.Stream.Name, component) {
				if labels[k] != v {
					t.Errorf("%s %s: label %s is %v, want %s", name, id, k, labels[k], v)
				}
			}
			if sum, _ := at(body, "metadata", "annotations", desired.AnnotationApplied).(string); len(sum) != 32 {
				t.Errorf("%s %s: applied %q", name, id, sum)
			}
		}
	}
}

// empties are the paths of what is empty or null.
func empties(path string, v any) (out []string) {
	switch v := v.(type) {
	case nil:
		return []string{path}
	case map[string]any:
		if len(v) == 0 {
			return []string{path}
		}
		for k, e := range v {
			out = append(out, empties(path+"."+k, e)...)
		}
	case []any:
		if len(v) == 0 {
			return []string{path}
		}
		for i, e := range v {
			out = append(out, empties(fmt.Sprintf("%s[%d]", path, i), e)...)
		}
	}
	return out
}

// TestApplied: the annotation changes with anything else, and with nothing else.
func TestApplied(t *testing.T) {
	sums := func(in *desired.Input) map[string]any {
		all, _ := bodies(t, in)
		out := make(map[string]any)
		for id, body := range all {
			out[id] = at(body, "metadata", "annotations", desired.AnnotationApplied)
		}
		return out
	}
	before := sums(load(t, "everything"))
	in := load(t, "everything")
	in.Streamer.Replicas++
	after := sums(in)
	for id, sum := range before {
		if changed := after[id] != sum; changed != (id == "deployment-us-equities-streamer") {
			t.Errorf("one more pod: %s changed: %v", id, changed)
		}
	}
}

// TestInputs: what a controller may get wrong is an error that says what.
func TestInputs(t *testing.T) {
	for want, spoil := range map[string]func(*desired.Input){
		"has named":                  func(in *desired.Input) { in.Stream.UID = "" },
		"generation 0":               func(in *desired.Input) { in.Generation.Generation = 0 },
		"operator's namespace":       func(in *desired.Input) { in.OperatorNamespace = "" },
		"streamer template of":       func(in *desired.Input) { in.Streamer.Revision = desired.Newest + 1 },
		"backbone template of":       func(in *desired.Input) { in.Backbone.Revision = 0 },
		"image of the streamer":      func(in *desired.Input) { in.Streamer.Image = "" },
		"image of the backbone":      func(in *desired.Input) { in.Backbone.Image = "" },
		"-1 pods":                    func(in *desired.Input) { in.Backbone.Replicas = -1 },
		"2 nodes of the backbone: w": func(in *desired.Input) { in.BackboneNodes = 2 },
	} {
		in := load(t, "minimal")
		spoil(in)
		if _, err := desired.Objects(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
	in := load(t, "external-backbone")
	in.Backbone, in.BackboneNodes = desired.Workload{}, 0
	if _, err := desired.Objects(in); err != nil {
		t.Errorf("an external backbone needs none of ours: %v", err)
	}
}
