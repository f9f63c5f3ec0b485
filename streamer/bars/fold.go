package bars

import (
	"cmp"
	"math"
	"slices"

	"github.com/marketstream/marketstream/streamer/market"
)

const (
	minuteNs = int64(60e9)
	minuteMs = int64(60_000)
	nsPerMs  = int64(1e6)
	// checkpointMs of watermark without a Close make an empty one, so that a quiet
	// partition does not make a restart read the source from its beginning.
	checkpointMs = 15 * minuteMs
	// A revision waits until this much watermark after the bar's last emission: soonMs in the
	// first minute after its close, laterMs after (design, point 8).
	soonMs  = 5_000
	laterMs = 30_000
	// unset is a watermark before the first.
	unset = math.MinInt64
)

// Symbol is one symbol of a partition.
type Symbol struct {
	Number uint32 // process-wide
	Name   string
	// SinceOffset: trades at or before this place of the source came before the symbol was carried.
	SinceOffset uint64
	SinceMs     int64
}

// Config is what shapes the bars of a partition.
type Config struct {
	Symbols          []Symbol
	Timeframes       []market.Timeframe // 1m is always made
	Session          market.Session
	Conditions       *market.ConditionTable
	CloseGraceMs     int64
	RevisionWindowMs int64
	// GaplessIDs: the trade ids of a symbol rise by one, so that the newest says where the fold is in the source.
	GaplessIDs bool
	// Refills: the source can be asked for the trades of a past minute, so that one can be made again.
	Refills bool
}

// Close is everything that a partition closes at one moment: the content of one frame.
// Records and Gaps carry process-wide symbol numbers. Revisions come first, then new bars
// by end, timeframe and symbol. It belongs to the fold and is good until the next call.
type Close struct {
	Records   []market.Record
	Gaps      []market.Gap
	Watermark int64 // ms
	Applied   market.Position
	Open      market.Position
	// AppliedIDs and OpenIDs are the newest trade of each symbol at Applied and at Open, with Config.GaplessIDs.
	AppliedIDs, OpenIDs []LastTrade
}

// Stats count entries by what became of them; nothing vanishes uncounted.
type Stats struct {
	Trades         uint64 // that shaped a bar on time
	Late           uint64 // that revised closed bars
	TooLate        uint64 // that came after the revision window
	TooEarly       uint64 // of Trades: taken out again, far ahead of the watermark
	Duplicates     uint64
	Replayed       uint64 // said again after a restart, for minutes that the log has
	OutsideSession uint64
	NotCarried     uint64
	Remade         uint64 // of minutes that were made again
	Overflow       uint64
	Cancels        uint64
	UnknownCancels uint64
	Holes          uint64
	ForgottenIDs   uint64 // ids and runs of ids that were not remembered, or not as long as their minute may be revised
}

// Fold folds one partition; one goroutine uses it.
type Fold struct {
	cfg     Config
	frames  []market.Timeframe // above 1m, shortest first
	symbols []symbol           // by name
	index   []int32            // place in symbols by process-wide number; -1: not carried

	watermark int64 // ms, unset before the first
	lastClose int64 // watermark of the last Close, unset before the first
	due       int64 // no watermark below this closes anything

	minutes []minute                         // open ones, by start
	ends    [market.MaxTimeframe + 1]int64   // end of the open period of each timeframe, 0: none
	pending []pending                        // closed records that were revised
	gaps    []market.Gap                     // not written yet
	open    []market.Gap                     // that could be filled, with process-wide symbol numbers
	current [market.MaxTimeframe + 1]periods // the last period looked up

	before   market.Position // after the entry before the current one
	applied  market.Position
	restored uint64 // entries at or before this place of the source were applied before the restart
	// restoredTick is the same as a position in TICKS.
	restoredTick market.TickPosition
	again        bool  // the current entry is one of those
	logEnd       int64 // the latest end of a bar in the log at the restart; unset: it had none
	refusals     []refusal
	top          uint64 // highest place seen

	spare     [][]idRun // room for ids, used again
	spareRuns int       // of it
	idsHeld   int       // runs and ids in all sets
	mostIDs   int
	noOldIDs  bool    // no closed minute has ids
	changed   []int32 // symbols whose state changed
	state     market.State
	scratch   market.Record
	out       Close
	// abandoned are gaps of a source that is no longer ours, of which the log does not say so yet.
	abandoned []market.Gap
	// recallLater is room for whole.
	recallLater []int64
	stats       Stats
}

