package logs

import (
	"fmt"

	"github.com/marketstream/marketstream/streamer/market"
)

// Localizer turns numbers of the process's symbol table into places in a message's own
// table, in the order in which they first come. It allocates nothing once it has grown; one
// goroutine uses it.
type Localizer struct {
	Table *market.SymbolTable

	places []uint32 // by process-wide number: place + 1; 0: none
	used   []uint32 // process-wide numbers, by place
	names  []string
}

// Frame makes f fit to encode: f.Symbols becomes the table of the symbols in its records and
// gaps, whose Symbol is then a place in it. On an error f is no frame any more.
func (l *Localizer) Frame(f *Frame) error {
	defer l.reset()
	for i := range f.Records {
		if !l.replace(&f.Records[i].Symbol) {
			return fmt.Errorf("record %d of a frame: symbol %d has no name", i, f.Records[i].Symbol)
		}
	}
	for i := range f.Gaps {
		if !l.replace(&f.Gaps[i].Symbol) {
			return fmt.Errorf("gap %d of a frame: symbol %d has no name", i, f.Gaps[i].Symbol)
		}
	}
	f.Symbols = append(f.Symbols[:0], l.names...)
	return nil
}

// State is Frame for a state message.
func (l *Localizer) State(m *StateMessage) error {
	defer l.reset()
	for i := range m.States {
		if !l.replace(&m.States[i].Symbol) {
			return fmt.Errorf("state %d: symbol %d has no name", i, m.States[i].Symbol)
		}
	}
	m.Symbols = append(m.Symbols[:0], l.names...)
	return nil
}

func (l *Localizer) replace(symbol *uint32) (ok bool) {
	n, ok := l.number(*symbol)
	if ok {
		*symbol = n
	}
	return ok
}

// number returns the place of a process-wide number, a new one if it has none.
func (l *Localizer) number(symbol uint32) (place uint32, ok bool) {
	if int64(symbol) < int64(len(l.places)) {
		if p := l.places[symbol]; p != 0 {
			return p - 1, true
		}
	}
	return l.add(symbol)
}

func (l *Localizer) add(symbol uint32) (place uint32, ok bool) {
	name := l.Table.Name(symbol)
	if name == "" {
		return 0, false
	}
	if n := l.Table.Len(); n > len(l.places) {
		l.places = append(l.places, make([]uint32, n-len(l.places))...)
	}
	place = uint32(len(l.names))
	l.names = append(l.names, name)
	l.used = append(l.used, symbol)
	l.places[symbol] = place + 1
	return place, true
}

func (l *Localizer) reset() {
	for _, s := range l.used {
		l.places[s] = 0
	}
	l.used, l.names = l.used[:0], l.names[:0]
}

// Remap is the way back from [Localizer.Frame]: records and gaps of f carry numbers in t afterwards, which gets the
// symbols that it lacks. f.Symbols stays, but nothing points into it any more.
func Remap(f *Frame, t *market.SymbolTable) {
	ids := intern(f.Symbols, t)
	for i := range f.Records {
		f.Records[i].Symbol = ids[f.Records[i].Symbol]
	}
	for i := range f.Gaps {
		f.Gaps[i].Symbol = ids[f.Gaps[i].Symbol]
	}
}

// RemapBatch is Remap for the entries of a batch.
func RemapBatch(b *Batch, t *market.SymbolTable) {
	ids := intern(b.Symbols, t)
	for i := range b.Entries {
		e := &b.Entries[i]
		if e.Kind == market.Mark || e.Kind == market.Hole && e.Symbol == market.AllSymbols {
			continue
		}
		e.Symbol = ids[e.Symbol]
	}
}

// RemapState is Remap for a state message.
func RemapState(m *StateMessage, t *market.SymbolTable) {
	ids := intern(m.Symbols, t)
	for i := range m.States {
		m.States[i].Symbol = ids[m.States[i].Symbol]
	}
}

func intern(symbols []string, t *market.SymbolTable) []uint32 {
	ids := make([]uint32, len(symbols))
	for i, s := range symbols {
		ids[i] = t.Intern(s)
	}
	return ids
}
