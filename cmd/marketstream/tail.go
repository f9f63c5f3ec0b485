package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/marketstream/marketstream/streamer/eventsource"
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
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	query := url.Values{"symbols": {strings.Join(fs.Args(), ",")}, "timeframe": {*timeframe},
		"seed": {fmt.Sprint(*seed)}, "events": {"bar"}, "errors": {"http"}}
	t := tailer{url: strings.TrimSuffix(*base, "/") + "/stream/market?" + query.Encode(), out: out, errs: errs}
	return t.run(ctx)
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

type tailer struct {
	url       string
	out, errs io.Writer
	lastID    string
	connected bool // once
	retry     time.Duration
}

const (
	retryFirst = time.Second
	retryMost  = 30 * time.Second
)

func (t *tailer) run(ctx context.Context) error {
	for pause := retryFirst; ; {
		err := t.once(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // Ctrl-C is how one stops it
		}
		var fatal fatalError
		if errors.As(err, &fatal) {
			return fatal.error
		}
		var busy busyError
		if !t.connected && !errors.As(err, &busy) {
			return fmt.Errorf("nothing answers at this address (%w); is `marketstream run` up?", err)
		}
		switch {
		case errors.As(err, &busy):
			pause = max(pause, busy.after)
			fmt.Fprintf(t.errs, "%v; trying again in %v\n", err, pause)
		default:
			if errors.Is(err, io.EOF) {
				pause = max(retryFirst, t.retry)
			}
			fmt.Fprintf(t.errs, "connection lost (%v); trying again in %v\n", err, pause)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		pause = min(2*pause, retryMost)
	}
}

// fatalError is one that a retry cannot mend.
type fatalError struct{ error }

// busyError is a server's answer that says to come back.
type busyError struct {
	error
	after time.Duration
}

// once is one connection.
func (t *tailer) once(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return fatalError{err}
	}
	req.Header.Set("Accept", "text/event-stream")
	if t.lastID != "" {
		req.Header.Set("Last-Event-ID", t.lastID)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		err := fmt.Errorf("the server answers %s: %s", res.Status, errorText(body))
		if res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500 {
			seconds, _ := strconv.Atoi(res.Header.Get("Retry-After")) // absent: 0
			return busyError{err, min(retryMost, time.Duration(max(0, seconds))*time.Second)}
		}
		return fatalError{err}
	}
	t.connected = true
	events := eventsource.NewReader(res.Body, t.lastID)
	for {
		e, err := events.Next()
		if err != nil {
			t.lastID = events.LastID() // the seed's position comes without an event
			return err
		}
		t.lastID, t.retry = events.LastID(), events.Retry()
		switch e.Type {
		case "bar":
			t.printBar(e.Data)
		case "gap", "reset", "status":
			fmt.Fprintf(t.out, "%-6s %s\n", e.Type, e.Data)
		}
	}
}

func errorText(body []byte) string {
	var e struct {
		Error struct{ Message string } `json:"error"`
	}
	if json.Unmarshal(body, &e) == nil && e.Error.Message != "" {
		return e.Error.Message
	}
	return strings.TrimSpace(string(body))
}

func (t *tailer) printBar(data string) {
	var b struct {
		Symbol, Timeframe string
		Start             int64 `json:"bar_start"`
		OHLCV             struct{ O, H, L, C, V json.Number }
		VWAP              json.Number
		N                 int64
		Rev               int
		Partial, Void     bool
	}
	if err := json.Unmarshal([]byte(data), &b); err != nil {
		fmt.Fprintf(t.errs, "not a bar: %s\n", data)
		return
	}
	var notes []string
	if b.Rev > 0 {
		notes = append(notes, fmt.Sprint("rev ", b.Rev))
	}
	if b.Partial {
		notes = append(notes, "partial")
	}
	if b.Void {
		notes = append(notes, "void")
	}
	fmt.Fprintf(t.out, "%-8s %-3s %s  o %-10s h %-10s l %-10s c %-10s v %-12s vwap %-12s n %-6d %s\n",
		b.Symbol, b.Timeframe, time.UnixMilli(b.Start).UTC().Format("2006-01-02 15:04"),
		b.OHLCV.O, b.OHLCV.H, b.OHLCV.L, b.OHLCV.C, b.OHLCV.V, b.VWAP, b.N, strings.Join(notes, " "))
}
