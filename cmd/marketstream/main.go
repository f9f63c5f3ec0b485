// Command marketstream streams live market data: one binary for all its parts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// version is set by the linker.
var version = "dev"

// command is one subcommand. run returns nil, or an error whose text is one sentence for
// the person who typed it.
type command struct {
	name  string
	usage string
	brief string
	run   func(ctx context.Context, args []string, out, errs io.Writer) error
}

var commands = []command{
	{"run", "run -f FILE [flags]", "run a MarketStream on this machine: log, feed, bars and streams in one process", runCommand},
	{"streamer", "streamer --config DIR --backbone URL [flags]", "run one of the many processes of a MarketStream", streamerCommand},
	{"operator", "operator --image IMAGE [flags]", "run the operator of a Kubernetes cluster: MarketStream objects in, pods out", operatorCommand},
	{"tail", "tail SYMBOL [flags]", "print the bars of a running stream as they close", tailCommand},
	{"backbone", "backbone --store DIR …", "run a node of a backbone, the logs that the pods of a stream share", backboneCommand},
	{"version", "version", "print the version; --version does too", versionCommand},
}

// errUsage says that the command line was wrong and that this was already printed.
var errUsage = errors.New("usage")

func main() {
	os.Exit(dispatch(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// dispatch runs the subcommand that args name and returns the exit code: 0, 1 for a
// failure, 2 for a wrong command line.
func dispatch(ctx context.Context, args []string, out, errs io.Writer) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage(out)
		return 0
	}
	name := args[0]
	if name == "--version" || name == "-version" {
		name = "version"
	}
	for _, c := range commands {
		if c.name != name {
			continue
		}
		err := c.run(ctx, args[1:], out, errs)
		switch {
		case err == nil, errors.Is(err, flag.ErrHelp):
			return 0
		case errors.Is(err, errUsage):
			return 2
		}
		fmt.Fprintln(errs, "marketstream "+c.name+":", err)
		return 1
	}
	fmt.Fprintf(errs, "marketstream: there is no command %q; marketstream help lists them\n", args[0])
	return 2
}

func usage(out io.Writer) {
	fmt.Fprint(out, "MarketStream: live market data as Server-Sent Events.\n\n")
	for _, c := range commands {
		fmt.Fprintf(out, "  marketstream %-50s %s\n", c.usage, c.brief)
	}
	fmt.Fprint(out, "\nmarketstream COMMAND -h lists a command's flags.\n")
}

// newFlags makes the flag set of a command; its errors go to errs.
func newFlags(name string, errs io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("marketstream "+name, flag.ContinueOnError)
	fs.SetOutput(errs)
	return fs
}

// parse parses args. An error was already printed by the flag set.
func parse(fs *flag.FlagSet, args []string) error {
	err := fs.Parse(args)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	return errUsage
}

func versionCommand(_ context.Context, _ []string, out, _ io.Writer) error {
	_, err := fmt.Fprintln(out, "marketstream", version)
	return err
}
