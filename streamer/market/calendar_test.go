package market

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func calendarOf(t testing.TB, name string) *Calendar {
	t.Helper()
	c, err := LookupCalendar(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ny is a time on the wall clock of New York ("2025-07-03 13:00").
func ny(t testing.TB, text string) int64 {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04:05.000"[:len(text)], text, calendarOf(t, "USEquities").Location())
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixMilli()
}

func TestLookupCalendar(t *testing.T) {
	for _, name := range Calendars() {
		if c := calendarOf(t, name); c.Name() != name || c.Version() == "" || c.Location() == nil || calendarOf(t, name) != c {
			t.Errorf("%s: name %q, version %q, location %v", name, c.Name(), c.Version(), c.Location())
		}
	}
	for _, name := range []string{"", "usequities", "NYSE"} {
		if _, err := LookupCalendar(name); err == nil || !strings.Contains(err.Error(), "USEquities, AlwaysOpen") {
			t.Errorf("LookupCalendar(%q): %v", name, err)
		}
	}
}

func TestPhase(t *testing.T) {
	c := calendarOf(t, "USEquities")
	for _, day := range []struct{ date, edges string }{
		{"2025-07-02", "03:59:59.999 closed 04:00 premarket 09:29:59.999 premarket 09:30 rth 15:59:59.999 rth 16:00 after 19:59:59.999 after 20:00 closed 23:59 closed"},
		{"2025-07-03", "00:00 closed 04:00 premarket 09:30 rth 12:59:59.999 rth 13:00 after 16:59:59.999 after 17:00 closed 18:00 closed"},
		{"2024-11-29", "09:30 rth 13:00 after 16:59 after 17:00 closed"},
		{"2025-01-09", "05:00 closed 10:00 closed 17:00 closed"},
		{"2012-10-29", "10:00 closed"},
		{"2025-01-10", "09:30 rth 15:59 rth 16:00 after"},
		{"2025-03-07", "03:59 closed 04:00 premarket 09:30 rth"},
		{"2025-03-08", "10:00 closed"},
		{"2025-03-09", "01:59 closed 03:00 closed 10:00 closed"},
		{"2025-03-10", "03:59 closed 04:00 premarket 09:29 premarket 09:30 rth 16:00 after 20:00 closed"},
		{"2025-11-03", "03:59 closed 04:00 premarket 09:29 premarket 09:30 rth 16:00 after 20:00 closed"},
		{"1985-03-05", "09:30 rth"}, // before the years that the calendar knows: weekends only
		{"2035-03-06", "09:30 rth"},
		{"2035-03-04", "09:30 closed"},
	} {
		words := strings.Fields(day.edges)
		for i := 0; i < len(words); i += 2 {
			if got := c.Phase(ny(t, day.date+" "+words[i])).String(); got != words[i+1] {
				t.Errorf("%s %s: %s, want %s", day.date, words[i], got, words[i+1])
			}
		}
	}
	if p := calendarOf(t, "AlwaysOpen").Phase(ny(t, "2025-01-09 03:00")); p != PhaseRegular {
		t.Errorf("AlwaysOpen: %v", p)
	}
	if got := fmt.Sprint(PhaseClosed, PhasePremarket, PhaseRegular, PhaseAfter); got != "closed premarket rth after" {
		t.Error(got)
	}
}

func TestTradeDate(t *testing.T) {
	for _, c := range []struct{ calendar, at, want string }{
		{"USEquities", "2025-07-02 23:59:59.999", "2025-07-02"}, {"USEquities", "2025-07-03 00:00", "2025-07-03"},
		{"USEquities", "2025-03-09 23:30", "2025-03-09"}, {"USEquities", "2025-11-02 23:30", "2025-11-02"}, {"USEquities", "2025-11-02 00:00", "2025-11-02"},
		{"AlwaysOpen", "2025-07-02 19:59", "2025-07-02"}, {"AlwaysOpen", "2025-07-02 20:00", "2025-07-03"},
		{"USEquities", "1969-12-31 23:59", "1969-12-31"},
	} {
		y, m, d := calendarOf(t, c.calendar).TradeDate(ny(t, c.at))
		if got := fmt.Sprintf("%04d-%02d-%02d", y, m, d); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.calendar, c.at, got, c.want)
		}
	}
}

