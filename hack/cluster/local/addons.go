package local

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/marketstream/marketstream/hack/kube"
)

// Volumes is how many claims a node can hold.
const Volumes = 32

// apply has the cluster be as a manifest says.
func (c *Cluster) apply(ctx context.Context, manifest string, values map[string]any) error {
	text, err := render(manifest, values)
	if err != nil {
		return err
	}
	_, err = c.kubectl(ctx, text, "apply", "--server-side", "--force-conflicts", "-f", "-")
	return err
}

// rolledOut waits for a workload. Its pods say what keeps it.
func (c *Cluster) rolledOut(ctx context.Context, namespace, workload string) error {
	_, err := c.kubectl(ctx, nil, "rollout", "status", "-n", namespace, workload, "--timeout", stepWithin.String())
	if err == nil {
		return nil
	}
	pods, _ := c.kubectl(ctx, nil, "get", "pods,events", "-n", namespace)
	return fmt.Errorf("%w\n%s", err, pods)
}

func (c *Cluster) coreDNS(ctx context.Context) error {
	img, _, err := c.addon(ctx, "coredns")
	if err != nil {
		return err
	}
	if err := c.apply(ctx, "coredns.yaml", map[string]any{"Image": img, "DNS": dnsIP}); err != nil {
		return err
	}
	return c.rolledOut(ctx, "kube-system", "deployment/coredns")
}

// volumes makes a default storage class of directories. Those whose claim is gone are emptied and offered again.
func (c *Cluster) volumes(ctx context.Context) error {
	out, err := c.kubectl(ctx, nil, "get", "pv", "-o", `jsonpath={range .items[*]}{.metadata.name} {.status.phase}{"\n"}{end}`)
	if err != nil {
		return err
	}
	phases := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, phase, _ := strings.Cut(strings.TrimSpace(line), " ")
		phases[name] = phase
	}
	type volume struct{ Name, Path, Node string }
	var lacks []volume
	for i := 1; i <= c.opts.Nodes; i++ {
		n := c.node(i)
		for v := range Volumes {
			name := fmt.Sprintf("%s-%d", n.name, v)
			dir := filepath.Join(c.opts.Dir, "volumes", name)
			switch phases[name] {
			case "Bound", "Available":
				continue
			case "Released", "Failed":
				if _, err := c.kubectl(ctx, nil, "delete", "pv", name); err != nil {
					return err
				}
				if err := os.RemoveAll(dir); err != nil {
					return err
				}
			}
			if err := os.MkdirAll(dir, 0o777); err != nil { //nolint:gosec // pods of any user write there
				return err
			}
			if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // the same, whatever umask says
				return err
			}
			lacks = append(lacks, volume{name, dir, n.name})
		}
	}
	return c.apply(ctx, "volumes.yaml", map[string]any{"Volumes": lacks})
}

// traefik installs the Gateway API's CRDs and Traefik, which takes 80 and 443 of the first node.
func (c *Cluster) traefik(ctx context.Context) error {
	dir, err := kube.ModuleDir(ctx, "traefik", "sigs.k8s.io/gateway-api")
	if err != nil {
		return err
	}
	if _, err := c.kubectl(ctx, nil, "apply", "--server-side", "--force-conflicts", "-f", filepath.Join(dir, "config", "crd", "standard")); err != nil {
		return err
	}
	if err := c.ca.Server("example-test", "*.example.test", "example.test"); err != nil {
		return err
	}
	img, _, err := c.addon(ctx, "traefik")
	if err != nil {
		return err
	}
	cert, err := os.ReadFile(c.ca.Cert("example-test"))
	if err != nil {
		return err
	}
	key, err := os.ReadFile(c.ca.Key("example-test"))
	if err != nil {
		return err
	}
	encode := base64.StdEncoding.EncodeToString
	n := c.node(1)
	if err := c.apply(ctx, "traefik.yaml", map[string]any{"Image": img, "Node": n.name, "IP": n.ip, "Cert": encode(cert), "Key": encode(key)}); err != nil {
		return err
	}
	return c.rolledOut(ctx, "traefik", "deployment/traefik")
}

// released is the name of the release that a version of Prometheus' module is: v0.316.0 is v3.16.0.
func released(module string) string {
	var release, minor, patch int
	if n, _ := fmt.Sscanf(module, "v0.%1d%d.%d", &release, &minor, &patch); n != 3 {
		return module
	}
	return fmt.Sprintf("v%d.%d.%d", release, minor, patch)
}

// prometheus installs prometheus-operator and a Prometheus that follows every ServiceMonitor and PrometheusRule.
func (c *Cluster) prometheus(ctx context.Context) error {
	dir, err := kube.ModuleDir(ctx, "prometheus-operator", "github.com/prometheus-operator/prometheus-operator")
	if err != nil {
		return err
	}
	crds := filepath.Join(dir, "example", "prometheus-operator-crd")
	if _, err := c.kubectl(ctx, nil, "apply", "--server-side", "--force-conflicts", "-f", crds); err != nil {
		return err
	}
	values := map[string]any{}
	for key, program := range map[string]string{"Operator": "prometheus-operator", "Reloader": "prometheus-config-reloader", "Prometheus": "prometheus"} {
		img, version, err := c.addon(ctx, program)
		if err != nil {
			return err
		}
		values[key] = img
		if program == "prometheus" {
			values["Version"] = released(version)
		}
	}
	if err := c.apply(ctx, "prometheus-operator.yaml", values); err != nil {
		return err
	}
	if err := c.rolledOut(ctx, "monitoring", "deployment/prometheus-operator"); err != nil {
		return err
	}
	if err := c.apply(ctx, "prometheus.yaml", values); err != nil {
		return err
	}
	// The operator makes the StatefulSet when it sees the Prometheus.
	err = c.until(ctx, nil, func() error {
		_, err := c.kubectl(ctx, nil, "get", "-n", "monitoring", "statefulset/prometheus-main")
		return err
	})
	if err != nil {
		return err
	}
	return c.rolledOut(ctx, "monitoring", "statefulset/prometheus-main")
}
