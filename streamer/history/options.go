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

// Status is how the feed and the market are.
type Status struct {
	Source      string `json:"source"`
	Reason      string `json:"reason"`
	Session     string `json:"session"`
	State       string `json:"state"`
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
	Rings    *ring.Set
	Frames   Frames
	Upstream Upstream // nil: none
	Catalog  Catalog
	// Position is the newest position in BARS that the rings have applied.
	Position func() logs.Cursor
	Metrics  Metrics
	Log      logr.Logger
	// Timeout bounds a request; 0: 20 s.
	Timeout time.Duration
}

const (
	defaultTimeout = 20 * time.Second
	defaultLimit   = 1000
	maxLimit       = 50_000
	pageCacheBytes = 64 << 20
	textCacheBytes = 16 << 20
	// maxPages is how many days of a vendor's history one request reads.
	maxPages = 64
	// emptyFor is how long it is remembered that the vendor has nothing.
	emptyFor = time.Minute
	// maxCoverage is the longest stretch that coverage is given for.
	maxCoverage = 31 * 24 * time.Hour
)
