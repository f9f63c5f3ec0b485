package alpaca

import (
	"github.com/marketstream/marketstream/streamer/market"
)

const minuteNs = int64(60e9)

// memory knows the newest trades of a connection by symbol and order: what takes one back does not say all that it was. A slot holds
// one trade; a newer one that falls on it takes it over.
type memory []remembered

type remembered struct {
	key        uint64
	timeNs     int64
	conditions uint64
}

func newMemory(n int) memory { return make(memory, n) }

// slot is where a trade is kept, and by which key.
func (m memory) slot(e *market.Entry) (at *remembered, key uint64) {
	key = (e.Order ^ uint64(e.Symbol)<<40) * 0x9e3779b97f4a7c15
	key ^= key >> 32
	return &m[key&uint64(len(m)-1)], max(key, 1)
}

func (m memory) add(e *market.Entry) {
	at, key := m.slot(e)
	*at = remembered{key, e.Time, e.Conditions}
}

// find completes a trade that is taken back, and reports whether it is known.
func (m memory) find(e *market.Entry) bool {
	at, key := m.slot(e)
	if at.key != key {
		return false
	}
	e.Time, e.Conditions, e.ID = at.timeNs, at.conditions, mix(e.Order, at.timeNs)
	return true
}

// cancel takes a trade back. Of one that is not known here, of another connection or of long ago, it is not known where it
// counts: then its minute, by the message's time, is to be made again of what the vendor has.
func (s *session) cancel(e *market.Entry) error {
	if !s.memory.find(e) {
		return s.remake(e)
	}
	e.Kind = market.Cancel
	return s.Put(e)
}

// remake says that the minute of a trade is to be made again.
func (s *session) remake(e *market.Entry) error {
	start := market.FloorDiv(e.Time, minuteNs) * minuteNs
	s.entry = market.Entry{Kind: market.Hole, Symbol: e.Symbol, Time: start, Until: start + minuteNs, Reason: market.GapCancel}
	return s.Put(&s.entry)
}

// correct has a trade take the place of another, at its time.
func (s *session) correct(x *symbol, m *message) error {
	m.corrected.Symbol, m.entry.Symbol = x.number, x.number
	known := s.memory.find(&m.corrected)
	if err := s.cancel(&m.corrected); err != nil || !known || m.entry.Kind == 0 {
		return err // made again of what the vendor has, or nothing took its place
	}
	m.entry.Time = m.corrected.Time
	m.entry.ID = mix(m.entry.Order, m.entry.Time)
	s.memory.add(&m.entry)
	return s.Trade(&m.entry, m.sent)
}