type periods struct{ minute, start, end int64 }

// minute is an open minute.
type minute struct {
	startMs  int64
	open     market.Position // before its first entry
	ids      []LastTrade     // at open
	included bool
	extended bool
}

type pending struct {
	symbol int32
	tf     market.Timeframe
	start  int64
}

// New makes the fold of a partition that has nothing yet.
func New(cfg Config) *Fold {
	f := &Fold{cfg: cfg, watermark: unset, lastClose: unset, logEnd: unset, due: math.MaxInt64, mostIDs: mostIDs}
	for _, tf := range cfg.Timeframes {
		if tf > market.M1 && tf.Valid() && !slices.Contains(f.frames, tf) {
			f.frames = append(f.frames, tf)
		}
	}
	slices.Sort(f.frames)
	names := slices.Clone(cfg.Symbols)
	slices.SortFunc(names, func(a, b Symbol) int { return cmp.Compare(a.Name, b.Name) })
	f.symbols = make([]symbol, len(names))
	for i, s := range names {
		for int(s.Number) >= len(f.index) {
			f.index = append(f.index, -1)
		}
		f.index[s.Number] = int32(i)
		f.symbols[i].Symbol = s
		for tf := range f.symbols[i].last {
			f.symbols[i].last[tf] = unset
		}
	}
	return f
}

// Stats returns the counts so far.
func (f *Fold) Stats() Stats { return f.stats }

// Entry takes the next entry; at is the position after it. It returns a Close when
// something is due, and only ever at a Mark.
func (f *Fold) Entry(e *market.Entry, at market.Position) *Close {
	var c *Close
	f.again = e.Kind != market.Mark && (e.Offset != 0 && e.Offset <= f.restored || at.Tick.Token != 0 && at.Tick.Compare(f.restoredTick) <= 0)
	switch e.Kind {
	case market.Trade:
		f.trade(e)
	case market.Mark:
		f.applied = at
		c = f.mark(e.Time / nsPerMs)
	case market.Cancel:
		f.cancel(e)
	case market.Hole:
		f.hole(e)
	}
	f.applied = at
	if e.Kind != market.Hole || e.Offset != 0 { // ids that are replayed say a hole again before the trade that shows it: it is no place of its own
		f.before = at
	}
	return c
}

// place returns the symbol of a trade or cancel that is to be looked at.
func (f *Fold) place(e *market.Entry) (*symbol, int32) {
	if int(e.Symbol) >= len(f.index) || f.index[e.Symbol] < 0 {
		f.stats.NotCarried++
		return nil, 0
	}
	i := f.index[e.Symbol]
	s := &f.symbols[i]
	if e.Offset != 0 {
		if e.Offset <= f.top {
			f.stats.Duplicates++
			return nil, 0
		}
		f.top = e.Offset
		if e.Offset <= s.SinceOffset {
			f.stats.NotCarried++
			return nil, 0
		}
	}
	return s, i
}

