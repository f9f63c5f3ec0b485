// Command kubectl-marketstream is a plugin of kubectl for MarketStreams: `kubectl marketstream status NAME`.
// It needs no more rights than its user has, and what it shows is what the API server has, not a guess.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version = "dev"

// command is one subcommand. args are what stands before and after its flags.
type command struct {
	name, operands string
	brief          string
	run            func(ctx context.Context, c *cluster, args []string, out, errs io.Writer) error
}

var commands = []command{
	{"status", "NAME", "what a stream does, its conditions and why", status},
	{"shards", "NAME", "the pods of a stream and the partitions that each holds", shards},
	{"tail", "NAME SYMBOL…", "print bars as they close, through the API server", tailSymbols},
	{"drain", "NAME POD", "have a pod let its clients go and another take its place", drain},
	{"pause", "NAME", "stop all changes to what is made for a stream; it goes on serving", pause},
	{"resume", "NAME", "end a pause", resume},
}

// errUsage says that the command line was wrong and that this was already printed.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	code := dispatch(ctx, connect, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code) //nolint:gocritic // stop has run
}

// dispatch runs the subcommand that args name and returns the exit code: 0, 1 for a failure, 2 for
// a wrong command line.
func dispatch(ctx context.Context, open opener, args []string, out, errs io.Writer) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage(out)
		return 0
	}
	if args[0] == "version" || args[0] == "--version" {
		_, _ = fmt.Fprintln(out, "kubectl-marketstream", version)
		return 0
	}
	for _, c := range commands {
		if c.name != args[0] {
			continue
		}
		err := c.start(ctx, open, args[1:], out, errs)
		switch {
		case err == nil, errors.Is(err, flag.ErrHelp):
			return 0
		case errors.Is(err, errUsage):
			return 2
		}
		fmt.Fprintf(errs, "kubectl marketstream %s: %v\n", c.name, err)
		return 1
	}
	fmt.Fprintf(errs, "kubectl marketstream: there is no command %q; kubectl marketstream help lists them\n", args[0])
	return 2
}

func usage(out io.Writer) {
	_, _ = fmt.Fprint(out, "MarketStreams in a cluster.\n\n")
	for _, c := range commands {
		_, _ = fmt.Fprintf(out, "  kubectl marketstream %-22s %s\n", c.name+" "+c.operands, c.brief)
	}
	_, _ = fmt.Fprint(out, "\nFlags of each: -n NAMESPACE, --context NAME, --kubeconfig FILE. kubectl marketstream version prints the version.\n")
}

// start parses the command line, opens the cluster and runs.
func (c command) start(ctx context.Context, open opener, args []string, out, errs io.Writer) error {
	fs := flag.NewFlagSet("kubectl marketstream "+c.name, flag.ContinueOnError)
	fs.SetOutput(errs)
	fs.Usage = func() {
		fmt.Fprintf(errs, "kubectl marketstream %s %s: %s\n", c.name, c.operands, c.brief)
		fs.PrintDefaults()
	}
	var t target
	fs.StringVar(&t.namespace, "n", "", "namespace; empty: that of the context")
	fs.StringVar(&t.namespace, "namespace", "", "the same")
	fs.StringVar(&t.context, "context", "", "context of the kubeconfig")
	fs.StringVar(&t.kubeconfig, "kubeconfig", "", "file; empty: as kubectl finds it")
	operands, err := parseAround(fs, args)
	if err != nil {
		return err
	}
	want := map[string]int{"NAME": 1, "NAME POD": 2, "NAME SYMBOL…": 2}[c.operands]
	if len(operands) < want || len(operands) > want && c.name != "tail" {
		fmt.Fprintf(errs, "want: kubectl marketstream %s %s\n", c.name, c.operands)
		return errUsage
	}
	cl, err := open(t)
	if err != nil {
		return err
	}
	return c.run(ctx, cl, operands, out, errs)
}

// parseAround parses flags that stand before, between or after the operands.
func parseAround(fs *flag.FlagSet, args []string) (operands []string, err error) {
	for {
		if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
			return nil, err
		} else if err != nil {
			return nil, errUsage
		}
		if args = fs.Args(); len(args) == 0 {
			return operands, nil
		}
		operands, args = append(operands, args[0]), args[1:]
	}
}
