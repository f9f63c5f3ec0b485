package oracle

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/clients"
	"github.com/marketstream/marketstream/streamer/logs"
)

// Absence is a time in which a symbol or a timeframe was not carried; "" is any.
type Absence struct {
	Symbol, Timeframe string
	From, To          time.Time
}

// Counts are what was found wrong, by kind, and what was looked at.
type Counts struct {
	Lost, Twice, Wrong, Partial, Stuck int
	Bars, Events                       int
}

// Finding is one thing that is wrong.
type Finding struct {
	Who  string
	At   time.Time // about when; zero: not known
	Text string
	// Symbol is that of a bar that is not true; Lost: it is not there, which may only be late.
	Symbol string
	Lost   bool
}

// Checker holds what was said against the truth.
type Checker struct {
	Truth      Truth
	Timeframes []string
	Absences   []Absence
	// Until is where the last period ends that must be there.
	Until time.Time

	Counts
	Findings []Finding
}

const mostFindings = 200

func (c *Checker) find(n *int, who string, at time.Time, format string, args ...any) {
	*n++
	if len(c.Findings) < mostFindings {
		c.Findings = append(c.Findings, Finding{Who: who, At: at, Text: fmt.Sprintf(format, args...)})
	}
}

// absent reports whether a bar touches a time in which it was not carried.
func (c *Checker) absent(k clients.Key) bool {
	from := time.UnixMilli(k.Seq * 60_000)
	to := from.Add(time.Duration(minutes[k.Timeframe]) * time.Minute)
	return slices.ContainsFunc(c.Absences, func(a Absence) bool {
		return (a.Symbol == "" || a.Symbol == k.Symbol) && (a.Timeframe == "" || a.Timeframe == k.Timeframe) && from.Before(a.To) && to.After(a.From)
	})
}

func end(k clients.Key) time.Time {
	return time.UnixMilli((k.Seq + minutes[k.Timeframe]) * 60_000)
}

// first returns the first minute of each symbol among bars.
func first(final map[clients.Key]*clients.Bar) map[string]int64 {
	out := make(map[string]int64)
	for k, b := range final {
		if at, ok := out[k.Symbol]; k.Timeframe == "1m" && !b.Void && (!ok || k.Seq < at) {
			out[k.Symbol] = k.Seq
		}
	}
	return out
}

// Bars holds the last revision of every bar against the truth. who said it.
func (c *Checker) Bars(who string, final map[clients.Key]*clients.Bar) {
	for _, k := range sortedKeys(final) {
		b := final[k]
		if end(k).After(c.Until) {
			continue
		}
		c.Counts.Bars++
		found := len(c.Findings)
		want, there := c.Truth[k]
		switch at := end(k); {
		case b.Void && there, !there && !b.Void:
			c.find(&c.Wrong, who, at, "%s: void is %v, and the vendor's trades make %q", k, b.Void, want)
		case b.Void:
		case b.Partial && c.absent(k):
		case b.Partial:
			c.find(&c.Partial, who, at, "%s rev %d is still partial: %s; the vendor's trades make %s", k, b.Rev, b.Values(), want)
		case b.Values() != want:
			c.find(&c.Wrong, who, at, "%s rev %d: %s; the vendor's trades make %s", k, b.Rev, b.Values(), want)
		}
		for i := found; i < len(c.Findings); i++ {
			c.Findings[i].Symbol = k.Symbol
		}
	}
	began := first(final)
	var missing []clients.Key
	for k := range c.Truth {
		at, ok := began[k.Symbol]
		if final[k] == nil && ok && k.Seq >= at && !end(k).After(c.Until) && !c.absent(k) {
			missing = append(missing, k)
		}
	}
	slices.SortFunc(missing, compareKeys)
	for _, k := range missing {
		c.find(&c.Lost, who, end(k), "%s is missing; the vendor's trades make %s", k, c.Truth[k])
		c.Findings[len(c.Findings)-1].Symbol, c.Findings[len(c.Findings)-1].Lost = k.Symbol, true
	}
}

func compareKeys(a, b clients.Key) int {
	return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Symbol, b.Symbol), cmp.Compare(a.Timeframe, b.Timeframe))
}