func (f *Fold) trade(e *market.Entry) {
	s, i := f.place(e)
	if s == nil {
		return
	}
	if s.filling.made != nil {
		f.remakeTrade(s, i, e)
		return
	}
	fills := s.filling.takes(e)
	f.again = f.again || !fills && f.hadID(s, e.ID)
	defer f.sawID(s, e.ID, e.Time)
	var o *openRecord
	if n := len(s.open); n > 0 && e.Time >= s.open[n-1].fromNs && e.Time < s.open[n-1].fromNs+minuteNs {
		o = &s.open[n-1]
	} else if o = f.openMinute(s, e); o == nil {
		if fills {
			f.fillTrade(s, i, e)
		} else {
			f.lateTrade(s, i, e)
		}
		return
	}
	if !o.included {
		f.stats.OutsideSession++
		return
	}
	if e.ID != 0 && !f.isNew(&o.ids, e.ID) {
		f.stats.Duplicates++
		return
	}
	if err := o.AddTrade(e, f.use(e, o.Flags&market.Extended != 0)); err != nil {
		f.stats.Overflow++
		f.gap(i, o.StartMs, o.EndMs, market.GapOverflow)
		return
	}
	f.stats.Trades++
	o.taken++
	s.lastNs = max(s.lastNs, e.Time)
	f.touch(s, i)
}

func (f *Fold) use(e *market.Entry, outside bool) market.Use {
	return f.cfg.Conditions.Use(e.Conditions, outside)
}

func (f *Fold) touch(s *symbol, i int32) {
	if !s.changed {
		s.changed = true
		f.changed = append(f.changed, i)
	}
}

// openMinute returns the open record of e's minute, a new one if need be; nil if the minute is closed.
func (f *Fold) openMinute(s *symbol, e *market.Entry) *openRecord {
	startMs := market.FloorDiv(e.Time, minuteNs) * minuteMs
	for i := range s.open {
		if s.open[i].StartMs == startMs {
			return &s.open[i]
		}
	}
	if f.shut(e, startMs) || f.refused(e, startMs) || s.emitted(market.M1, startMs, startMs+minuteMs) {
		return nil
	}
	m := f.minute(startMs)
	at := len(s.open)
	for at > 0 && s.open[at-1].StartMs > startMs {
		at--
	}
	o := openRecord{fromNs: startMs * nsPerMs, included: m.included, ids: f.takeIDs()}
	o.Symbol, o.Timeframe, o.StartMs, o.EndMs = s.Number, market.M1, startMs, startMs+minuteMs
	if m.extended {
		o.Flags |= market.Extended
	}
	s.open = slices.Insert(s.open, at, o)
	return &s.open[at]
}

// minute returns the open minute at startMs, a new one if need be.
func (f *Fold) minute(startMs int64) *minute {
	at := len(f.minutes)
	for at > 0 && f.minutes[at-1].startMs >= startMs {
		if at--; f.minutes[at].startMs == startMs {
			return &f.minutes[at]
		}
	}
	f.minutes = slices.Insert(f.minutes, at, minute{startMs: startMs, open: f.before, ids: f.ids(nil),
		included: f.cfg.Session.Includes(startMs), extended: f.cfg.Session.OutsideRegular(startMs)})
	f.dueBy(startMs + minuteMs + f.cfg.CloseGraceMs)
	return &f.minutes[at]
}

// closed reports whether a period that ends at endMs is closed.
func (f *Fold) closed(endMs int64) bool {
	return f.watermark != unset && endMs+f.cfg.CloseGraceMs <= f.watermark
}

// shut reports whether e comes to its minute, which starts at startMs, after it closed. An
// entry that was applied before a restart came to an open one if the log has nothing that
// late: so also where the grace was longer then.
func (f *Fold) shut(e *market.Entry, startMs int64) bool {
	end := startMs + minuteMs
	if f.again {
		return end <= f.logEnd || f.closed(end) && (f.tooLate(e.Time) || !f.cfg.Session.Includes(startMs))
	}
	return f.closed(end)
}

// dueBy says that a watermark of ms closes something.
func (f *Fold) dueBy(ms int64) { f.due = min(f.due, ms) }

// period is Session.Period with the last answer kept: symbols close minute by minute.
func (f *Fold) period(tf market.Timeframe, minute int64) (start, end int64) {
	c := &f.current[tf]
	if c.end == 0 || c.minute != minute {
		c.minute = minute
		c.start, c.end = f.cfg.Session.Period(tf, minute)
	}
	return c.start, c.end
}
