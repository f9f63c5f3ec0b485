//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/marketstream/marketstream/hack/cluster/local"
	programs "github.com/marketstream/marketstream/hack/kube"
	"github.com/marketstream/marketstream/hack/manifests"
)

// kube is kubectl, of one cluster.
type kube struct {
	config  string
	kubectl string
	path    string // where its plugin lies
	own     bool   // the cluster is hack/cluster's
}

// findCluster takes the cluster of KUBECONFIG, or the one that hack/cluster made.
func findCluster(t *testing.T) *kube {
	t.Helper()
	own := local.Kubeconfig("/var/lib/marketstream-cluster")
	k := &kube{config: os.Getenv("KUBECONFIG")}
	if k.config == "" {
		k.config = own
	}
	k.own = k.config == own
	if _, err := os.Stat(k.config); err != nil {
		t.Fatalf("no cluster: KUBECONFIG is not set, and make cluster-up made none: %v", err)
	}
	k.kubectl = "kubectl"
	if _, err := exec.LookPath("kubectl"); err != nil {
		dir, err := programs.Assets(t.Context(), func(s string) { t.Log(s) }, "kubectl")
		if err != nil {
			t.Fatal(err)
		}
		k.kubectl = filepath.Join(dir, "kubectl")
	}
	k.path = t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(k.path, "kubectl-marketstream"), "./cmd/kubectl-marketstream")
	build.Dir = manifests.Root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the plugin: %v\n%s", err, out)
	}
	if out, err := k.try(t.Context(), "", "get", "nodes"); err != nil {
		t.Fatalf("the cluster of %s does not answer: %v\n%s", k.config, err, out)
	}
	return k
}

// command is one of kubectl's.
func (k *kube) command(ctx context.Context, in string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, k.kubectl, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+k.config, "PATH="+k.path+":"+os.Getenv("PATH"))
	cmd.Stdin = strings.NewReader(in)
	return cmd
}

// try gives what kubectl prints.
func (k *kube) try(ctx context.Context, in string, args ...string) (string, error) {
	cmd := k.command(ctx, in, args...)
	var out, bad bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &bad
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(bad.String()))
	}
	return out.String(), nil
}

// do must succeed.
func (k *kube) do(t *testing.T, args ...string) string {
	t.Helper()
	return k.with(t, "", args...)
}

// with is do with an input.
func (k *kube) with(t *testing.T, in string, args ...string) string {
	t.Helper()
	out, err := k.try(t.Context(), in, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// apply is kubectl apply of a text.
func (k *kube) apply(t *testing.T, namespace, text string) {
	t.Helper()
	k.with(t, text, "apply", "-n", namespace, "-f", "-")
}

// field is a JSONPath of an object, "" if the object or the field is not there.
func (k *kube) field(ctx context.Context, namespace, object, path string) string {
	out, err := k.try(ctx, "", "get", "-n", namespace, object, "--ignore-not-found", "-o", "jsonpath="+path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(out)
}

// list reads objects into a value.
func (k *kube) list(t *testing.T, into any, args ...string) {
	t.Helper()
	if err := json.Unmarshal([]byte(k.do(t, append(append([]string{"get"}, args...), "-o", "json")...)), into); err != nil {
		t.Fatal(err)
	}
}

// pod is what scenarios look at.
type pod struct {
	Metadata struct {
		Name, UID         string
		DeletionTimestamp *string
		CreationTimestamp string
	}
	Spec struct {
		Containers []struct{ Image string }
	}
	Status struct {
		PodIP             string
		Phase             string
		ContainerStatuses []struct {
			Ready        bool
			RestartCount int
			State        struct{ Running *struct{} }
		}
	}
}

// draining reports whether a pod has been told to end and runs still.
func (p *pod) draining() bool {
	for _, c := range p.Status.ContainerStatuses {
		if c.State.Running != nil && p.Metadata.DeletionTimestamp != nil {
			return true
		}
	}
	return false
}

const streamers = "app.kubernetes.io/component=streamer"

// pods are those of a selector.
func (k *kube) pods(t *testing.T, namespace, selector string) []pod {
	t.Helper()
	var list struct{ Items []pod }
	k.list(t, &list, "pods", "-n", namespace, "-l", selector)
	return list.Items
}

// identities are the pods and how often their containers began, to see that nothing was restarted.
func identities(pods []pod) string {
	var out []string
	for _, p := range pods {
		for _, c := range p.Status.ContainerStatuses {
			out = append(out, fmt.Sprintf("%s %s %d", p.Metadata.Name, p.Metadata.UID, c.RestartCount))
		}
	}
	return strings.Join(out, "\n")
}

// ready waits until a stream is Ready at its generation; what it waits for is said.
func (k *kube) ready(t *testing.T, namespace, name string) {
	t.Helper()
	eventually(t, hangs, func() string {
		got := k.field(t.Context(), namespace, "marketstream/"+name,
			`{.metadata.generation} {.status.observedGeneration} {.status.conditions[?(@.type=="Ready")].status} {range .status.conditions[*]}{.type}={.reason}: {.message}{"\n"}{end}`)
		var generation, observed int
		var status string
		_, _ = fmt.Sscan(got, &generation, &observed, &status)
		if generation == observed && status == "True" {
			return ""
		}
		return got
	})
}
