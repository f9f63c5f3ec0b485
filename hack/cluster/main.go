// Command cluster builds the programs of Kubernetes, and runs a cluster of one to three nodes on this machine.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/marketstream/marketstream/hack/kube"
)

const usage = `usage: cluster build [PROGRAM …]
  build   build the programs of Kubernetes that the cache lacks; without names, what tests need`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("no command\n%s", usage)
	}
	switch args[0] {
	case "build":
		programs := args[1:]
		if len(programs) == 0 {
			programs = kube.Tests
		}
		dir, err := kube.Assets(ctx, say(), programs...)
		if err == nil {
			fmt.Println(dir)
		}
		return err
	default:
		return fmt.Errorf("command %q: there is build\n%s", args[0], usage)
	}
}

// say prints lines with the seconds since it was made.
func say() func(string) {
	began := time.Now()
	return func(line string) { fmt.Fprintf(os.Stderr, "%5.0f s  %s\n", time.Since(began).Seconds(), line) }
}
