// Package helmchart renders our Helm chart as `helm template` does, for tests.
package helmchart

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/marketstream/marketstream/hack/manifests"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Dir is where the chart lies in the project.
const Dir = "config/chart"

// Render renders the chart for a namespace, with values as YAML.
func Render(namespace, values string) (objects []*unstructured.Unstructured, err error) {
	c, err := loader.LoadDir(filepath.Join(manifests.Root(), Dir))
	if err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	var v map[string]any
	if err := yaml.Unmarshal([]byte(values), &v); err != nil {
		return nil, err
	}
	all, err := util.ToRenderValues(c, v, common.ReleaseOptions{Name: "any", Namespace: namespace, Revision: 1, IsInstall: true}, nil)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Render(c, all)
	if err != nil {
		return nil, err
	}
	for name, text := range rendered {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		read, err := manifests.Read([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		objects = append(objects, read...)
	}
	slices.SortFunc(objects, func(a, b *unstructured.Unstructured) int {
		return strings.Compare(manifests.ID(a), manifests.ID(b))
	})
	return objects, nil
}
