package socket

import "sync"

// Queue stands between the socket's reader and the parser: frames one after the other in
// blocks that change hands, so that neither copies or allocates per frame once the blocks
// have grown. It is bounded in bytes; while it is full the reader waits, and so the vendor's
// socket fills.
type Queue struct {
	Ready chan struct{} // holds a token while there may be something to take

	mu     sync.Mutex
	room   sync.Cond
	max    int // bytes of the block that is filled, but for its last frame
	fill   *Block
	err    error // why nothing more comes
	closed bool  // nobody takes any more
	held   bool  // the reader waits
}

// Block is frames in the order in which they came.
type Block struct {
	Data  []byte
	Items []Item
}

// Item is a frame, or the answer to a ping.
type Item struct {
	End  int   // of the frame in data; it begins where the one before it ends
	Recv int64 // when it was received, local ns
	Sent int64 // of an answer: when the ping was sent, local ns; 0: a frame
}

// itemBytes is what an item counts for in the bound.
const itemBytes = 24

func (b *Block) size() int { return len(b.Data) + itemBytes*len(b.Items) }

// Reset empties it; what was taken from it is void.
func (b *Block) Reset() { b.Data, b.Items = b.Data[:0], b.Items[:0] }

// NewQueue makes one that is full at so many bytes.
func NewQueue(maxBytes int) *Queue {
	q := &Queue{Ready: make(chan struct{}, 1), max: maxBytes, fill: &Block{}}
	q.room.L = &q.mu
	return q
}

// Push copies a frame into the queue. It waits while the queue is full, and reports false
// once nobody takes any more.
func (q *Queue) Push(frame []byte, recv int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && len(q.fill.Items) > 0 && q.fill.size()+len(frame)+itemBytes > q.max {
		q.held = true
		q.room.Wait()
	}
	q.held = false
	if q.closed {
		return false
	}
	q.fill.Data = append(q.fill.Data, frame...)
	q.add(Item{End: len(q.fill.Data), Recv: recv})
	return true
}

// Answer puts the answer to a ping at its place among the frames. It never waits: there is
// one ping at a time.
func (q *Queue) Answer(recv, sent int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(Item{End: len(q.fill.Data), Recv: recv, Sent: sent})
}

func (q *Queue) add(i Item) {
	q.fill.Items = append(q.fill.Items, i)
	q.wake()
}

func (q *Queue) wake() {
	select {
	case q.Ready <- struct{}{}:
	default:
	}
}

// fail says that nothing more comes, after what is there; the first reason counts.
func (q *Queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
	}
	q.wake()
}

// Take exchanges an empty block for the one that was filled. It returns nil, and keeps
// empty the caller's, if there is nothing; err then says whether anything will come.
func (q *Queue) Take(empty *Block) (*Block, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.fill.Items) == 0 {
		return nil, q.err
	}
	full := q.fill
	q.fill = empty
	q.room.Signal()
	return full, nil
}

// close lets the reader go: nobody takes any more.
func (q *Queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.room.Signal()
}

// isHeld reports whether the reader waits for room.
func (q *Queue) isHeld() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.held
}
