package main

import (
	"strings"

	"github.com/marketstream/marketstream/hack/manifests"
	"sigs.k8s.io/yaml"
)

const generated = "# Generated from config by hack/render; make generate writes it anew.\n"

// installYAML is config/default as one file.
func installYAML() (string, error) {
	objects, err := manifests.Build(manifests.Default)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(generated + "#   kubectl apply --server-side -f dist/install.yaml\n")
	for _, o := range objects {
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			return "", err
		}
		b.WriteString("---\n")
		b.Write(text)
	}
	return b.String(), nil
}
