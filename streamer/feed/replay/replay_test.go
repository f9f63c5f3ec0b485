package replay

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
)

// sink keeps what a source says.
type sink struct {
	entries []market.Entry
	walls   []time.Time
	status  []feed.Status
	flushes int
}

func (s *sink) Put(e *market.Entry) error {
	s.entries = append(s.entries, *e)
	s.walls = append(s.walls, time.Now())
	return nil
}
func (s *sink) Flush() error          { s.flushes++; return nil }
func (s *sink) Status(st feed.Status) { s.status = append(s.status, st) }
func (s *sink) trades() (out []market.Entry) {
	for _, e := range s.entries {
		if e.Kind == market.Trade {
			out = append(out, e)
		}
	}
	return out
}

func replayed(t *testing.T, opts Options, from uint64, symbols ...string) *sink {
	t.Helper()
	s, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	var named []feed.Symbol
	for i, name := range symbols {
		named = append(named, feed.Symbol{Number: uint32(i), Name: name})
	}
	s.SetSymbols(named)
	out := &sink{}
	if err := s.Run(context.Background(), market.SourcePosition{Offset: from}, 0, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func file(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const two = "symbol,ts,price,size,side,id,conditions\nSPY,1000,1.5,10,buy,7,\nqqq,1150,2.25,3,SELL,,\nSPY,1149,1.4,1,,x1,\nNOPE,1200,1,1,,,\nSPY,1350,1.6,2,b,9,\n"

// TestForms reads the same trades plain, gzipped, zipped, quoted, with other columns and units.
func TestForms(t *testing.T) {
	dir := t.TempDir()
	var zipped, gzipped bytes.Buffer
	z := zip.NewWriter(&zipped)
	w, err := z.Create("trades.csv")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, two)
	_ = z.Close()
	g := gzip.NewWriter(&gzipped)
	_, _ = io.WriteString(g, two)
	_ = g.Close()
	want := replayed(t, Options{Path: file(t, dir, "plain.csv", two), Speed: feed.Max, Largest: market.M5}, 0, "SPY", "QQQ").entries
	if len(want) != 4+3+1 || want[0].Kind != market.Mark || want[0].Time != 1000e6 || want[1].Price.String() != "1.5" || want[1].ID != 7 ||
		want[len(want)-1].Time != market.EndOfFeed*1e6 {
		t.Fatalf("%+v", want)
	}
	for name, text := range map[string]string{
		"zip":     zipped.String(),
		"gzip":    gzipped.String(),
		"crlf":    "\ufeff" + strings.ReplaceAll(two, "\n", "\r\n\r\n"),
		"quoted":  strings.ReplaceAll(two, "SPY", `"SPY"`),
		"ts_us":   strings.NewReplacer(",ts,", ",ts_us,", "1000,", "1000000,", "1150,", "1150000,", "1149,", "1149000,", "1200,", "1200000,", "1350,", "1350000,").Replace(two),
		"no end":  strings.TrimSuffix(two, "\n"),
		"capital": strings.Replace(two, "symbol,ts", "Symbol, TS", 1),
	} {
		got := replayed(t, Options{Path: file(t, dir, name, text), Speed: feed.Max, Largest: market.M5}, 0, "SPY", "QQQ").entries
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}

// TestMerge reads a directory in order of time, each file in its own order.
func TestMerge(t *testing.T) {
	dir := t.TempDir()
	file(t, dir, "b.csv", "symbol,ts,price,size\nB,1000,1,1\nB,3000,2,1\nB,2500,3,1\n")
	file(t, dir, "a.csv", "symbol,ts,price,size\nA,1000,4,1\nA,2600,5,1\n")
	file(t, dir, "c.csv", "symbol,ts,price,size\n")
	file(t, dir, "notes.txt", "nothing")
	s := replayed(t, Options{Path: dir, Speed: feed.Max, Largest: market.M1}, 0, "A", "B")
	var got []string
	for _, e := range s.trades() {
		got = append(got, fmt.Sprint(e.Price, "@", e.Time/1e6, "#", e.Offset))
	}
	if d := cmp.Diff([]string{"4@1000#1", "1@1000#2", "5@2600#3", "2@3000#4", "3@2500#5"}, got); d != "" {
		t.Error(d)
	}
}

// TestRestart goes on from every place as the first run did, loops too.
func TestRestart(t *testing.T) {
	path := file(t, t.TempDir(), "a.csv", two)
	for _, symbols := range [][]string{{"SPY", "QQQ"}, {"SPY"}} {
		whole := replayed(t, Options{Path: path, Speed: feed.Max, Largest: market.M1}, 0, symbols...).trades()
		for i, e := range whole {
			got := replayed(t, Options{Path: path, Speed: feed.Max, Largest: market.M1}, e.Offset, symbols...).trades()
			if len(got) != len(whole)-i-1 || len(got) > 0 && got[0] != whole[i+1] {
				t.Errorf("after %d: %+v", e.Offset, got)
			}
		}
	}
}

// TestLoop goes on with later times and places, by whole timeframes.
func TestLoop(t *testing.T) {
	s, err := Open(Options{Path: file(t, t.TempDir(), "a.csv", two), Speed: feed.Max, Loop: true, Largest: market.M5})
	if err != nil {
		t.Fatal(err)
	}
	s.SetSymbols([]feed.Symbol{{Number: 0, Name: "SPY"}})
	ctx, cancel := context.WithCancel(context.Background())
	out := &stopping{after: 10, cancel: cancel}
	if err := s.Run(ctx, market.SourcePosition{}, 0, out); !errors.Is(err, context.Canceled) && !errors.Is(err, errStop) {
		t.Fatal(err)
	}
	trades := out.trades()
	if a, b := trades[0], trades[3]; b.Time != a.Time+300e9 || b.Offset != a.Offset+1<<loopShift || b.Price != a.Price {
		t.Errorf("%+v then %+v", a, b)
	}
	for i := 3; i < len(trades); i++ {
		if trades[i].Offset <= trades[i-1].Offset {
			t.Errorf("place %d after %d", trades[i].Offset, trades[i-1].Offset)
		}
	}
}

var errStop = errors.New("stop")

type stopping struct {
	sink
	after  int
	cancel context.CancelFunc
}

func (s *stopping) Put(e *market.Entry) error {
	_ = s.sink.Put(e)
	if len(s.entries) >= s.after {
		s.cancel()
		return errStop
	}
	return nil
}

// TestPace keeps the recorded pace, or a multiple; what was said before is said at once.
func TestPace(t *testing.T) {
	path := file(t, t.TempDir(), "a.csv", "symbol,ts,price,size\nA,1000,1,1\nA,5000,2,1\nA,61000,3,1\n")
	for _, c := range []struct {
		speed feed.Speed
		said  uint64
		want  []time.Duration
	}{
		{1, 0, []time.Duration{0, 4 * time.Second, 60 * time.Second}},
		{10, 0, []time.Duration{0, 400 * time.Millisecond, 6 * time.Second}},
		{1, 2, []time.Duration{0, 0, 0}},
		{feed.Max, 0, []time.Duration{0, 0, 0}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, err := Open(Options{Path: path, Speed: c.speed, Largest: market.M1})
			if err != nil {
				t.Fatal(err)
			}
			s.SetSymbols([]feed.Symbol{{Name: "A"}})
			out, began := &sink{}, time.Now()
			if err := s.Run(context.Background(), market.SourcePosition{}, c.said, out); err != nil {
				t.Fatal(err)
			}
			n := 0
			for i, e := range out.entries {
				if e.Kind == market.Trade {
					if got := out.walls[i].Sub(began); got != c.want[n] {
						t.Errorf("speed %v: trade %d after %v, want %v", c.speed, n, got, c.want[n])
					}
					n++
				}
			}
		})
	}
}

// TestShift brings the first trade to the present by whole timeframes.
func TestShift(t *testing.T) {
	s, err := Open(Options{Path: file(t, t.TempDir(), "a.csv", two), Speed: feed.Max, Largest: market.H1})
	if err != nil {
		t.Fatal(err)
	}
	now := time.UnixMilli(1_709_649_000_000)
	shift := s.ShiftTo(now)
	if at := 1000 + shift; shift%3_600_000 != 0 || at > now.UnixMilli() || at <= now.UnixMilli()-3_600_000 {
		t.Errorf("shift %d brings the first trade to %d", shift, at)
	}
}

// TestErrors says which file, line, column and value is wrong, and what would be right.
func TestErrors(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"":                                             "empty; the first line must be symbol,ts,price,size",
		"symbol,ts,price\nA,1,2\n":                     `no column "size"`,
		"symbol,ts,price,size,foo\n":                   `unknown column "foo"`,
		"symbol,ts,price,size,ts_us\n":                 `column "ts_us" twice`,
		"symbol,ts,price,size\n":                       "no trades in it",
		"symbol,ts,price,size\n,1,2,3\n":               `line 2: symbol "": want 1 to 32 characters`,
		"symbol,ts,price,size\nA,x,2,3\n":              `line 2: ts "x": want a whole number of Unix milliseconds`,
		"symbol,ts,price,size\nA,1,2..3,3\n":           `line 2: price "2..3": want a decimal number`,
		"symbol,ts,price,size\nA,1,2,0\n":              `line 2: size "0": want a decimal number above 0`,
		"symbol,ts,price,size\nA,1,2,-1\n":             `line 2: size "-1"`,
		"symbol,ts,price,size\nA,1,2\n":                "line 2: 3 fields, so there is no size",
		"symbol,ts,price,size,side\nA,1,2,3,up\n":      `line 2: side "up": want buy, sell or nothing`,
		"symbol,ts,price,size\n\"A,1,2,3\n":            "line 2: a quote is opened and not closed",
		"symbol,ts,price,size,conditions\nA,1,2,3,T\n": `line 2: conditions "T": no condition table`,
	} {
		_, err := Open(Options{Path: file(t, dir, "x.csv", text), Speed: feed.Max, Largest: market.M1})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "x.csv") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := Open(Options{Path: filepath.Join(dir, "none")}); err == nil {
		t.Error("no error for a file that is not there")
	}
	_ = os.WriteFile(filepath.Join(dir, "bad.csv.gz"), []byte{0x1f, 0x8b, 1}, 0o600)
	if _, err := Open(Options{Path: filepath.Join(dir, "bad.csv.gz")}); err == nil || !strings.Contains(err.Error(), "gzip") {
		t.Error(err)
	}
}

// FuzzCSV: any text is trades or an error; what encoding/csv splits too is split alike.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{two, "symbol,ts,price,size\n\"A\"\"B\",1,2,3\n", "symbol,ts,price,size\nA,1,2,3\r\n\r\nB,2,3,4", "\ufeffts_ns,symbol,size,price\n5,A,1,2\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := openRows(part{"fuzz", func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }},
			func(string) (uint64, error) { return 1, nil })
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a text")
			}
			return
		}
		var e market.Entry
		var got []string
		for {
			if err = r.next(&e); err != nil {
				break
			}
			got = append(got, string(r.symbol))
			if e.Size.Coef <= 0 || e.Time <= 0 || e.Kind != market.Trade {
				t.Errorf("%+v", e)
			}
		}
		if !errors.Is(err, io.EOF) {
			return
		}
		std := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
		std.FieldsPerRecord = -1
		rows, serr := std.ReadAll()
		if serr != nil || len(rows)-1 != len(got) {
			return // it takes fields over several lines, and lone carriage returns
		}
		for i := range got {
			if at := r.place[colSymbol]; at < len(rows[i+1]) && rows[i+1][at] != got[i] && !strings.Contains(text, "\r") {
				t.Errorf("row %d: %q, encoding/csv has %q", i, got[i], rows[i+1][at])
			}
		}
	})
}

func BenchmarkRows(b *testing.B) {
	var text strings.Builder
	text.WriteString("symbol,ts,price,size,side,id\n")
	for i := range 100_000 {
		fmt.Fprintf(&text, "S%03d,%d,%d.%02d,%d,buy,%d\n", i%500, 1_709_649_000_000+i, 100+i%50, i%100, 1+i%500, i+1)
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		r, err := openRows(part{"bench", func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text.String())), nil }}, nil)
		if err != nil {
			b.Fatal(err)
		}
		var e market.Entry
		for r.next(&e) == nil {
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/row")
}
