package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/marketstream/marketstream/hack/cluster/host"
	"github.com/marketstream/marketstream/hack/kube"
)

// given finds a cluster that is there already: the one in KUBECONFIG, or one of kind's. It gives the path of its
// kubeconfig, or nothing if there is none; own is that of the cluster that we would make.
func given(ctx context.Context, log func(string), own string) (path string, err error) {
	if path := os.Getenv("KUBECONFIG"); path != "" && path != own {
		if out, err := exec.CommandContext(ctx, "kubectl", "get", "nodes").CombinedOutput(); err != nil {
			return "", fmt.Errorf("KUBECONFIG=%s names no cluster that answers; unset it to have one made here: %w\n%s", path, err, strings.TrimSpace(string(out)))
		}
		log("KUBECONFIG is set: that cluster is used, and none is made")
		return path, nil
	}
	if _, err := exec.LookPath("kind"); err != nil {
		return "", nil //nolint:nilerr // most machines have none
	}
	out, err := host.Output(ctx, nil, "kind", "get", "clusters")
	if err != nil {
		return "", err
	}
	names := strings.Fields(string(out))
	if len(names) == 0 {
		log("kind is here, but runs no cluster; one is made without it")
		return "", nil
	}
	text, err := host.Output(ctx, nil, "kind", "get", "kubeconfig", "--name", names[0])
	if err != nil {
		return "", err
	}
	dir, err := kube.Cache("kind")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	path = filepath.Join(dir, names[0]+".kubeconfig")
	log("kind runs the cluster " + names[0] + ": it is used, and none is made")
	return path, os.WriteFile(path, text, 0o600)
}
