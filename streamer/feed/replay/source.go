package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
)

// loopShift is where the loop stands in an offset.
const loopShift = 40

// Options say what is replayed, and how.
type Options struct {
	// Path is a file or a directory.
	Path  string
	Speed feed.Speed
	// Loop begins again at the end, with times that go on rising.
	Loop bool
	// ShiftMs is added to every time. [Source.ShiftTo] finds one.
	ShiftMs int64
	// Largest is the longest timeframe: loops shift by whole ones.
	Largest market.Timeframe
	// Conditions reads the column conditions; nil: the column must be empty.
	Conditions func(string) (uint64, error)
	Log        logr.Logger
}

// Source is a replay.
type Source struct {
	opts    Options
	parts   []part
	firsts  []int64 // time of each part's first trade, 0: it has none
	first   int64   // the smallest of them
	symbols map[string]uint32
	span    int64 // ns by which a further loop is later
}

var _ feed.Source = (*Source)(nil)

// Open looks at every file's header and first trade, and fails with a sentence that says
// which file is wrong and what would be right.
func Open(opts Options) (*Source, error) {
	if opts.Conditions == nil {
		opts.Conditions = func(string) (uint64, error) {
			return 0, errors.New("no condition table is in use: leave the column empty, or set spec.bars.session.calendar")
		}
	}
	parts, err := findParts(opts.Path)
	if err != nil {
		return nil, err
	}
	s := &Source{opts: opts, parts: parts, firsts: make([]int64, len(parts)), first: math.MaxInt64}
	for i, p := range parts {
		r, err := openRows(p, opts.Conditions)
		if err != nil {
			return nil, err
		}
		var e market.Entry
		err = r.next(&e)
		cerr := r.in.Close()
		switch {
		case errors.Is(err, io.EOF):
		case err != nil:
			return nil, err
		case cerr != nil:
			return nil, cerr
		default:
			s.firsts[i] = e.Time
			s.first = min(s.first, e.Time)
		}
	}
	if s.first == math.MaxInt64 {
		return nil, fmt.Errorf("%s: no trades in it", opts.Path)
	}
	return s, nil
}

// ShiftTo returns the shift in ms, a whole number of the longest timeframe, that brings the
// first trade closest to now without passing it.
func (s *Source) ShiftTo(now time.Time) int64 {
	tf := s.opts.Largest.Millis()
	return floor(now.UnixMilli()-s.first/1e6, tf) * tf
}

// SetShift sets the shift.
func (s *Source) SetShift(ms int64) { s.opts.ShiftMs = ms }

// Identity names the recording: its files' names and first trades.
func (s *Source) Identity() string {
	h := xxhash.New()
	for i, p := range s.parts {
		_, _ = fmt.Fprintf(h, "%s %d\n", filepath.Base(p.name), s.firsts[i])
	}
	return fmt.Sprintf("replay:%016x", h.Sum64())
}

// SetSymbols implements [feed.Source].
func (s *Source) SetSymbols(symbols []feed.Symbol) {
	s.symbols = make(map[string]uint32, len(symbols))
	for _, sym := range symbols {
		s.symbols[sym.Name] = sym.Number
		s.symbols[strings.ToUpper(sym.Name)] = sym.Number
	}
}

// Close implements [feed.Source]; a Run closes what it opened itself.
func (s *Source) Close() error { return nil }

// Run implements [feed.Source].
func (s *Source) Run(ctx context.Context, from market.SourcePosition, said uint64, sink feed.Sink) error {
	sink.Status(feed.Status{State: feed.Connected})
	r := run{Source: s, sink: sink, from: from.Offset, said: said, pacer: feed.NewPacer(s.opts.Speed, sink.Flush)}
	for loop := uint64(0); ; loop++ {
		if err := r.once(ctx, loop); err != nil {
			if ctx.Err() == nil {
				sink.Status(feed.Status{State: feed.Failed, Reason: err.Error()})
			}
			return err
		}
		if !s.opts.Loop {
			break
		}
	}
	if err := r.marks.End(sink); err != nil {
		return err
	}
	sink.Status(feed.Status{State: feed.Ended, Reason: "the recording has ended"})
	return nil
}

// run is one Run.
type run struct {
	*Source
	sink       feed.Sink
	from, said uint64
	marks      feed.Marker
	pacer      *feed.Pacer
	last       int64 // time of the latest trade, unshifted
}

// once goes through the recording once.
func (r *run) once(ctx context.Context, loop uint64) error {
	shift := r.opts.ShiftMs*1e6 + int64(loop)*r.span
	m := openMerged(r.parts, r.firsts, r.opts.Conditions)
	defer func() { _ = m.close() }()
	var e market.Entry
	for n := 0; ; n++ {
		symbol, err := m.next(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if n&1023 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		r.last = max(r.last, e.Time)
		e.Offset = loop<<loopShift | m.row
		if e.Offset <= r.from {
			continue
		}
		number, ok := r.number(symbol)
		if !ok {
			continue
		}
		e.Symbol = number
		e.Time += shift
		if e.Order == 0 {
			e.Order = e.Offset
		}
		if e.Offset > r.said {
			if err := r.pacer.Wait(ctx, e.Time); err != nil {
				return err
			}
		}
		if err := r.marks.Put(r.sink, &e); err != nil {
			return err
		}
	}
	tf := r.opts.Largest.Duration().Nanoseconds()
	r.span = (floor(r.last-r.first, tf) + 1) * tf
	return nil
}

// number finds a symbol without allocating where it is spelled as in the document.
func (r *run) number(symbol []byte) (uint32, bool) {
	if n, ok := r.symbols[string(symbol)]; ok {
		return n, true
	}
	n, ok := r.symbols[strings.ToUpper(string(symbol))]
	return n, ok
}

func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
