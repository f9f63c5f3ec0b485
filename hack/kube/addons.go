package kube

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/modfile"
)

// Addon is a program that runs in a cluster.
type Addon struct {
	Build
	of string // the module whose version is the program's
}

// Addons are those that hack/cluster runs, by name.
var Addons = map[string]Addon{
	"coredns": {Build{Package: ".", Module: "coredns"}, "github.com/coredns/coredns"},
	// Not quite Traefik as its makers build it: no DNS provider for ACME, the go-http-auth of upstream, an empty extension.
	"traefik": {Build{Package: "github.com/traefik/traefik/v3/cmd/traefik", Module: "traefik", Overlay: map[string]string{
		"github.com/go-acme/lego/v5:providers/dns/zz_gen_dns_providers.go": "overlay/zz_gen_dns_providers.go",
	}}, "github.com/traefik/traefik/v3"},
	"prometheus": {Build{Package: "github.com/prometheus/prometheus/cmd/prometheus", Module: "prometheus",
		Flags: []string{"-tags", "remove_all_sd,enable_kubernetes_sd"}}, "github.com/prometheus/prometheus"},
	"promtool": {Build{Package: "github.com/prometheus/prometheus/cmd/promtool", Module: "prometheus",
		Flags: []string{"-tags", "remove_all_sd,enable_kubernetes_sd"}}, "github.com/prometheus/prometheus"},
	"prometheus-operator": {Build{Package: "github.com/prometheus-operator/prometheus-operator/cmd/operator", Module: "prometheus-operator"},
		"github.com/prometheus-operator/prometheus-operator"},
	"prometheus-config-reloader": {Build{Package: "github.com/prometheus-operator/prometheus-operator/cmd/prometheus-config-reloader", Module: "prometheus-operator"},
		"github.com/prometheus-operator/prometheus-operator"},
}

// Has reports whether the cache has an addon.
func Has(ctx context.Context, name string) (bool, error) {
	_, dir, _, err := place(ctx, name)
	return err == nil && len(lacking(dir, []string{name})) == 0, err
}

// place is where the cache has an addon, or will.
func place(ctx context.Context, name string) (a Addon, dir, version string, err error) {
	a, ok := Addons[name]
	if !ok {
		return a, "", "", fmt.Errorf("addon %q is not known", name)
	}
	module, err := moduleDir(ctx, a.Module)
	if err != nil {
		return a, "", "", err
	}
	if version, err = required(filepath.Join(module, "go.mod"), a.of); err != nil {
		return a, "", "", err
	}
	dir, err = Cache("kube", a.Module+"-"+version)
	return a, dir, version, err
}

// Get gives the path of an addon's program and its version; it is built if the cache lacks it.
func Get(ctx context.Context, log func(string), name string) (path, version string, err error) {
	a, dir, version, err := place(ctx, name)
	if err != nil {
		return "", "", err
	}
	b := a.Build
	b.Name = name
	b.Flags = append([]string{"-ldflags", "-s -w"}, b.Flags...)
	path = filepath.Join(dir, name)
	if len(lacking(dir, []string{name})) == 0 {
		return path, version, nil
	}
	return path, version, Into(ctx, log, dir, b)
}

// ModuleDir is where a module is that one of ours requires: manifests are taken from there.
func ModuleDir(ctx context.Context, ours, path string) (string, error) {
	module, err := moduleDir(ctx, ours)
	if err != nil {
		return "", err
	}
	return download(ctx, module, path)
}

// required is the version that a go.mod requires of a module.
func required(goMod, path string) (string, error) {
	text, err := os.ReadFile(goMod) //nolint:gosec // it is ours
	if err != nil {
		return "", err
	}
	f, err := modfile.Parse(goMod, text, nil)
	if err != nil {
		return "", err
	}
	for _, r := range f.Require {
		if r.Mod.Path == path {
			return r.Mod.Version, nil
		}
	}
	return "", fmt.Errorf("%s does not require %s", goMod, path)
}
