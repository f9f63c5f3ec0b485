package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/marketstream/marketstream/hack/helmchart"
	"github.com/marketstream/marketstream/hack/manifests"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// helm is `helm template`, with values as YAML.
func helm(t *testing.T, values string) []*unstructured.Unstructured {
	t.Helper()
	objects, err := helmchart.Render(namespace, values)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// same reports how two lots of objects differ.
func same(t *testing.T, what string, got, want []*unstructured.Unstructured) {
	t.Helper()
	index := func(objects []*unstructured.Unstructured) map[string]map[string]any {
		m := map[string]map[string]any{}
		for _, o := range objects {
			if m[manifests.ID(o)] != nil {
				t.Errorf("%s: %s stands twice", what, manifests.ID(o))
			}
			m[manifests.ID(o)] = o.Object
		}
		return m
	}
	g, w := index(got), index(want)
	for _, id := range slices.Sorted(maps.Keys(w)) {
		if g[id] == nil {
			t.Errorf("%s: %s is missing", what, id)
		} else if !reflect.DeepEqual(g[id], w[id]) {
			a, _ := yaml.Marshal(g[id])
			b, _ := yaml.Marshal(w[id])
			t.Errorf("%s: %s is\n%s\nwant\n%s", what, id, a, b)
		}
		delete(g, id)
	}
	for id := range g {
		t.Errorf("%s: %s is too much", what, id)
	}
}

// kustomized is a kustomization as the chart has it: Helm is told the namespace, and keeps the CRD.
func kustomized(t *testing.T, dir string) []*unstructured.Unstructured {
	t.Helper()
	objects, err := manifests.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range manifests.Of(objects, "CustomResourceDefinition") {
		a := o.GetAnnotations()
		a["helm.sh/resource-policy"] = "keep"
		o.SetAnnotations(a)
	}
	return slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == "Namespace" })
}

// TestThreeWaysAreOne: chart, kustomize and install.yaml give the same objects.
func TestThreeWaysAreOne(t *testing.T) {
	same(t, "chart", helm(t, ""), kustomized(t, manifests.Default))
	same(t, "chart, namespaced", helm(t, "namespaced: true"), kustomized(t, manifests.Namespaced))
	same(t, "chart with a ServiceMonitor", helm(t, "metrics: {serviceMonitor: {enabled: true}}"), kustomized(t, manifests.Prometheus))

	text, err := os.ReadFile(filepath.Join(manifests.Root(), "dist", "install.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	install, err := manifests.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	base, err := manifests.Build(manifests.Default)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "dist/install.yaml", install, base)
}

// TestValues: each value does what it says.
func TestValues(t *testing.T) {
	one := func(objects []*unstructured.Unstructured, kind string) *unstructured.Unstructured {
		t.Helper()
		found := manifests.Of(objects, kind)
		if len(found) != 1 {
			t.Fatalf("%d of kind %s", len(found), kind)
		}
		return found[0]
	}
	d := one(helm(t, `
image: {repository: example/ms, tag: v9, pullPolicy: Never, pullSecrets: [{name: pull}]}
replicas: 2
resources: {limits: {memory: 1Gi}}
nodeSelector: {a: b}
tolerations: [{key: c}]
affinity: {nodeAffinity: {}}
`), "Deployment")
	container := d.Object["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)
	for want, got := range map[string]any{
		"example/ms:v9":         container["image"],
		"--image=example/ms:v9": container["args"].([]any)[1],
		"Never":                 container["imagePullPolicy"],
		"map[limits:map[memory:1Gi] requests:map[cpu:20m memory:64Mi]]": container["resources"],
		"2":                               d.Object["spec"].(map[string]any)["replicas"],
		"map[a:b kubernetes.io/os:linux]": field(d, "nodeSelector"),
		"[map[key:c]]":                    field(d, "tolerations"),
		"map[nodeAffinity:map[]]":         field(d, "affinity"),
		"[map[name:pull]]":                field(d, "imagePullSecrets"),
	} {
		if fmt.Sprint(got) != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
	d = one(helm(t, "image: {digest: 'sha256:abc'}"), "Deployment")
	if text := fmt.Sprint(d.Object); strings.Count(text, "marketstream/marketstream@sha256:abc") != 2 {
		t.Errorf("the digest is not the image: %s", text)
	}
	for value, kind := range map[string]string{"crd": "CustomResourceDefinition", "policy": "ValidatingAdmissionPolicy", "networkPolicy": "NetworkPolicy"} {
		if found := manifests.Of(helm(t, value+": {enabled: false}"), kind); len(found) > 0 {
			t.Errorf("%s.enabled: false leaves %s", value, manifests.ID(found[0]))
		}
	}
	for _, o := range helm(t, "userRoles: {enabled: false}") {
		if strings.HasSuffix(o.GetName(), "-edit") || strings.HasSuffix(o.GetName(), "-view") {
			t.Errorf("userRoles.enabled: false leaves %s", manifests.ID(o))
		}
	}
}

// field of the pods' spec.
func field(d *unstructured.Unstructured, name string) any {
	v, _, _ := unstructured.NestedFieldNoCopy(d.Object, "spec", "template", "spec", name)
	return v
}

// TestImageFollows: streams that name no image run the operator's own.
func TestImageFollows(t *testing.T) {
	for _, dir := range []string{manifests.Default, manifests.Namespaced, manifests.Prometheus, "overlays/image"} {
		objects, err := manifests.Build(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range manifests.Of(objects, "Deployment") {
			container := field(d, "containers").([]any)[0].(map[string]any)
			if dir == "overlays/image" && container["image"] == "marketstream/marketstream:v0.1.0" {
				t.Error("the overlay changes no image")
			}
			if got, want := container["args"].([]any)[1], "--image="+container["image"].(string); got != want {
				t.Errorf("%s: %v, want %s", dir, got, want)
			}
		}
	}
}
