package market

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func us(t testing.TB, h Hours, a Anchor) Session {
	return Session{Calendar: calendarOf(t, "USEquities"), Hours: h, Anchor: a}
}

func TestParseHoursAndAnchor(t *testing.T) {
	for _, h := range []Hours{HoursExtended, HoursRegular, HoursContinuous} {
		if got, err := ParseHours(h.String()); err != nil || got != h {
			t.Errorf("%v: %v, %v", h, got, err)
		}
	}
	for _, a := range []Anchor{AnchorClock, AnchorSession} {
		if got, err := ParseAnchor(a.String()); err != nil || got != a {
			t.Errorf("%v: %v, %v", a, got, err)
		}
	}
	if _, err := ParseHours("rth"); err == nil || !strings.Contains(err.Error(), "Extended, Regular, Continuous") {
		t.Error(err)
	}
	if _, err := ParseAnchor("Open"); err == nil || !strings.Contains(err.Error(), "Clock, Session") {
		t.Error(err)
	}
}

func TestIncludes(t *testing.T) {
	for _, c := range []struct {
		at      string
		in      string // of Extended, Regular, Continuous
		outside bool
	}{
		{"2025-07-03 03:59:59.999", "--C", true}, {"2025-07-03 04:00", "E-C", true}, {"2025-07-03 09:29:59.999", "E-C", true},
		{"2025-07-03 09:30", "ERC", false}, {"2025-07-03 12:59:59.999", "ERC", false}, {"2025-07-03 13:00", "E-C", true},
		{"2025-07-03 16:59:59.999", "E-C", true}, {"2025-07-03 17:00", "--C", true}, {"2025-07-02 15:59", "ERC", false},
		{"2025-07-02 19:59:59.999", "E-C", true}, {"2025-07-02 20:00", "--C", true},
		{"2025-01-09 11:00", "--C", true}, {"2025-07-05 11:00", "--C", true},
	} {
		ms := ny(t, c.at)
		got := ""
		for i, h := range []Hours{HoursExtended, HoursRegular, HoursContinuous} {
			if us(t, h, AnchorClock).Includes(ms) {
				got += "ERC"[i : i+1]
			} else {
				got += "-"
			}
		}
		if got != c.in || us(t, HoursContinuous, AnchorClock).OutsideRegular(ms) != c.outside {
			t.Errorf("%s: %s, want %s", c.at, got, c.in)
		}
		for _, s := range []Session{{}, {Calendar: calendarOf(t, "AlwaysOpen"), Hours: HoursRegular}} {
			if !s.Includes(ms) || s.OutsideRegular(ms) {
				t.Errorf("AlwaysOpen at %s: %v %v", c.at, s.Includes(ms), s.OutsideRegular(ms))
			}
		}
	}
}

