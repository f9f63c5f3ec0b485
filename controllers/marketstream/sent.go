package marketstream

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// sent remembers what was applied over which version of an object: until the cache has a newer
// one, it shows what was there before, and the same would be applied again. It also keeps an apply
// that changes nothing from being repeated for ever.
type sent struct {
	mu   sync.Mutex
	last map[types.NamespacedName]map[id]sending
}

// sending is one apply: the hash of what was wanted, and the version that it was applied over.
type sending struct{ hash, over string }

func (s *sent) is(stream types.NamespacedName, at id, what sending) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[stream][at] == what
}

func (s *sent) note(stream types.NamespacedName, at id, what sending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		s.last = make(map[types.NamespacedName]map[id]sending)
	}
	if s.last[stream] == nil {
		s.last[stream] = make(map[id]sending)
	}
	s.last[stream][at] = what
}

func (s *sent) forget(stream types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.last, stream)
}
