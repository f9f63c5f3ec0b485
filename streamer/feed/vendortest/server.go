package vendortest

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/marketstream/marketstream/streamer/feed/vendortest/wire"
)

// Options say how a server listens. A zero field is the default that its comment names.
type Options struct {
	Address, RESTAddress string // 127.0.0.1:0
	TLS                  bool
	// SlowBytes is how much a connection may lag before it is cut: 64 MiB.
	SlowBytes int
	// Now is the wall clock: time.Now.
	Now func() time.Time
}

// Script is what a vendor does with its connections. Its methods may be called at the same time.
type Script interface {
	// Opened is called with a new connection, before it is read.
	Opened(c *Client, r *http.Request)
	// Said is called with a message of the client.
	Said(c *Client, text []byte)
	// Closed is called when a connection has ended.
	Closed(c *Client)
	// Slow is called when a client lags too far, before it is cut; it may send last words.
	Slow(c *Client)
	// REST answers requests.
	REST(w http.ResponseWriter, r *http.Request)
}

// Counts is what a server counts.
type Counts struct {
	Open, Accepted, Refused, Killed, Cut int // connections; Killed: slow readers
	Requests, Faulty                     int // of REST
}

// Server is one scripted vendor's sockets.
type Server struct {
	opts    Options
	script  Script
	tls     *wire.Pair
	servers []*http.Server
	sockets *wire.Listener // of the WebSocket side
	rests   net.Listener
	stop    chan struct{}
	done    sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	clients  []*Client
	dead     []*Client // half open
	counts   Counts
	pongless bool
	refuse   struct {
		until  time.Time
		status int
	}
	rest RESTFault
}

// Serve makes a server and listens.
func Serve(opts Options, script Script) (*Server, error) {
	if opts.Address == "" {
		opts.Address = "127.0.0.1:0"
	}
	if opts.RESTAddress == "" {
		opts.RESTAddress = "127.0.0.1:0"
	}
	if opts.SlowBytes == 0 {
		opts.SlowBytes = 64 << 20
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	s := &Server{opts: opts, script: script, stop: make(chan struct{})}
	raw, err := net.Listen("tcp", opts.Address)
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	s.sockets = &wire.Listener{Listener: raw}
	if s.rests, err = net.Listen("tcp", opts.RESTAddress); err != nil {
		return nil, errors.Join(fmt.Errorf("REST address: %w", err), raw.Close())
	}
	var sockets, rests net.Listener = s.sockets, s.rests
	if opts.TLS {
		if s.tls, err = wire.NewPair(); err != nil {
			return nil, errors.Join(err, raw.Close(), s.rests.Close())
		}
		sockets, rests = tls.NewListener(sockets, s.tls.Server), tls.NewListener(rests, s.tls.Server)
	}
	for l, h := range map[net.Listener]http.Handler{sockets: http.HandlerFunc(s.serveSocket), rests: http.HandlerFunc(s.serveREST)} {
		server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: wire.Silent()}
		s.servers = append(s.servers, server)
		s.done.Go(func() { _ = server.Serve(l) })
	}
	return s, nil
}

// URL is the WebSocket's address.
func (s *Server) URL() string { return s.url("ws", s.sockets.Addr()) }

// RESTURL is the address of REST.
func (s *Server) RESTURL() string { return s.url("http", s.rests.Addr()) }

func (s *Server) url(scheme string, addr net.Addr) string {
	if s.opts.TLS {
		scheme += "s"
	}
	return scheme + "://" + addr.String()
}

// ClientTLS trusts the server; nil without TLS.
func (s *Server) ClientTLS() *tls.Config {
	if s.tls == nil {
		return nil
	}
	return s.tls.Client.Clone()
}

// CertificatePEM is what a client in another process has to trust; nil without TLS.
func (s *Server) CertificatePEM() []byte {
	if s.tls == nil {
		return nil
	}
	return s.tls.PEM
}

// Counts are the counts of now.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts
	c.Open = len(s.clients)
	return c
}

// Stopped is closed when the server ends.
func (s *Server) Stopped() <-chan struct{} { return s.stop }

// Close ends every connection and goroutine.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	var err error
	for _, server := range s.servers {
		err = errors.Join(err, server.Close())
	}
	s.DropAll()
	s.mu.Lock()
	dead := s.dead
	s.mu.Unlock()
	for _, c := range dead {
		c.Abort()
	}
	s.done.Wait()
	return err
}

