package oracle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/marketstream/marketstream/hack/chaos/clients"
	"github.com/marketstream/marketstream/streamer/eventsource"
	"github.com/marketstream/marketstream/streamer/logs"
)

// Logged is an event of the log.
type Logged struct {
	Cursor logs.Cursor
	ID     string
	Type   string
	Data   string
	Symbol string
	Bar    *clients.Bar // nil: a gap
}

// Log is the whole log as one pod tells it.
type Log struct {
	Epoch  string
	Events []Logged
	Last   logs.Cursor
	// Final is every bar in its last revision.
	Final map[clients.Key]*clients.Bar
}

// ReadLog reads the log from its beginning to a sequence at least.
func ReadLog(ctx context.Context, base, epoch string, symbols, timeframes []string, until uint64) (*Log, error) {
	q := url.Values{"symbols": {strings.Join(symbols, ",")}, "timeframe": {strings.Join(timeframes, ",")}, "events": {"bar"}, "errors": {"http"},
		"cursor": {epoch + ".0.0.00000000"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/stream/market?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		return nil, fmt.Errorf("reading the log: %s: %s", res.Status, body)
	}
	l := &Log{Epoch: epoch, Final: make(map[clients.Key]*clients.Bar)}
	in := eventsource.NewReader(res.Body, "")
	for l.Last.Seq < until {
		e, err := in.Next()
		if err != nil {
			return nil, fmt.Errorf("reading the log, at %s of %d: %w", l.Last, until, err)
		}
		if e.Type == "reset" {
			return nil, fmt.Errorf("reading the log from its beginning: a reset %s", e.Data)
		}
		if e.ID == "" {
			continue
		}
		if l.Last, err = logs.ParseCursor(e.ID); err != nil {
			return nil, err
		}
		if e.HasID && (e.Type == "bar" || e.Type == "gap") {
			if err := l.add(&e); err != nil {
				return nil, err
			}
		}
	}
	return l, nil
}

func (l *Log) add(e *eventsource.Event) error {
	x := Logged{Cursor: l.Last, ID: e.ID, Type: e.Type, Data: e.Data}
	var named struct {
		Symbol string `json:"symbol"`
	}
	if err := json.Unmarshal([]byte(e.Data), &named); err != nil {
		return fmt.Errorf("%s: %q: %w", e.ID, e.Data, err)
	}
	x.Symbol = named.Symbol
	if e.Type == "bar" {
		x.Bar = &clients.Bar{}
		if err := json.Unmarshal([]byte(e.Data), x.Bar); err != nil {
			return fmt.Errorf("%s: %q: %w", e.ID, e.Data, err)
		}
		if old := l.Final[x.Bar.Key()]; old != nil && old.Rev >= x.Bar.Rev {
			return fmt.Errorf("%s rev %d stands in the log at %s after rev %d: want revisions that rise", x.Bar.Key(), x.Bar.Rev, e.ID, old.Rev)
		}
		l.Final[x.Bar.Key()] = x.Bar
	}
	l.Events = append(l.Events, x)
	return nil
}

// Same returns an error if another pod tells another log, as far as both go.
func (l *Log) Same(o *Log) error {
	n := min(len(l.Events), len(o.Events))
	for i := range n {
		if l.Events[i].ID != o.Events[i].ID || l.Events[i].Data != o.Events[i].Data {
			return fmt.Errorf("event %d is %s %s at one and %s %s at the other", i, l.Events[i].ID, l.Events[i].Data, o.Events[i].ID, o.Events[i].Data)
		}
	}
	rest := append(slices.Clone(l.Events[n:]), o.Events[n:]...)
	for _, e := range rest {
		if !after(e.Cursor, l.Last) && !after(e.Cursor, o.Last) {
			return fmt.Errorf("one pod lacks %s %s", e.ID, e.Data)
		}
	}
	return nil
}

func after(a, b logs.Cursor) bool { return a.Seq > b.Seq || a.Seq == b.Seq && a.Index > b.Index }

// ReadHistory reads /api/history of a pod.
func ReadHistory(ctx context.Context, base, symbol, timeframe string) ([]clients.Bar, error) {
	q := url.Values{"symbol": {symbol}, "timeframe": {timeframe}, "limit": {"5000"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/history?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("history of %s %s: %s: %.300s", symbol, timeframe, res.Status, body))
	}
	var bars []clients.Bar
	if err == nil {
		err = json.Unmarshal(body, &bars)
	}
	return bars, err
}
