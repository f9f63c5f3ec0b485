package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/marketstream/marketstream/hack/cluster/image"
	"github.com/marketstream/marketstream/hack/kube"
)

// registry is nobody's: images are imported, never pulled.
const registry = "marketstream.local/"

const pauseImage = registry + "pause:1"

// addon is how a program from kube.Addons lies in its image.
type addon struct {
	path string
	user string
}

// addons by the program's name.
var addons = map[string]addon{
	"coredns":                    {"/coredns", "0"}, // it listens at port 53
	"traefik":                    {"/traefik", "65532"},
	"prometheus":                 {"/bin/prometheus", "65534"},
	"prometheus-operator":        {"/bin/operator", "65534"},
	"prometheus-config-reloader": {"/bin/prometheus-config-reloader", "65534"},
}

// Addons are the names of those that a cluster has, of kube.Addons.
func Addons(opts Options) []string {
	names := []string{"coredns"}
	if opts.Ingress {
		names = append(names, "traefik")
	}
	if opts.Prometheus {
		names = append(names, "prometheus-operator", "prometheus-config-reloader", "prometheus")
	}
	return names
}

// addon has every node know the image of an addon, which is built if need be; its tar is kept beside the program.
func (c *Cluster) addon(ctx context.Context, name string) (img, version string, err error) {
	program, version, err := kube.Get(ctx, c.opts.Log, name)
	if err != nil {
		return "", "", err
	}
	a, tar := addons[name], program+".tar"
	img = registry + name + ":" + version
	if err := keep(image.Image{Name: img, Entrypoint: []string{a.path}, User: a.user, Files: map[string]string{a.path: program}}, tar); err != nil {
		return "", "", err
	}
	for i := 1; i <= c.opts.Nodes; i++ {
		if err := c.node(i).load(ctx, img, tar); err != nil {
			return "", "", err
		}
	}
	return img, version, nil
}

// keep writes an image's tar, if there is none.
func keep(img image.Image, tar string) error {
	if _, err := os.Stat(tar); err == nil {
		return nil
	}
	return img.Write(tar)
}

// pause gives the tar of what holds a pod's namespaces.
func (c *Cluster) pause(ctx context.Context) (string, error) {
	dir, err := kube.Cache("kube", "pause-1")
	if err != nil {
		return "", err
	}
	tar := filepath.Join(dir, "pause.tar")
	if _, err := os.Stat(tar); err == nil {
		return tar, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // programs are for everyone
		return "", err
	}
	program := filepath.Join(dir, "pause")
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", program, "github.com/marketstream/marketstream/hack/cluster/pause") //nolint:gosec // ours
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build pause: %w\n%s", err, out)
	}
	return tar, keep(image.Image{Name: pauseImage, Entrypoint: []string{"/pause"}, User: "65535", Files: map[string]string{"/pause": program}}, tar)
}

// Load imports an image into every node that there is.
func (c *Cluster) Load(ctx context.Context, tar string) error {
	loaded := 0
	for i := 1; i <= c.opts.Nodes; i++ {
		n := c.node(i)
		if !c.procs.Running("containerd-" + n.name) {
			continue
		}
		if err := n.ctr(ctx, "images", "import", tar); err != nil {
			return fmt.Errorf("node %s: %w", n.name, err)
		}
		c.opts.Log(fmt.Sprintf("%s: imported by node %s", filepath.Base(tar), n.name))
		loaded++
	}
	if loaded == 0 {
		return errors.New("no node runs: bring the cluster up first")
	}
	return nil
}
