package market

import (
	"fmt"
	"strings"
	"time"
)

// Timeframe is the nominal length of a bar. The zero value is none.
type Timeframe uint8

// The timeframes, all of them merges of M1. Their numbers stand in the logs
// (docs/contracts/logs.md).
const (
	M1 Timeframe = iota + 1
	M2
	M3
	M5
	M10
	M15
	M30
	H1
	H2
	H4
	D1
)

// MaxTimeframe is the highest valid Timeframe.
const MaxTimeframe = D1

var timeframes = [MaxTimeframe + 1]struct {
	name    string
	minutes int64
}{M1: {"1m", 1}, M2: {"2m", 2}, M3: {"3m", 3}, M5: {"5m", 5}, M10: {"10m", 10}, M15: {"15m", 15},
	M30: {"30m", 30}, H1: {"1h", 60}, H2: {"2h", 120}, H4: {"4h", 240}, D1: {"1d", 1440}}

// Valid reports whether tf is one of the timeframes.
func (tf Timeframe) Valid() bool { return tf >= M1 && tf <= MaxTimeframe }

// String is the name on the wire: "1m" … "1d".
func (tf Timeframe) String() string {
	if !tf.Valid() {
		return "none"
	}
	return timeframes[tf].name
}

// Duration is the nominal length.
func (tf Timeframe) Duration() time.Duration {
	if !tf.Valid() {
		return 0
	}
	return time.Duration(timeframes[tf].minutes) * time.Minute
}

// Millis is the nominal length in milliseconds.
func (tf Timeframe) Millis() int64 { return tf.Duration().Milliseconds() }

// ParseTimeframe reads a name; the error lists the names there are.
func ParseTimeframe(name string) (Timeframe, error) {
	for tf := M1; tf <= MaxTimeframe; tf++ {
		if timeframes[tf].name == name {
			return tf, nil
		}
	}
	return 0, fmt.Errorf("unknown timeframe %q: one of %s", name, strings.Join(TimeframeNames(), " "))
}

// TimeframeNames lists the names, shortest first.
func TimeframeNames() []string {
	names := make([]string, 0, MaxTimeframe)
	for tf := M1; tf <= MaxTimeframe; tf++ {
		names = append(names, tf.String())
	}
	return names
}

// Seq numbers a bar by its start: floor(startMs / 60000) for every timeframe.
func Seq(startMs int64) int64 { return FloorDiv(startMs, 60_000) }

// FloorDiv is a / b taken down to a whole number; b is positive.
func FloorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}
