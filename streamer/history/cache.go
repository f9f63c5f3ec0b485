package history

import (
	"container/list"
	"sync"
	"time"
)

// cache keeps values, least recently used out first, up to a number of bytes. Its methods
// may be called at the same time.
type cache[K comparable, V any] struct {
	most int

	mu    sync.Mutex
	bytes int
	byKey map[K]*list.Element
	order *list.List // of *cached[K, V], newest first
}

type cached[K comparable, V any] struct {
	key   K
	value V
	size  int
	until time.Time // zero: for good
}

func newCache[K comparable, V any](most int) *cache[K, V] {
	return &cache[K, V]{most: most, byKey: make(map[K]*list.Element), order: list.New()}
}

func (c *cache[K, V]) get(k K) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[k]
	if e == nil {
		return v, false
	}
	x := e.Value.(*cached[K, V])
	if !x.until.IsZero() && time.Now().After(x.until) {
		c.remove(e)
		return v, false
	}
	c.order.MoveToFront(e)
	return x.value, true
}

// put keeps a value of size bytes until a time; zero: until there is no room.
func (c *cache[K, V]) put(k K, v V, size int, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[k]; e != nil {
		c.remove(e)
	}
	c.byKey[k] = c.order.PushFront(&cached[K, V]{k, v, size, until})
	c.bytes += size
	for c.bytes > c.most && c.order.Len() > 1 {
		c.remove(c.order.Back())
	}
}

func (c *cache[K, V]) remove(e *list.Element) {
	x := c.order.Remove(e).(*cached[K, V])
	delete(c.byKey, x.key)
	c.bytes -= x.size
}

// clear forgets all.
func (c *cache[K, V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.byKey)
	c.order.Init()
	c.bytes = 0
}
