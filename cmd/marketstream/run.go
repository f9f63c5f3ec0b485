package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // calendars need the time zones, also where the system has none

	v1alpha1 "github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/streamer/engine"
)

// drainFor is how long the streams of a laptop are given to end.
const drainFor = 2 * time.Second

// runCommand runs a MarketStream document in this process.
func runCommand(ctx context.Context, args []string, out, errs io.Writer) error {
	fs := newFlags("run", errs)
	file := fs.String("f", "", "the MarketStream document, a YAML file (required)")
	listen := fs.String("listen", "127.0.0.1:8080", "address for browsers")
	internal := fs.String("internal-listen", "127.0.0.1:9090", "address for metrics, probes and status")
	data := fs.String("data", "", "directory that keeps the log of bars; empty: in memory, lost at exit")
	format := fs.String("log-format", "console", "console or json")
	level := fs.String("log-level", "info", "debug, info or error")
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected %q: run takes flags only", fs.Arg(0))
	}
	if *file == "" {
		return errors.New("name a document: marketstream run -f config/samples/demo.yaml")
	}
	log, flush, err := newLogger(*format, *level, errs)
	if err != nil {
		return err
	}
	defer flush()
	source, doc, ignored, err := readDocument(*file)
	if err != nil {
		return err
	}
	public, err := bind("--listen", *listen)
	if err != nil {
		return err
	}
	inside, err := bind("--internal-listen", *internal)
	if err != nil {
		_ = public.Close()
		return err
	}
	ctx, hurry, stop := untilSignal(ctx)
	defer stop()
	say := &teller{out: out, began: time.Now()}
	say.welcome(doc, *data, ignored)
	return engine.Run(ctx, engine.Options{
		Document: doc, Input: engine.Input{Document: source}, Read: func() (engine.Input, error) {
			data, err := os.ReadFile(*file)
			return engine.Input{Document: data}, err
		},
		DataDir: *data, Public: public, Internal: inside,
		Version: version, Log: log, DrainFor: drainFor, Progress: say.progress,
		Ready: func() { say.ready(doc, public.Addr().String(), inside.Addr().String()) },
	}, hurry)
}

// readDocument reads, checks and resolves a document; ignored are the fields that have no
// effect on one machine.
func readDocument(file string) (source []byte, doc *v1alpha1.MarketStream, ignored []string, err error) {
	source, err = os.ReadFile(file)
	if err != nil {
		return nil, nil, nil, err
	}
	doc, ignored, err = checkDocument(file, source)
	return source, doc, ignored, err
}

// checkDocument decodes a document and finds out whether it can be run.
func checkDocument(file string, source []byte) (doc *v1alpha1.MarketStream, ignored []string, err error) {
	if doc, err = v1alpha1.Decode(source); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := v1alpha1.Validate(doc).ToAggregate(); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	if ignored, err = v1alpha1.CheckRunnable(doc); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	return doc, ignored, nil
}

func bind(flag, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use by another program: choose another address with %s", address, flag)
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", flag, address, err)
	}
	return l, nil
}

// untilSignal ends ctx at the first SIGINT or SIGTERM and closes hurry at the second.
func untilSignal(ctx context.Context) (_ context.Context, hurry <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	second, ended := make(chan struct{}), make(chan struct{})
	go func() {
		for n := 0; n < 2; n++ {
			select {
			case <-signals:
			case <-ended:
				return
			}
			if n == 0 {
				cancel()
			} else {
				close(second)
			}
		}
	}()
	return ctx, second, func() {
		signal.Stop(signals)
		close(ended)
		cancel()
	}
}

// teller prints to the person at the terminal what is going on.
type teller struct {
	out   io.Writer
	began time.Time
}

func (t *teller) welcome(doc *v1alpha1.MarketStream, dir string, ignored []string) {
	fmt.Fprintf(t.out, "MarketStream %s · %s/%s\n", version, namespaceOf(doc), doc.Name)
	fmt.Fprintf(t.out, "  feed     %s\n", describeFeed(doc))
	fmt.Fprintf(t.out, "  symbols  %s\n", list(doc.Spec.Symbols, 12))
	if dir == "" {
		fmt.Fprintln(t.out, "  log      in memory, gone at exit; --data DIR keeps it")
	} else {
		fmt.Fprintf(t.out, "  log      %s\n", dir)
	}
	if len(ignored) > 0 {
		fmt.Fprintf(t.out, "  without effect on one machine: %s\n", strings.Join(ignored, " "))
	}
}

func (t *teller) progress(what string) {
	fmt.Fprintf(t.out, "  %5.1f s  %s\n", time.Since(t.began).Seconds(), what)
}

func (t *teller) ready(doc *v1alpha1.MarketStream, public, inside string) {
	symbol := doc.Spec.Symbols[0]
	fmt.Fprintf(t.out, `
Serving on http://%[1]s. Paste one of these into another terminal:

  curl -N 'http://%[1]s/stream/market?symbols=%[3]s'
  curl 'http://%[1]s/api/history?symbol=%[3]s&timeframe=1m&limit=5'
  curl 'http://%[2]s/metrics'

Ctrl-C drains and stops.
`, public, inside, symbol)
}

func namespaceOf(doc *v1alpha1.MarketStream) string {
	if doc.Namespace == "" {
		return "default"
	}
	return doc.Namespace
}

func describeFeed(doc *v1alpha1.MarketStream) string {
	switch f := doc.Spec.Feed; {
	case f.Synthetic != nil:
		return "synthetic: INVENTED trades, for trying things out; not market data"
	case f.Replay != nil:
		return "replay of " + f.Replay.Path
	}
	return doc.Spec.Feed.FeedName()
}

func list(symbols []v1alpha1.Symbol, most int) string {
	text := fmt.Sprint(symbols[:min(most, len(symbols))])
	text = strings.Trim(text, "[]")
	if len(symbols) > most {
		text += " …"
	}
	return fmt.Sprintf("%s (%d)", text, len(symbols))
}
