package ingest

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

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
	Feed           logs.FeedClass
	ShiftMs        int64
	// Generation is the document's; see [Spec.Count] where nobody counts.
	Generation logs.ConfigGeneration
	// First is the generation that the log began with, and Begin where its source began.
	First logs.ConfigGeneration
	Begin market.SourcePosition
}

// Head is where a partition ends in the log: its last frame, and the last shape.
type Head struct {
	Seq      uint64
	Frame    *logs.Frame // nil: none
	Shape    *logs.Shape // nil: none
	ShapeSeq uint64      // of the frame that says it
}

// settled is the shape, without what only the frame that brought it says.
func (h *Head) settled() *logs.Shape { return settled(h.Shape) }

func settled(s *logs.Shape) *logs.Shape {
	if s == nil || s.After == "" {
		return s
	}
	n := *s
	n.After = ""
	return &n
}

// Heads are the heads of all partitions.
type Heads [market.Partitions]Head

// place is the furthest place in the source, and the highest finite watermark, that any
// partition has reached: where a symbol that joins now is observed from.
func (h *Heads) place() (offset uint64, watermarkMs int64) {
	for i := range h {
		f := h[i].Frame
		if f == nil {
			continue
		}
		offset = max(offset, f.Applied.Source.Offset)
		if f.Watermark < market.EndOfFeed {
			watermarkMs = max(watermarkMs, f.Watermark)
		}
	}
	return offset, watermarkMs
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

// Token is the highest fencing token of a partition's last frame.
func (h *Heads) Token(partition int) uint64 {
	if f := h[partition].Frame; f != nil {
		return f.Token
	}
	return 0
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

// plan is what the bars of a partition are to be from now on.
type plan struct {
	shape *logs.Shape
	write bool // it is news to the log
	gen   logs.ConfigGeneration
	gaps  []market.Gap // of symbols that join or leave, with process-wide numbers
	// places: of gapless ids, symbols come and go; those in back go on where they were when they left.
	places bool
	back   []bars.LastTrade
	start  market.SourcePosition // where a partition begins that has no symbols yet
	// startMs is the watermark that such a partition begins with; 0: the stream begins.
	startMs int64
	fresh   bool // it had frames, but no symbols
	changed bool // another vendor takes over
}

// plan decides what the bars of a partition are to be: the newest rules. A document that is
// older than the log's is not run; one that is as old or newer is written if it says something else.
func (o *opening) plan(c *Claim) (plan, error) {
	head, spec := &o.heads[c.Partition], o.spec
	p := plan{shape: head.settled(), gen: o.heads.Generation()}
	if head.Frame != nil {
		p.gen = head.Frame.ConfigGeneration
	}
	if head.Shape != nil && spec.Generation.Less(p.gen) {
		return p, nil
	}
	offset, watermark := o.heads.place()
	p.start, p.startMs = market.SourcePosition{Offset: offset}, watermark
	if spec.Generation == spec.First { // the document is still the one that the log began with
		p.start, p.startMs = spec.Begin, 0
	}
	n, gaps := spec.shape(c.Partition, head, p.start.Offset, p.startMs, o.env.Symbols)
	p.changed = head.Shape != nil && head.Shape.Source != n.Source
	p.gaps = gaps
	if o.gapless() { // ids say what is missing
		p.gaps = slices.DeleteFunc(gaps, func(g market.Gap) bool { return g.State == market.GapOpen })
		p.places = true
		if err := o.comeAndGo(&p, n, c); err != nil {
			return p, err
		}
	}
	if head.Shape == nil && len(n.Symbols) == 0 || head.Shape != nil && reflect.DeepEqual(head.settled(), n) {
		p.write, p.gaps = head.Shape != nil && o.ages(head.ShapeSeq), nil
		return p, nil
	}
	if p.changed {
		n.After = head.Shape.Source
	}
	p.fresh = head.Shape != nil && len(head.Shape.Symbols) == 0
	p.shape, p.write, p.gen = n, true, spec.Generation
	return p, nil
}

// Count numbers a document that nobody counts, on a laptop: as the log's newest, or one
// higher if it makes other bars of any partition.
func (s *Spec) Count(heads *Heads, table *market.SymbolTable) {
	s.Generation = heads.Generation()
	if s.Generation == (logs.ConfigGeneration{}) {
		s.Generation = s.First
		return
	}
	for p := range heads {
		head := &heads[p]
		n, _ := s.shape(p, head, 0, 0, table)
		if head.Shape == nil && len(n.Symbols) > 0 && head.Frame == nil || head.Shape != nil && !sameRules(head.Shape, n) {
			s.Generation.Generation++
			return
		}
	}
}

// sameRules reports whether bars are made alike, of the same symbols.
func sameRules(a, b *logs.Shape) bool {
	x, y := *a, *b
	x.Symbols, y.Symbols, x.Removed, y.Removed, x.After, y.After = nil, nil, nil, nil, "", ""
	return reflect.DeepEqual(x, y) && slices.EqualFunc(a.Symbols, b.Symbols, func(s, t logs.ShapeSymbol) bool { return s.Name == t.Name })
}

// ages reports whether the frame at seq lies in the older half of the log: it is written
// again before it goes.
func (o *opening) ages(seq uint64) bool {
	b := o.bounds
	return seq > 0 && b.Last > b.First && seq < b.First+(b.Last-b.First)/2
}

// shape returns what s makes of a partition, and the gaps of symbols that join a running
// stream or leave it.
func (s *Spec) shape(partition int, head *Head, offset uint64, watermarkMs int64, table *market.SymbolTable) (*logs.Shape, []market.Gap) {
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
	had, gone := make(map[string]logs.ShapeSymbol), make(map[string]logs.RemovedSymbol)
	if head.Shape != nil {
		for _, sym := range head.Shape.Symbols {
			had[strings.ToUpper(sym.Name)] = sym
		}
		for _, sym := range head.Shape.Removed {
			gone[strings.ToUpper(sym.Name)] = sym
		}
	}
	// Frames without a shape: it aged out, and the symbols are those that it named.
	aged := head.Shape == nil && head.Frame != nil
	var gaps []market.Gap
	for _, name := range s.Symbols {
		if market.PartitionOf(name) != partition {
			continue
		}
		key := strings.ToUpper(name)
		sym, ok := had[key]
		old, back := gone[key]
		switch {
		case aged:
			sym = logs.ShapeSymbol{}
		case ok:
		case back && old.UntilOffset == offset && offset > 0 && len(had) > 0:
			sym = old.ShapeSymbol // nothing closed meanwhile: what it missed is read again
		default:
			sym = logs.ShapeSymbol{SinceOffset: offset, SinceMs: watermarkMs}
			from, _ := s.Session.Period(largest, watermarkMs)
			if back {
				from = old.UntilMs
			}
			if watermarkMs > from && watermarkMs > 0 {
				gaps = append(gaps, market.Gap{Symbol: table.Intern(name), FromMs: from, ToMs: watermarkMs, Reason: market.GapSymbolAdded})
			}
		}
		delete(gone, key)
		sym.Name = name
		n.Symbols = append(n.Symbols, sym)
	}
	for _, sym := range n.Symbols {
		delete(had, strings.ToUpper(sym.Name))
	}
	slices.SortFunc(n.Symbols, func(a, b logs.ShapeSymbol) int { return cmp.Compare(a.Name, b.Name) })
	if head.Shape != nil {
		for _, sym := range head.Shape.Removed {
			if _, still := gone[strings.ToUpper(sym.Name)]; still {
				n.Removed = append(n.Removed, sym)
			}
		}
		until := head.closedUntil(watermarkMs)
		for _, sym := range head.Shape.Symbols {
			if _, left := had[strings.ToUpper(sym.Name)]; left {
				n.Removed = append(n.Removed, logs.RemovedSymbol{ShapeSymbol: sym, UntilMs: until, UntilOffset: offset})
				gaps = append(gaps, market.Gap{Symbol: table.Intern(sym.Name), FromMs: until, ToMs: until, State: market.GapRemoved})
			}
		}
		n.Removed = n.Removed[max(0, len(n.Removed)-logs.MaxRemoved):]
	}
	slices.SortFunc(gaps, func(a, b market.Gap) int { return cmp.Compare(table.Name(a.Symbol), table.Name(b.Symbol)) })
	return n, gaps
}

// closedUntil is where the minutes end that are closed under the head's shape: whoever leaves it
// leaves what is open behind. watermarkMs stands for a watermark that is at the end of the feed.
func (h *Head) closedUntil(watermarkMs int64) int64 {
	if f := h.Frame; f != nil && f.Watermark < market.EndOfFeed {
		watermarkMs = max(0, f.Watermark-h.Shape.CloseGraceMs)
	}
	return market.FloorDiv(watermarkMs, 60_000) * 60_000
}

// foldConfig is a shape as a fold wants it: what the log says, whatever the document says.
func foldConfig(shape *logs.Shape, table *market.SymbolTable) (bars.Config, error) {
	c := bars.Config{CloseGraceMs: shape.CloseGraceMs, RevisionWindowMs: shape.RevisionMs}
	var err error
	for _, name := range shape.Timeframes {
		tf, perr := market.ParseTimeframe(name)
		if perr != nil {
			return c, fmt.Errorf("the shape of the log: %w", perr)
		}
		c.Timeframes = append(c.Timeframes, tf)
	}
	if c.Session.Calendar, err = market.LookupCalendar(shape.Calendar); err != nil {
		return c, fmt.Errorf("the shape of the log: %w", err)
	}
	if c.Session.Hours, err = market.ParseHours(shape.Hours); err != nil {
		return c, fmt.Errorf("the shape of the log: %w", err)
	}
	if c.Session.Anchor, err = market.ParseAnchor(shape.Anchor); err != nil {
		return c, fmt.Errorf("the shape of the log: %w", err)
	}
	if c.Conditions, err = market.LookupConditions(shape.Conditions); err != nil {
		return c, fmt.Errorf("the shape of the log: %w", err)
	}
	for _, sym := range shape.Symbols {
		c.Symbols = append(c.Symbols, bars.Symbol{Number: table.Intern(sym.Name), Name: sym.Name,
			SinceOffset: sym.SinceOffset, SinceMs: sym.SinceMs})
	}
	return c, nil
}
