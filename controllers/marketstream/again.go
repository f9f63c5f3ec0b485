package marketstream

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// again is the soonest of the times after which a stream is to be looked at again; 0: never.
type again time.Duration

func (a *again) after(d time.Duration) {
	if *a == 0 || again(d) < *a {
		*a = again(d)
	}
}

// pace keeps a stream from being reconciled more than once per interval, whatever happens
// to it.
type pace struct {
	every time.Duration
	mu    sync.Mutex
	last  map[types.NamespacedName]time.Time
}

// wait returns how long to wait before a stream may be looked at, and 0 if it may be now.
func (p *pace) wait(key types.NamespacedName, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if since := now.Sub(p.last[key]); since < p.every && since >= 0 {
		return p.every - since
	}
	p.last[key] = now
	return 0
}

func (p *pace) forget(key types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.last, key)
}
