package feed

import "github.com/marketstream/marketstream/streamer/market"

// StepNs is the step of event time at which replay and synthetic move the watermark.
const StepNs = int64(100e6)

// Marker is the watermark of a source that takes it from event time alone: the highest
// event time so far, less what is not a whole step. It says each new one before the entry
// that reaches it, so what closes, and at which entry, depends on the source alone.
// The zero value has seen nothing.
type Marker struct {
	next int64  // the first event time that moves the watermark
	last uint64 // offset of the last entry that was seen
	mark market.Entry
}

// Put puts a trade, and before it a Mark if the trade's time moves the watermark.
func (m *Marker) Put(sink Sink, e *market.Entry) error {
	if e.Time >= m.next {
		if err := m.move(sink, e.Time); err != nil {
			return err
		}
	}
	m.last = e.Offset
	return sink.Put(e)
}

// Moves reports whether an entry of event time ns would move the watermark.
func (m *Marker) Moves(ns int64) bool { return ns >= m.next }

// Pass sees an entry that is not said, a trade in a symbol that is not carried: event time
// passes for it too, so that which symbols are carried changes no watermark.
func (m *Marker) Pass(sink Sink, ns int64, offset uint64) error {
	if ns >= m.next {
		if err := m.move(sink, ns); err != nil {
			return err
		}
	}
	m.last = offset
	return nil
}

// Step sees that event time comes to ns, and that everything at or before offset has been
// said: a Mark that it says stands there, and not at the entry before it. So a place that
// is kept of it means the same whichever symbols are carried.
func (m *Marker) Step(sink Sink, ns int64, offset uint64) error {
	m.last = offset
	return m.Pass(sink, ns, offset)
}

// Skip sees an entry at or before the place where a restarted source goes on, and says
// nothing: the marks that follow are then those of the first run.
func (m *Marker) Skip(ns int64, offset uint64) {
	if ns >= m.next {
		m.next = ns - ns%StepNs + StepNs
	}
	m.last = offset
}

// End puts the watermark of a source that has ended.
func (m *Marker) End(sink Sink) error { return m.put(sink, market.EndOfFeed*1e6) }

func (m *Marker) move(sink Sink, ns int64) error {
	ns -= ns % StepNs
	m.next = ns + StepNs
	return m.put(sink, ns)
}

// put reuses one entry: an escaping one would allocate at each step.
func (m *Marker) put(sink Sink, ns int64) error {
	m.mark = market.Entry{Kind: market.Mark, Symbol: market.AllSymbols, Time: ns, Offset: m.last}
	return sink.Put(&m.mark)
}
