package ingest

import (
	"context"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/marketstream/marketstream/streamer/market"
)

// chunkEntries bounds a chunk, and with it a batch of TICKS: 55 times cheaper to store
// than single messages at 128 trades (design: JetStream), and marks come on top.
const chunkEntries = 256

// chunk is entries on their way to a writer.
type chunk struct{ entries []market.Entry }

// room bounds, in entries, what waits for the writers of a plane: shared, so that a burst
// in one partition may take what the others leave free.
type room struct {
	sem     *semaphore.Weighted
	size    int64
	waiting atomic.Int64
}

func newRoom(size int64) *room { return &room{sem: semaphore.NewWeighted(size), size: size} }

func (r *room) take(ctx context.Context, n int64) error {
	if !r.sem.TryAcquire(n) {
		if err := r.sem.Acquire(ctx, n); err != nil {
			return context.Cause(ctx)
		}
	}
	r.waiting.Add(n)
	return nil
}

func (r *room) give(n int64) {
	r.sem.Release(n)
	r.waiting.Add(-n)
}

// queue is what waits for one writer: chunks that fill up while they wait, so that many small
// flushes take no more memory than their entries. Its methods may be called at the same time.
type queue struct {
	room *room
	wake chan struct{} // a token when there is something to take, or the queue was closed

	mu     sync.Mutex
	chunks []*chunk
	spare  []*chunk
	closed bool
}

func newQueue(r *room) *queue { return &queue{room: r, wake: make(chan struct{}, 1)} }

// push adds entries; they are the caller's again at return. It blocks while the room is
// full, and returns ctx's error. What comes after close is passed over: its reader has gone.
func (q *queue) push(ctx context.Context, entries []market.Entry) error {
	n := int64(len(entries))
	if err := q.room.take(ctx, n); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		q.room.give(n)
		return nil
	}
	for len(entries) > 0 {
		last := len(q.chunks) - 1
		if last < 0 || len(q.chunks[last].entries) == chunkEntries {
			q.chunks = append(q.chunks, q.empty())
			last++
		}
		c := q.chunks[last]
		k := min(len(entries), chunkEntries-len(c.entries))
		c.entries = append(c.entries, entries[:k]...)
		entries = entries[k:]
	}
	q.signal()
	return nil
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) empty() *chunk {
	n := len(q.spare)
	if n == 0 {
		return &chunk{entries: make([]market.Entry, 0, chunkEntries)}
	}
	c := q.spare[n-1]
	q.spare = q.spare[:n-1]
	c.entries = c.entries[:0]
	return c
}

// take returns the oldest chunk, nil if there is none; over: and there never will be one.
func (q *queue) take() (c *chunk, over bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.chunks) == 0 {
		return nil, q.closed
	}
	c = q.chunks[0]
	q.chunks[0] = nil
	if q.chunks = q.chunks[1:]; len(q.chunks) > 0 || q.closed {
		q.signal()
	}
	q.room.give(int64(len(c.entries)))
	return c, false
}

// give hands a chunk back for use again.
func (q *queue) give(c *chunk) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.spare) < 4 {
		q.spare = append(q.spare, c)
	}
}

// close says that nothing more comes; what is there can still be taken, unless drop.
func (q *queue) close(drop bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if drop {
		for _, c := range q.chunks {
			q.room.give(int64(len(c.entries)))
		}
		q.chunks = nil
	}
	q.signal()
}
