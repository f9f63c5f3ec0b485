// Command cluster builds the programs of Kubernetes, and runs a cluster of one to three nodes on this machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/marketstream/marketstream/hack/cluster/image"
	"github.com/marketstream/marketstream/hack/cluster/local"
	"github.com/marketstream/marketstream/hack/kube"
)

const usage = `usage: cluster COMMAND
  build [PROGRAM …]     build the programs of Kubernetes that the cache lacks; without names, what tests need
  up [flags]            bring a cluster up, or what lacks of it: -nodes 1 -ingress -prometheus
  down                  stop it and remove its state; programs and images stay in the cache
  load IMAGE.tar        import an image into every node
  image NAME BINARY TAR make an image FROM scratch of a static binary
up does nothing where KUBECONFIG names a cluster.`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	command, args := args[0], args[1:]
	fs := flag.NewFlagSet(command, flag.ContinueOnError)
	fs.Usage = func() { fmt.Fprintln(os.Stderr, usage); fs.PrintDefaults() }
	opts := local.Options{Log: say()}
	fs.StringVar(&opts.Dir, "dir", "/var/lib/marketstream-cluster", "where the cluster keeps its state")
	fs.IntVar(&opts.Nodes, "nodes", 1, "nodes, 1 to 3")
	fs.BoolVar(&opts.Ingress, "ingress", true, "Traefik, with Ingress and Gateway API")
	fs.BoolVar(&opts.Prometheus, "prometheus", false, "prometheus-operator and a Prometheus")
	if err := fs.Parse(args); err != nil {
		return err
	}
	switch command {
	case "build":
		return build(ctx, opts.Log, fs.Args())
	case "image":
		if fs.NArg() != 3 {
			return errors.New(usage)
		}
		in := "/" + filepath.Base(fs.Arg(1))
		return image.Image{Name: fs.Arg(0), Entrypoint: []string{in}, User: "65532", Files: map[string]string{in: fs.Arg(1)}}.Write(fs.Arg(2))
	}
	if command == "up" && os.Getenv("KUBECONFIG") != "" {
		return given(ctx, opts)
	}
	c, err := local.New(opts)
	if err != nil {
		return err
	}
	switch command {
	case "up":
		if err := c.Up(ctx); err != nil {
			return err
		}
		fmt.Printf("export KUBECONFIG=%s\n", c.Kubeconfig())
		return nil
	case "down":
		return c.Down(ctx)
	case "load":
		if fs.NArg() != 1 {
			return errors.New(usage)
		}
		opts.Nodes = 3
		if c, err = local.New(opts); err != nil {
			return err
		}
		return c.Load(ctx, fs.Arg(0))
	}
	return fmt.Errorf("command %q\n%s", command, usage)
}

// build has the cache hold programs, and prints where.
func build(ctx context.Context, log func(string), programs []string) error {
	if len(programs) == 0 {
		programs = kube.Tests
	}
	dir, err := kube.Assets(ctx, log, programs...)
	if err == nil {
		fmt.Println(dir)
	}
	return err
}

// given says that a cluster is there, unless it is ours, which is brought up to date.
func given(ctx context.Context, opts local.Options) error {
	path := os.Getenv("KUBECONFIG")
	if c, err := local.New(opts); err == nil && path == c.Kubeconfig() {
		if err := c.Up(ctx); err != nil {
			return err
		}
		fmt.Printf("export KUBECONFIG=%s\n", path)
		return nil
	}
	out, err := exec.CommandContext(ctx, "kubectl", "get", "nodes").CombinedOutput() //nolint:gosec // no input
	if err != nil {
		return fmt.Errorf("KUBECONFIG=%s names no cluster that answers; unset it to have one made here: %w\n%s", path, err, strings.TrimSpace(string(out)))
	}
	opts.Log("KUBECONFIG is set: that cluster is used, and none is made")
	fmt.Printf("%sexport KUBECONFIG=%s\n", out, path)
	return nil
}

// say prints lines with the seconds since it was made.
func say() func(string) {
	began := time.Now()
	return func(line string) { fmt.Fprintf(os.Stderr, "%5.0f s  %s\n", time.Since(began).Seconds(), line) }
}