// The facts of the calendar are those that were collected.
func TestCalendarAgainstReference(t *testing.T) {
	var ref struct {
		Timezone    string
		Holidays    []string
		EarlyCloses map[string]string `json:"early_closes"`
		Sessions    []struct{ Start, End, State string }
	}
	sharedJSON(t, &ref, "reference", "us-equity-calendar.json")
	c := calendarOf(t, "USEquities")
	if c.Location().String() != ref.Timezone {
		t.Errorf("time zone %s, want %s", c.Location(), ref.Timezone)
	}
	var dates []string
	for n := range c.holidays {
		dates = append(dates, date(n))
	}
	slices.Sort(dates)
	if !slices.Equal(dates, ref.Holidays) || len(dates) != 293 {
		t.Errorf("%d holidays, want %d", len(dates), len(ref.Holidays))
	}
	if len(c.early) != len(ref.EarlyCloses) || len(c.early) != 65 {
		t.Errorf("%d early closes, want %d", len(c.early), len(ref.EarlyCloses))
	}
	states := map[string]Phase{"premarket": PhasePremarket, "market": PhaseRegular, "postmarket": PhaseAfter}
	end := dayNumber(2028, 12, 31)
	days := 0
	for n := dayNumber(1998, 1, 1); n <= end; n++ {
		day := date(n)
		weekday := time.Unix(n*86400, 0).UTC().Weekday()
		open := weekday != time.Saturday && weekday != time.Sunday && !slices.Contains(ref.Holidays, day)
		early := ref.EarlyCloses[day] != "" && open
		for _, s := range ref.Sessions {
			want := PhaseClosed
			start := s.Start
			if open {
				want = states[s.State]
			}
			if early && want == PhaseAfter {
				start = ref.EarlyCloses[day]
			}
			if got := c.Phase(ny(t, day+" "+start)); got != want {
				t.Errorf("%s %s: %v, want %v", day, start, got, want)
			}
		}
		days++
	}
	t.Logf("%d days compared: %d holidays, %d early closes", days, len(dates), len(c.early))
}

func date(n int64) string { return time.Unix(n*86400, 0).UTC().Format(time.DateOnly) }

// Whoever changes the calendar's facts must give them another version.
func TestCalendarVersion(t *testing.T) {
	h := fnv.New64a()
	c := calendarOf(t, "USEquities")
	fmt.Fprintf(h, "%v %v %v", c.holidays, c.early, []int64{c.pre, c.open, c.close, c.after, c.afterEarly})
	if got := fmt.Sprintf("%s %016x", c.Version(), h.Sum64()); got != "2026-11 4938950038291487" {
		t.Errorf("the facts changed: give them another version, then write %q here", got)
	}
}

// Every local day begins and ends at midnight, follows the one before, and its wall clock
// is that of package time.
func TestDaysTile(t *testing.T) {
	for _, name := range Calendars() {
		c := calendarOf(t, name)
		previous := c.newDay(dayNumber(1997, 12, 31))
		for n := previous.number + 1; n < dayNumber(2031, 1, 1); n++ {
			d := c.newDay(n)
			if d.from != previous.to || d.to <= d.from {
				t.Fatalf("%s: %s is [%d, %d) after a day that ends at %d", name, date(n), d.from, d.to, previous.to)
			}
			for ms := d.from; ms < d.to; ms += 30 * msMinute {
				local := time.UnixMilli(ms).In(c.loc)
				h, m, _ := local.Clock()
				if want := int64(h)*msHour + int64(m)*msMinute; d.wall(ms) != want {
					t.Fatalf("%s: at %v the wall clock shows %d", name, local, d.wall(ms))
				}
				if c.dayAt(ms).number != n {
					t.Fatalf("%s: %v lies in %s", name, local, date(c.dayAt(ms).number))
				}
			}
			previous = d
		}
	}
}

// TestCalendarExtremes: no time makes a calendar panic, and a period holds its time as far as that can be said in 64 bits.
func TestCalendarExtremes(t *testing.T) {
	for _, name := range append(Calendars(), "") {
		s := Session{}
		if name != "" {
			s.Calendar = calendarOf(t, name)
		}
		for _, ms := range []int64{math.MinInt64, math.MaxInt64, -1, 0, EndOfFeed, -62135596800000} {
			for _, s.Hours = range []Hours{HoursExtended, HoursRegular, HoursContinuous} {
				for _, s.Anchor = range []Anchor{AnchorClock, AnchorSession} {
					for tf := Timeframe(0); tf <= MaxTimeframe+1; tf++ {
						start, end := s.Period(tf, ms)
						if fits := ms != math.MinInt64 && ms != math.MaxInt64; fits && (start > ms || ms >= end) {
							t.Errorf("%q, %v, %v: the %v period of %d is [%d, %d)", name, s.Hours, s.Anchor, tf, ms, start, end)
						}
					}
					s.Includes(ms)
					s.OutsideRegular(ms)
				}
			}
		}
	}
}

func TestCalendarConcurrent(t *testing.T) {
	c := calendarOf(t, "USEquities")
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 5000 {
				ms := ny(t, "2025-01-01 12:00") + int64((i*7+g*131)%400)*msDay
				if y, _, _ := c.TradeDate(ms); y < 2025 || y > 2026 {
					t.Errorf("year %d", y)
				}
			}
		})
	}
	wg.Wait()
}
