package market

import "fmt"

// Hours says which part of the trading day makes bars.
type Hours uint8

// The hours.
const (
	HoursExtended   Hours = iota // premarket, regular and after-hours
	HoursRegular                 // regular hours only
	HoursContinuous              // every minute, also those in which the market is closed
)

var hoursNames = [...]string{"Extended", "Regular", "Continuous"}

// String is the name in the object.
func (h Hours) String() string { return hoursNames[h%3] }

// ParseHours reads a name of the object.
func ParseHours(name string) (Hours, error) {
	for i, n := range hoursNames {
		if n == name {
			return Hours(i), nil
		}
	}
	return 0, fmt.Errorf("unknown hours %q: one of Extended, Regular, Continuous", name)
}

// Anchor says from where periods are counted.
type Anchor uint8

// The anchors.
const (
	AnchorClock   Anchor = iota // the wall clock of the market: hours begin at :00
	AnchorSession               // the beginning of premarket, regular or after-hours
)

var anchorNames = [...]string{"Clock", "Session"}

// String is the name in the object.
func (a Anchor) String() string { return anchorNames[a%2] }

// ParseAnchor reads a name of the object.
func ParseAnchor(name string) (Anchor, error) {
	for i, n := range anchorNames {
		if n == name {
			return Anchor(i), nil
		}
	}
	return 0, fmt.Errorf("unknown anchor %q: one of Clock, Session", name)
}

// Session cuts time into periods. A nil Calendar is AlwaysOpen.
type Session struct {
	Calendar *Calendar
	Hours    Hours
	Anchor   Anchor
}

func (s Session) calendar() *Calendar {
	if s.Calendar == nil {
		return alwaysOpen
	}
	return s.Calendar
}

// Includes reports whether trades at ms make bars. Whole minutes are in or out.
func (s Session) Includes(ms int64) bool {
	c := s.calendar()
	if c.always || s.Hours == HoursContinuous {
		return true
	}
	d := c.dayAt(ms)
	if s.Hours == HoursRegular {
		return ms >= d.open && ms < d.close
	}
	return ms >= d.pre && ms < d.after
}

// OutsideRegular reports whether ms lies outside regular hours, where a trade's conditions
// say whether it may shape a price of the day. It is false for AlwaysOpen.
func (s Session) OutsideRegular(ms int64) bool {
	c := s.calendar()
	if c.always {
		return false
	}
	d := c.dayAt(ms)
	return ms < d.open || ms >= d.close
}

// Period returns the period [startMs, endMs) of tf that holds ms. It is labelled by its
// start, and:
//
//   - a 1m period is a minute of the clock, whatever the session;
//   - a 1d period starts at local midnight of the trade date and ends where the included
//     session of that date ends, or at the next midnight if the session is continuous;
//   - [AnchorClock]: other periods start where the market's wall clock is a multiple of
//     tf. Up to 1h each has its length, so the hour that is lived twice when clocks go
//     back is two; 2h and 4h count the wall clock from midnight and are an hour shorter or
//     longer where the clocks change within them. What reaches over the end of the
//     included session is cut there (on a half day in regular hours 4h: 12:00 to 13:00);
//     a start is never moved;
//   - [AnchorSession]: premarket, regular and after-hours (and what is closed before and
//     after them) each count from their own beginning in elapsed time, and their last
//     period is cut at their end. So the bars of regular hours are the same whatever
//     Hours says. A continuous session counts from local midnight.
//
// A time that the session does not include has a period too: nothing is cut for a time
// past the end of the session or on a day without one. An invalid tf counts as 1m.
func (s Session) Period(tf Timeframe, ms int64) (startMs, endMs int64) {
	if tf == M1 || !tf.Valid() {
		startMs = FloorDiv(ms, msMinute) * msMinute
		return startMs, startMs + msMinute
	}
	c := s.calendar()
	d := c.dayAt(ms)
	continuous := c.always || s.Hours == HoursContinuous
	length := timeframes[tf].minutes * msMinute
	if s.Anchor == AnchorSession && tf != D1 {
		from, to := d.from, d.to
		if !continuous {
			from, to = d.segment(ms)
		}
		startMs = ms - (ms-from)%length
		return startMs, min(startMs+length, to)
	}
	switch {
	case tf == D1:
		startMs, endMs = d.from, d.to
	case tf <= H1:
		startMs = ms - d.wall(ms)%length
		endMs = startMs + length
	default:
		slot := d.wall(ms) / length * length
		startMs, endMs = d.at(slot), d.at(slot+length)
	}
	if continuous {
		return startMs, endMs
	}
	end := d.after
	if s.Hours == HoursRegular {
		end = d.close
	}
	if ms < end {
		endMs = min(endMs, end)
	}
	return startMs, endMs
}

// segment returns the part of the day that holds ms: closed, premarket, regular,
// after-hours or closed.
func (d *day) segment(ms int64) (from, to int64) {
	switch {
	case ms < d.pre:
		return d.from, d.pre
	case ms < d.open:
		return d.pre, d.open
	case ms < d.close:
		return d.open, d.close
	case ms < d.after:
		return d.close, d.after
	}
	return d.after, d.to
}
