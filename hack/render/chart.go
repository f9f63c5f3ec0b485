package main

import (
	_ "embed"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/marketstream/marketstream/hack/helmchart"
	"github.com/marketstream/marketstream/hack/manifests"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const (
	chartDir  = helmchart.Dir
	namespace = "marketstream-system" // in config; in a chart it is the release's
)

var (
	//go:embed chart/Chart.yaml
	chartYAML string
	//go:embed chart/values.yaml
	valuesYAML string
	//go:embed chart/_helpers.tpl
	helpers string
	//go:embed chart/NOTES.txt
	notes string
)

// chart is the Helm chart by file: a template for each object of the kustomizations. An object that
// one of them has alone is made under the value that stands for it.
func chart() (map[string]string, error) {
	files := map[string]string{
		chartDir + "/Chart.yaml":             generated + chartYAML,
		chartDir + "/values.yaml":            generated + valuesYAML,
		chartDir + "/templates/_helpers.tpl": helpers,
		chartDir + "/templates/NOTES.txt":    notes,
	}
	built := map[string][]*unstructured.Unstructured{}
	for _, dir := range []string{manifests.Default, manifests.Namespaced, manifests.Prometheus} {
		objects, err := manifests.Build(dir)
		if err != nil {
			return nil, err
		}
		built[dir] = objects
	}
	has := func(dir string, o *unstructured.Unstructured) *unstructured.Unstructured {
		for _, other := range built[dir] {
			if manifests.ID(other) == manifests.ID(o) {
				return other
			}
		}
		return nil
	}
	add := func(o *unstructured.Unstructured, conditions ...string) error {
		text, err := template(o)
		if err != nil {
			return err
		}
		for _, c := range conditions {
			text = "{{- if " + c + " }}\n" + text + "{{- end }}\n"
		}
		name := strings.ToLower(o.GetKind() + "-" + o.GetName())
		path := chartDir + "/templates/" + regexp.MustCompile(`[^a-z0-9.-]`).ReplaceAllString(name, "-") + ".yaml"
		if files[path] != "" {
			return fmt.Errorf("%s is made twice", path)
		}
		files[path] = text
		return nil
	}
	for _, o := range built[manifests.Default] {
		if o.GetKind() == "Namespace" {
			continue // Helm is told into which it installs
		}
		conditions := optional(o)
		other := has(manifests.Namespaced, o)
		if other == nil {
			conditions = append(conditions, "not .Values.namespaced")
		} else if o.GetKind() != "Deployment" && !reflect.DeepEqual(o.Object, other.Object) {
			return nil, fmt.Errorf("%s differs between the modes: the chart knows no way to say so", manifests.ID(o))
		}
		if err := add(o, conditions...); err != nil {
			return nil, err
		}
	}
	for dir, condition := range map[string]string{manifests.Namespaced: ".Values.namespaced", manifests.Prometheus: ".Values.metrics.serviceMonitor.enabled"} {
		for _, o := range built[dir] {
			if has(manifests.Default, o) == nil {
				if err := add(o, condition); err != nil {
					return nil, err
				}
			}
		}
	}
	return files, nil
}

// optional are the values that an object is made under.
func optional(o *unstructured.Unstructured) []string {
	switch o.GetKind() {
	case "CustomResourceDefinition":
		return []string{".Values.crd.enabled"}
	case "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding":
		return []string{".Values.policy.enabled"}
	case "NetworkPolicy":
		return []string{".Values.networkPolicy.enabled"}
	case "ClusterRole":
		if n := o.GetName(); n == "marketstream-view" || n == "marketstream-edit" {
			return []string{".Values.userRoles.enabled"}
		}
	}
	return nil
}

// slot is a place in an object that a template fills.
type slot struct {
	path []string
	// text stands for the value; %d in it is the indentation of the value's lines.
	text string
	// whole replaces the line of the key too.
	whole bool
}

// operatorSlots are those of the Deployment.
var operatorSlots = []slot{
	{[]string{"spec", "replicas"}, "{{ .Values.replicas }}", false},
	{[]string{"spec", "template", "spec", "nodeSelector"}, "{{- toYaml .Values.nodeSelector | nindent %d }}", false},
	{[]string{"spec", "template", "spec", "imagePullSecrets"}, "{{- with .Values.image.pullSecrets }}\nimagePullSecrets: {{- toYaml . | nindent %d }}\n{{- end }}", true},
	{[]string{"spec", "template", "spec", "tolerations"}, "{{- with .Values.tolerations }}\ntolerations: {{- toYaml . | nindent %d }}\n{{- end }}", true},
	{[]string{"spec", "template", "spec", "affinity"}, "{{- with .Values.affinity }}\naffinity: {{- toYaml . | nindent %d }}\n{{- end }}", true},
}

var containerSlots = []slot{
	{[]string{"image"}, `{{ include "marketstream.image" . | quote }}`, false},
	{[]string{"imagePullPolicy"}, "{{ .Values.image.pullPolicy }}", false},
	{[]string{"resources"}, "{{- toYaml .Values.resources | nindent %d }}", false},
}

// arguments are those of the operator that values say.
var arguments = map[string]string{
	"--image=":     `{{ printf "--image=%s" (include "marketstream.image" .) | quote }}`,
	"--namespace=": `{{ printf "--namespace=%s" (ternary "$(POD_NAMESPACE)" "" .Values.namespaced) | quote }}`,
}

// template is an object as Helm's template.
func template(o *unstructured.Unstructured) (string, error) {
	text, err := yaml.Marshal(o.Object)
	if err != nil {
		return "", err
	}
	if strings.Contains(string(text), "{{") {
		return "", fmt.Errorf("%s holds {{, which Helm would read", manifests.ID(o))
	}
	o = o.DeepCopy()
	filled := map[string]slot{}
	put := func(object map[string]any, s slot) error {
		mark := fmt.Sprintf("SLOT-%d-", len(filled))
		filled[mark] = s
		return unstructured.SetNestedField(object, mark, s.path...)
	}
	switch o.GetKind() {
	case "Deployment":
		for _, s := range operatorSlots {
			if err := put(o.Object, s); err != nil {
				return "", err
			}
		}
		containers, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
		if err != nil || len(containers) != 1 {
			return "", fmt.Errorf("%s: want one container: %w", manifests.ID(o), err)
		}
		container, _ := containers[0].(map[string]any)
		for _, s := range containerSlots {
			if err := put(container, s); err != nil {
				return "", err
			}
		}
		args, _, err := unstructured.NestedStringSlice(container, "args")
		if err != nil {
			return "", err
		}
		var marked []any
		for _, a := range args {
			for prefix, text := range arguments {
				if strings.HasPrefix(a, prefix) {
					a = fmt.Sprintf("SLOT-%d-", len(filled))
					filled[a] = slot{text: text}
				}
			}
			marked = append(marked, a)
		}
		container["args"] = marked
		if err := unstructured.SetNestedSlice(o.Object, containers, "spec", "template", "spec", "containers"); err != nil {
			return "", err
		}
	case "CustomResourceDefinition":
		a := o.GetAnnotations()
		if a == nil {
			a = map[string]string{}
		}
		// Without it an uninstall takes every MarketStream away.
		a["helm.sh/resource-policy"] = "keep"
		o.SetAnnotations(a)
	}
	if text, err = yaml.Marshal(o.Object); err != nil {
		return "", err
	}
	var out []string
	for _, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		out = append(out, fill(line, filled))
	}
	return strings.ReplaceAll(strings.Join(out, "\n")+"\n", namespace, "{{ .Release.Namespace }}"), nil
}

// fill puts what belongs there into a line.
func fill(line string, filled map[string]slot) string {
	for mark, s := range filled {
		at := strings.Index(line, mark)
		if at < 0 {
			continue
		}
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if strings.HasPrefix(line[indent:], "- ") {
			indent += 2 // the first key of a list's element
		}
		text := s.text
		if strings.Contains(text, "%d") {
			text = fmt.Sprintf(text, indent+2)
		}
		if !s.whole {
			return line[:at] + text
		}
		lines := strings.Split(text, "\n")
		for i, l := range lines {
			if !strings.HasPrefix(l, "{{") {
				l = strings.Repeat(" ", indent) + l
			}
			lines[i] = l
		}
		return strings.Join(lines, "\n")
	}
	return line
}
