package history

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/ring"
)

// Upstream is the vendor's history. Its methods may be called at the same time.
type Upstream interface {
	// Records returns the 1m records of a symbol whose minutes lie in [fromMs, toMs), oldest
	// first; Symbol of a record is not looked at. An error wraps ErrUpstream.
	Records(ctx context.Context, symbol string, fromMs, toMs int64) ([]market.Record, error)
}

// ErrUpstream is wrapped by the errors of an Upstream.
var ErrUpstream = errors.New("the vendor failed")

// Frames reads BARS.
type Frames interface {
	Frames(ctx context.Context, from uint64, fn func(seq uint64, f *logs.Frame) error) error
}

// Rings have the newest closed bars, in this process or in another. Their methods may be called
// at the same time.
type Rings interface {
	// Answer answers asks, in their order, once everything up to seq of BARS is in the rings that
	// they are about.
	Answer(ctx context.Context, seq uint64, asks []ring.Ask) ([]ring.Answer, error)
	// Walk calls fn with what Answer gives for each ask, in their order, without holding it all.
	// Bars are fn's until it returns. It ends with fn's first error.
	Walk(ctx context.Context, seq uint64, asks []ring.Ask, fn func(i int, a ring.Answer) error) error
	// WaitApplied waits until everything up to seq of BARS is applied in this process.
	WaitApplied(ctx context.Context, seq uint64) error
}

// Status is how the feed and the market are.
type Status struct {
	Source  string `json:"source"`
	Reason  string `json:"reason"`
	Session string `json:"session"`
	State   string `json:"state"`
	// WatermarkMs: every trade up to here is in. 0: none yet; once State is "ended": the time of the last trade.
	WatermarkMs int64  `json:"watermarkMs"`
	Epoch       string `json:"epochId"`
}

// Symbol is a carried symbol.
type Symbol struct {
	Number uint32
	Name   string
}

// Catalog is what the stream carries, as it is now.
type Catalog interface {
	Lookup(symbol string) (Symbol, bool)
	Symbols() []Symbol
	Timeframes() []market.Timeframe
	Session() market.Session
	Status() Status
	UpstreamEnabled() bool
}

// Metrics is told what happens.
type Metrics interface {
	Requested(result string)
	Coalesced()
	VendorRequest(result string)
	VendorEmpty(symbol, timeframe string)
}

// Options are what a service is made with.
type Options struct {
	Rings    Rings
	Frames   Frames
	Upstream Upstream // nil: none
	Catalog  Catalog
	// Position is the newest position in BARS that is applied in this process.
	Position func() logs.Cursor
	Metrics  Metrics
	Log      logr.Logger
	// Timeout bounds a request; 0: 20 s.
	Timeout time.Duration
	// WriteTimeout is how long a client may take nothing of its answer; 0: 30 s.
	WriteTimeout time.Duration
}

const (
	defaultTimeout  = 20 * time.Second
	defaultPatience = 30 * time.Second
	// longestAnswer is how long the answer to one request may take to be written.
	longestAnswer  = 5 * time.Minute
	defaultLimit   = 1000
	maxLimit       = 50_000
	pageCacheBytes = 64 << 20
	textCacheBytes = 16 << 20
	// maxPages is how many days of a vendor's history one request reads.
	maxPages = 64
	// emptyFor is how long it is remembered that the vendor has nothing.
	emptyFor = time.Minute
	// loggedFor is how long it is remembered what BARS holds of a symbol.
	loggedFor = time.Minute
	// Together is how many symbols share a reading of BARS at most.
	Together = 16
	// maxCoverage is the longest stretch that coverage is given for.
	maxCoverage = 31 * 24 * time.Hour
)
