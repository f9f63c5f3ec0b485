package bars

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/streamer/market"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts of testdata print into them; read the difference")

// TestScripts runs testdata/*.txt. A script is blocks: commands, a line ----, all that they
// print, an empty line. Lines that begin with # are comments.
//
//	config KEY=VALUE…     a new fold: symbols timeframes grace window calendar hours anchor day clock
//	trade SYMBOL TIME PRICE SIZE [cond=12,37] [=NAME]    a NAME to cancel it by
//	cancel NAME           takes a trade back
//	again NAME            says a trade once more
//	mark TIME             the watermark
//	hole FROM TO [SYMBOL]
//	end                   the source ends
//	crash [KEY=VALUE…]    restores a fold from what was closed, under another shape if told
//	                      so, and says what the source says after the last place
//	state SYMBOL          the forming bars
//	stats                 what entries came to, since the last config or crash
//
// Times are of the calendar's clock on the day, "+1 09:30" on the next one.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(data))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if d := cmp.Diff(strings.Split(string(data), "\n"), strings.Split(got, "\n")); d != "" {
				t.Errorf("%s prints something else; if that is right, go test -rewrite\n%s", file, d)
			}
		})
	}
}

// runScript returns the script with what its commands print now.
func runScript(t *testing.T, text string) string {
	var out strings.Builder
	s := &script{t: t, named: make(map[string]market.Entry)}
	output := false
	for n, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		switch {
		case output && line != "":
		case output:
			output = false
			out.WriteString("\n")
		case line == "----":
			output = true
			out.WriteString("----\n" + s.out.String())
			s.out.Reset()
		default:
			out.WriteString(line + "\n")
			if fields := strings.Fields(line); len(fields) > 0 && !strings.HasPrefix(line, "#") {
				s.where = fmt.Sprintf("line %d, %q", n+1, line)
				s.do(fields)
			}
		}
	}
	if s.out.Len() > 0 {
		t.Errorf("what the last commands print is not asked for by ----:\n%s", s.out.String())
	}
	return out.String()
}

// script is the state of a script.
type script struct {
	t       *testing.T
	where   string
	out     strings.Builder
	keys    map[string]string
	loc     *time.Location
	day     time.Time
	cfg     Config
	fold    *Fold
	entries []market.Entry // that the source said
	frames  []Close
	named   map[string]market.Entry
	place   uint64
}

func (s *script) fail(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %v", s.where, err)
	}
}

func (s *script) do(words []string) {
	switch words[0] {
	case "config":
		s.keys = map[string]string{"symbols": "AAA", "timeframes": "1m", "grace": "2s", "window": "15m", "calendar": "USEquities",
			"hours": "Extended", "anchor": "Clock", "day": "2024-03-05", "clock": "America/New_York"}
		s.configure(words[1:])
		s.fold, s.entries, s.frames, s.place = New(s.cfg), nil, nil, 0
	case "trade":
		s.trade(words[1:])
	case "again", "cancel":
		e, ok := s.named[words[1]]
		if !ok {
			s.t.Fatalf("%s: no such trade", s.where)
		}
		if words[0] == "cancel" {
			e.Kind = market.Cancel
		}
		s.place++
		e.Offset = s.place
		s.say(e)
	case "mark":
		s.say(market.Entry{Kind: market.Mark, Symbol: market.AllSymbols, Time: s.time(&words), Offset: s.place})
	case "end":
		s.say(market.Entry{Kind: market.Mark, Symbol: market.AllSymbols, Time: market.EndOfFeed * nsPerMs, Offset: s.place})
	case "hole":
		e := market.Entry{Kind: market.Hole, Symbol: market.AllSymbols, Reason: market.GapDisconnect, Offset: s.place}
		e.Time = s.time(&words)
		e.Until = s.time(&words)
		if len(words) > 1 {
			e.Symbol = s.number(words[1])
		}
		s.say(e)
	case "crash":
		s.configure(words[1:])
		s.crash()
	case "state":
		s.state(words[1])
	case "stats":
		s.stats()
	default:
		s.t.Fatalf("%s: unknown", s.where)
	}
}