func sortedKeys(m map[clients.Key]*clients.Bar) []clients.Key {
	out := make([]clients.Key, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.SortFunc(out, compareKeys)
	return out
}

// Client holds what a client saw since its last reset against the log: every event of its query
// after its first cursor, once, in order, and in the end the same bars.
func (c *Checker) Client(cl *clients.Client, log *Log) {
	s := cl.Seen()
	for _, w := range s.Wrong {
		c.find(&c.Twice, cl.Name, time.Time{}, "%s", w)
	}
	if s.Epoch != "" && s.Epoch != log.Epoch {
		c.find(&c.Wrong, cl.Name, time.Time{}, "its epoch is %s, the log's %s", s.Epoch, log.Epoch)
	}
	var want []Logged
	var from logs.Cursor
	inclusive := false
	switch {
	case s.From != "":
		from, _ = logs.ParseCursor(s.From)
	case len(s.Events) > 0:
		from, _ = logs.ParseCursor(s.Events[0].ID)
		inclusive = true
	default:
		from = log.Last // nothing was promised yet
	}
	for i := range log.Events {
		e := &log.Events[i]
		if cl.Wants(e.Symbol, e.Bar) && (after(e.Cursor, from) || inclusive && e.Cursor == from) {
			want = append(want, *e)
		}
	}
	c.Events += len(want)
	c.sequence(cl.Name, s.Events, want, log)
	c.state(cl, &s, log)
}

// sequence compares what came with what the log has.
func (c *Checker) sequence(who string, got []clients.Event, want []Logged, log *Log) {
	for i, e := range got {
		cur, err := logs.ParseCursor(e.ID)
		if err == nil && after(cur, log.Last) {
			got = got[:i] // later than we read
			break
		}
	}
	i, j := 0, 0
	for i < len(got) || j < len(want) {
		switch {
		case i < len(got) && j < len(want) && got[i].ID == want[j].ID:
			if got[i].Sum != want[j].Sum {
				c.find(&c.Wrong, who, got[i].At, "%s: got %s, the log has %s", got[i].ID, got[i].Data, want[j].Data)
			}
			i, j = i+1, j+1
		case i < len(got) && (j == len(want) || cursorBefore(got[i].ID, want[j].Cursor)):
			c.find(&c.Wrong, who, got[i].At, "got %s from %s at %s, which the log does not have there: %s", got[i].ID, got[i].Pod, got[i].At.UTC().Format("15:04:05.000"), got[i].Data)
			i++
		default:
			at := time.Time{}
			if i < len(got) {
				at = got[i].At
			} else if want[j].Bar != nil {
				at = time.UnixMilli(want[j].Bar.End)
			}
			c.find(&c.Lost, who, at, "did not get %s: %s", want[j].ID, want[j].Data)
			j++
		}
	}
}

func cursorBefore(id string, c logs.Cursor) bool {
	x, err := logs.ParseCursor(id)
	return err == nil && after(c, x)
}

// state compares what the client ends with: what it got without ids counts too.
func (c *Checker) state(cl *clients.Client, s *clients.Seen, log *Log) {
	if len(s.State) == 0 {
		return
	}
	began := make(map[[2]string]int64)
	for k := range s.State {
		series := [2]string{k.Symbol, k.Timeframe}
		if at, ok := began[series]; !ok || k.Seq < at {
			began[series] = k.Seq
		}
	}
	for _, k := range log.keys {
		at, ok := began[[2]string{k.Symbol, k.Timeframe}]
		b := log.Final[k]
		if !cl.Wants(k.Symbol, b) || !ok || k.Seq < at || end(k).After(c.Until) {
			continue
		}
		mine := s.State[k]
		switch {
		case mine == nil && b.Void:
		case mine == nil:
			c.find(&c.Lost, cl.Name, end(k), "ends without %s, and has bars before it", k)
		case mine.Rev < b.Rev:
			c.find(&c.Lost, cl.Name, end(k), "ends with %s rev %d, the log has rev %d", k, mine.Rev, b.Rev)
		case mine.Rev == b.Rev && (mine.Values() != b.Values() || mine.Partial != b.Partial):
			c.find(&c.Wrong, cl.Name, end(k), "ends with %s rev %d %s partial %v, the log has %s partial %v", k, b.Rev, mine.Values(), mine.Partial, b.Values(), b.Partial)
		}
	}
}

// Stuck notes that something does not go on.
func (c *Checker) Stuck(who, format string, args ...any) {
	c.find(&c.Counts.Stuck, who, time.Now(), format, args...)
}

// Bad notes something else that is wrong.
func (c *Checker) Bad(who string, at time.Time, format string, args ...any) {
	c.find(&c.Wrong, who, at, format, args...)
}
