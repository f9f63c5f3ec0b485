package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	flags := newFlags("run", errs)
	file := flags.String("f", "", "the MarketStream document, a YAML file (required)")
	listen := flags.String("listen", "127.0.0.1:8080", "address for browsers")
	internal := flags.String("internal-listen", "127.0.0.1:9090", "address for metrics, probes and status")
	data := flags.String("data", "", "directory that keeps the log of bars; empty: in memory, lost at exit")
	secrets := flags.String("secrets", "", "directory with a directory for each Secret that the document names, and a file for each of its keys")
	format := flags.String("log-format", "console", "console or json")
	level := flags.String("log-level", "info", "debug, info or error")
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected %q: run takes flags only", flags.Arg(0))
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
	public, inside, err := bindBoth(*listen, *internal)
	if err != nil {
		return err
	}
	ctx, hurry, stop := untilSignal(ctx)
	defer stop()
	say := &teller{out: out, began: time.Now()}
	say.welcome(doc, *data, ignored)
	err = engine.Run(ctx, engine.Options{
		Document: doc, Input: engine.Input{Document: source}, Read: func() (engine.Input, error) {
			data, err := readFile(*file)
			return engine.Input{Document: data}, err
		},
		DataDir: *data, SecretsDir: *secrets, Public: public, Internal: inside,
		Version: version, Log: log, DrainFor: drainFor, Progress: say.progress,
		Ready:    func() { say.ready(doc, public.Addr().String(), inside.Addr().String()) },
		Draining: say.draining,
	}, hurry)
	if err == nil {
		say.stopped()
	}
	return err
}

// readDocument reads, checks and resolves a document; ignored are the fields that have no
// effect on one machine.
func readDocument(file string) (source []byte, doc *v1alpha1.MarketStream, ignored []string, err error) {
	if source, err = readFile(file); err != nil {
		return nil, nil, nil, err
	}
	doc, ignored, err = checkDocument(file, source)
	return source, doc, ignored, err
}

// readFile reads a file that a person named; its error is a sentence.
func readFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	var why *fs.PathError
	switch {
	case err == nil:
		return data, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: there is no such file", path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s: this user may not read it", path)
	case errors.Is(err, syscall.EISDIR):
		return nil, fmt.Errorf("%s is a directory; name a file in it", path)
	case errors.As(err, &why):
		return nil, fmt.Errorf("%s cannot be read: %w", path, why.Err)
	}
	return nil, fmt.Errorf("%s cannot be read: %w", path, err)
}

// checkDocument decodes a document and finds out whether it can be run. Of several mistakes each
// has a line.
func checkDocument(file string, source []byte) (doc *v1alpha1.MarketStream, ignored []string, err error) {
	doc, ignored, err = v1alpha1.DecodeRunnable(source, v1alpha1.OneMachine)
	if err == nil {
		return doc, ignored, nil
	}
	wrong := v1alpha1.AsMistakes(err)
	if len(wrong) == 1 {
		return nil, nil, fmt.Errorf("%s: %w", file, wrong)
	}
	return nil, nil, fmt.Errorf("%s has mistakes:\n  %s", file, strings.Join(wrong, "\n  "))
}

// bindBoth opens the two ports.
func bindBoth(listen, internal string) (public, inside net.Listener, err error) {
	if public, err = bind("--listen", listen); err != nil {
		return nil, nil, err
	}
	if inside, err = bind("--internal-listen", internal); err == nil {
		return public, inside, nil
	}
	_ = public.Close()
	_, port, splits := net.SplitHostPort(internal)
	if _, ours, _ := net.SplitHostPort(public.Addr().String()); errors.As(err, new(inUse)) && splits == nil && port == ours {
		return nil, nil, fmt.Errorf("--listen %s and --internal-listen %s: they are one port; give each a port of its own", listen, internal)
	}
	return nil, nil, err
}

// inUse says that another program has an address.
type inUse struct{ address, flag string }

func (e inUse) Error() string {
	return fmt.Sprintf("%s is in use by another program: choose another address with %s", e.address, e.flag)
}

func bind(flag, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, inUse{address, flag}
	case errors.As(err, new(*net.AddrError)):
		return nil, fmt.Errorf("%s %q: want host:port, as 127.0.0.1:8080, the port from 0 (any that is free) to 65535", flag, address)
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", flag, address, err)
	}
	return l, nil
}

// sameSignal is how soon after the first a second signal is the same one: `timeout` and some shells
// and makes pass on to the process what its whole group got already.
const sameSignal = 500 * time.Millisecond

// untilSignal ends ctx at the first SIGINT or SIGTERM and closes hurry at the second.
func untilSignal(ctx context.Context) (_ context.Context, hurry <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	second, ended := make(chan struct{}), make(chan struct{})
	go followSignals(signals, ended, time.Now, cancel, func() { close(second) })
	return ctx, second, func() {
		signal.Stop(signals)
		close(ended)
		cancel()
	}
}

// followSignals calls first at the first signal and then at the second, which ends it as ended does.
func followSignals(signals <-chan os.Signal, ended <-chan struct{}, now func() time.Time, first, then func()) {
	var began time.Time
	for {
		select {
		case <-signals:
		case <-ended:
			return
		}
		switch at := now(); {
		case began.IsZero():
			began = at
			first()
		case at.Sub(began) >= sameSignal:
			then()
			return
		}
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

func (t *teller) draining(streams int) {
	fmt.Fprintln(t.out)
	switch streams {
	case 0:
		t.progress("draining …")
	case 1:
		t.progress(fmt.Sprintf("draining … one open stream ends within %s; Ctrl-C again ends it at once", drainFor))
	default:
		t.progress(fmt.Sprintf("draining … %d open streams end within %s; Ctrl-C again ends them at once", streams, drainFor))
	}
}

func (t *teller) stopped() { t.progress("stopped") }

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
