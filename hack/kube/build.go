package kube

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// unfinished begins the names of directories of builds that are under way, or were interrupted.
const unfinished = ".building-"

// tellEvery is how often a build says how far it is.
const tellEvery = 20 * time.Second

// Build is a main package of a module that Into builds.
type Build struct {
	Name    string // of the program
	Package string
	Module  string   // directory of its go.mod: absolute, or below hack/kube/modules
	Flags   []string // of go build
	// Overlay has a file of the module's directory take the place of one of a dependency: "module path:file in it".
	Overlay map[string]string
}

// buildInto builds those programs that dir lacks.
func buildInto(ctx context.Context, log func(string), dir string, programs []string) error {
	var builds []Build
	for _, p := range programs {
		builds = append(builds, Build{Name: p, Package: packages[p], Module: "kubernetes", Flags: []string{"-ldflags", ldflags()}})
	}
	return Into(ctx, log, dir, builds...)
}

// Into builds the programs that dir lacks, each whole or not at all; one process at a time does, and the others wait.
func Into(ctx context.Context, log func(string), dir string, builds ...Build) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // programs are for everyone
		return err
	}
	unlock, err := lock(ctx, log, dir+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	left, err := filepath.Glob(filepath.Join(dir, unfinished+"*"))
	if err != nil {
		return err
	}
	for _, l := range left { // we hold the lock, so nobody is at work there
		if err := os.RemoveAll(l); err != nil {
			return err
		}
	}
	for _, b := range builds {
		if len(lacking(dir, []string{b.Name})) == 0 {
			continue // another process built it while we waited
		}
		if err := b.into(ctx, log, dir); err != nil {
			return err
		}
	}
	return nil
}

func (b Build) into(ctx context.Context, log func(string), dir string) error {
	began := time.Now()
	work, err := os.MkdirTemp(dir, unfinished)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	module, err := moduleDir(ctx, b.Module)
	if err != nil {
		return err
	}
	log(fmt.Sprintf("%s: building %s; this is done once and kept in %s", b.Name, b.Package, dir))
	out := filepath.Join(work, b.Name)
	args := append([]string{"build", "-v", "-o", out}, b.Flags...)
	overlay, err := b.overlay(ctx, module, work)
	if err != nil {
		return err
	}
	cmd := command(ctx, module, append(append(args, overlay...), b.Package)...)
	if err := b.run(cmd, began, log); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w; what was compiled is kept", b.Name, ctx.Err())
		}
		return err
	}
	if err := os.Rename(out, filepath.Join(dir, b.Name)); err != nil {
		return err
	}
	log(fmt.Sprintf("%s: built in %.0f s", b.Name, time.Since(began).Seconds()))
	return nil
}

// command is one of go's in a module. The build is the same wherever it runs: no workspace, no cgo.
func command(ctx context.Context, module string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // the arguments are ours
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	ownGroup(cmd)
	return cmd
}

// run runs a build and tells how far it is. What go prints that is no package's name is in the error.
func (b Build) run(cmd *exec.Cmd, began time.Time, log func(string)) error {
	total := b.count(cmd)
	r, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	var compiled, downloaded atomic.Int64
	ended := make(chan struct{})
	told := make(chan struct{})
	go func() {
		defer close(told)
		tick := time.NewTicker(tellEvery)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				log(fmt.Sprintf("%s: %d packages compiled of %d or less, %d modules downloaded; %.0f s",
					b.Name, compiled.Load(), total, downloaded.Load(), time.Since(began).Seconds()))
			}
		}
	}()
	said := follow(r, &compiled, &downloaded)
	err = cmd.Wait()
	close(ended)
	<-told
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", b.Name, err, said)
	}
	return nil
}

// follow counts what go says, until it ends, and keeps the last lines of the rest.
func follow(r io.Reader, compiled, downloaded *atomic.Int64) string {
	const keep = 40
	var rest []string
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		switch line := in.Text(); {
		case strings.HasPrefix(line, "go: downloading "):
			downloaded.Add(1)
		case line != "" && !strings.ContainsAny(line, " \t:#"):
			compiled.Add(1)
		default:
			rest = append(rest, line)
			rest = rest[max(0, len(rest)-keep):]
		}
	}
	_, _ = io.Copy(io.Discard, r)
	return strings.Join(rest, "\n")
}

// count is how many packages a program has, or 0 if that cannot be said: the build will say why.
func (b Build) count(like *exec.Cmd) int {
	cmd := exec.Command("go", "list", "-deps", b.Package) //nolint:gosec // the arguments are ours
	cmd.Dir, cmd.Env = like.Dir, like.Env
	out, err := cmd.Output()
	if err != nil {
		return 0
	}
	return bytes.Count(out, []byte{'\n'})
}

// moduleDir is the directory of one of our modules, wherever in the hack module we run.
func moduleDir(ctx context.Context, name string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "github.com/marketstream/marketstream/hack/kube").Output()
	if err != nil {
		return "", fmt.Errorf("where the modules are (this runs in the hack module): %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "modules", name), nil
}
