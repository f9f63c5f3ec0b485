package replay

import (
	"context"
	"errors"
	"fmt"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
)

// askContext is how many rows pass between two looks at the context; a power of two.
const askContext = 1024

// run is one Run.
type run struct {
	*Source
	sink       feed.Sink
	from, said uint64
	marks      feed.Marker
	pacer      *feed.Pacer
	last       int64 // time of the latest row, as recorded
	rows, put  uint64
}

// Run implements [feed.Source].
func (s *Source) Run(ctx context.Context, from market.SourcePosition, said uint64, sink feed.Sink) error {
	sink.Status(feed.Status{State: feed.Connected})
	r := &run{Source: s, sink: sink, from: from.Offset, said: said, pacer: feed.NewPacer(s.opts.Speed, sink.Flush)}
	loop := from.Offset >> loopShift
	if loop > 0 && s.opts.Loop { // the loops before it need no reading, but for how long one is
		if err := r.measure(ctx, loop-1); err != nil {
			return err
		}
	} else {
		loop = 0
	}
	for ; ; loop++ {
		if err := r.once(ctx, loop); err != nil {
			return err
		}
		if !s.opts.Loop {
			break
		}
	}
	if err := r.marks.End(sink); err != nil {
		return err
	}
	s.opts.Log.Info("the recording has ended", "path", s.opts.Path, "rows", r.rows, "said", r.put, "notCarried", r.rows-r.put)
	reason := "the recording has ended"
	if r.put < r.rows {
		reason = fmt.Sprintf("the recording has ended; %d of its %d trades are in symbols that are not carried", r.rows-r.put, r.rows)
	}
	sink.Status(feed.Status{State: feed.Ended, Reason: reason})
	return nil
}

// fail says why the source cannot go on.
func (r *run) fail(err error) error {
	r.sink.Status(feed.Status{State: feed.Failed, Reason: err.Error()})
	return err
}

// measure finds how long the recording is, and leaves the watermark where loop left it.
func (r *run) measure(ctx context.Context, loop uint64) error {
	last, rows, err := r.end(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return r.fail(err)
	}
	r.last = last
	shift, err := r.shift(loop)
	if err != nil {
		return r.fail(err)
	}
	r.marks.Skip(r.last+shift, loop<<loopShift|rows)
	return nil
}

// shift is what is added to the times of a loop, in ns: every loop begins LoopMs later than
// the one before, and later than that ended. r.last must be known for all but the first.
func (r *run) shift(loop uint64) (int64, error) {
	const limit = feed.MaxTime
	if r.opts.ShiftMs > limit/1e6 || r.opts.ShiftMs < -limit/1e6 {
		return 0, fmt.Errorf("%s: a shift of %d ms is too far: times end in the year 2116", r.opts.Path, r.opts.ShiftMs)
	}
	shift := r.opts.ShiftMs * 1e6
	if loop == 0 {
		return shift, nil
	}
	if r.opts.LoopMs == 0 {
		r.opts.LoopMs = r.derive(r.last)
	}
	if r.opts.LoopMs < 0 || r.opts.LoopMs > limit/1e6 || r.last-r.first >= r.opts.LoopMs*1e6 {
		return 0, fmt.Errorf("%s: it is %d ms long, and the log repeats it every %d ms, which must be more: has it grown? start again with a new log", r.opts.Path, (r.last-r.first)/1e6, r.opts.LoopMs)
	}
	span := r.opts.LoopMs * 1e6
	if loop >= maxLoops || int64(loop) > (limit-r.last-max(shift, 0))/span {
		return 0, fmt.Errorf("%s: it was repeated %d times, and once more its times would lie beyond the year 2116; start again with a new log, or at a lower speed", r.opts.Path, loop)
	}
	return shift + int64(loop)*span, nil
}

// once goes through the recording once.
func (r *run) once(ctx context.Context, loop uint64) error {
	shift, err := r.shift(loop)
	if err != nil {
		return r.fail(err)
	}
	m := newMerged(r.parts, r.firsts, r.opts.Conditions)
	defer func() { _ = m.close() }()
	var e market.Entry
	for {
		row, err := m.next()
		if errors.Is(err, errEnd) {
			return nil
		}
		if err != nil {
			return r.fail(err)
		}
		if m.row%askContext == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		r.last = max(r.last, row.time)
		ns, offset := row.time+shift, loop<<loopShift|m.row
		if offset <= r.from {
			r.marks.Skip(ns, offset)
			continue
		}
		r.rows++
		number, carried := r.number(row.symbol)
		if offset > r.said && (carried || r.marks.Moves(ns)) {
			if err := r.pacer.Wait(ctx, ns); err != nil {
				return err
			}
		}
		if !carried {
			if err := r.marks.Pass(r.sink, ns, offset); err != nil {
				return err
			}
			continue
		}
		if err := row.trade(&e); err != nil {
			return r.fail(err)
		}
		e.Symbol, e.Time, e.Offset = number, ns, offset
		if e.Order == 0 {
			e.Order = offset
		}
		r.put++
		if err := r.marks.Put(r.sink, &e); err != nil {
			return err
		}
	}
}

// number finds a symbol, spelled as in the document or in other cases of its letters.
func (r *run) number(symbol []byte) (uint32, bool) {
	carried := *r.symbols.Load()
	if n, ok := carried[string(symbol)]; ok {
		return n, true
	}
	var upper [32]byte
	if len(symbol) > len(upper) {
		return 0, false
	}
	changed := false
	for i, c := range symbol {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
			changed = true
		}
		upper[i] = c
	}
	if !changed {
		return 0, false
	}
	n, ok := carried[string(upper[:len(symbol)])]
	return n, ok
}
