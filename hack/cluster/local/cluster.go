package local

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/marketstream/marketstream/hack/cluster/host"
	"github.com/marketstream/marketstream/hack/cluster/pki"
	"github.com/marketstream/marketstream/hack/kube"
)

// stepWithin is how long a step may take that waits for something to come up.
const stepWithin = 5 * time.Minute

// Options of a cluster.
type Options struct {
	Dir        string // of its state; it needs some GiB, and a file system that overlayfs can lie on
	Nodes      int    // 1 to 3
	Ingress    bool   // Traefik, with Ingress and Gateway API
	Prometheus bool   // prometheus-operator and a Prometheus
	Log        func(string)
}

// Cluster is one that runs, or is to.
type Cluster struct {
	opts   Options
	procs  host.Processes
	bridge host.Bridge
	ca     *pki.Authority
	bin    string // of the programs of Kubernetes
}

// New looks at what there is; it changes nothing.
func New(opts Options) (*Cluster, error) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		return nil, errors.New("a cluster of namespaces needs Linux and root; another cluster can be given by KUBECONFIG")
	}
	if opts.Nodes < 1 || opts.Nodes > 3 {
		return nil, fmt.Errorf("%d nodes: 1 to 3", opts.Nodes)
	}
	return &Cluster{
		opts:   opts,
		procs:  host.Processes{Dir: filepath.Join(opts.Dir, "run")},
		bridge: host.Bridge{Name: "msc-br", At: netip.MustParsePrefix("172.30.77.1/24")},
	}, nil
}

// step is a part of coming up. It may be done already, and then takes no time.
type step struct {
	what string
	do   func(context.Context) error
}

// Up brings the cluster up, or what lacks of it.
func (c *Cluster) Up(ctx context.Context) error {
	steps := []step{
		{"packages of this machine", func(ctx context.Context) error { return host.Install(ctx, c.opts.Log, host.Cluster...) }},
		{"programs of Kubernetes " + kube.Version, c.programs},
		{"network", c.network},
		{"certificates", c.certificates},
		{"etcd and API server", c.apiServer},
		{"controller manager and scheduler", c.controllers},
	}
	for i := 1; i <= c.opts.Nodes; i++ {
		n := c.node(i)
		steps = append(steps, step{"node " + n.name, n.up})
	}
	steps = append(steps, step{"nodes are Ready", c.nodesReady}, step{"volumes", c.volumes}, step{"CoreDNS", c.coreDNS})
	if c.opts.Ingress {
		steps = append(steps, step{"Traefik, Gateway API", c.traefik})
	}
	if c.opts.Prometheus {
		steps = append(steps, step{"prometheus-operator, Prometheus", c.prometheus})
	}
	if err := os.MkdirAll(c.opts.Dir, 0o711); err != nil { //nolint:gosec // pods' volumes lie below
		return err
	}
	for i, s := range steps {
		began := time.Now()
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
		c.opts.Log(fmt.Sprintf("[%d/%d] %s: %.1f s", i+1, len(steps), s.what, time.Since(began).Seconds()))
	}
	return nil
}

// Kubeconfig is the path of the administrator's, for a cluster with its state in dir.
func Kubeconfig(dir string) string { return filepath.Join(dir, "admin.kubeconfig") }

// programs finds or builds what runs on the machine itself.
func (c *Cluster) programs(ctx context.Context) (err error) {
	c.bin, err = kube.Assets(ctx, c.opts.Log, append(append([]string{}, kube.Tests...), kube.Node...)...)
	return err
}

// program is the path of one.
func (c *Cluster) program(name string) string { return filepath.Join(c.bin, name) }

// The addresses of doc.go.
var (
	controlIP  = netip.MustParseAddr("172.30.77.10")
	serviceIP  = "10.96.0.1"
	dnsIP      = "10.96.0.10"
	serviceNet = "10.96.0.0/16"
	podNet     = "10.86.0.0/16"
)

const control = "msc-cp"

// network lays the bridge, the namespaces and the routes to the pods of each node.
func (c *Cluster) network(ctx context.Context) error {
	if err := c.bridge.Up(ctx); err != nil {
		return err
	}
	if err := c.bridge.Namespace(ctx, control, controlIP); err != nil {
		return err
	}
	names := []string{"", control}
	for i := 1; i <= c.opts.Nodes; i++ {
		n := c.node(i)
		if err := c.bridge.Namespace(ctx, n.netns, n.ip); err != nil {
			return err
		}
		names = append(names, n.netns)
	}
	for i := 1; i <= c.opts.Nodes; i++ {
		n := c.node(i)
		for _, name := range names {
			if name == n.netns {
				continue
			}
			if err := c.bridge.Route(ctx, name, n.pods, n.ip); err != nil {
				return err
			}
		}
	}
	return nil
}

// certificates makes those of the API server, and of each who talks to it.
func (c *Cluster) certificates(context.Context) (err error) {
	dir := filepath.Join(c.opts.Dir, "pki")
	if c.ca, err = pki.New(dir); err != nil {
		return err
	}
	clients := map[string][]string{
		"admin":      {"admin", "system:masters"},
		"controller": {"system:kube-controller-manager"},
		"scheduler":  {"system:kube-scheduler"},
		"proxy":      {"system:kube-proxy"},
		"kubelet":    {"apiserver-kubelet-client", "system:masters"}, // as whom the API server asks kubelets
	}
	for i := 1; i <= c.opts.Nodes; i++ {
		n := c.node(i)
		clients[n.name] = []string{"system:node:" + n.name, "system:nodes"}
	}
	for name, who := range clients {
		if err := c.ca.Client(name, who[0], who[1:]...); err != nil {
			return err
		}
		if err := c.writeKubeconfig(name); err != nil {
			return err
		}
	}
	if err := c.ca.Pair("sa"); err != nil {
		return err
	}
	return c.ca.Server("apiserver", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		"localhost", "127.0.0.1", controlIP.String(), serviceIP)
}

// writeKubeconfig has a user's certificate in it, so that the file is all one needs.
func (c *Cluster) writeKubeconfig(name string) error {
	text, err := kubeconfig("https://"+controlIP.String()+":6443", c.ca.Cert("ca"), c.ca.Cert(name), c.ca.Key(name))
	if err != nil {
		return err
	}
	return os.WriteFile(c.kubeconfigOf(name), text, 0o600)
}

func (c *Cluster) kubeconfigOf(name string) string {
	return filepath.Join(c.opts.Dir, name+".kubeconfig")
}
