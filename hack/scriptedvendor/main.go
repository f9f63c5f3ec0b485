// Command scriptedvendor runs the scripted Coinbase Exchange by itself: for chaos, benchmarks
// and the curious. It prints its addresses, one a line, and runs until it is told to stop (SIGINT,
// SIGTERM, or the end of its standard input with -stdin):
//
//	ws ws://127.0.0.1:41234
//	rest http://127.0.0.1:41235
//
// Faults are commands by HTTP at the second: POST /control/drop, see coinbasetest's control.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/marketstream/marketstream/streamer/feed/coinbase/coinbasetest"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "scriptedvendor:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	var opts coinbasetest.Options
	fs := flag.NewFlagSet("scriptedvendor", flag.ContinueOnError)
	fs.Uint64Var(&opts.Seed, "seed", 1, "of prices, sizes and sides")
	products := fs.String("products", "BTC-USD=10,ETH-USD=5", "name=trades a second, …")
	fs.DurationVar(&opts.Past, "past", 0, "how long before the start trades begin")
	fs.IntVar(&opts.Keep, "keep", 0, "trades of a product to remember (default 1000000)")
	fs.StringVar(&opts.Address, "listen", "", "address of the WebSocket (default 127.0.0.1:0)")
	fs.StringVar(&opts.RESTAddress, "rest", "", "address of REST and /control/ (default 127.0.0.1:0)")
	fs.DurationVar(&opts.Heartbeat, "heartbeat", 0, "time between heartbeats (default 1s)")
	fs.IntVar(&opts.SlowBytes, "slow", 0, "bytes that a connection may lag (default 64 MiB)")
	fs.Float64Var(&opts.RequestsPerSecond, "requests", 0, "REST requests a second; below 0: any number (default 10)")
	fs.BoolVar(&opts.TLS, "tls", false, "serve TLS by a certificate made at the start")
	pem := fs.String("cert", "", "file to write that certificate to")
	stdin := fs.Bool("stdin", false, "stop at the end of standard input")
	if err := fs.Parse(args); err != nil {
		return err
	}
	for _, part := range strings.Split(*products, ",") {
		name, rate, ok := strings.Cut(part, "=")
		perSecond, err := strconv.ParseFloat(rate, 64)
		if !ok || err != nil {
			return fmt.Errorf("-products %q: want name=trades a second, as in BTC-USD=10,ETH-USD=5", part)
		}
		opts.Products = append(opts.Products, coinbasetest.Product{Name: name, PerSecond: perSecond})
	}
	v, err := coinbasetest.Start(opts)
	if err != nil {
		return err
	}
	defer func() { _ = v.Close() }()
	if *pem != "" {
		if err := os.WriteFile(*pem, v.CertificatePEM(), 0o600); err != nil {
			return fmt.Errorf("-cert: %w", err)
		}
	}
	_, _ = fmt.Fprintf(out, "ws %s\nrest %s\n", v.URL(), v.RESTURL())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *stdin {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
	}
	started := time.Now()
	<-ctx.Done()
	s := v.Stats()
	fmt.Fprintf(os.Stderr, "scriptedvendor: ran for %v: %d trades, %d connections, %d requests\n", time.Since(started).Round(time.Second), s.Trades, s.Accepted, s.Requests)
	return nil
}
