package feed

import (
	"context"
	"errors"
	"time"

	"github.com/marketstream/marketstream/streamer/market"
)

// Live is a source that cannot be read again: a vendor's connection. Its Run takes no
// notice of from and said; it says what comes, from the moment at which it comes. Offset
// of what it says is 0: places in it are trade ids.
//
// It reconnects by itself, for ever: Run returns when ctx ends or the sink fails, or when
// no retry can mend what is wrong (a key that is refused). What Put is given is in the
// order of each symbol's ids, as far as the vendor keeps it.
type Live interface {
	Source
	Refiller
	// Traits are what the vendor promises; they do not change.
	Traits() Traits
	// Covered waits until the vendor has confirmed, on the connection of now, that trades of
	// all these symbols come, and returns nil; or ctx's error. Symbols that the vendor does not
	// know count as confirmed: they are reported by Status.
	Covered(ctx context.Context, symbols []Symbol) error
}

// Traits are what a vendor promises.
type Traits struct {
	// Gapless: the ids of a symbol's trades rise by one, so that a missing id is a missing
	// trade. The source then says Seen entries (on subscribing, and with heartbeats), and no
	// Hole for a lost connection: whoever takes its entries finds what is missing. A source that
	// is not gapless says a Hole for what it did not observe.
	Gapless bool
	// Overlap: a second connection for the same symbols may be open at the same time, so that a
	// partition can move without a gap.
	Overlap bool
}

// Stretch is what was missed of a symbol: the trades with ids between AfterID and
// BeforeID, both exclusive; where ids are 0 (not known), those of event times
// [FromNs, ToNs) in Unix ns.
type Stretch struct {
	Symbol            Symbol
	AfterID, BeforeID uint64
	FromNs, ToNs      int64
}

// Refiller gets from a vendor's REST interface what a connection missed. Its methods may be
// called at the same time; it keeps the vendor's rate limits by itself.
type Refiller interface {
	// Refill calls fn with every trade of the stretch, oldest first, and returns nil only if
	// these are all. An error wraps ErrUnrepairable where asking again is of no use, or holds a
	// *RetryError; fn's error ends it and is returned.
	Refill(ctx context.Context, s Stretch, fn func(*market.Entry) error) error
}

// ErrUnrepairable says that the vendor does not have what is asked for.
var ErrUnrepairable = errors.New("the vendor does not have these trades")

// RetryError says that the vendor wants to be asked later.
type RetryError struct {
	After time.Duration
	Err   error
}

func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap returns what the vendor said.
func (e *RetryError) Unwrap() error { return e.Err }
