package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/signal"
	"strings"
	"syscall"

	"github.com/marketstream/marketstream/cmd/internal/tail"
)

// tailCommand prints the bars of symbols as they close, over every break of the connection.
func tailCommand(ctx context.Context, args []string, out, errs io.Writer) error {
	fs := newFlags("tail", errs)
	base := fs.String("url", "http://127.0.0.1:8080", "where the stream is served")
	timeframe := fs.String("timeframe", "1m", "timeframes, with commas between them")
	seed := fs.Int("seed", 5, "bars of history to begin with")
	if err := parseAround(fs, args); err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return errors.New("name a symbol: marketstream tail SPY")
	}
	if u, err := url.Parse(*base); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("--url %q: want http://host:port, as http://127.0.0.1:8080", *base)
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	query := url.Values{"symbols": {strings.Join(fs.Args(), ",")}, "timeframe": {*timeframe},
		"seed": {fmt.Sprint(*seed)}, "events": {"bar"}, "errors": {"http"}}
	t := tail.Tailer{URL: strings.TrimSuffix(*base, "/") + "/stream/market?" + query.Encode(), Client: http.DefaultClient,
		Hint: "; is `marketstream run` up? --url names another address", Out: out, Errs: errs}
	return t.Run(ctx)
}

// parseAround parses flags that stand before or after the operands.
func parseAround(fs *flag.FlagSet, args []string) error {
	var operands []string
	for {
		if err := parse(fs, args); err != nil {
			return err
		}
		if args = fs.Args(); len(args) == 0 {
			return fs.Parse(append([]string{"--"}, operands...))
		}
		operands, args = append(operands, args[0]), args[1:]
	}
}
