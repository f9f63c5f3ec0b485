package feed

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/marketstream/marketstream/streamer/market"
)

// Source is one feed. One Run at a time; SetSymbols may be called from any goroutine.
type Source interface {
	// Run says what the source has after from, until ctx ends (it returns ctx's error), the
	// source ends (a Mark with market.EndOfFeed, then nil), the sink fails (that error, and no
	// status) or the source cannot go on (its error, after a status Failed that says why).
	// What lies at or before said was said before a restart and is not paced.
	Run(ctx context.Context, from market.SourcePosition, said uint64, sink Sink) error
	// SetSymbols replaces the carried symbols. A Run takes them up with its next trade, or
	// step of 100 ms; what it says from there on is what a Run that began there would say.
	SetSymbols(symbols []Symbol)
	// Close releases what the source holds open, after Run has returned.
	Close() error
}

// Beginner is a source that chooses where a new log begins. The log keeps the answer: a Run
// from there says the same whenever it is begun, which one from no place at all may not.
type Beginner interface {
	// Begin returns the place at which a log that is made at now begins.
	Begin(now time.Time) market.SourcePosition
}

// Symbol is a carried symbol. Names match whatever the case of their ASCII letters.
type Symbol struct {
	Number uint32 // process-wide, of market.SymbolTable
	Name   string
}

// Sink takes what a source says. One goroutine uses it.
type Sink interface {
	// Put takes one entry; e is the caller's again at return. It blocks while the sink is full.
	// An error is for good: the source passes it on and says no more.
	Put(e *market.Entry) error
	// Flush asks that what was put be passed on: the source is going to wait.
	Flush() error
	// Status takes what the source says of itself.
	Status(Status)
}

// State is how a source is doing.
type State uint8

// The states of a source.
const (
	Connecting State = iota
	CatchingUp
	Connected
	Silent
	Ended
	Failed
	// Disconnected: there is no connection, because it was lost or could not be made; the source tries again.
	Disconnected
	// Limited: the account allows no further connection; the source waits a minute and more before it tries again.
	Limited
)

var states = [...]string{"connecting", "catching_up", "connected", "silent", "ended", "failed", "disconnected", "limited"}

// String is the state on the wire.
func (s State) String() string { return states[int(s)%len(states)] }

// Status is a state and, in a few words, why.
type Status struct {
	State  State
	Reason string
}

// MaxTime is the latest event time that a source may say, in Unix ns: in the year 2116, far
// enough from the end of 63 bits that sums of two times fit.
const MaxTime = int64(1) << 62

// Speed is how fast event time passes: a factor of real time, or [Max].
type Speed float64

// Max is as fast as it goes.
const Max Speed = Speed(math.MaxFloat64)

// ParseSpeed reads "1", "2.5" or "Max".
func ParseSpeed(text string) (Speed, error) {
	if text == "Max" {
		return Max, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !plainNumber(text) || !(f >= 0.001 && f <= 1e6) {
		return 0, fmt.Errorf("speed %q: want a number from 0.001 to 1000000 (times the recorded pace), or Max", text)
	}
	return Speed(f), nil
}

// plainNumber reports whether text has digits and points alone: ParseFloat reads "1e3",
// "0x1p4" and "1_0" too, which the API's schema refuses.
func plainNumber(text string) bool {
	for i := range len(text) {
		if c := text[i]; c != '.' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
