package oracle

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

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
	Sum    uint64 // as [clients.Sum]
	Symbol string
	Bar    *clients.Bar // nil: a gap
}

// Log is the whole log as one pod tells it.
type Log struct {
	Epoch  string
	Events []Logged
	Last   logs.Cursor
	// Final is every bar in its last revision, and keys are theirs in order of time.
	Final map[clients.Key]*clients.Bar
	keys  []clients.Key
}

// portion is how many symbols are asked for at once: as many as a stream takes by default.
const portion = 200

// ReadLog reads the log from a cursor, or from its beginning for "", to a sequence at least.
func ReadLog(ctx context.Context, base, epoch, from string, symbols, timeframes []string, until uint64) (*Log, error) {
	if from == "" {
		from = epoch + ".0.0.00000000"
	}
	chunks := slices.Collect(slices.Chunk(symbols, portion))
	parts, errs := make([]*Log, len(chunks)), make([]error, len(chunks))
	var reading sync.WaitGroup
	for i, some := range chunks {
		reading.Go(func() { parts[i], errs[i] = readPart(ctx, base, epoch, from, some, timeframes, until) })
	}
	reading.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	l := &Log{Epoch: epoch, Final: make(map[clients.Key]*clients.Bar)}
	for i, p := range parts { // some have read further than others
		if i == 0 || after(l.Last, p.Last) {
			l.Last = p.Last
		}
	}
	var all []Logged
	for _, p := range parts {
		for i := range p.Events {
			if !after(p.Events[i].Cursor, l.Last) {
				all = append(all, p.Events[i])
			}
		}
	}
	slices.SortFunc(all, func(a, b Logged) int {
		return cmp.Or(cmp.Compare(a.Cursor.Seq, b.Cursor.Seq), cmp.Compare(a.Cursor.Index, b.Cursor.Index))
	})
	for i := range all {
		if err := l.add(&all[i]); err != nil {
			return nil, err
		}
	}
	l.keys = sortedKeys(l.Final)
	return l, nil
}

// readPart reads the events of some symbols.
func readPart(ctx context.Context, base, epoch, from string, symbols, timeframes []string, until uint64) (*Log, error) {
	q := url.Values{"symbols": {strings.Join(symbols, ",")}, "timeframe": {strings.Join(timeframes, ",")}, "events": {"bar"}, "errors": {"http"},
		"cursor": {from}}
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
	l := &Log{Epoch: epoch}
	in := eventsource.NewReader(res.Body, "")
	// The last frame is here whole once something comes after it: a ping, at the latest.
	for ended := false; !ended; {
		e, err := in.Next()
		if err != nil {
			return nil, fmt.Errorf("reading the log, at %s of %d: %w", l.Last, until, err)
		}
		if e.Type == "reset" {
			return nil, fmt.Errorf("reading the log: a reset %s", e.Data)
		}
		if e.ID == "" {
			continue
		}
		if l.Last, err = logs.ParseCursor(e.ID); err != nil {
			return nil, err
		}
		ended = !e.HasID && l.Last.Seq >= until
		if e.HasID && (e.Type == "bar" || e.Type == "gap") {
			x, err := parse(l.Last, &e)
			if err != nil {
				return nil, err
			}
			l.Events = append(l.Events, x)
		}
	}
	return l, nil
}

func parse(at logs.Cursor, e *eventsource.Event) (Logged, error) {
	x := Logged{Cursor: at, ID: e.ID, Type: e.Type, Data: e.Data, Sum: clients.Sum(e.Data)}
	var named struct {
		Symbol string `json:"symbol"`
	}
	if err := json.Unmarshal([]byte(e.Data), &named); err != nil {
		return x, fmt.Errorf("%s: %q: %w", e.ID, e.Data, err)
	}
	x.Symbol = named.Symbol
	if e.Type == "bar" {
		x.Bar = &clients.Bar{}
		if err := json.Unmarshal([]byte(e.Data), x.Bar); err != nil {
			return x, fmt.Errorf("%s: %q: %w", e.ID, e.Data, err)
		}
	}
	return x, nil
}

func (l *Log) add(x *Logged) error {
	if x.Bar != nil {
		if old := l.Final[x.Bar.Key()]; old != nil && old.Rev >= x.Bar.Rev {
			return fmt.Errorf("%s rev %d stands in the log at %s after rev %d: want revisions that rise", x.Bar.Key(), x.Bar.Rev, x.ID, old.Rev)
		}
		l.Final[x.Bar.Key()] = x.Bar
	}
	l.Events = append(l.Events, *x)
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
