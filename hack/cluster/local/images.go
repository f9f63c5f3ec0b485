package local

import (
	"context"
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

// addon is an image of a program from kube.Addons.
type addon struct {
	program string
	path    string // in the image
	user    string
}

func (c *Cluster) addons() []addon {
	list := []addon{{"coredns", "/coredns", ""}}
	if c.opts.Ingress {
		list = append(list, addon{"traefik", "/traefik", "65532"})
	}
	if c.opts.Prometheus {
		list = append(list, addon{"prometheus", "/bin/prometheus", "65534"}, addon{"prometheus-operator", "/bin/operator", "65534"},
			addon{"prometheus-config-reloader", "/bin/prometheus-config-reloader", "65534"})
	}
	return list
}

// makeImages makes what the cluster runs itself; tars are kept beside the programs.
func (c *Cluster) makeImages(ctx context.Context) error {
	if err := c.makePause(ctx); err != nil {
		return err
	}
	for _, a := range c.addons() {
		program, version, err := kube.Get(ctx, c.opts.Log, a.program)
		if err != nil {
			return err
		}
		img := image.Image{Name: registry + a.program + ":" + version, Entrypoint: []string{a.path}, User: a.user, Files: map[string]string{a.path: program}}
		if err := c.keep(img, program+".tar"); err != nil {
			return err
		}
	}
	return nil
}

// keep writes an image's tar, if there is none, and has nodes import it.
func (c *Cluster) keep(img image.Image, tar string) error {
	c.images[img.Name] = tar
	if _, err := os.Stat(tar); err == nil {
		return nil
	}
	return img.Write(tar)
}

// makePause builds what holds a pod's namespaces.
func (c *Cluster) makePause(ctx context.Context) error {
	dir, err := kube.Cache("kube", "pause-1")
	if err != nil {
		return err
	}
	tar := filepath.Join(dir, "pause.tar")
	if _, err := os.Stat(tar); err == nil {
		c.images[pauseImage] = tar
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // programs are for everyone
		return err
	}
	program := filepath.Join(dir, "pause")
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", program, "github.com/marketstream/marketstream/hack/cluster/pause") //nolint:gosec // ours
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build pause: %w\n%s", err, out)
	}
	return c.keep(image.Image{Name: pauseImage, Entrypoint: []string{"/pause"}, User: "65535", Files: map[string]string{"/pause": program}}, tar)
}

// Load imports an image into every node.
func (c *Cluster) Load(ctx context.Context, tar string) error {
	for i := 1; i <= c.opts.Nodes; i++ {
		n := c.node(i)
		if _, err := os.Stat(n.socket()); err != nil {
			break // there are fewer
		}
		if err := n.ctr(ctx, "images", "import", tar); err != nil {
			return fmt.Errorf("node %s: %w", n.name, err)
		}
		c.opts.Log(fmt.Sprintf("%s: imported by node %s", filepath.Base(tar), n.name))
	}
	return nil
}
