// Command render writes what is made of config for those who have no kustomize: dist/install.yaml
// and the Helm chart, so that all three ways to install give the same objects.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/marketstream/marketstream/hack/manifests"
)

func main() {
	root := flag.String("root", manifests.Root(), "where dist and config/chart are written")
	flag.Parse()
	if err := write(*root); err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

// write writes both. What the chart has no longer is removed.
func write(root string) error {
	files, err := chart()
	if err != nil {
		return err
	}
	install, err := installYAML()
	if err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(root, chartDir)); err != nil {
		return err
	}
	files["dist/install.yaml"] = install
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
