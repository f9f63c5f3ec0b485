// Package link carries TCP connections between two parts and breaks them on command: it refuses,
// cuts, holds back and slows down. It looks at nothing that it carries.
package link

import (
	"net"
	"sync"
	"time"
)

// Valve is what all connections between two parts pass through. The zero value is not usable.
type Valve struct {
	Name string

	mu      sync.Mutex
	refuse  bool
	stalled chan struct{} // closed when it flows again; nil: it flows
	delay   time.Duration
	rate    int // bytes a second; 0: any
	pairs   map[*pair]bool
}

// NewValve returns a valve that is open.
func NewValve(name string) *Valve { return &Valve{Name: name, pairs: make(map[*pair]bool)} }

// Cut ends the connections that there are, by a reset.
func (v *Valve) Cut() (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for p := range v.pairs {
		p.reset()
		n++
	}
	return n
}

// Refuse refuses new connections, or takes them again.
func (v *Valve) Refuse(on bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.refuse = on
}

// Stall holds everything back, as a network does that drops each packet, or lets it flow again.
func (v *Valve) Stall(on bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case on && v.stalled == nil:
		v.stalled = make(chan struct{})
	case !on && v.stalled != nil:
		close(v.stalled)
		v.stalled = nil
	}
}

// Slow delays each piece, and carries no more than rate bytes a second of a connection; zeros: as fast as it goes.
func (v *Valve) Slow(delay time.Duration, rate int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.delay, v.rate = delay, rate
}

// Mend undoes Refuse, Stall and Slow.
func (v *Valve) Mend() {
	v.Refuse(false)
	v.Stall(false)
	v.Slow(0, 0)
}

// Open is the number of connections.
func (v *Valve) Open() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.pairs)
}

// pair is a connection and what it goes on as.
type pair struct {
	near, far net.Conn
	ended     chan struct{}
	once      sync.Once
}

// reset ends both sides without a goodbye.
func (p *pair) reset() {
	p.once.Do(func() {
		close(p.ended)
		for _, c := range []net.Conn{p.near, p.far} {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		}
	})
}

// end ends both sides politely.
func (p *pair) end() {
	p.once.Do(func() {
		close(p.ended)
		_ = p.near.Close()
		_ = p.far.Close()
	})
}

func (v *Valve) add(p *pair) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.refuse {
		return false
	}
	v.pairs[p] = true
	return true
}

func (v *Valve) remove(p *pair) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.pairs, p)
}

func (v *Valve) refuses() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.refuse
}

// pass waits as long as n bytes take; false: the connection has ended.
func (v *Valve) pass(p *pair, n int) bool {
	for {
		v.mu.Lock()
		stalled, wait := v.stalled, v.delay
		if v.rate > 0 {
			wait += time.Duration(n) * time.Second / time.Duration(v.rate)
		}
		v.mu.Unlock()
		if stalled == nil && wait == 0 {
			return true
		}
		if stalled != nil {
			select {
			case <-stalled:
				continue
			case <-p.ended:
				return false
			}
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
			return true
		case <-p.ended:
			t.Stop()
			return false
		}
	}
}
