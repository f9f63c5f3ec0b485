package kube

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/modfile"
)

func TestVersionIsTheModules(t *testing.T) {
	path := filepath.Join("modules", "kubernetes", "go.mod")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := modfile.Parse(path, text, nil)
	if err != nil {
		t.Fatal(err)
	}
	staging := "v0" + strings.TrimPrefix(Version, "v1")
	for _, r := range f.Require {
		if r.Mod.Path == "k8s.io/kubernetes" && r.Mod.Version != Version {
			t.Errorf("go.mod requires %s, Version is %s", r.Mod, Version)
		}
	}
	for _, r := range f.Replace {
		if r.New.Version != staging {
			t.Errorf("go.mod replaces %s by %s, not by %s", r.Old.Path, r.New, staging)
		}
	}
	tools := map[string]bool{}
	for _, tool := range f.Tool {
		tools[tool.Path] = true
	}
	for name, pkg := range packages {
		if !tools[pkg] {
			t.Errorf("%s: %s is no tool of go.mod", name, pkg)
		}
	}
	if len(f.Replace) < 30 || len(tools) != len(packages) {
		t.Errorf("%d replacements, %d tools for %d programs", len(f.Replace), len(tools), len(packages))
	}
}

// program puts an executable into a directory.
func program(t *testing.T, dir, name string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), mode); err != nil {
		t.Fatal(err)
	}
}

func TestOrder(t *testing.T) {
	given, base := t.TempDir(), t.TempDir()
	t.Setenv("XDG_CACHE_HOME", base)
	t.Setenv("KUBEBUILDER_ASSETS", given)
	cache := filepath.Join(base, "marketstream", "kube", Version)
	var said []string
	log := func(s string) { said = append(said, s) }
	program(t, cache, "etcd", 0o755)
	program(t, given, "kubectl", 0o755)

	if dir, err := Assets(t.Context(), log, "kubectl"); dir != given || err != nil {
		t.Errorf("what is given and complete: %q, %v", dir, err)
	}
	if len(said) != 0 {
		t.Errorf("said %q", said)
	}
	if dir, err := Assets(t.Context(), log, "etcd"); dir != cache || err != nil {
		t.Errorf("what is given lacks etcd: %q, %v", dir, err)
	}
	if len(said) != 1 || !strings.Contains(said[0], "it lacks etcd") {
		t.Errorf("said %q", said)
	}
	program(t, cache, "kubelet", 0o644)
	if missing, err := Missing("etcd", "kubelet", "kubectl"); len(missing) != 2 || err != nil {
		t.Errorf("missing %q, %v: a file that cannot run is none", missing, err)
	}
	if _, err := Assets(t.Context(), log, "kubeadm"); err == nil || !strings.Contains(err.Error(), "kube-apiserver, kube-controller-manager") {
		t.Errorf("a program that is not known: %v", err)
	}
}

// tiny is a build of a module of one package.
func tiny(t *testing.T, text string) Build {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string]string{"go.mod": "module tiny\n\ngo 1.26.0\n", "main.go": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Build{Name: "tiny", Package: ".", Module: dir}
}

// entries are the names in a directory.
func entries(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestBuiltOnceByOne(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	b := tiny(t, `package main; func main() { println("it runs") }`)
	program(t, filepath.Join(dir, unfinished+"1"), "tiny", 0o755) // what a build left that was killed
	var mu sync.Mutex
	built := 0
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			err := Into(t.Context(), func(s string) {
				mu.Lock()
				defer mu.Unlock()
				if strings.Contains(s, ": built in") {
					built++
				}
			}, dir, b)
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if built != 1 || entries(t, dir) != "tiny" {
		t.Errorf("built %d times, and there is %q", built, entries(t, dir))
	}
	if out, err := exec.Command(filepath.Join(dir, "tiny")).CombinedOutput(); string(out) != "it runs\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
}

func TestFailureLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	err := Into(t.Context(), func(string) {}, dir, tiny(t, `package main; func main() { nothing() }`))
	if err == nil || !strings.Contains(err.Error(), "undefined: nothing") {
		t.Errorf("the error does not say what go said: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b := tiny(t, `package main; func main() {}`)
	if err := Into(ctx, func(string) { cancel() }, dir, b); err == nil {
		t.Error("an interrupted build is none")
	}
	if got := entries(t, dir); got != "" {
		t.Errorf("left %q", got)
	}
	if err := Into(t.Context(), func(string) {}, dir, b); err != nil {
		t.Errorf("after that: %v", err)
	}
}
