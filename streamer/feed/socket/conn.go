package socket

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coder/websocket"
)

// Options of a connection. None has a default here.
type Options struct {
	Endpoint string // ws or wss
	// Header is what the handshake has besides; nil: nothing.
	Header func() (http.Header, error)

	QueueBytes int // bounds what is read and not yet taken; it may be there twice
	FrameBytes int // the longest frame that is taken

	DialWithin  time.Duration // to connect, TLS and handshake included
	WriteWithin time.Duration // for a message to leave
	PingEvery   time.Duration // ± a quarter, drawn for each ping
	Quiet       time.Duration // without a frame, after which a ping is sent at once
	PongWithin  time.Duration // from a ping to any frame

	Now func() int64 // receive times, Unix ns
}

// Conn is one connection: a goroutine that reads it into the queue and one that watches
// whether it lives. Who dialed it writes to it and closes it.
type Conn struct {
	opts Options
	ws   *websocket.Conn
	// Frames are what came and was not taken yet.
	Frames *Queue

	lastFrame atomic.Int64 // local ns of the newest sign of life: a frame of any kind, an answer
	pingSent  atomic.Int64 // local ns of the oldest ping without an answer; 0: none
	stop      context.CancelFunc
	done      sync.WaitGroup
}

// RefusedError is a handshake that the vendor answered with a status.
type RefusedError struct {
	Status     int
	Text       string        // what it said, fit for a log
	RetryAfter time.Duration // that it asks for; 0: none
}

// Error implements error.
func (e *RefusedError) Error() string {
	text := fmt.Sprintf("the vendor refused the connection: %d %s", e.Status, http.StatusText(e.Status))
	if e.Text != "" {
		text += ": " + e.Text
	}
	return text
}

// UnreachableError is a connection that was not made.
type UnreachableError struct {
	Endpoint string
	Within   time.Duration
	Cause    error
}

// Unwrap is for errors.As.
func (e *UnreachableError) Unwrap() error { return e.Cause }

// Error implements error.
func (e *UnreachableError) Error() string {
	return "the vendor cannot be reached at " + e.Endpoint + ": " + e.why()
}

// why is the cause in words where it is one of those that are usual.
func (e *UnreachableError) why() string {
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(e.Cause, context.DeadlineExceeded), errors.Is(e.Cause, os.ErrDeadlineExceeded):
		return fmt.Sprintf("no answer within %v", e.Within)
	case errors.As(e.Cause, &name) && name.IsNotFound:
		return fmt.Sprintf("the name %s is not known here", name.Name)
	case errors.As(e.Cause, &name):
		return fmt.Sprintf("the name %s could not be looked up", name.Name)
	case errors.Is(e.Cause, syscall.ECONNREFUSED):
		return "nothing listens there"
	case errors.Is(e.Cause, syscall.ENETUNREACH), errors.Is(e.Cause, syscall.EHOSTUNREACH):
		return "there is no way to it from here"
	case errors.As(e.Cause, &certificate):
		return "its certificate is not accepted: " + OneLine([]byte(certificate.Err.Error()))
	}
	last := e.Cause // without the layers that it came through
	for next := errors.Unwrap(last); next != nil; next = errors.Unwrap(last) {
		last = next
	}
	return OneLine([]byte(last.Error()))
}

// errSilent ends a connection on which nothing comes, not even the answer to a ping.
type errSilent time.Duration

func (e errSilent) Error() string {
	return fmt.Sprintf("no frame and no answer to a ping for %v", time.Duration(e).Round(time.Millisecond))
}

// Dial connects, within a bounded time, and starts to read.
func Dial(ctx context.Context, opts Options, client *http.Client, frames *atomic.Uint64) (*Conn, error) {
	c := &Conn{opts: opts, Frames: NewQueue(opts.QueueBytes)}
	dialing, cancel := context.WithTimeout(ctx, opts.DialWithin)
	defer cancel()
	header := http.Header{}
	if opts.Header != nil {
		var err error
		if header, err = opts.Header(); err != nil {
			return nil, err
		}
	}
	ws, resp, err := websocket.Dial(dialing, opts.Endpoint, &websocket.DialOptions{ //nolint:bodyclose // the library does it
		HTTPClient:     client,
		HTTPHeader:     header,
		OnPongReceived: func(context.Context, []byte) { c.answered() },
	})
	if err != nil {
		if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
			body, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
			return nil, &RefusedError{resp.StatusCode, OneLine(body), RetryAfter(resp.Header, time.Now())}
		}
		return nil, &UnreachableError{opts.Endpoint, opts.DialWithin, err}
	}
	ws.SetReadLimit(int64(opts.FrameBytes))
	c.ws = ws
	c.lastFrame.Store(opts.Now())
	watching, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.done.Go(func() { c.read(frames) })
	c.done.Go(func() { c.watch(watching) })
	return c, nil
}

