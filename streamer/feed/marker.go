package feed

import "github.com/marketstream/marketstream/streamer/market"

// StepNs is the step of event time at which replay and synthetic move the watermark.
const StepNs = int64(100e6)

// Marker moves a watermark at whole steps of event time, so that what closes, and when,
// depends on the source alone.
type Marker struct {
	step int64 // the watermark in steps; 0: none yet
	last uint64
}

// Put puts a trade, and before it a Mark if the trade's time reaches another step.
func (m *Marker) Put(sink Sink, e *market.Entry) error {
	if step := e.Time / StepNs; step > m.step {
		if err := m.Mark(sink, step); err != nil {
			return err
		}
	}
	m.last = e.Offset
	return sink.Put(e)
}

// Mark moves the watermark to a step.
func (m *Marker) Mark(sink Sink, step int64) error {
	if step <= m.step {
		return nil
	}
	m.step = step
	return sink.Put(&market.Entry{Kind: market.Mark, Symbol: market.AllSymbols, Time: step * StepNs, Offset: m.last})
}

// End puts the watermark of a source that has ended.
func (m *Marker) End(sink Sink) error {
	return sink.Put(&market.Entry{Kind: market.Mark, Symbol: market.AllSymbols, Time: market.EndOfFeed * 1e6, Offset: m.last})
}
