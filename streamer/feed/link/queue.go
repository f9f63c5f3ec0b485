package link

import "sync"

// queue stands between the socket's reader and the parser: frames one after the other in
// blocks that change hands, so that neither copies or allocates per frame once the blocks
// have grown. It is bounded in bytes; while it is full the reader waits, and so the vendor's
// socket fills.
type queue struct {
	ready chan struct{} // holds a token while there may be something to take

	mu     sync.Mutex
	room   sync.Cond
	max    int // bytes of the block that is filled, but for its last frame
	fill   *block
	err    error // why nothing more comes
	closed bool  // nobody takes any more
	held   bool  // the reader waits
}

// block is frames in the order in which they came.
type block struct {
	data  []byte
	items []item
}

// item is a frame, or the answer to a ping.
type item struct {
	end  int   // of the frame in data; it begins where the one before it ends
	recv int64 // when it was received, local ns
	sent int64 // of an answer: when the ping was sent, local ns; 0: a frame
}

// itemBytes is what an item counts for in the bound.
const itemBytes = 24

func (b *block) size() int { return len(b.data) + itemBytes*len(b.items) }

func (b *block) reset() { b.data, b.items = b.data[:0], b.items[:0] }

func newQueue(maxBytes int) *queue {
	q := &queue{ready: make(chan struct{}, 1), max: maxBytes, fill: &block{}}
	q.room.L = &q.mu
	return q
}

// push copies a frame into the queue. It waits while the queue is full, and reports false
// once nobody takes any more.
func (q *queue) push(frame []byte, recv int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && len(q.fill.items) > 0 && q.fill.size()+len(frame)+itemBytes > q.max {
		q.held = true
		q.room.Wait()
	}
	q.held = false
	if q.closed {
		return false
	}
	q.fill.data = append(q.fill.data, frame...)
	q.add(item{end: len(q.fill.data), recv: recv})
	return true
}

// answer puts the answer to a ping at its place among the frames. It never waits: there is
// one ping at a time.
func (q *queue) answer(recv, sent int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(item{end: len(q.fill.data), recv: recv, sent: sent})
}

func (q *queue) add(i item) {
	q.fill.items = append(q.fill.items, i)
	q.wake()
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// fail says that nothing more comes, after what is there; the first reason counts.
func (q *queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
	}
	q.wake()
}

// take exchanges an empty block for the one that was filled. It returns nil, and keeps
// empty the caller's, if there is nothing; err then says whether anything will come.
func (q *queue) take(empty *block) (*block, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.fill.items) == 0 {
		return nil, q.err
	}
	full := q.fill
	q.fill = empty
	q.room.Signal()
	return full, nil
}

// close lets the reader go: nobody takes any more.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.room.Signal()
}

// isHeld reports whether the reader waits for room.
func (q *queue) isHeld() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.held
}