// Periods as a person would write them down: "tf hours anchor: time → start end" on the wall
// clock of New York, with the day where it is another.
func TestPeriodByHand(t *testing.T) {
	for _, line := range strings.Split(strings.TrimSpace(`
2025-07-02 1m Extended Clock 09:30:59.999 09:30 09:31
2025-07-02 30m Extended Clock 09:45 09:30 10:00
2025-07-02 1h Extended Clock 09:45 09:00 10:00
2025-07-02 1h Regular Clock 09:45 09:00 10:00
2025-07-02 1h Regular Session 09:45 09:30 10:30
2025-07-02 1h Extended Session 09:45 09:30 10:30
2025-07-02 1h Extended Session 09:15 09:00 09:30
2025-07-02 1h Extended Session 15:45 15:30 16:00
2025-07-02 1h Extended Session 16:15 16:00 17:00
2025-07-02 2h Regular Clock 09:45 08:00 10:00
2025-07-02 2h Regular Clock 15:45 14:00 16:00
2025-07-02 4h Regular Clock 12:00 12:00 16:00
2025-07-02 4h Extended Clock 12:00 12:00 16:00
2025-07-02 4h Extended Clock 19:59 16:00 20:00
2025-07-02 4h Regular Session 13:29 09:30 13:30
2025-07-02 4h Regular Session 13:30 13:30 16:00
2025-07-02 4h Extended Session 08:30 08:00 09:30
2025-07-02 1d Regular Clock 09:45 00:00 16:00
2025-07-02 1d Extended Clock 05:00 00:00 20:00
2025-07-02 1d Extended Session 19:59 00:00 20:00
2025-07-02 1d Continuous Clock 19:59 00:00 24:00
2025-07-02 4h Continuous Clock 21:00 20:00 24:00
2025-07-02 4h Continuous Session 21:00 20:00 24:00
2025-07-03 1h Regular Clock 12:10 12:00 13:00
2025-07-03 4h Regular Clock 12:10 12:00 13:00
2025-07-03 4h Extended Clock 12:10 12:00 16:00
2025-07-03 4h Extended Clock 16:10 16:00 17:00
2025-07-03 2h Extended Session 12:10 11:30 13:00
2025-07-03 2h Regular Session 12:10 11:30 13:00
2025-07-03 4h Extended Session 13:10 13:00 17:00
2025-07-03 2h Extended Session 15:10 15:00 17:00
2025-07-03 1d Regular Clock 10:00 00:00 13:00
2025-07-03 1d Extended Clock 10:00 00:00 17:00
2024-11-29 1d Regular Session 10:00 00:00 13:00
2024-11-29 1d Extended Clock 16:59 00:00 17:00
2025-07-03 4h Regular Clock 14:00 12:00 16:00
2025-07-03 1d Regular Clock 14:00 00:00 24:00
2025-01-09 1d Regular Clock 14:00 00:00 24:00
2025-01-09 4h Regular Clock 14:00 12:00 16:00
2025-01-09 4h Extended Session 14:00 12:00 16:00
2025-03-09 1d Continuous Clock 12:00 00:00 24:00
2025-03-09 2h Continuous Clock 01:30 00:00 03:00
2025-03-09 2h Continuous Clock 03:30 03:00 04:00
2025-03-09 4h Continuous Clock 03:30 00:00 04:00
2025-03-09 4h Continuous Clock 04:30 04:00 08:00
2025-03-09 1h Continuous Clock 03:30 03:00 04:00
2025-03-09 4h Continuous Session 04:30 00:00 05:00
2025-11-02 4h Continuous Clock 03:30 00:00 04:00
2025-11-02 2h Continuous Clock 02:30 02:00 04:00
2025-11-02 2h Continuous Clock 00:30 00:00 02:00
2025-11-02 4h Continuous Session 02:30 00:00 03:00
2025-11-02 1d Continuous Session 12:00 00:00 24:00
2025-03-10 4h Extended Clock 05:00 04:00 08:00
2025-11-03 4h Extended Clock 05:00 04:00 08:00
`), "\n") {
		f := strings.Fields(line)
		tf, err := ParseTimeframe(f[1])
		if err != nil {
			t.Fatal(err)
		}
		h, _ := ParseHours(f[2])
		a, _ := ParseAnchor(f[3])
		if f[6] == "24:00" {
			f[6] = "23:59:59.999"
		}
		from, to := ny(t, f[0]+" "+f[5]), ny(t, f[0]+" "+f[6])
		if strings.HasSuffix(f[6], ".999") {
			to++
		}
		if gotFrom, gotTo := us(t, h, a).Period(tf, ny(t, f[0]+" "+f[4])); gotFrom != from || gotTo != to {
			t.Errorf("%s: %s to %s", line, clock(t, gotFrom), clock(t, gotTo))
		}
	}
	for _, c := range []struct{ tf, start, end string }{{"1h", "12:00", "13:00"}, {"4h", "12:00", "16:00"}, {"1d", "00:00", "24:00"}, {"30m", "12:30", "13:00"}} {
		tf, _ := ParseTimeframe(c.tf)
		start, end := Session{}.Period(tf, time.Date(2025, 3, 9, 12, 45, 0, 0, time.UTC).UnixMilli())
		got := time.UnixMilli(start).UTC().Format("15:04") + " " + time.UnixMilli(end-1).UTC().Add(time.Millisecond).Format("15:04")
		if want := c.start + " " + strings.Replace(c.end, "24:00", "00:00", 1); got != want {
			t.Errorf("AlwaysOpen %s: %s, want %s", c.tf, got, want)
		}
	}
}

func clock(t testing.TB, ms int64) string {
	return time.UnixMilli(ms).In(calendarOf(t, "USEquities").Location()).Format("01-02 15:04:05.000 MST")
}

// The hour that is lived twice is two hours, and both lie in one 2h and one 4h.
func TestPeriodWhenClocksGoBack(t *testing.T) {
	s := us(t, HoursContinuous, AnchorClock)
	one := ny(t, "2025-11-02 00:00") + msHour
	for i, want := range []int64{one, one + msHour} {
		if start, end := s.Period(H1, want+30*msMinute); start != want || end != want+msHour {
			t.Errorf("hour %d: %s to %s", i, clock(t, start), clock(t, end))
		}
		for tf, hours := range map[Timeframe]int64{H2: 3, H4: 5, D1: 25} {
			if start, end := s.Period(tf, want+30*msMinute); start != one-msHour || end != start+hours*msHour {
				t.Errorf("%v in hour %d: %s to %s", tf, i, clock(t, start), clock(t, end))
			}
		}
	}
}