func (s *script) configure(words []string) {
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		if _, ok := s.keys[key]; !ok {
			s.t.Fatalf("%s: unknown key %q", s.where, key)
		}
		s.keys[key] = value
	}
	var err error
	s.loc, err = time.LoadLocation(s.keys["clock"])
	s.fail(err)
	s.day, err = time.ParseInLocation(time.DateOnly, s.keys["day"], s.loc)
	s.fail(err)
	s.cfg = Config{}
	s.cfg.Session.Calendar, err = market.LookupCalendar(s.keys["calendar"])
	s.fail(err)
	s.cfg.Session.Hours, err = market.ParseHours(s.keys["hours"])
	s.fail(err)
	s.cfg.Session.Anchor, err = market.ParseAnchor(s.keys["anchor"])
	s.fail(err)
	s.cfg.Conditions, err = market.LookupConditions("USEquities")
	s.fail(err)
	for _, name := range strings.Split(s.keys["timeframes"], ",") {
		tf, err := market.ParseTimeframe(name)
		s.fail(err)
		s.cfg.Timeframes = append(s.cfg.Timeframes, tf)
	}
	for i, name := range strings.Split(s.keys["symbols"], ",") {
		s.cfg.Symbols = append(s.cfg.Symbols, Symbol{Number: uint32(i), Name: name})
	}
	grace, err := time.ParseDuration(s.keys["grace"])
	s.fail(err)
	window, err := time.ParseDuration(s.keys["window"])
	s.fail(err)
	s.cfg.CloseGraceMs, s.cfg.RevisionWindowMs = grace.Milliseconds(), window.Milliseconds()
}

func (s *script) number(name string) uint32 {
	for _, sym := range s.cfg.Symbols {
		if sym.Name == name {
			return sym.Number
		}
	}
	s.t.Fatalf("%s: no symbol %q", s.where, name)
	return 0
}

// time takes a time off the words, after the first.
func (s *script) time(words *[]string) int64 {
	w := (*words)[1:]
	days := 0
	if strings.HasPrefix(w[0], "+") {
		n, err := strconv.Atoi(w[0])
		s.fail(err)
		days, w = n, w[1:]
	}
	layout := "15:04:05"
	if strings.Count(w[0], ":") == 1 {
		layout = "15:04"
	}
	at, err := time.Parse(layout, w[0])
	s.fail(err)
	*words = append((*words)[:1:1], w[1:]...)
	return time.Date(s.day.Year(), s.day.Month(), s.day.Day()+days, at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), s.loc).UnixNano()
}

func (s *script) trade(words []string) {
	s.place++
	e := market.Entry{Kind: market.Trade, Symbol: s.number(words[0]), Offset: s.place, Order: s.place, ID: s.place}
	e.Time = s.time(&words)
	var err error
	e.Price, err = market.ParseDecimal(words[1])
	s.fail(err)
	e.Size, err = market.ParseDecimal(words[2])
	s.fail(err)
	for _, w := range words[3:] {
		if list, ok := strings.CutPrefix(w, "cond="); ok {
			for _, c := range strings.Split(list, ",") {
				id, err := strconv.Atoi(c)
				s.fail(err)
				e.Conditions |= 1 << id
			}
		} else if name, ok := strings.CutPrefix(w, "="); ok {
			s.named[name] = e
		} else {
			s.t.Fatalf("%s: %q", s.where, w)
		}
	}
	s.say(e)
}

func (s *script) say(e market.Entry) {
	s.entries = append(s.entries, e)
	s.fed(e)
}

