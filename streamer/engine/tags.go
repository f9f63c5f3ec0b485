package engine

import "sync"

// tags remembers the tags of the newest frames that were applied: two pods whose logs differ
// must not take each other's bars. Its methods may be called at the same time.
type tags struct {
	mu  sync.Mutex
	all [4096]struct {
		seq uint64
		tag uint32
	}
}

func (t *tags) put(seq uint64, tag uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := &t.all[seq%uint64(len(t.all))]
	x.seq, x.tag = seq, tag
}

// get returns the tag of a frame; 0: it is not remembered.
func (t *tags) get(seq uint64) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x := &t.all[seq%uint64(len(t.all))]; x.seq == seq {
		return x.tag
	}
	return 0
}

func (t *tags) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.all[:])
}
