package local

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/marketstream/marketstream/hack/cluster/host"
)

// apiServer starts etcd and the API server, and waits until it is ready.
func (c *Cluster) apiServer(ctx context.Context) error {
	const client = "http://127.0.0.1:2379"
	err := c.procs.Start("etcd", control, c.program("etcd"),
		"--data-dir", filepath.Join(c.opts.Dir, "etcd"), "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", "http://127.0.0.1:2380", "--unsafe-no-fsync", "--auto-compaction-retention", "1h")
	if err != nil {
		return err
	}
	pki := filepath.Join(c.opts.Dir, "pki")
	err = c.procs.Start("kube-apiserver", control, c.program("kube-apiserver"),
		"--etcd-servers", client,
		"--bind-address", "0.0.0.0", "--advertise-address", controlIP.String(),
		"--tls-cert-file", c.ca.Cert("apiserver"), "--tls-private-key-file", c.ca.Key("apiserver"),
		"--client-ca-file", c.ca.Cert("ca"),
		"--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction",
		"--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", filepath.Join(pki, "sa.pub"), "--service-account-signing-key-file", filepath.Join(pki, "sa.key"),
		"--service-cluster-ip-range", serviceNet,
		"--kubelet-preferred-address-types", "InternalIP",
		"--kubelet-client-certificate", c.ca.Cert("kubelet"), "--kubelet-client-key", c.ca.Key("kubelet"),
		"--allow-privileged", "--profiling=false")
	if err != nil {
		return err
	}
	return c.until(ctx, []string{"etcd", "kube-apiserver"}, func() error {
		_, err := c.kubectl(ctx, nil, "get", "--raw", "/readyz")
		return err
	})
}

// controllers starts the controller manager and the scheduler. A node that is lost is seen to be so in 12 s.
func (c *Cluster) controllers(ctx context.Context) error {
	config := c.kubeconfigOf("controller")
	err := c.procs.Start("kube-controller-manager", control, c.program("kube-controller-manager"),
		"--kubeconfig", config, "--authentication-kubeconfig", config, "--authorization-kubeconfig", config,
		"--service-account-private-key-file", c.ca.Key("sa"), "--root-ca-file", c.ca.Cert("ca"),
		"--use-service-account-credentials", "--leader-elect=false", "--bind-address", "127.0.0.1",
		"--node-monitor-grace-period=12s", "--horizontal-pod-autoscaler-sync-period=5s",
		"--kube-api-qps=500", "--kube-api-burst=1000")
	if err != nil {
		return err
	}
	config = c.kubeconfigOf("scheduler")
	err = c.procs.Start("kube-scheduler", control, c.program("kube-scheduler"),
		"--kubeconfig", config, "--authentication-kubeconfig", config, "--authorization-kubeconfig", config,
		"--leader-elect=false", "--bind-address", "127.0.0.1", "--kube-api-qps=500", "--kube-api-burst=1000")
	if err != nil {
		return err
	}
	return c.until(ctx, []string{"kube-controller-manager", "kube-scheduler"}, func() error {
		_, err := c.kubectl(ctx, nil, "get", "serviceaccount", "-n", "kube-system", "default")
		return err
	})
}

// kubectl asks the cluster as its administrator.
func (c *Cluster) kubectl(ctx context.Context, in []byte, args ...string) ([]byte, error) {
	return host.Output(ctx, in, c.program("kubectl"), append([]string{"--kubeconfig", c.Kubeconfig()}, args...)...)
}

// until waits while processes run; if one has ended, it says what that one said last.
func (c *Cluster) until(ctx context.Context, processes []string, so func() error) error {
	ctx, cancel := context.WithTimeout(ctx, stepWithin)
	defer cancel()
	var ended error
	err := host.Until(ctx, func() error {
		for _, p := range processes {
			if !c.procs.Running(p) {
				ended = fmt.Errorf("%s has ended: %s", p, tail(c.procs.Log(p)))
				return nil
			}
		}
		return so()
	})
	return errors.Join(ended, err)
}

// tail is the end of a log.
func tail(path string) string {
	data, err := os.ReadFile(path) //nolint:gosec // it is ours
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-2000):])
}

// kubeconfig is one with everything in it. JSON is YAML.
func kubeconfig(server, ca, cert, key string) ([]byte, error) {
	file := func(path string) string {
		data, _ := os.ReadFile(path) //nolint:gosec // ours; what lacks is refused by the API server
		return base64.StdEncoding.EncodeToString(data)
	}
	type object = map[string]any
	return json.MarshalIndent(object{
		"apiVersion": "v1", "kind": "Config", "current-context": "marketstream",
		"clusters": []object{{"name": "marketstream", "cluster": object{"server": server, "certificate-authority-data": file(ca)}}},
		"users":    []object{{"name": "marketstream", "user": object{"client-certificate-data": file(cert), "client-key-data": file(key)}}},
		"contexts": []object{{"name": "marketstream", "context": object{"cluster": "marketstream", "user": "marketstream"}}},
	}, "", "  ")
}
