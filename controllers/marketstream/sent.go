package marketstream

import (
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// sent remembers what was applied over which version of an object: until the cache has a newer
// one, it shows what was there before, and the same would be applied again. It also keeps an apply
// that changes nothing from being repeated for ever.
type sent struct {
	mu   sync.Mutex
	last map[types.NamespacedName]map[id]sending
}

// sending is one apply: the hash of what was wanted, the version that it was applied over, and which generation of which object
// it made; 0 of a kind that counts none.
type sending struct {
	hash, over string
	uid        types.UID
	generation int64
}

// is reports whether the same was applied over what the cache shows, or over something newer:
// a status that was written meanwhile has a version of its own.
func (s *sent) is(stream types.NamespacedName, at id, hash string, live *unstructured.Unstructured) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.last[stream][at]
	return last.hash == hash && (last.over == live.GetResourceVersion() || last.uid == live.GetUID() && live.GetGeneration() < last.generation)
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
