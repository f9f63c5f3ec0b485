// Command cluster builds the programs of Kubernetes, and runs a cluster of one to three nodes on this machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
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
  cached [flags]        say what up would have to build; it fails if there is anything
  up [flags]            bring a cluster up, or what lacks of it: -nodes 1 -ingress -prometheus
  down                  stop it and remove its state; programs and images stay in the cache
  load IMAGE.tar        import an image into every node
  image NAME BINARY TAR make an image FROM scratch of a static binary
up uses the cluster that KUBECONFIG names, or one of kind's, and makes none then`

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
	case "cached":
		return cached(ctx, opts)
	case "image":
		if fs.NArg() != 3 {
			return errors.New(usage)
		}
		in := "/" + filepath.Base(fs.Arg(1))
		return image.Image{Name: fs.Arg(0), Entrypoint: []string{in}, User: "65532", Files: map[string]string{in: fs.Arg(1)}}.Write(fs.Arg(2))
	}
	switch command {
	case "up":
		return up(ctx, opts)
	case "down", "load":
		opts.Nodes = 3 // of whatever number it is
		c, err := local.New(opts)
		if err != nil {
			return err
		}
		if command == "down" {
			return c.Down(ctx)
		}
		if fs.NArg() != 1 {
			return errors.New(usage)
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

// cached fails and names them if there are programs that Up would have to build.
func cached(ctx context.Context, opts local.Options) error {
	lacks, err := kube.Missing(append(append([]string{}, kube.Tests...), kube.Node...)...)
	if err != nil {
		return err
	}
	for _, name := range local.Addons(opts) {
		there, err := kube.Has(ctx, name)
		if err != nil {
			return err
		}
		if !there {
			lacks = append(lacks, name)
		}
	}
	if len(lacks) > 0 {
		return fmt.Errorf("not built yet: %s", strings.Join(lacks, ", "))
	}
	return nil
}

// up prints the kubeconfig of the cluster that is there, or is made.
func up(ctx context.Context, opts local.Options) error {
	path, err := given(ctx, opts.Log, local.Kubeconfig(opts.Dir))
	if err == nil && path == "" {
		var c *local.Cluster
		if c, err = local.New(opts); err == nil {
			path, err = local.Kubeconfig(opts.Dir), c.Up(ctx)
		}
	}
	if err != nil {
		return err
	}
	fmt.Printf("export KUBECONFIG=%s\n", path)
	return nil
}

// say prints lines with the seconds since it was made.
func say() func(string) {
	began := time.Now()
	return func(line string) { fmt.Fprintf(os.Stderr, "%5.0f s  %s\n", time.Since(began).Seconds(), line) }
}
