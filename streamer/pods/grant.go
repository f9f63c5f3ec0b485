package pods

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrLost says that another pod holds the partition.
var ErrLost = errors.New("another pod holds the partition")

// Grant is the right to write a partition, for as long as its lease runs. A writer asks it
// before everything that it writes. Its methods may be called at the same time.
type Grant struct {
	Partition int
	Token     uint64

	mu     sync.Mutex
	until  time.Time
	lost   bool
	change chan struct{} // closed and made again at each change
}

// NewGrant returns a grant that runs until a time. (A process that needs no lease, in
// tests: far in the future.)
func NewGrant(partition int, token uint64, until time.Time) *Grant {
	return &Grant{Partition: partition, Token: token, until: until, change: make(chan struct{})}
}

// Wait returns nil while the lease runs. Where it has run out it waits until it is renewed, lost
// ([ErrLost]) or ctx ends.
func (g *Grant) Wait(ctx context.Context) error {
	for {
		g.mu.Lock()
		until, lost, change := g.until, g.lost, g.change
		g.mu.Unlock()
		switch {
		case lost:
			return ErrLost
		case time.Now().Before(until):
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Valid reports whether the lease runs.
func (g *Grant) Valid() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.lost && time.Now().Before(g.until)
}

// Until moves the end.
func (g *Grant) Until(t time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.After(g.until) {
		g.until = t
		close(g.change)
		g.change = make(chan struct{})
	}
}

// Lose ends it for good.
func (g *Grant) Lose() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.lost {
		g.lost = true
		close(g.change)
		g.change = make(chan struct{})
	}
}
