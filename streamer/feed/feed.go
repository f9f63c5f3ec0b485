package feed

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/marketstream/marketstream/streamer/market"
)

// Source is one feed.
type Source interface {
	// Run says what the source has after from, until ctx ends (it returns ctx's error), the
	// source ends (a Mark with market.EndOfFeed, then nil), a Put fails (that error) or the
	// source cannot go on. What lies at or before said was said before a restart and is not
	// paced.
	Run(ctx context.Context, from market.SourcePosition, said uint64, sink Sink) error
	// SetSymbols replaces the carried symbols. Call it before Run.
	SetSymbols(symbols []Symbol)
	// Close releases what the source holds open, after Run has returned.
	Close() error
}

// Symbol is a carried symbol; Number is its process-wide number.
type Symbol struct {
	Number uint32
	Name   string
}

// Sink takes what a source says. One goroutine uses it.
type Sink interface {
	// Put takes one entry; e is the caller's again at return. It blocks while the sink is full.
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
)

var states = [...]string{"connecting", "catching_up", "connected", "silent", "ended", "failed"}

// String is the state on the wire.
func (s State) String() string { return states[int(s)%len(states)] }

// Status is a state and, in a few words, why.
type Status struct {
	State  State
	Reason string
}

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
	if err != nil || !(f >= 0.001 && f <= 1e6) {
		return 0, fmt.Errorf("speed %q: want a number from 0.001 to 1000000 (times the recorded pace), or Max", text)
	}
	return Speed(f), nil
}
