package coinbase

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
	"github.com/marketstream/marketstream/streamer/market"
)

// sinkError is an error of the sink: it ends Run, as it is.
type sinkError struct{ error }

// limitError says that the vendor allows no more connections or subscriptions.
type limitError struct{ error }

func (e limitError) Unwrap() error { return e.error }

// errIdle ends a connection that is not needed.
var errIdle = errors.New("no symbols are carried")

// Run implements [feed.Source]. from and said mean nothing to it: a connection can't be read again.
func (s *Source) Run(ctx context.Context, _ market.SourcePosition, _ uint64, sink feed.Sink) error {
	wm := feed.NewWatermark(s.opts.Disorder)
	retry := socket.Backoff{First: s.opts.RetryFirst, Most: s.opts.RetryMost, Draw: s.opts.draw}
	defer s.uncover(nil)
	failed := false // and said so
	for {
		if err := s.waitForSymbols(ctx, sink); err != nil {
			return err
		}
		if !failed { // after a failure what was said of it stands until a connection is made
			sink.Status(feed.Status{State: feed.Connecting, Reason: s.opts.Endpoint})
		}
		lived, err := s.connect(ctx, sink, wm)
		s.uncover(nil)
		var ofSink sinkError
		switch {
		case errors.As(err, &ofSink):
			return ofSink.error
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errIdle):
			failed = false
			continue
		}
		if lived >= s.opts.ResetAfter {
			retry.Reset()
		}
		state, wait := feed.Disconnected, retry.Next()
		var limited limitError
		var refused *socket.RefusedError
		if errors.As(err, &limited) {
			s.counts.limited.Add(1)
			state, wait = feed.Limited, s.opts.LimitedWait+s.opts.draw(s.opts.LimitedWait/2)
		} else if errors.As(err, &refused) {
			wait = max(wait, refused.RetryAfter)
			if refused.Status == http.StatusTooManyRequests {
				wait = max(wait, s.opts.RetryFirst)
			}
		}
		reason := fmt.Sprintf("%v; trying again in %v", err, wait.Round(time.Millisecond))
		said, detail := "there is no connection to the vendor yet", 1 // the status says it
		if lived > 0 {
			said, detail = "the connection to the vendor is lost", 0
		}
		s.opts.Log.V(detail).Info(said, "endpoint", s.opts.Endpoint, "state", state.String(),
			"why", err.Error(), "lived", lived.Round(time.Millisecond).String(), "wait", wait.Round(time.Millisecond).String())
		sink.Status(feed.Status{State: state, Reason: reason})
		failed = true
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// waitForSymbols returns when there are some: the vendor closes a connection that
// subscribes to nothing.
func (s *Source) waitForSymbols(ctx context.Context, sink feed.Sink) error {
	for said := false; len(s.symbols()) == 0; said = true {
		if !said {
			sink.Status(feed.Status{State: feed.Connecting, Reason: errIdle.Error()})
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// connect makes one connection and takes what it says until it ends. lived is how long it was open.
func (s *Source) connect(ctx context.Context, sink feed.Sink, wm *feed.Watermark) (lived time.Duration, err error) {
	c, err := socket.Dial(ctx, s.opts.socket(), s.dialer, &s.counts.frames)
	if err != nil {
		var refused *socket.RefusedError
		if errors.As(err, &refused) && limits(refused.Text) {
			return 0, limitError{err}
		}
		return 0, err
	}
	start := time.Now()
	s.counts.connects.Add(1)
	err = newSession(s, c, sink, wm).run(ctx)
	c.Close()
	s.counts.disconnects.Add(1)
	s.counts.unknown.Store(0)
	var closed websocket.CloseError
	if errors.As(err, &closed) && limits(closed.Reason) {
		err = limitError{err}
	}
	return time.Since(start), err
}

// limits reports whether what a vendor says is about how many connections or subscriptions
// an account may have.
func limits(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "limit") && !strings.Contains(text, "rate limit") || strings.Contains(text, "too many connections") ||
		strings.Contains(text, "too many subscriptions")
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
