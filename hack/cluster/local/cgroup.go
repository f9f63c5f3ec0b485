package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

const cgroups = "/sys/fs/cgroup"

// cgroup is that of a node, below which its kubelet puts pods.
func cgroup(node string) string { return "/msc-" + node }

// hierarchies are where a node's cgroup must be: one for each controller in version 1, one in all in version 2.
func hierarchies() ([]string, error) {
	if _, err := os.Stat(filepath.Join(cgroups, "cgroup.controllers")); err == nil {
		return []string{cgroups}, nil
	}
	entries, err := os.ReadDir(cgroups)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		dir := filepath.Join(cgroups, e.Name())
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil && e.Name() != "unified" && e.Type()&fs.ModeSymlink == 0 {
			out = append(out, dir)
		}
	}
	return out, nil
}

// makeCgroup makes a node's cgroup. The kubelet does not make its root.
func makeCgroup(node string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		dir := filepath.Join(h, cgroup(node))
		if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // as all there are
			return err
		}
		// In version 2 what a cgroup's children have is what it is told to give them; version 1 has no such file.
		_ = os.WriteFile(filepath.Join(h, "cgroup.subtree_control"), []byte("+cpu +memory +pids +cpuset"), 0o600)
		for _, f := range []string{"cpuset.cpus", "cpuset.mems"} { // in version 1 a new cpuset has no CPU
			data, err := os.ReadFile(filepath.Join(h, f)) //nolint:gosec // the kernel's
			if err != nil {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, f), data, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeCgroup removes a node's cgroup, whose processes have ended.
func removeCgroup(node string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	all = append(all, filepath.Join(cgroups, "unified")) // where both versions are, runc makes it there too
	for _, h := range all {
		var dirs []string
		err := filepath.WalkDir(filepath.Join(h, cgroup(node)), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil // it may be gone
		})
		for i := len(dirs) - 1; i >= 0; i-- {
			err = errors.Join(err, os.Remove(dirs[i]))
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
