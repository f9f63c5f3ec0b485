package bars

import (
	"slices"

	"github.com/marketstream/marketstream/streamer/market"
)

// idSet is a set of trade ids, never 0. While ids rise it is sorted runs: one while they rise
// without a hole, as at crypto venues, and then adding costs a comparison. An id among those
// that are there is put at its place while the runs are few, and else into a hash table.
type idSet struct {
	runs   []idRun
	hashed *idTable // nil: none
}

type idRun struct{ lo, hi uint64 }

// maxRuns is up to how many runs an id is put among them: it costs moving the rest.
const maxRuns = 256

// size is how much room a set takes, in runs and ids.
func (s *idSet) size() int {
	n := len(s.runs)
	if s.hashed != nil {
		n += s.hashed.n
	}
	return n
}

// has reports whether an id is in the set.
func (s *idSet) has(id uint64) bool {
	_, found := s.find(id)
	return found || s.hashed != nil && s.hashed.has(id)
}

// find returns the run that holds id, or the first one above it.
func (s *idSet) find(id uint64) (at int, found bool) {
	return slices.BinarySearchFunc(s.runs, id, func(r idRun, id uint64) int {
		switch {
		case r.hi < id:
			return -1
		case r.lo > id:
			return 1
		}
		return 0
	})
}

// add adds id and reports whether it is new.
func (s *idSet) add(id uint64) bool {
	n := len(s.runs)
	if n == 0 || id > s.runs[n-1].hi { // so it is not in the hash table: what is there was below this
		if n > 0 && id == s.runs[n-1].hi+1 {
			s.runs[n-1].hi = id
		} else {
			s.runs = append(s.runs, idRun{id, id})
		}
		return true
	}
	at, found := s.find(id)
	if found {
		return false
	}
	if n > maxRuns {
		if s.hashed == nil {
			s.hashed = &idTable{}
		}
		return s.hashed.add(id)
	}
	runs := s.runs
	joinsBelow, joinsAbove := at > 0 && runs[at-1].hi+1 == id, runs[at].lo == id+1
	switch {
	case joinsBelow && joinsAbove:
		runs[at-1].hi = runs[at].hi
		s.runs = slices.Delete(runs, at, at+1)
	case joinsBelow:
		runs[at-1].hi = id
	case joinsAbove:
		runs[at].lo = id
	default:
		s.runs = slices.Insert(runs, at, idRun{id, id})
	}
	return true
}

// idTable is a hash table of ids with open addressing; 0 is an empty slot.
type idTable struct {
	slots []uint64 // a power of two of them
	n     int
}

// slot is where a search for id begins: by the product's upper bits, so that ids of one stride spread.
func (t *idTable) slot(id uint64) uint64 {
	x := id * 0x9e37_79b9_7f4a_7c15
	return (x ^ x>>32) & uint64(len(t.slots)-1)
}

func (t *idTable) has(id uint64) bool {
	if t.n == 0 {
		return false
	}
	at := t.slot(id)
	for t.slots[at] != 0 && t.slots[at] != id {
		at = (at + 1) & uint64(len(t.slots)-1)
	}
	return t.slots[at] == id
}

// add adds id and reports whether it is new.
func (t *idTable) add(id uint64) bool {
	if 4*(t.n+1) > 3*len(t.slots) {
		old := t.slots
		t.slots = make([]uint64, max(maxRuns, 2*len(old)))
		for _, x := range old {
			if x != 0 {
				t.put(x)
			}
		}
	}
	if !t.put(id) {
		return false
	}
	t.n++
	return true
}

func (t *idTable) put(id uint64) bool {
	at := t.slot(id)
	for ; t.slots[at] != 0; at = (at + 1) & uint64(len(t.slots)-1) {
		if t.slots[at] == id {
			return false
		}
	}
	t.slots[at] = id
	return true
}

// mostIDs bounds what a fold remembers of ids, in runs and single ids: 8 to 21 bytes each.
const mostIDs = 1 << 19

// isNew adds an id to a set of the fold and reports whether it is new. Past the bound the ids
// of the oldest closed minutes go first; where there are none, the id is not remembered.
func (f *Fold) isNew(s *idSet, id uint64) bool {
	if f.idsHeld >= f.mostIDs && !f.dropOldIDs(s) {
		if s.has(id) {
			return false
		}
		f.stats.ForgottenIDs++
		return true
	}
	before := s.size()
	isNew := s.add(id)
	f.idsHeld += s.size() - before
	return isNew
}

// dropOldIDs forgets the ids of the oldest closed minute that has any and is not s's; false: none has.
func (f *Fold) dropOldIDs(s *idSet) bool {
	if f.noOldIDs {
		return false
	}
	oldest, found := int64(0), false
	each := func(fn func(*closedRecord)) {
		for i := range f.symbols {
			recent := f.symbols[i].recent[market.M1].list()
			for k := range recent {
				if c := &recent[k]; c.ids.size() > 0 && &c.ids != s {
					fn(c)
				}
			}
		}
	}
	each(func(c *closedRecord) {
		if !found || c.StartMs < oldest {
			oldest, found = c.StartMs, true
		}
	})
	each(func(c *closedRecord) {
		if c.StartMs == oldest {
			f.stats.ForgottenIDs += uint64(c.ids.size())
			f.giveIDs(&c.ids)
		}
	})
	f.noOldIDs = !found
	return found
}

// takeIDs returns an empty set, with the room of an old one if there is one.
func (f *Fold) takeIDs() idSet {
	n := len(f.spare)
	if n == 0 {
		return idSet{}
	}
	runs := f.spare[n-1]
	f.spare = f.spare[:n-1]
	f.spareRuns -= cap(runs)
	return idSet{runs: runs[:0]}
}

// giveIDs empties a set that is needed no more and keeps its room.
func (f *Fold) giveIDs(s *idSet) {
	f.idsHeld -= s.size()
	if n := cap(s.runs); n > 0 && len(f.spare) < 2*len(f.symbols) && f.spareRuns+n <= f.mostIDs/4 {
		f.spare = append(f.spare, s.runs)
		f.spareRuns += n
	}
	*s = idSet{}
}