// naiveEnd is where the session that includes ms must end, from the clock alone.
func naiveEnd(s Session, date string, t *testing.T) (ms int64, closed bool) {
	end := map[Hours]string{HoursExtended: "20:00", HoursRegular: "16:00"}[s.Hours]
	if date == "2025-07-03" || date == "2024-11-29" {
		end = map[Hours]string{HoursExtended: "17:00", HoursRegular: "13:00"}[s.Hours]
	}
	if s.Hours == HoursContinuous || date == "2025-01-09" || date == "2025-03-09" || date == "2025-11-02" {
		return 0, true
	}
	return ny(t, date+" "+end), false
}

// Periods hold the minute, start on whole minutes, are the same for every minute in them, tile
// what the session includes without overlap, lie in one day, and nothing that is included
// lies in a period with what the phases or dates set apart.
func TestPeriodProperties(t *testing.T) {
	dates := []string{"2025-07-02", "2025-07-03", "2024-11-29", "2025-01-09", "2025-03-09", "2025-03-10", "2025-11-02", "2025-11-03"}
	sessions := []Session{{}}
	for _, h := range []Hours{HoursExtended, HoursRegular, HoursContinuous} {
		for _, a := range []Anchor{AnchorClock, AnchorSession} {
			sessions = append(sessions, us(t, h, a))
		}
	}
	checked := 0
	for _, s := range sessions {
		for _, day := range dates {
			d := s.calendar().dayAt(ny(t, day+" 12:00"))
			sessionEnd, uncut := naiveEnd(s, day, t)
			for tf := M1; tf <= MaxTimeframe; tf++ {
				name := fmt.Sprintf("%v %v %v %s", tf, s.Hours, s.Anchor, day)
				lastStart, lastEnd := int64(0), int64(0)
				for ms := d.from; ms < d.to; ms += msMinute {
					start, end := s.Period(tf, ms)
					if start > ms || end <= ms || start%msMinute != 0 || end%msMinute != 0 || start < d.from || end > d.to {
						t.Fatalf("%s: %s has %s to %s", name, clock(t, ms), clock(t, start), clock(t, end))
					}
					if a, b := s.Period(tf, ms+msMinute-1); a != start || b != end {
						t.Fatalf("%s: the last moment of %s lies elsewhere", name, clock(t, ms))
					}
					if !s.Includes(ms) {
						continue
					}
					checked++
					if start == lastStart && end != lastEnd || start != lastStart && start < lastEnd {
						t.Fatalf("%s: %s to %s after %s to %s", name, clock(t, start), clock(t, end), clock(t, lastStart), clock(t, lastEnd))
					}
					if s.Calendar != nil && !uncut && end > sessionEnd {
						t.Fatalf("%s: ends at %s, past the session", name, clock(t, end))
					}
					if !s.Includes(start) && tf != D1 && s.Anchor == AnchorSession {
						t.Fatalf("%s: starts at %s, outside the session", name, clock(t, start))
					}
					if tf != D1 && s.Anchor == AnchorSession && s.Hours != HoursContinuous {
						if c := s.calendar(); c.Phase(start) != c.Phase(ms) || c.Phase(end-1) != c.Phase(ms) {
							t.Fatalf("%s: %s to %s mixes phases", name, clock(t, start), clock(t, end))
						}
					}
					lastStart, lastEnd = start, end
				}
				if s.Calendar != nil && !uncut && lastEnd != sessionEnd {
					t.Fatalf("%s: the last period ends at %s", name, clock(t, lastEnd))
				}
			}
		}
	}
	t.Logf("%d periods checked", checked)
}

// Bars of regular hours are the same whatever Hours says.
func TestSessionAnchorIsTheSameForAllHours(t *testing.T) {
	ext, reg := us(t, HoursExtended, AnchorSession), us(t, HoursRegular, AnchorSession)
	for _, day := range []string{"2025-07-02", "2025-07-03", "2025-11-03"} {
		for ms := ny(t, day+" 00:00"); reg.Calendar.dayAt(ms).number == reg.Calendar.dayAt(ny(t, day+" 00:00")).number; ms += msMinute {
			for tf := M1; tf < D1; tf++ {
				a, b := ext.Period(tf, ms)
				if c, d := reg.Period(tf, ms); a != c || b != d {
					t.Fatalf("%v at %s", tf, clock(t, ms))
				}
			}
		}
	}
}
