// Command chaos runs a whole MarketStream on this machine, does bad things to it, and holds every
// client's whole history against the vendor's trades:
//
//	make chaos SEED=7 FAULTS=100
//	cd hack && go run ./chaos -seed 7 -faults 20 -kinds pod-kill,cut
//	make scenario NAME=reshard CLIENTS=1000
//
// It starts three backbone nodes, four streamers, the scripted vendor and 200 EventSources, 50 of them slow. From the
// seed it draws faults and does them one after another. In the end everything is mended, and
// an oracle that knows every trade looks: bars lost, twice, wrong, still partial; clients stuck;
// memory over its bound. If something is wrong it prints what happened around it, and exits with 1.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/run"
	"github.com/marketstream/marketstream/hack/chaos/scenario"
)

// given reports whether a flag was named.
func given(name string) (is bool) {
	flag.Visit(func(f *flag.Flag) { is = is || f.Name == name })
	return is
}

func main() {
	o := run.Options{Out: os.Stdout}
	flag.Uint64Var(&o.Seed, "seed", 0, "what faults are drawn from; 0: the time")
	flag.IntVar(&o.Faults, "faults", 100, "how many")
	name := flag.String("scenario", "", "a planned course of things instead of faults; see the package scenario")
	kinds := flag.String("kinds", "", "only these kinds of faults, with commas; empty: all")
	flag.IntVar(&o.Clients, "clients", 200, "EventSources")
	flag.IntVar(&o.Slow, "slow", 50, "how many of them are slow")
	flag.IntVar(&o.Nodes, "nodes", 3, "nodes of the backbone: 1 or 3")
	flag.IntVar(&o.Pods, "pods", 4, "streamers at the beginning; faults scale up to twice as many")
	flag.BoolVar(&o.Disk, "disk", os.Getuid() == 0, "give each node a small file system of its own, that can be filled (as root)")
	flag.BoolVar(&o.KeepGoing, "keep-going", false, "do all faults, though something is wrong already")
	flag.StringVar(&o.Dir, "dir", "", "for stores and logs; empty: a new one that is removed if all is well")
	flag.StringVar(&o.Binary, "binary", "", "of marketstream; empty: it is built")
	flag.DurationVar(&o.Settle, "settle", 5*time.Minute, "how long repair is given in the end")
	flag.DurationVar(&o.Pause, "pause", 5*time.Second, "the longest time between two faults")
	flag.Parse()
	if *name != "" {
		s, clients, err := scenario.Named(*name)
		if err != nil {
			fmt.Fprintln(os.Stderr, "chaos:", err)
			os.Exit(2)
		}
		o.Scenario = s
		if !given("clients") {
			o.Clients = clients
		}
	}
	if *kinds != "" {
		o.Kinds = strings.Split(*kinds, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	r, err := run.Run(ctx, o)
	stop()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(2)
	case !r.Good():
		os.Exit(1)
	}
}
