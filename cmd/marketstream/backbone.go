package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/marketstream/marketstream/streamer/backbone"
)

// backboneCommand runs a node of a backbone in this process.
func backboneCommand(ctx context.Context, args []string, out, errs io.Writer) error {
	fs := newFlags("backbone", errs)
	o := backbone.NodeOptions{Version: version}
	fs.StringVar(&o.Store, "store", "", "directory that keeps everything, on a volume of its own (required)")
	fs.BoolVar(&o.OnVolume, "on-volume", false, "refuse a store on the root file system: its volume is not mounted")
	fs.StringVar(&o.Name, "name", "", "name of this node, the same for ever; ends in its place, -0, -1 or -2 (required)")
	fs.StringVar(&o.Listen, "listen", "127.0.0.1:4222", "address for streamers")
	fs.StringVar(&o.ClusterListen, "cluster-listen", "", "address for the other nodes")
	routes := fs.String("routes", "", "cluster addresses of all three nodes, this one too: host:port,host:port,host:port")
	fs.IntVar(&o.Replicas, "replicas", 1, "nodes that are wanted: 1 or 3; a change moves what is stored")
	fs.StringVar(&o.Credentials, "credentials", "", "file with the token that streamers and nodes show; its last two values are taken, and it is waited for; empty: whoever comes is let in")
	fs.StringVar(&o.CredentialsSecret, "credentials-secret", "", "name of the Secret that --credentials is of, for /status")
	fs.StringVar(&o.TLSSecret, "tls-secret", "", "name of the Secret that --tls-cert is of, for /status")
	fs.StringVar(&o.Cert, "tls-cert", "", "file with this node's certificate; read again when it changes")
	fs.StringVar(&o.Key, "tls-key", "", "file with its key")
	fs.StringVar(&o.CA, "tls-ca", "", "file with the certificates that other nodes' are signed by")
	fs.StringVar(&o.HealthListen, "health-listen", "127.0.0.1:8222", "address for /healthz, /readyz, /status and /metrics")
	store := fs.String("max-store", "0", "most to store in files, such as 8Gi; 0: 80 % of the volume, and never more")
	memory := fs.String("max-memory", "0", "most to store in memory; 0: 768Mi")
	format := fs.String("log-format", "console", "console or json")
	level := fs.String("log-level", "info", "debug, info or error")
	if err := parse(fs, args); err != nil {
		return err
	}
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("unexpected %q: backbone takes flags only", fs.Arg(0))
	case o.Store == "":
		return errors.New("name a directory: marketstream backbone --store DIR --name NAME-0")
	case o.Name == "":
		return errors.New("name this node: --name NAME-0, the same at every start")
	}
	var err error
	if o.MaxStore, err = bytesFlag("--max-store", *store); err != nil {
		return err
	}
	if o.MaxMemory, err = bytesFlag("--max-memory", *memory); err != nil {
		return err
	}
	if *routes != "" {
		o.Routes = strings.Split(*routes, ",")
	}
	var flush func()
	if o.Log, flush, err = newLogger(*format, *level, errs); err != nil {
		return err
	}
	defer flush()
	began := time.Now()
	var printing sync.Mutex // the node and we both say what goes on
	o.Progress = func(what string) {
		printing.Lock()
		defer printing.Unlock()
		if *format == "json" { // a log that programs read has nothing else in it
			o.Log.Info("backbone", "step", what)
			return
		}
		_, _ = fmt.Fprintf(out, "  %5.1f s  %s\n", time.Since(began).Seconds(), what)
	}
	ctx, hurry, stop := untilSignal(ctx)
	defer stop()
	o.Progress(fmt.Sprintf("MarketStream %s · backbone %s, store %s", version, o.Name, o.Store))
	n, err := backbone.StartNode(ctx, o)
	if err != nil {
		return err
	}
	o.Progress("probes at http://" + n.HealthAddr())
	select {
	case <-ctx.Done():
	case <-n.Done():
	}
	return errors.Join(n.Err(), n.Stop(hurry))
}

// bytesFlag reads a number of bytes: 1048576, 512Mi, 8Gi.
func bytesFlag(flag, text string) (int64, error) {
	digits, unit := text, int64(1)
	for suffix, bytes := range map[string]int64{"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40} {
		if d, ok := strings.CutSuffix(text, suffix); ok {
			digits, unit = d, bytes
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return 0, fmt.Errorf("%s %q: want a number of bytes, such as 512Mi or 8Gi", flag, text)
	}
	return n * unit, nil
}
