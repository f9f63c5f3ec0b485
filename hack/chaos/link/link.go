package link

import (
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	piece      = 8 << 10 // what is carried at once
	dialWithin = 2 * time.Second
	pause      = 5 * time.Millisecond // after an accept that failed
)

// Link listens, and takes each connection on to where Choose says.
type Link struct {
	// Choose returns where a connection from an address goes, and through which valve; nil: nowhere, it is refused.
	choose func(from net.Addr) (to string, v *Valve)
	l      net.Listener
	done   sync.WaitGroup
	ending chan struct{}
}

// New listens on address and carries to one place through one valve.
func New(address, to string, v *Valve) (*Link, error) {
	return NewChoosing(address, func(net.Addr) (string, *Valve) { return to, v })
}

// NewChoosing listens on address and carries each connection to where choose says.
func NewChoosing(address string, choose func(from net.Addr) (to string, v *Valve)) (*Link, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	k := &Link{choose: choose, l: l, ending: make(chan struct{})}
	k.done.Go(k.accept)
	return k, nil
}

// Addr is where it listens.
func (k *Link) Addr() string { return k.l.Addr().String() }

// Close ends it with all that it carries.
func (k *Link) Close() {
	close(k.ending)
	_ = k.l.Close()
	k.done.Wait()
}

func (k *Link) accept() {
	for {
		c, err := k.l.Accept()
		if err != nil {
			select {
			case <-k.ending:
				return
			case <-time.After(pause):
				continue
			}
		}
		k.done.Go(func() { k.carry(c) })
	}
}

func (k *Link) carry(near net.Conn) {
	p := &pair{near: near, far: near, ended: make(chan struct{})}
	to, v := k.choose(near.RemoteAddr())
	if v == nil || v.refuses() {
		p.reset()
		return
	}
	far, err := net.DialTimeout("tcp", to, dialWithin)
	if err != nil {
		p.reset()
		return
	}
	p.far = far
	// Little stands in our buffers: a slow reader is to be felt at the other side.
	for _, c := range []net.Conn{near, far} {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(32 << 10)
			_ = tcp.SetWriteBuffer(32 << 10)
		}
	}
	if !v.add(p) {
		p.reset()
		return
	}
	defer v.remove(p)
	var both sync.WaitGroup
	both.Go(func() { v.pump(p, near, far) })
	both.Go(func() { v.pump(p, far, near) })
	select {
	case <-p.ended:
	case <-k.ending:
		p.reset()
	}
	both.Wait()
}

// pump carries one direction until it ends, which ends the pair.
func (v *Valve) pump(p *pair, from, to net.Conn) {
	defer p.end()
	buf := make([]byte, piece)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !v.pass(p, n) {
				return
			}
			if _, werr := to.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			// The end, too, is held back.
			v.pass(p, 0)
			return
		}
	}
}
