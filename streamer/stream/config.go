package stream

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// TickMode says whether clients get single trades of a symbol.
type TickMode uint8

// The modes.
const (
	TicksDisabled TickMode = iota
	TicksEnabled
	TicksConflated
)

// SymbolConfig is a carried symbol.
type SymbolConfig struct {
	Number         uint32
	Name           string
	Ticks          TickMode
	BufferCapacity int // ticks that a client may lag
}

// Config is what may change while streams are open.
type Config struct {
	Source                  string // name of the feed
	Symbols                 []SymbolConfig
	Timeframes              []market.Timeframe
	MicrobarInterval        time.Duration
	FlushInterval           time.Duration
	HeartbeatInterval       time.Duration
	IdleAfter               time.Duration
	SeedBars                int
	MaxConnections          int
	MaxSymbolsPerConnection int
}

// Status is how the feed is doing, as clients see it.
type Status struct {
	State, Reason, Session string
}

// SeedQuery selects bars for the beginning of a stream: of each symbol, for each timeframe, the
// newest Limit, or with HasAfter all after AfterSeq.
type SeedQuery struct {
	Symbols    []uint32
	Timeframes []market.Timeframe
	Limit      int
	AfterSeq   int64
	HasAfter   bool
}

// Seeds has closed bars, in this process or in another.
type Seeds interface {
	// Bars calls fn for each symbol, and for it with each timeframe, in the order of q, once
	// everything up to seq of BARS is in: void bars left out, oldest first. bars is fn's until it
	// returns. It ends with fn's first error, and with ErrTooMany where a query with HasAfter
	// selects more than Limit of a symbol and timeframe.
	Bars(ctx context.Context, seq uint64, q SeedQuery, fn func(symbol uint32, bars []market.Bar) error) error
}

// ErrTooMany says that more bars are selected than a fill may hold.
var ErrTooMany = errors.New("more bars than one fill holds")

// Frames reads BARS, for clients that are behind the tail.
type Frames interface {
	Frames(ctx context.Context, from uint64, fn func(seq uint64, f *logs.Frame) error) error
	Get(ctx context.Context, seq uint64) (*logs.Frame, error)
}

// Metrics is told what happens. Its methods may be called at the same time.
type Metrics interface {
	Connections(n int)
	Events(kind string, n int)
	Dropped(symbol, timeframe, event string, n int)
	Delivery(seconds float64)
	Resumed(result string)
	BeatsSkipped(n int)
	Sweep()
	Rejected(code int)
	TailBytes(n int)
}

// Options are what a hub is made with.
type Options struct {
	Log          logr.Logger
	Metrics      Metrics
	Symbols      *market.SymbolTable
	Frames       Frames
	Seeds        Seeds
	Epoch        string
	EpochStartMs int64
	// TailBytes bounds the shared tail; 0: 32 MiB. HorizonBytes bounds how far behind a client
	// may be and still be served from the log; 0: 64 MiB.
	TailBytes, HorizonBytes int
	// Demanded is called when [Hub.Demand] has changed; it must not block. May be nil.
	Demanded func()
	// Loops is how many goroutines write; 0: one for each CPU.
	Loops int
}

const (
	slot             = 50 * time.Millisecond // what beats and flushes are counted in
	defaultTailBytes = 32 << 20
	defaultHorizon   = 64 << 20
	horizonAge       = time.Hour
	lookEvery        = 20               // slots between two looks whether a client is still there
	quietID          = 15 * time.Second // the longest that a quiet client's cursor stands still
	prefaceTimeout   = 30 * time.Second // for a client to take what comes before live events
	aheadWait        = 2 * time.Second  // for a position that another pod has already
	maxSeed          = 5000
	maxFill          = 50_000
)

// settings is a Config ready for use.
type settings struct {
	Config
	bySymbol map[uint32]*SymbolConfig
	byName   map[string]*SymbolConfig // upper case
	beat     int64                    // slots
	flush    int64                    // slots
}

func newSettings(c Config) *settings {
	s := &settings{Config: c, bySymbol: make(map[uint32]*SymbolConfig), byName: make(map[string]*SymbolConfig)}
	for i := range s.Symbols {
		sym := &s.Symbols[i]
		s.bySymbol[sym.Number] = sym
		s.byName[upper(sym.Name)] = sym
	}
	s.beat, s.flush = slots(c.MicrobarInterval), slots(c.FlushInterval)
	return s
}

func slots(d time.Duration) int64 { return max(1, int64((d+slot/2)/slot)) }

func (s *settings) carries(tf market.Timeframe) bool {
	for _, t := range s.Timeframes {
		if t == tf {
			return true
		}
	}
	return false
}
