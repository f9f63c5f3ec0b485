package market

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	_ "time/tzdata" // exchange time must not hang on what the machine has installed
)

// Phase is the part of the trading day that a time lies in.
type Phase uint8

// The phases.
const (
	PhaseClosed Phase = iota
	PhasePremarket
	PhaseRegular
	PhaseAfter
)

// String is the phase's name on the wire.
func (p Phase) String() string {
	return [...]string{"closed", "premarket", "rth", "after"}[p%4]
}

const (
	msMinute = 60_000
	msHour   = 60 * msMinute
	msDay    = 24 * msHour
)

// Calendar knows the days and sessions of a market. Nothing of it can be changed, so its
// methods may be called at the same time; days that were asked for are kept in a cache of
// fixed size that takes no lock.
type Calendar struct {
	name    string
	version string
	loc     *time.Location
	ashift  int64 // the zone's standard offset, ms: finds the day of a time, give or take one
	always  bool  // every minute is regular
	// Minutes after local midnight; unused where always is set.
	pre, open, close, after int64
	afterEarly              int64 // end of after-hours on a day that closes early
	holidays                map[int64]bool
	early                   map[int64]int64 // day → minutes after midnight at which it closes
	days                    [64]atomic.Pointer[day]
}

// Calendars lists the names that [LookupCalendar] knows.
func Calendars() []string { return []string{"USEquities", "AlwaysOpen"} }

var (
	usEquities = sync.OnceValues(newUSEquities)
	alwaysOpen = &Calendar{name: "AlwaysOpen", version: "1", loc: time.UTC, always: true}
)

// LookupCalendar returns the calendar of that name; the error lists the names.
func LookupCalendar(name string) (*Calendar, error) {
	switch name {
	case "USEquities":
		return usEquities()
	case "AlwaysOpen":
		return alwaysOpen, nil
	}
	return nil, fmt.Errorf("unknown calendar %q: one of %s", name, strings.Join(Calendars(), ", "))
}

// Name is the name that [LookupCalendar] takes.
func (c *Calendar) Name() string { return c.name }

// Version is the version of the calendar's data. It stands in configuration frames: bars
// made under another version may differ.
func (c *Calendar) Version() string { return c.version }

// Location is the time zone of the market.
func (c *Calendar) Location() *time.Location { return c.loc }

// Phase returns the phase that ms lies in.
func (c *Calendar) Phase(ms int64) Phase {
	if c.always {
		return PhaseRegular
	}
	d := c.dayAt(ms)
	switch {
	case ms < d.pre || ms >= d.after:
		return PhaseClosed
	case ms < d.open:
		return PhasePremarket
	case ms < d.close:
		return PhaseRegular
	}
	return PhaseAfter
}

// TradeDate returns the date that a trade at ms belongs to: the local date.
func (c *Calendar) TradeDate(ms int64) (y int, m time.Month, d int) {
	return dateOf(c.dayAt(ms).number)
}

// day is one local day: [from, to), and where its sessions begin and end. A day without
// a session has all four at from.
type day struct {
	number                  int64 // days since 1970-01-01
	from, to                int64
	pre, open, close, after int64
	// The clocks change at shiftAt by shift ms, forward if positive; shiftAt is to on
	// days on which they do not.
	shiftAt, shift int64
}

// dayAt returns the day that holds ms.
func (c *Calendar) dayAt(ms int64) *day {
	d := c.day(FloorDiv(ms+c.ashift, msDay))
	if ms < d.from {
		return c.day(d.number - 1)
	}
	if ms >= d.to {
		return c.day(d.number + 1)
	}
	return d
}

func (c *Calendar) day(number int64) *day {
	slot := &c.days[uint64(number)%uint64(len(c.days))]
	if d := slot.Load(); d != nil && d.number == number {
		return d
	}
	d := c.newDay(number)
	slot.Store(d)
	return d
}

func (c *Calendar) newDay(number int64) *day {
	y, m, dom := dateOf(number)
	d := &day{number: number}
	d.from = time.Date(y, m, dom, 0, 0, 0, 0, c.loc).UnixMilli()
	d.to = time.Date(y, m, dom+1, 0, 0, 0, 0, c.loc).UnixMilli()
	d.shiftAt, d.shift = d.to, msDay-(d.to-d.from)
	if d.shift != 0 {
		_, shiftAt := time.UnixMilli(d.from).In(c.loc).ZoneBounds()
		d.shiftAt = shiftAt.UnixMilli()
	}
	d.pre, d.open, d.close, d.after = d.from, d.from, d.from, d.from
	weekday := floorMod(number+4, 7) // 1970-01-01 was a Thursday; Sunday is 0
	if c.always || weekday == 0 || weekday == 6 || c.holidays[number] {
		return d
	}
	closes, ends := c.close, c.after
	if m, ok := c.early[number]; ok {
		closes, ends = m, c.afterEarly
	}
	d.pre, d.open = d.at(c.pre*msMinute), d.at(c.open*msMinute)
	d.close, d.after = d.at(closes*msMinute), d.at(ends*msMinute)
	return d
}

// wall returns the time on the wall clock, in ms after midnight.
func (d *day) wall(ms int64) int64 {
	if ms >= d.shiftAt {
		return ms - d.from + d.shift
	}
	return ms - d.from
}

// at returns when the wall clock first shows wall ms after midnight or more.
func (d *day) at(wall int64) int64 {
	if ms := d.from + wall; ms < d.shiftAt {
		return ms
	}
	return min(max(d.from+wall-d.shift, d.shiftAt), d.to)
}

func dateOf(number int64) (y int, m time.Month, d int) {
	return time.Unix(number*(msDay/1000), 0).UTC().Date()
}

func dayNumber(y int, m time.Month, d int) int64 {
	return FloorDiv(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).UnixMilli(), msDay)
}

func floorMod(a, b int64) int64 { return a - FloorDiv(a, b)*b }
