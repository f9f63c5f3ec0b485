package stream

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// conn is a client's connection. A loop uses TryWrite and Alive, a preface Write, never at
// the same time.
type conn interface {
	// TryWrite writes what the socket takes and never blocks: n < len(p) without an error
	// says that it is full. p is the caller's again at return.
	TryWrite(p []byte) (n int, err error)
	// Write writes all of p, for at most d.
	Write(p []byte, d time.Duration) error
	// Alive is false once the peer is known to have gone.
	Alive() bool
	Close()
}

// socketBuffer bounds what the kernel keeps for a client that does not read.
const socketBuffer = 128 << 10

// tcpConn writes to a hijacked TCP connection. The functions are made once, so that a
// write allocates nothing.
type tcpConn struct {
	c     *net.TCPConn
	raw   syscall.RawConn
	write func(fd uintptr) bool
	peek  func(fd uintptr) bool
	p     []byte
	n     int
	err   error
}

func newTCPConn(c *net.TCPConn) (*tcpConn, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(c.SetWriteBuffer(socketBuffer), c.SetDeadline(time.Time{})); err != nil {
		return nil, err
	}
	t := &tcpConn{c: c, raw: raw}
	t.write = func(fd uintptr) bool {
		t.n, t.err = unix.Write(int(fd), t.p)
		return true // never wait
	}
	t.peek = func(fd uintptr) bool {
		var b [1]byte
		t.n, _, t.err = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return true
	}
	return t, nil
}

// TryWrite implements conn.
func (t *tcpConn) TryWrite(p []byte) (int, error) {
	t.p = p
	err := t.raw.Write(t.write)
	t.p = nil
	if err != nil {
		return 0, err
	}
	switch {
	case errors.Is(t.err, unix.EAGAIN), errors.Is(t.err, unix.EINTR):
		return 0, nil
	case t.err != nil:
		return 0, t.err
	}
	return t.n, nil
}

// Write implements conn.
func (t *tcpConn) Write(p []byte, d time.Duration) error {
	if err := t.c.SetWriteDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	if _, err := t.c.Write(p); err != nil {
		return err
	}
	return t.c.SetWriteDeadline(time.Time{})
}

// Alive implements conn: a peer that closed has left an end of file to read.
func (t *tcpConn) Alive() bool {
	if t.raw.Read(t.peek) != nil {
		return false
	}
	return t.n > 0 || errors.Is(t.err, unix.EAGAIN) || errors.Is(t.err, unix.EINTR)
}

// Close implements conn.
func (t *tcpConn) Close() { _ = t.c.Close() }

// pipeConn is a connection that can only block (TLS, HTTP/2, a recorder): a goroutine
// writes, and a small buffer stands between.
type pipeConn struct {
	out   io.Writer
	flush func() error
	close func()

	mu     sync.Mutex
	buf    []byte
	err    error
	closed bool
	wake   chan struct{}
	done   chan struct{} // closed when the goroutine has ended
	space  chan struct{} // a token when the buffer is empty
}

// pipeBuffer is what a pipeConn takes before it is full.
const pipeBuffer = 32 << 10

func newPipeConn(out io.Writer, flush func() error, closeOut func()) *pipeConn {
	p := &pipeConn{out: out, flush: flush, close: closeOut, wake: make(chan struct{}, 1), done: make(chan struct{}), space: make(chan struct{}, 1)}
	go p.run()
	return p
}

func (p *pipeConn) run() {
	defer close(p.done)
	var out []byte
	for range p.wake {
		p.mu.Lock()
		out, p.buf = p.buf, out[:0]
		stop := p.closed && len(out) == 0
		p.mu.Unlock()
		if stop {
			return
		}
		_, err := p.out.Write(out)
		if err == nil {
			err = p.flush()
		}
		p.mu.Lock()
		p.err = errors.Join(p.err, err)
		stop = p.err != nil || p.closed && len(p.buf) == 0
		p.mu.Unlock()
		select {
		case p.space <- struct{}{}:
		default:
		}
		if stop {
			return
		}
	}
}

// TryWrite implements conn.
func (p *pipeConn) TryWrite(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return 0, p.err
	}
	n := min(len(b), max(0, pipeBuffer-len(p.buf)))
	p.buf = append(p.buf, b[:n]...)
	if n > 0 {
		p.signal()
	}
	return n, nil
}

func (p *pipeConn) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Write implements conn.
func (p *pipeConn) Write(b []byte, d time.Duration) error {
	limit := time.NewTimer(d)
	defer limit.Stop()
	for {
		n, err := p.TryWrite(b)
		if err != nil {
			return err
		}
		if b = b[n:]; len(b) == 0 {
			return nil
		}
		select {
		case <-p.space:
		case <-p.done:
		case <-limit.C:
			return errors.New("the client does not read")
		}
	}
}

// gone says that the peer is known to have gone.
func (p *pipeConn) gone() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = errors.Join(p.err, net.ErrClosed)
	p.signal()
}

// Alive implements conn.
func (p *pipeConn) Alive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err == nil
}

// Close implements conn: what is buffered is still written.
func (p *pipeConn) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	p.signal()
	if p.close != nil {
		go func() {
			select {
			case <-p.done:
			case <-time.After(prefaceTimeout):
			}
			p.close()
		}()
	}
}
