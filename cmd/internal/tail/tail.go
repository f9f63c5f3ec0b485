// Package tail prints the bars of a running stream as they close, over every break of the connection.
// The program's own command and the plugin of kubectl both have it.
package tail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/marketstream/marketstream/streamer/eventsource"
)

// Tailer is one tail. Run is called once.
type Tailer struct {
	// URL of the stream, with its query; errors=http belongs to it.
	URL    string
	Client *http.Client
	// Hint ends the error of a first connection that nobody answers.
	Hint      string
	Out, Errs io.Writer

	lastID    string
	connected bool          // once
	retry     time.Duration // that the last connection asked for; 0: none
}

const (
	retryFirst = time.Second
	retryMost  = 30 * time.Second
)

// Run prints until ctx is done, which is no error.
func (t *Tailer) Run(ctx context.Context) error {
	for pause := retryFirst; ; {
		opened, err := t.once(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // Ctrl-C is how one stops it
		}
		var fatal fatalError
		if errors.As(err, &fatal) {
			return fatal.error
		}
		var busy busyError
		if !t.connected && !errors.As(err, &busy) {
			return fmt.Errorf("nothing answers at this address (%w)%s", err, t.Hint)
		}
		switch {
		case errors.As(err, &busy):
			pause = max(pause, busy.after)
			fmt.Fprintf(t.Errs, "%v; trying again in %v\n", err, pause)
		default:
			if opened { // however it ended: what was before it is over
				pause = max(retryFirst, t.retry)
			}
			fmt.Fprintf(t.Errs, "connection lost (%v); trying again in %v\n", err, pause)
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

// once is one connection. opened: the stream began.
func (t *Tailer) once(ctx context.Context) (opened bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.URL, nil)
	if err != nil {
		return false, fatalError{err}
	}
	req.Header.Set("Accept", "text/event-stream")
	if t.lastID != "" {
		req.Header.Set("Last-Event-ID", t.lastID)
	}
	res, err := t.Client.Do(req)
	if err != nil {
		return false, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		err := fmt.Errorf("the server answers %s: %s", res.Status, errorText(body))
		if res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500 {
			seconds, _ := strconv.Atoi(res.Header.Get("Retry-After")) // absent: 0
			return false, busyError{err, min(retryMost, time.Duration(max(0, seconds))*time.Second)}
		}
		return false, fatalError{err}
	}
	t.connected = true
	events := eventsource.NewReader(res.Body, t.lastID)
	for {
		e, err := events.Next()
		if err != nil {
			t.lastID, t.retry = events.LastID(), events.Retry() // both may come without an event
			return true, err
		}
		t.lastID = events.LastID()
		switch e.Type {
		case "bar":
			t.printBar(e.Data)
		case "gap", "reset", "status":
			fmt.Fprintf(t.Out, "%-6s %s\n", e.Type, e.Data)
		}
	}
}

// errorText is what an answer says is wrong.
func errorText(body []byte) string {
	var e struct {
		Error   struct{ Message string } `json:"error"`
		Message string                   // of an API server on the way
	}
	if json.Unmarshal(body, &e) == nil && e.Error.Message+e.Message != "" {
		return e.Error.Message + e.Message
	}
	return strings.TrimSpace(string(body))
}

func (t *Tailer) printBar(data string) {
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
		fmt.Fprintf(t.Errs, "not a bar: %s\n", data)
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
	fmt.Fprintf(t.Out, "%-8s %-3s %s  o %-10s h %-10s l %-10s c %-10s v %-12s vwap %-12s n %-6d %s\n",
		b.Symbol, b.Timeframe, time.UnixMilli(b.Start).UTC().Format("2006-01-02 15:04"),
		b.OHLCV.O, b.OHLCV.H, b.OHLCV.L, b.OHLCV.C, b.OHLCV.V, b.VWAP, b.N, strings.Join(notes, " "))
}