// Clients are the connections of now, the oldest first.
func (s *Server) Clients() []*Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.clients)
}

// Client is one connection.
type Client struct {
	// State is the script's.
	State any

	s    *Server
	ws   *websocket.Conn
	conn net.Conn // what the library writes to
	wire *wire.Wire

	mu    sync.Mutex
	out   []byte
	ready chan struct{}
	gone  bool
	slow  bool
}

// hijacker keeps the connection that the library takes over.
type hijacker struct {
	http.ResponseWriter
	conn net.Conn
}

// Hijack implements [http.Hijacker].
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	h.conn = c
	return c, rw, err
}

// serveSocket takes a connection.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	refused, status := s.refuse.until.After(s.opts.Now()), s.refuse.status
	if refused {
		s.counts.Refused++
	}
	s.mu.Unlock()
	if refused {
		if status > 0 {
			http.Error(w, "not now", status)
		} else if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = c.Close()
		}
		return
	}
	h := &hijacker{ResponseWriter: w}
	c := &Client{s: s, ready: make(chan struct{}, 1)}
	ws, err := websocket.Accept(h, r, &websocket.AcceptOptions{InsecureSkipVerify: true,
		OnPingReceived: func(_ context.Context, payload []byte) bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			if !s.pongless {
				c.queue(0x8A, payload) // behind what is queued; the library would give up after 5 s
			}
			return false
		}})
	if err != nil {
		return
	}
	defer func() { _ = ws.CloseNow() }()
	c.ws, c.conn, c.wire = ws, h.conn, wire.Under(h.conn)
	s.script.Opened(c, r) // before others see it: it has its State then
	defer s.forget(c)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.counts.Accepted++
	s.clients = append(s.clients, c)
	s.done.Go(c.write)
	s.mu.Unlock()
	ws.SetReadLimit(16 << 20)
	for {
		_, text, err := ws.Read(context.Background())
		if err != nil {
			return
		}
		s.script.Said(c, text)
	}
}

func (s *Server) forget(c *Client) {
	s.mu.Lock()
	s.clients = slices.DeleteFunc(s.clients, func(o *Client) bool { return o == c })
	s.mu.Unlock()
	c.Abort()
	s.script.Closed(c)
}

// Send queues a text frame.
func (c *Client) Send(text []byte) { c.queue(0x81, text) }

// Close writes what is queued, says why, and ends the connection.
func (c *Client) Close(reason string) {
	c.flush()
	_ = c.ws.Close(websocket.StatusPolicyViolation, reason)
	c.Abort()
}

// Hang writes what is queued and ends the connection without a word.
func (c *Client) Hang() {
	c.flush()
	c.Abort()
}

// Abort ends the connection without a word, at once.
func (c *Client) Abort() {
	c.mu.Lock()
	c.gone = true
	c.mu.Unlock()
	_ = c.wire.Close()
	c.wake()
}

// queue queues a frame, by its first byte. A connection that lags too far is cut.
func (c *Client) queue(first byte, frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone || c.slow {
		return
	}
	if len(c.out)+len(frame) > c.s.opts.SlowBytes {
		c.slow = true
		c.s.done.Go(c.kill)
		return
	}
	c.out = appendFrame(c.out, first, frame)
	c.wake()
}

// kill ends a connection that is too slow.
func (c *Client) kill() {
	c.s.mu.Lock()
	c.s.counts.Killed++
	c.s.mu.Unlock()
	c.mu.Lock()
	c.out, c.slow = nil, false
	c.mu.Unlock()
	c.s.script.Slow(c)
	c.Abort()
}

func (c *Client) wake() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// appendFrame appends a frame as a server sends it.
func appendFrame(dst []byte, first byte, text []byte) []byte {
	dst = append(dst, first)
	switch n := len(text); {
	case n < 126:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, text...)
}

// write writes what is queued until the connection ends.
func (c *Client) write() {
	var spare []byte
	for range c.ready {
		c.mu.Lock()
		out, gone := c.out, c.gone
		c.out = spare[:0]
		c.mu.Unlock()
		if len(out) > 0 {
			if _, err := c.conn.Write(out); err != nil {
				c.Abort()
				return
			}
		}
		if gone {
			return
		}
		spare = out
	}
}

// flush writes what is queued, before a last word.
func (c *Client) flush() {
	c.mu.Lock()
	out := c.out
	c.out, c.gone = nil, true
	c.mu.Unlock()
	if len(out) > 0 {
		_, _ = c.conn.Write(out)
	}
}
