package link

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/feed/socket"
)

// sinkError is an error of the sink: it ends Run, as it is.
type sinkError struct{ error }

// LimitError says that the vendor allows no more connections or subscriptions: a minute and more of rest.
type LimitError struct{ Err error }

func (e *LimitError) Error() string { return e.Err.Error() }

// Unwrap returns what the vendor said.
func (e *LimitError) Unwrap() error { return e.Err }

// KeyError says that the vendor refuses the key, or that there is none: only another key mends it.
type KeyError struct{ Err error }

func (e *KeyError) Error() string { return e.Err.Error() }

// Unwrap returns what the vendor said.
func (e *KeyError) Unwrap() error { return e.Err }

var (
	// ErrIdle ends a connection that is not needed.
	ErrIdle = errors.New("no symbols are carried")
	// errKeyChanged ends a connection that was made with another key than that of now.
	errKeyChanged = errors.New("the key has changed")
)

// Run connects again and again until ctx ends or the sink fails. speaker is called for each connection.
func (l *Link) Run(ctx context.Context, sink feed.Sink, speaker func(*Session) Speaker) error {
	wm := feed.NewWatermark(l.Disorder)
	retry := socket.Backoff{First: l.RetryFirst, Most: l.RetryMost, Draw: l.Draw}
	defer l.uncoverAll()
	failed := false // and said so
	gap := int64(0) // from where on nothing was observed, Unix ns; 0: all was
	for {
		if err := l.waitForSymbols(ctx, sink); err != nil {
			return err
		}
		if !failed { // after a failure what was said of it stands until a connection is made
			sink.Status(feed.Status{State: feed.Connecting, Reason: l.Endpoint})
		}
		lived, err := l.connect(ctx, sink, wm, &gap, speaker)
		l.uncoverAll()
		var ofSink sinkError
		switch {
		case errors.As(err, &ofSink):
			return ofSink.error
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrIdle):
			failed = false
			continue
		case errors.Is(err, errKeyChanged):
			l.Log.Info("the key has changed: connecting with the new one")
			failed = false
			continue
		}
		if lived >= l.ResetAfter {
			retry.Reset()
		}
		err = l.Key.Clean(err)
		state, wait := l.judge(err, retry.Next())
		reason := fmt.Sprintf("%v; trying again in %v", err, wait.Round(time.Millisecond))
		said, detail := "there is no connection to the vendor yet", 1 // the status says it
		if lived > 0 {
			said, detail = "the connection to the vendor is lost", 0
		}
		l.Log.V(detail).Info(said, "endpoint", l.Endpoint, "state", state.String(),
			"why", err.Error(), "lived", lived.Round(time.Millisecond).String(), "wait", wait.Round(time.Millisecond).String())
		sink.Status(feed.Status{State: state, Reason: reason})
		failed = true
		var refused *KeyError
		if err := l.rest(ctx, wait, errors.As(err, &refused)); err != nil {
			return err
		}
	}
}

// judge says what an error is to the status, and how long to wait; wait is the back-off's.
func (l *Link) judge(err error, wait time.Duration) (feed.State, time.Duration) {
	var limited *LimitError
	var key *KeyError
	var refused *socket.RefusedError
	switch {
	case errors.As(err, &limited):
		l.counts.limited.Add(1)
		return feed.Limited, l.LimitedWait + l.Draw(l.LimitedWait/2)
	case errors.As(err, &key):
		return feed.Disconnected, max(wait, l.RefusedWait)
	case errors.As(err, &refused):
		if wait = max(wait, refused.RetryAfter); refused.Status == http.StatusTooManyRequests {
			wait = max(wait, l.RetryFirst)
		}
	}
	return feed.Disconnected, wait
}

// rest waits; where the vendor refused the key, only until the key is another one. The next connection is made with the key of then.
func (l *Link) rest(ctx context.Context, d time.Duration, forKey bool) error {
	t := time.NewTimer(d)
	defer t.Stop()
	look := time.NewTicker(l.KeyEvery)
	defer look.Stop()
	for {
		select {
		case <-t.C:
			return nil
		case <-look.C:
			if changed := l.Key.Look(); changed && forKey {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// waitForSymbols returns when there are some: a connection without any is none.
func (l *Link) waitForSymbols(ctx context.Context, sink feed.Sink) error {
	for said := false; len(l.Symbols()) == 0; said = true {
		if !said {
			sink.Status(feed.Status{State: feed.Connecting, Reason: ErrIdle.Error()})
		}
		select {
		case <-l.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// connect makes one connection and takes what it says until it ends. lived is how long it was open.
func (l *Link) connect(ctx context.Context, sink feed.Sink, wm *feed.Watermark, gap *int64, speaker func(*Session) Speaker) (lived time.Duration, err error) {
	if _, err := l.Key.Key(); err != nil {
		return 0, &KeyError{err}
	}
	c, err := socket.Dial(ctx, l.socket(), l.dialer, &l.counts.frames)
	if err != nil {
		var refused *socket.RefusedError
		if errors.As(err, &refused) {
			switch refused.Status {
			case http.StatusUnauthorized, http.StatusForbidden:
				return 0, &KeyError{err}
			}
			if limits(refused.Text) {
				return 0, &LimitError{err}
			}
		}
		return 0, err
	}
	start := time.Now()
	l.counts.connects.Add(1)
	s := &Session{Link: l, c: c, sink: sink, wm: wm, gap: *gap}
	err = s.run(ctx, speaker)
	c.Close()
	l.counts.disconnects.Add(1)
	l.counts.unknown.Store(0)
	*gap = s.ended()
	var closed websocket.CloseError
	if errors.As(err, &closed) && limits(closed.Reason) {
		err = &LimitError{err}
	}
	return time.Since(start), err
}

// limits reports whether what a vendor says is about how many connections or subscriptions
// an account may have.
func limits(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "limit") && !strings.Contains(text, "rate limit") || strings.Contains(text, "too many connections") ||
		strings.Contains(text, "too many subscriptions") || strings.Contains(text, "connections exceeded")
}
