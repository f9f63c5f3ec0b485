package local

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/marketstream/marketstream/hack/cluster/host"
)

//go:embed manifests
var manifests embed.FS

// node is one of the cluster's.
type node struct {
	*Cluster
	name, netns string
	ip          netip.Addr
	pods        netip.Prefix
	dir         string // of everything that it writes
}

func (c *Cluster) node(i int) node {
	name := fmt.Sprintf("n%d", i)
	return node{Cluster: c, name: name, netns: "msc-" + name, ip: netip.AddrFrom4([4]byte{172, 30, 77, byte(10 + i)}),
		pods: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 86, byte(i), 0}), 24), dir: filepath.Join(c.opts.Dir, name)}
}

// socket is containerd's.
func (n node) socket() string { return filepath.Join(n.dir, "containerd.sock") }

// up starts containerd, imports the images, and starts kubelet and kube-proxy.
func (n node) up(ctx context.Context) error {
	for file, manifest := range map[string]string{
		"cni/10-bridge.conflist": "cni.conflist", "containerd.toml": "containerd.toml", "kubelet.yaml": "kubelet.yaml", "proxy.yaml": "proxy.yaml",
	} {
		text, err := render(manifest, map[string]any{
			"Name": n.name, "Dir": n.dir, "IP": n.ip, "Pods": n.pods, "Socket": n.socket(), "CNI": host.CNI, "PauseImage": pauseImage,
			"CA": n.ca.Cert("ca"), "DNS": dnsIP, "PodNet": podNet, "ProxyConfig": n.kubeconfigOf("proxy"), "Cgroup": cgroup(n.name),
		})
		if err != nil {
			return err
		}
		path := filepath.Join(n.dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil { //nolint:gosec // pods' volumes lie below
			return err
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return err
		}
	}
	// Pods that resolve by the node find nobody: there is no DNS outside.
	if err := os.WriteFile(filepath.Join(n.dir, "resolv.conf"), []byte("nameserver 127.0.0.1\n"), 0o644); err != nil { //nolint:gosec // pods read it
		return err
	}
	if err := makeCgroup(n.name); err != nil {
		return err
	}
	containerd := "containerd-" + n.name
	if err := n.procs.Start(containerd, n.netns, "containerd", "-c", filepath.Join(n.dir, "containerd.toml")); err != nil {
		return err
	}
	if err := n.until(ctx, []string{containerd}, func() error { return n.ctr(ctx, "version") }); err != nil {
		return err
	}
	tar, err := n.pause(ctx)
	if err != nil {
		return err
	}
	if err := n.load(ctx, pauseImage, tar); err != nil {
		return err
	}
	if err := n.procs.Start("kubelet-"+n.name, n.netns, n.program("kubelet"),
		"--config", filepath.Join(n.dir, "kubelet.yaml"), "--kubeconfig", n.kubeconfigOf(n.name),
		"--hostname-override", n.name, "--node-ip", n.ip.String(), "--root-dir", filepath.Join(n.dir, "kubelet"), "--v=1"); err != nil {
		return err
	}
	return n.procs.Start("kube-proxy-"+n.name, n.netns, n.program("kube-proxy"), "--config", filepath.Join(n.dir, "proxy.yaml"))
}

// ctr asks containerd.
func (n node) ctr(ctx context.Context, args ...string) error {
	return host.Run(ctx, "ctr", append([]string{"-a", n.socket(), "-n", "k8s.io"}, args...)...)
}

// load imports an image, unless the tar that was imported last under its name is this one.
func (n node) load(ctx context.Context, name, tar string) error {
	info, err := os.Stat(tar)
	if err != nil {
		return err
	}
	mark := filepath.Join(n.dir, "images", strings.NewReplacer("/", "_", ":", "_").Replace(name))
	now := fmt.Sprintf("%s %d %d\n", tar, info.Size(), info.ModTime().UnixNano())
	if was, err := os.ReadFile(mark); err == nil && string(was) == now { //nolint:gosec // ours
		return nil
	}
	if err := n.ctr(ctx, "images", "import", tar); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(mark), 0o700); err != nil {
		return err
	}
	return os.WriteFile(mark, []byte(now), 0o600)
}

// nodesReady waits for every node, and gives them the zones that pods spread over.
func (c *Cluster) nodesReady(ctx context.Context) error {
	for i := 1; i <= c.opts.Nodes; i++ {
		n := c.node(i)
		err := c.until(ctx, []string{"containerd-" + n.name, "kubelet-" + n.name, "kube-proxy-" + n.name}, func() error {
			_, err := c.kubectl(ctx, nil, "wait", "--for=condition=Ready", "--timeout=1s", "node/"+n.name)
			return err
		})
		if err != nil {
			return err
		}
		if _, err := c.kubectl(ctx, nil, "label", "--overwrite", "node", n.name, "topology.kubernetes.io/zone=zone-"+n.name); err != nil {
			return err
		}
	}
	return nil
}

// render fills in a manifest.
func render(name string, values any) ([]byte, error) {
	t, err := template.New(name).Option("missingkey=error").ParseFS(manifests, "manifests/"+name)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, values); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
