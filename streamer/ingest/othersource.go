package ingest

import (
	"errors"
	"fmt"

	"github.com/marketstream/marketstream/streamer/market"
)

// ErrOtherSource says that the log's positions are places in another source.
var ErrOtherSource = errors.New("the log was made from another source")

// errOlder says that a partition goes on with a vendor that our document does not know yet.
var errOlder = errors.New("the log goes on with another vendor, by a newer document than ours")

// sameSource returns an error where what claims are to go on with was not made from the document's source: but
// after one vendor another may go on, see [logs.FeedClass].
func sameSource(heads *Heads, spec *Spec, claims []Claim) error {
	if !spec.Feed.Changes() {
		for p := range heads {
			if s := heads[p].Shape; s != nil && s.Source != spec.Source {
				return fmt.Errorf("%w: %q, and this is %q", ErrOtherSource, s.Source, spec.Source)
			}
		}
		return nil
	}
	for _, c := range claims {
		h := &heads[c.Partition]
		if h.Shape != nil && h.Shape.Source != spec.Source && spec.Generation.Less(h.Frame.ConfigGeneration) {
			return fmt.Errorf("%w: %q, and this is %q", errOlder, h.Shape.Source, spec.Source)
		}
	}
	return nil
}

// beginAfterOther readies a restored writer for what its symbols missed since the source before, or since they were carried last.
func (w *Writer) beginAfterOther() {
	w.fold.Abandon()
	for _, n := range w.symbols {
		from, changed := w.fold.SourceFrom(n)
		switch {
		case w.ids != nil && changed:
			w.ids.changed(n, from*1e6)
		case w.ids != nil:
			w.ids.has(n, w.fold.MinutesEnd(n)*1e6)
		case changed:
			w.unknownFrom = from
		}
	}
}

// sayUnknown says, before the first mark of a source that took over from another, that what lies between was not observed.
// Of gapless ids each symbol's first trade says it.
func (w *Writer) sayUnknown(e *market.Entry) {
	if from := w.unknownFrom * 1e6; from != 0 && e.Time > from {
		w.work = append(w.work, market.Entry{Kind: market.Hole, Symbol: market.AllSymbols, Time: from, Until: e.Time, Reason: market.GapSourceChange})
		w.unknownFrom, w.began = 0, true
	}
}
