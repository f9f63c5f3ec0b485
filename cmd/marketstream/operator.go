package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/marketstream/marketstream/controllers/marketstream"
)

// operatorCommand runs the operator: it makes MarketStream objects of a cluster into pods.
func operatorCommand(ctx context.Context, args []string, _, errs io.Writer) error {
	fs := newFlags("operator", errs)
	o := marketstream.Options{OwnNamespace: os.Getenv("POD_NAMESPACE")}
	fs.StringVar(&o.Image, "image", "", "image that streams get that name none (required)")
	fs.StringVar(&o.Namespace, "namespace", "", "serve the streams of this namespace alone; empty: of all")
	fs.BoolVar(&o.LeaderElection, "leader-elect", false, "act only while holding the Lease: for more than one replica")
	fs.StringVar(&o.MetricsListen, "metrics-listen", ":8443", "address of /metrics, over HTTPS for whoever may get it; 0: none")
	fs.StringVar(&o.HealthListen, "health-listen", ":8081", "address of /healthz and /readyz; 0: none")
	fs.IntVar(&o.Workers, "workers", 4, "streams that are looked at at once")
	format := fs.String("log-format", "json", "console or json")
	level := fs.String("log-level", "info", "debug, info or error")
	if err := parse(fs, args); err != nil {
		return err
	}
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("unexpected %q: operator takes flags only", fs.Arg(0))
	case o.Workers < 1 || o.Workers > 64:
		return fmt.Errorf("--workers %d: want 1 to 64", o.Workers)
	}
	log, flush, err := newLogger(*format, *level, errs)
	if err != nil {
		return err
	}
	defer flush()
	ctrl.SetLogger(log)
	klog.SetLogger(log.WithName("client-go"))
	o.Log = log
	if o.Config, err = ctrl.GetConfig(); err != nil {
		return fmt.Errorf("find the Kubernetes API server: %w", err)
	}
	if os.Getenv("GOGC") == "" { // what caches hold is most of it, and stays: half as much again is room enough
		debug.SetGCPercent(50)
	}
	m, err := marketstream.New(o)
	if err != nil {
		return err
	}
	ctx, _, stop := untilSignal(ctx)
	defer stop()
	return m.Start(ctx)
}
