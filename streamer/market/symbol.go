package market

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Partitions is the number of partitions of every stream, fixed for its life: the unit of
// lease, fold, fence and frame.
const Partitions = 16

// PartitionOf returns the partition of a symbol: FNV-1a of 64 bits over its upper-case
// ASCII letters, folded to 32 bits, modulo [Partitions]. It is a contract
// (docs/contracts/logs.md): BARS is laid out by it.
func PartitionOf(symbol string) int {
	h := uint64(14695981039346656037)
	for i := 0; i < len(symbol); i++ {
		c := symbol[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		h = (h ^ uint64(c)) * 1099511628211
	}
	return int((uint32(h) ^ uint32(h>>32)) % Partitions)
}

// SymbolTable numbers symbols for the life of a process: a symbol keeps its number, also
// while it is not carried. Symbols match case-insensitively and keep the spelling that was
// interned first, until [SymbolTable.Respell]. Its methods may be called at the same time; Name
// takes no lock.
type SymbolTable struct {
	mu    sync.RWMutex
	ids   map[string]uint32
	names atomic.Pointer[[]string]
}

// Intern returns the number of symbol, a new one if it has none.
func (t *SymbolTable) Intern(symbol string) uint32 {
	if id, ok := t.ID(symbol); ok {
		return id
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := strings.ToUpper(symbol)
	if id, ok := t.ids[key]; ok {
		return id
	}
	if t.ids == nil {
		t.ids = make(map[string]uint32)
	}
	var names []string
	if p := t.names.Load(); p != nil {
		names = *p
	}
	id := uint32(len(names))
	names = append(names, strings.Clone(symbol)) // readers see the old length only
	t.names.Store(&names)
	t.ids[key] = id
	return id
}

// Respell interns symbols and spells them as they stand here from now on. It returns the numbers
// of those that were spelled otherwise: texts that name them are void.
func (t *SymbolTable) Respell(symbols []string) (changed []uint32) {
	for _, symbol := range symbols {
		if id := t.Intern(symbol); t.Name(id) != symbol {
			changed = append(changed, id)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	names := slices.Clone(*t.names.Load()) // readers have the old ones
	for _, symbol := range symbols {
		names[t.ids[strings.ToUpper(symbol)]] = strings.Clone(symbol)
	}
	t.names.Store(&names)
	return changed
}

// ID returns the number of symbol, and whether it has one.
func (t *SymbolTable) ID(symbol string) (uint32, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	id, ok := t.ids[strings.ToUpper(symbol)]
	return id, ok
}

// Name returns the symbol with number id, or "" if there is none.
func (t *SymbolTable) Name(id uint32) string {
	p := t.names.Load()
	if p == nil || int(id) >= len(*p) {
		return ""
	}
	return (*p)[id]
}

// Len returns how many symbols have a number.
func (t *SymbolTable) Len() int {
	if p := t.names.Load(); p != nil {
		return len(*p)
	}
	return 0
}