// Close ends both goroutines and waits for them. It is abrupt: nothing is owed to the vendor.
func (c *Conn) Close() {
	c.stop()
	c.Frames.close()
	_ = c.ws.CloseNow()
	c.done.Wait()
}

// fail ends the connection for a reason of ours; what was read before is still taken.
func (c *Conn) fail(err error) {
	c.Frames.fail(err)
	_ = c.ws.CloseNow()
}

// Write sends one message.
func (c *Conn) Write(ctx context.Context, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, c.opts.WriteWithin)
	defer cancel()
	if err := c.ws.Write(ctx, websocket.MessageText, message); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}

// read reads frames until the connection ends. Its context never ends, for one that can
// costs eight allocations a frame; closing the connection ends it. (The library may report a
// message that the connection's end cut off as a whole one. Cut JSON is not JSON.)
func (c *Conn) read(frames *atomic.Uint64) {
	buf := make([]byte, 4096)
	for {
		_, r, err := c.ws.Reader(context.Background())
		if err != nil {
			c.Frames.fail(lost(err))
			return
		}
		n := 0
		for err == nil {
			var k int
			k, err = r.Read(buf[n:])
			if n += k; n == len(buf) {
				buf = append(buf, make([]byte, len(buf))...)
			}
		}
		if err != io.EOF { //nolint:errorlint // an error that wraps it is a connection that ended
			if errors.Is(err, websocket.ErrMessageTooBig) {
				err = fmt.Errorf("a frame is longer than %d bytes", c.opts.FrameBytes)
			}
			c.Frames.fail(lost(err))
			return
		}
		if n == 0 {
			continue
		}
		frames.Add(1)
		if !c.Frames.Push(buf[:n], c.opts.Now()) {
			return
		}
		c.lastFrame.Store(c.opts.Now()) // after a wait for room, which is no silence
	}
}

// lost says in words why reading ended.
func lost(err error) error {
	var closed websocket.CloseError
	if errors.As(err, &closed) {
		return fmt.Errorf("the vendor closed the connection: %w", err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the connection ended: %w", err)
	}
	return fmt.Errorf("reading: %w", err)
}

// answered is called by the reader at a pong. The oldest ping without an answer counts: if
// the vendor leaves one out, what it is taken to say is less than what is true.
func (c *Conn) answered() {
	now := c.opts.Now()
	c.lastFrame.Store(now)
	if sent := c.pingSent.Swap(0); sent != 0 {
		c.Frames.Answer(now, sent)
	}
}

// watch sends pings and ends a connection on which nothing comes. While the sink holds the
// reader up nothing can come, and nothing is held against the vendor.
func (c *Conn) watch(ctx context.Context) {
	o := c.opts
	tick := time.NewTicker(max(o.Quiet/4, time.Millisecond))
	defer tick.Stop()
	next := o.Now() + pingWait(o.PingEvery)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := o.Now()
		if c.Frames.isHeld() || now < next && now-c.lastFrame.Load() < int64(o.Quiet) {
			continue
		}
		c.pingSent.CompareAndSwap(0, now)
		waiting, cancel := context.WithTimeout(ctx, o.PongWithin)
		err := c.ws.Ping(waiting)
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			if ctx.Err() == nil { // it could not be sent; if it's because reading ended, that came first
				c.fail(fmt.Errorf("sending a ping: %w", err))
			}
			return
		}
		if err != nil && !c.Frames.isHeld() && c.lastFrame.Load() < now {
			c.fail(errSilent(o.Now() - c.lastFrame.Load()))
			return
		}
		next = o.Now() + pingWait(o.PingEvery)
	}
}

// pingWait is every, give or take a quarter: many pods shall not ping at once.
func pingWait(every time.Duration) int64 {
	return int64(every)*3/4 + rand.Int64N(int64(every)/2+1)
}

// OneLine is the beginning of what a vendor says, fit for a log.
func OneLine(text []byte) string {
	const most = 200
	s := strings.Join(strings.Fields(strings.ToValidUTF8(string(text), "?")), " ")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
