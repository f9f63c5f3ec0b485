package ingest

import (
	"math"
	"reflect"
	"slices"

	"github.com/marketstream/marketstream/streamer/bars"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// Spec is what shapes the bars of a stream, all partitions together.
type Spec struct {
	Symbols        []string // in the spelling of the MarketStream
	Timeframes     []market.Timeframe
	Session        market.Session
	ConditionsName string
	Conditions     *market.ConditionTable
	CloseGraceMs   int64
	RevisionMs     int64
	Source         string // names what positions are places in
	ShiftMs        int64
}

// Head is where a partition ends in the log: its last frame, and the last shape.
type Head struct {
	Seq   uint64
	Frame *logs.Frame // nil: none
	Shape *logs.Shape // nil: none
}

// Heads are the heads of all partitions.
type Heads [market.Partitions]Head

// place is the furthest place in the source, and the highest finite watermark, that any
// partition has reached: where a symbol that joins now is observed from.
func (h *Heads) place() (offset uint64, watermarkMs int64, token uint64) {
	for i := range h {
		f := h[i].Frame
		if f == nil {
			continue
		}
		offset = max(offset, f.Applied.Source.Offset)
		token = max(token, f.Token)
		if f.Watermark < market.EndOfFeed {
			watermarkMs = max(watermarkMs, f.Watermark)
		}
	}
	return offset, watermarkMs, token
}

// Shift is what the log's times are shifted by, and whether the log has one already.
func (h *Heads) Shift() (ms int64, known bool) {
	for i := range h {
		if s := h[i].Shape; s != nil {
			return s.ShiftMs, true
		}
	}
	return 0, false
}

// NextToken is 1 + the highest fencing token in the log.
func (h *Heads) NextToken() uint64 {
	_, _, token := h.place()
	return token + 1
}

// Generation is the highest configuration generation in the log.
func (h *Heads) Generation() logs.ConfigGeneration {
	var g logs.ConfigGeneration
	for i := range h {
		if f := h[i].Frame; f != nil && g.Less(f.ConfigGeneration) {
			g = f.ConfigGeneration
		}
	}
	return g
}

// shape returns what s makes of a partition that so far had old (nil: none), and the gaps
// of symbols that join a running stream or leave it, with process-wide numbers.
func (s *Spec) shape(partition int, old *logs.Shape, offset uint64, watermarkMs int64, table *market.SymbolTable) (*logs.Shape, []market.Gap) {
	n := &logs.Shape{
		Calendar: s.Session.Calendar.Name(), CalendarData: s.Session.Calendar.Version(),
		Hours: s.Session.Hours.String(), Anchor: s.Session.Anchor.String(),
		Conditions: s.ConditionsName, ConditionData: s.Conditions.Version(),
		CloseGraceMs: s.CloseGraceMs, RevisionMs: s.RevisionMs, Source: s.Source, ShiftMs: s.ShiftMs,
	}
	largest := market.M1
	for _, tf := range s.Timeframes {
		n.Timeframes = append(n.Timeframes, tf.String())
		largest = max(largest, tf)
	}
	had := make(map[string]logs.ShapeSymbol)
	if old != nil {
		for _, sym := range old.Symbols {
			had[sym.Name] = sym
		}
	}
	var gaps []market.Gap
	for _, name := range s.Symbols {
		if market.PartitionOf(name) != partition {
			continue
		}
		sym, ok := had[name]
		if !ok {
			sym = logs.ShapeSymbol{Name: name, SinceOffset: offset, SinceMs: watermarkMs}
			if watermarkMs > 0 {
				from, _ := s.Session.Period(largest, watermarkMs)
				gaps = append(gaps, market.Gap{Symbol: table.Intern(name), FromMs: from, ToMs: watermarkMs, Reason: market.GapSymbolAdded})
			}
		}
		delete(had, name)
		n.Symbols = append(n.Symbols, sym)
	}
	slices.SortFunc(n.Symbols, func(a, b logs.ShapeSymbol) int { return compare(a.Name, b.Name) })
	for name := range had {
		gaps = append(gaps, market.Gap{Symbol: table.Intern(name), FromMs: watermarkMs, ToMs: watermarkMs, State: market.GapRemoved})
	}
	slices.SortFunc(gaps, func(a, b market.Gap) int { return compare(table.Name(a.Symbol), table.Name(b.Symbol)) })
	return n, gaps
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// changed reports whether bars have another shape under n than under old.
func changed(old, n *logs.Shape) bool {
	if old == nil {
		return len(n.Symbols) > 0
	}
	return !reflect.DeepEqual(old, n)
}

// foldConfig is a partition's shape as its fold wants it.
func (s *Spec) foldConfig(shape *logs.Shape, table *market.SymbolTable) bars.Config {
	c := bars.Config{Timeframes: s.Timeframes, Session: s.Session, Conditions: s.Conditions,
		CloseGraceMs: s.CloseGraceMs, RevisionWindowMs: s.RevisionMs}
	for _, sym := range shape.Symbols {
		c.Symbols = append(c.Symbols, bars.Symbol{Number: table.Intern(sym.Name), Name: sym.Name,
			SinceOffset: sym.SinceOffset, SinceMs: sym.SinceMs})
	}
	return c
}

// earliest is the place in the source at which the feed must go on: the smallest that an
// open minute of any writer needs; and the furthest that any partition has applied, up to
// which it only says again what was said.
func earliest(heads *Heads, writers []*Writer) (from market.SourcePosition, said uint64) {
	from.Offset = math.MaxUint64
	for _, w := range writers {
		f := heads[w.partition].Frame
		if f == nil {
			return market.SourcePosition{}, 0
		}
		if f.Open.Source.Offset < from.Offset {
			from = f.Open.Source
		}
		said = max(said, f.Applied.Source.Offset)
	}
	if from.Offset == math.MaxUint64 {
		from.Offset = 0
	}
	return from, said
}
