package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/marketstream/marketstream/hack/cluster/host"
)

const (
	stopWithin   = 10 * time.Second
	unmountTimes = 3
)

// Down stops what Up started, of whatever number of nodes, and removes what it made but for the cache. It goes on after
// an error: what cannot be undone now is tried again by the next Down.
func (c *Cluster) Down(ctx context.Context) error {
	var failed error
	try := func(what string, err error) {
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", what, err))
		}
	}
	for i := 1; i <= 3; i++ {
		n := c.node(i)
		try("kubelet", c.procs.Stop(ctx, "kubelet-"+n.name, stopWithin)) // first, else it starts pods again
		if c.procs.Running("containerd-" + n.name) {
			try("pods", n.removeSandboxes(ctx))
		}
	}
	for _, name := range c.procs.Names() {
		if name != "etcd" && !strings.HasPrefix(name, "kube-apiserver") {
			try(name, c.procs.Stop(ctx, name, stopWithin))
		}
	}
	for _, name := range []string{"kube-apiserver", "etcd"} { // the others need them to say goodbye
		try(name, c.procs.Stop(ctx, name, stopWithin))
	}
	c.opts.Log("processes are stopped")
	try("mounts", unmountBelow(c.opts.Dir))
	for i := 1; i <= 3; i++ {
		n := c.node(i)
		try("cgroup", removeCgroup(n.name))
		try("namespace", host.DeleteNamespace(ctx, n.netns))
	}
	try("namespace", host.DeleteNamespace(ctx, control))
	try("bridge", c.bridge.Down(ctx))
	if failed != nil {
		return fmt.Errorf("%w\n%s is kept, for the next try", failed, c.opts.Dir)
	}
	c.opts.Log("network and cgroups are removed")
	return os.RemoveAll(c.opts.Dir)
}

// unmountBelow unmounts what is mounted below a directory, the deepest first; a mount may have another upon it.
func unmountBelow(dir string) error {
	for range unmountTimes {
		text, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			return err
		}
		points := mountsBelow(string(text), dir)
		if len(points) == 0 {
			return nil
		}
		for _, p := range points {
			if err := syscall.Unmount(p, 0); err != nil && !errors.Is(err, syscall.EINVAL) {
				if err := syscall.Unmount(p, syscall.MNT_DETACH); err != nil {
					return fmt.Errorf("unmount %s: %w", p, err)
				}
			}
		}
	}
	return errors.New("mounts come again below " + dir)
}

// mountsBelow are the mount points below a directory in a mountinfo, the deepest first.
func mountsBelow(mountinfo, dir string) (points []string) {
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\134`, `\`).Replace(fields[4])
		if strings.HasPrefix(point, filepath.Clean(dir)+"/") {
			points = append(points, point)
		}
	}
	slices.Sort(points)
	slices.Reverse(points)
	return points
}