func (s *script) fed(e market.Entry) {
	for _, c := range run(s.fold, []market.Entry{e}) {
		s.frames = append(s.frames, c)
		fmt.Fprintf(&s.out, "close %s applied=%d open=%d\n", s.at(c.Watermark), c.Applied.Source.Offset, c.Open.Source.Offset)
		for i := range c.Records {
			s.record(&c.Records[i])
		}
		for _, g := range c.Gaps {
			fmt.Fprintf(&s.out, "  gap %s %s-%s %v\n", s.cfg.Symbols[g.Symbol].Name, s.at(g.FromMs), s.at(g.ToMs), g.Reason)
		}
	}
}

func (s *script) crash() {
	s.fold = New(s.cfg)
	from := uint64(0)
	for i := range s.frames {
		s.fold.Restore(&s.frames[i])
		from = s.frames[i].Open.Source.Offset
	}
	rest := after(s.entries, from)
	fmt.Fprintf(&s.out, "restored %d closes, goes on after %d\n", len(s.frames), from)
	for _, e := range rest {
		s.fed(e)
	}
}

// at is a time on the script's clock, with the day if it is another.
func (s *script) at(ms int64) string {
	if ms >= market.EndOfFeed {
		return "the end"
	}
	at := time.UnixMilli(ms).In(s.loc)
	text := at.Format("15:04:05.000")
	text = strings.TrimSuffix(strings.TrimSuffix(text, ".000"), ":00")
	if at.YearDay() != s.day.YearDay() || at.Year() != s.day.Year() {
		text = at.Format("01-02 ") + text
	}
	return text
}

func (s *script) record(r *market.Record) {
	fmt.Fprintf(&s.out, "  %v %s %s-%s", r.Timeframe, s.cfg.Symbols[r.Symbol].Name, s.at(r.StartMs), s.at(r.EndMs))
	if b, ok := r.Bar(); ok {
		s.bar(&b)
	} else {
		fmt.Fprintf(&s.out, " no prices v=%s n=%d", r.Volume.AppendScaled(nil, r.VolumeScale), r.N)
	}
	if r.Rev > 0 {
		fmt.Fprintf(&s.out, " rev=%d", r.Rev)
	}
	for flag, name := range map[market.Flags]string{market.Partial: " partial", market.Void: " void"} {
		if r.Flags&flag != 0 {
			s.out.WriteString(name)
		}
	}
	s.out.WriteString("\n")
}

func (s *script) bar(b *market.Bar) {
	text := func(v int64, scale uint8) string { return string(market.AppendDecimal(nil, v, scale)) }
	fmt.Fprintf(&s.out, " o=%s h=%s l=%s c=%s v=%s n=%d", text(b.Open, b.PriceScale), text(b.High, b.PriceScale),
		text(b.Low, b.PriceScale), text(b.Close, b.PriceScale), b.Volume.AppendScaled(nil, b.VolumeScale), b.N)
	if b.HasVWAP {
		fmt.Fprintf(&s.out, " vwap=%s", text(b.VWAP, b.PriceScale+2))
	}
}

func (s *script) state(name string) {
	st, ok := s.fold.State(s.number(name))
	if !ok {
		fmt.Fprintf(&s.out, "%s has no state\n", name)
		return
	}
	fmt.Fprintf(&s.out, "%s at %s\n", name, s.at(st.TsMs))
	for _, b := range append([]market.Bar{st.Micro}, st.Forming...) {
		fmt.Fprintf(&s.out, "  %v %s-%s", b.Timeframe, s.at(b.StartMs), s.at(b.EndMs))
		s.bar(&b)
		if b.Flags&market.Partial != 0 {
			s.out.WriteString(" partial")
		}
		s.out.WriteString("\n")
	}
}

func (s *script) stats() {
	v := reflect.ValueOf(s.fold.Stats())
	var parts []string
	for i := range v.NumField() {
		if n := v.Field(i).Uint(); n > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", v.Type().Field(i).Name, n))
		}
	}
	s.out.WriteString(strings.Join(slices.Clip(parts), " ") + "\n")
}
