package replay

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
)

// loopShift is where the loop stands in an offset.
const loopShift = 40

// maxLoops is how often a recording may be repeated: an offset has 24 bits for it.
const maxLoops = 1 << (64 - loopShift)

// Options say what is replayed, and how.
type Options struct {
	// Path is a file or a directory.
	Path  string
	Speed feed.Speed
	// Loop begins again at the end, with times that go on rising.
	Loop bool
	// ShiftMs is added to every time. [Source.ShiftTo] finds one.
	ShiftMs int64
	// LoopMs is how much later the times of each loop are than those of the one before, for the
	// life of a log; 0: [Source.LoopMs] derives it. The recording must be shorter.
	LoopMs int64
	// Largest is the longest timeframe: shifts, and a LoopMs that is derived, are whole ones. None: 1m.
	Largest market.Timeframe
	// Conditions reads the column conditions; nil: the column must be empty.
	Conditions func(string) (uint64, error)
	Log        logr.Logger
}

// Source is a replay.
type Source struct {
	opts    Options
	parts   []part
	firsts  []int64 // time of each part's first row in ns, 0: it has none
	first   int64   // the smallest of them
	symbols atomic.Pointer[map[string]uint32]
}

var (
	_ feed.Source   = (*Source)(nil)
	_ feed.Rewinder = (*Source)(nil)
	_ feed.Beginner = (*Source)(nil)
)

// Open looks at every file's header and first row, and fails with a sentence that says
// which file is wrong and what would be right.
func Open(opts Options) (*Source, error) {
	if !opts.Largest.Valid() {
		opts.Largest = market.M1
	}
	if opts.Conditions == nil {
		opts.Conditions = func(string) (uint64, error) {
			return 0, errors.New("no condition table is in use: leave the column empty, or set spec.bars.session.calendar")
		}
	}
	parts, err := findParts(opts.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is no such file or directory%s", opts.Path, fromWhere(opts.Path))
	}
	if err != nil {
		return nil, err
	}
	s := &Source{opts: opts, parts: parts, firsts: make([]int64, len(parts)), first: math.MaxInt64}
	window := make([]byte, maxRecord)
	for i, p := range parts {
		if s.firsts[i], err = firstTime(p, window, opts.Conditions); err != nil {
			return nil, err
		}
		if s.firsts[i] != 0 {
			s.first = min(s.first, s.firsts[i])
		}
	}
	if s.first == math.MaxInt64 {
		return nil, fmt.Errorf("%s: no trades in it", opts.Path)
	}
	s.SetSymbols(nil)
	return s, nil
}

// fromWhere says where a relative path begins.
func fromWhere(path string) string {
	dir, err := os.Getwd()
	if err != nil || filepath.IsAbs(path) {
		return ""
	}
	return "; a relative path begins where the program was started, which is " + dir
}

// firstTime returns the time of a part's first row, which is read whole; 0 if it has none.
func firstTime(p part, window []byte, parse func(string) (uint64, error)) (ns int64, err error) {
	r, err := openRows(p, window, parse)
	if err != nil {
		return 0, err
	}
	var e market.Entry
	err = r.next()
	if err == nil {
		err = r.trade(&e)
	}
	if errors.Is(err, errEnd) {
		err = nil
	}
	return e.Time, errors.Join(err, r.close())
}

// ShiftTo returns the shift in ms, a whole number of the longest timeframe, that brings the
// first trade closest to now without passing it.
func (s *Source) ShiftTo(now time.Time) int64 {
	tf := s.opts.Largest.Millis()
	return market.FloorDiv(now.UnixMilli()-market.FloorDiv(s.first, 1e6), tf) * tf
}

// SetShift sets the shift, before Run.
func (s *Source) SetShift(ms int64) { s.opts.ShiftMs = ms }

// LoopMs returns by how much later each loop is, 0 if there are none: what Options say, else
// the fewest whole longest timeframes that keep times rising, for which it reads the whole
// recording. A log keeps it: derived again under other timeframes it is another, and times
// would leap or fall back in the middle of a loop. It is called before Run.
func (s *Source) LoopMs(ctx context.Context) (int64, error) {
	if s.opts.Loop && s.opts.LoopMs == 0 {
		last, _, err := s.end(ctx)
		if err != nil {
			return 0, err
		}
		s.opts.LoopMs = s.derive(last)
	}
	if !s.opts.Loop {
		return 0, nil
	}
	return s.opts.LoopMs, nil
}

// SetLoopMs sets what a log has kept, before Run.
func (s *Source) SetLoopMs(ms int64) { s.opts.LoopMs = ms }

// derive returns the fewest whole longest timeframes, in ms, that are longer than the
// recording, whose last trade is at last ns.
func (s *Source) derive(last int64) int64 {
	tf := s.opts.Largest.Duration().Nanoseconds()
	return (market.FloorDiv(last-s.first, tf) + 1) * (tf / 1e6)
}

// end reads the recording only to find where it ends: the time of its latest row in ns, and
// how many rows it has.
func (s *Source) end(ctx context.Context) (last int64, rows uint64, err error) {
	m := newMerged(s.parts, s.firsts, s.opts.Conditions)
	defer func() { _ = m.close() }()
	for {
		row, err := m.next()
		if errors.Is(err, errEnd) {
			return last, m.row, nil
		}
		if err != nil {
			return 0, 0, err
		}
		if m.row%askContext == 0 && ctx.Err() != nil {
			return 0, 0, ctx.Err()
		}
		last = max(last, row.time)
	}
}

// Identity names the recording: its files' names and first trades.
func (s *Source) Identity() string {
	h := xxhash.New()
	for i, p := range s.parts {
		_, _ = fmt.Fprintf(h, "%s %d\n", filepath.Base(p.name), s.firsts[i])
	}
	return fmt.Sprintf("replay:%016x", h.Sum64())
}

// Begin implements [feed.Beginner]: before the first row, which is the same whenever it is asked.
func (s *Source) Begin(time.Time) market.SourcePosition { return market.SourcePosition{} }

// Before implements [feed.Rewinder]: rows are found from the beginning.
func (s *Source) Before(int64) market.SourcePosition { return market.SourcePosition{} }

// SetSymbols implements [feed.Source].
func (s *Source) SetSymbols(symbols []feed.Symbol) {
	m := make(map[string]uint32, 2*len(symbols))
	for _, sym := range symbols {
		m[strings.ToUpper(sym.Name)] = sym.Number
		m[sym.Name] = sym.Number // as recordings mostly have it
	}
	s.symbols.Store(&m)
}

// Close implements [feed.Source]; a Run closes what it opened itself.
func (s *Source) Close() error { return nil }
