package ingest

// Pressure is what gives way because trades come faster than they are folded. What is not seen by anybody goes first, and a
// closed bar never: after all that the source itself is held up, and the watermark falls behind the clock.
type Pressure uint8

// The pressures, each with what the ones before it take.
const (
	NoPressure    Pressure = iota
	TicksGiveWay           // ticks are not shown to clients
	StatesGiveWay          // open bars are not sent: the newest come afterwards
)

// Pressure is what has to give way now. A source that can be read again never comes faster than it is folded: it waits.
func (p *Plane) Pressure() Pressure {
	if p.live == nil {
		return NoPressure
	}
	switch n := p.room.waiting.Load(); {
	case n >= p.room.size/2:
		return StatesGiveWay
	case n >= p.room.size/4:
		return TicksGiveWay
	}
	return NoPressure
}

// Waiting is how many entries of the source wait to be folded.
func (p *Plane) Waiting() int64 { return p.room.waiting.Load() }
