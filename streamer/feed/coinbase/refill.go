package coinbase

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
)

// timeSlack is how far the times of one product's trades may be out of the order of their ids.
const timeSlack = int64(time.Second)

// Refill implements [feed.Refiller]. It walks up by ids: the page below id n + 1,001 holds
// the trades from n + 1 on, whatever is traded meanwhile, so one page in memory is enough
// (1,000 trades; an answer is refused beyond 2 MiB). Where an id is not known, the trade of
// that time is looked for first, by halving.
//
// It is complete or an error. A trade that a page lacks is asked for again at once, a few
// times; then the vendor does not have it, if it has a newer one (ErrUnrepairable), else
// it is late (RetryError). What came before the trade that is missing was given to fn.
func (s *Source) Refill(ctx context.Context, stretch feed.Stretch, fn func(*market.Entry) error) error {
	var ofFn error
	err := s.rest.refill(ctx, stretch, func(e *market.Entry) error {
		ofFn = fn(e)
		return ofFn
	})
	switch {
	case err == nil:
		return nil
	case ofFn != nil:
		return ofFn
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("coinbase: refilling %s: %w", stretch.Symbol.Name, err)
}

// refill is one Refill.
type refill struct {
	*rest
	ctx    context.Context
	symbol feed.Symbol
	page   page
}

func (r *rest) refill(ctx context.Context, stretch feed.Stretch, fn func(*market.Entry) error) error {
	f := &refill{rest: r, ctx: ctx, symbol: stretch.Symbol}
	after, before := stretch.AfterID, stretch.BeforeID
	from, to := int64(math.MinInt64), int64(math.MaxInt64)
	if after == 0 {
		from = stretch.FromNs
	}
	if before == 0 {
		to = stretch.ToNs
		newest, err := f.newest(to)
		if err != nil {
			return err
		}
		if _, before, err = f.bracket(to+timeSlack, newest+1); err != nil {
			return err
		}
	}
	if from >= to {
		return nil
	}
	if after == 0 {
		var err error
		if after, _, err = f.bracket(from-timeSlack, before); err != nil {
			return err
		}
	}
	return f.walk(after, before, func(e *market.Entry) error {
		if e.Time < from || e.Time >= to {
			return nil
		}
		return fn(e)
	})
}

// newest is the id of the newest trade; 0: there is none. Until the vendor's clock has
// passed to, or a trade has, trades up to it may still be made.
func (f *refill) newest(to int64) (uint64, error) {
	if err := f.get(f.ctx, f.symbol, 0, 1, &f.page); err != nil {
		return 0, err
	}
	date := f.page.date
	if date.IsZero() {
		date = time.Now()
	}
	if len(f.page.trades) > 0 && f.page.trades[0].Time >= to {
		return f.page.trades[0].ID, nil
	}
	if missing := to - date.UnixNano(); missing > 0 {
		return 0, &feed.RetryError{After: min(time.Duration(missing), time.Hour) + time.Second,
			Err: fmt.Errorf("the stretch ends at %d ns, and the vendor's clock is at %d ns: trades may still be made", to, date.UnixNano())}
	}
	if len(f.page.trades) == 0 {
		return 0, nil
	}
	return f.page.trades[0].ID, nil
}

// bracket looks for a time among the trades below top: those up to below are earlier, those
// from above on are not, and at most a page lies between.
func (f *refill) bracket(at int64, top uint64) (below, above uint64, err error) {
	above = top
	for step := uint64(pageTrades); above > 1; step *= 2 {
		id := above - min(step, above-1)
		t, earlier, err := f.earlier(id, at)
		if err != nil {
			return 0, 0, err
		}
		if earlier {
			below = id
			break
		}
		above = t
	}
	for above-below > pageTrades {
		id := below + (above-below)/2
		t, earlier, err := f.earlier(id, at)
		if err != nil {
			return 0, 0, err
		}
		if earlier || t <= below {
			below = id
		} else {
			above = t
		}
	}
	return below, above, nil
}

// earlier asks for the newest trade up to id: its own id, and whether its time lies before at.
// Where there is none, whatever there is not lies before it.
func (f *refill) earlier(id uint64, at int64) (found uint64, earlier bool, err error) {
	if err := f.get(f.ctx, f.symbol, id+1, 1, &f.page); err != nil {
		return 0, false, err
	}
	if len(f.page.trades) == 0 {
		return 0, true, nil
	}
	t := &f.page.trades[0]
	if t.ID > id {
		return 0, false, f.misordered(t.ID, id+1)
	}
	return t.ID, t.Time < at, nil
}

// walk gives fn every trade between two ids, both exclusive, oldest first.
func (f *refill) walk(after, before uint64, fn func(*market.Entry) error) error {
	tries := 0
	for next := after + 1; next < before; {
		top := min(next+pageTrades, before)
		if err := f.get(f.ctx, f.symbol, top, int(top-next), &f.page); err != nil {
			return err
		}
		from := next
		trades := f.page.trades
		for i := len(trades) - 1; i >= 0; i-- {
			t := &trades[i]
			if t.ID >= top || i > 0 && trades[i-1].ID <= t.ID {
				return f.misordered(t.ID, top)
			}
			if t.ID != next {
				continue // of before the stretch, or beyond the one that is missing
			}
			if err := fn(t); err != nil {
				return err
			}
			next++
		}
		if next == top {
			tries = 0
			continue
		}
		if next > from {
			tries = 0
		}
		if tries++; tries >= f.opts.PageTries {
			return f.absent(next)
		}
		if err := sleep(f.ctx, f.opts.PageWait); err != nil {
			return err
		}
	}
	return nil
}

// absent says what it means that pages do not have a trade.
func (f *refill) absent(id uint64) error {
	late := func(what string) error {
		return &feed.RetryError{After: waitFailed, Err: fmt.Errorf("trade %d %s", id, what)}
	}
	if err := f.get(f.ctx, f.symbol, id+1, 1, &f.page); err != nil {
		return err
	}
	if len(f.page.trades) > 0 && f.page.trades[0].ID == id {
		return late("is left out of pages that should have it")
	}
	if err := f.get(f.ctx, f.symbol, 0, 1, &f.page); err != nil {
		return err
	}
	if len(f.page.trades) == 0 || f.page.trades[0].ID < id {
		return late("is not there yet")
	}
	return fmt.Errorf("trade %d: %w, though it has trade %d", id, feed.ErrUnrepairable, f.page.trades[0].ID)
}

var errMisordered = errors.New("trades of a page are not in the order of their ids, newest first")

func (f *refill) misordered(id, top uint64) error {
	return &feed.RetryError{After: waitFailed, Err: fmt.Errorf("%w: trade %d on the page below %d", errMisordered, id, top)}
}
