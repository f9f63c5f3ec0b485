package replay

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/streamer/market"
)

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	g := gzip.NewWriter(&b)
	if _, err := io.WriteString(g, text); err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// zipped is an archive of files given as name, text, name, text …
func zipped(t *testing.T, files ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestForms reads the same trades plain, gzipped, zipped, quoted, with other columns and units.
func TestForms(t *testing.T) {
	mark := func(ms int64, offset uint64) market.Entry {
		return market.Entry{Kind: market.Mark, Symbol: market.AllSymbols, Time: ms * 1e6, Offset: offset}
	}
	hash := xxhash.Sum64String("x1")
	want := []market.Entry{
		mark(1000, 0),
		{Kind: market.Trade, Symbol: 0, Time: 1000e6, Price: market.MustDecimal("1.5"), Size: market.MustDecimal("10"), Side: market.SideBuy, ID: 7, Order: 7, Offset: 1},
		mark(1100, 1),
		{Kind: market.Trade, Symbol: 1, Time: 1150e6, Price: market.MustDecimal("2.25"), Size: market.MustDecimal("3"), Side: market.SideSell, Order: 2, Offset: 2},
		{Kind: market.Trade, Symbol: 0, Time: 1149e6, Price: market.MustDecimal("1.4"), Size: market.MustDecimal("1"), ID: hash, Order: 3, Offset: 3},
		mark(1200, 3), // by a trade that is not carried
		mark(1300, 4),
		{Kind: market.Trade, Symbol: 0, Time: 1350e6, Price: market.MustDecimal("1.6"), Size: market.MustDecimal("2"), Side: market.SideBuy, ID: 9, Order: 9, Offset: 5},
		mark(market.EndOfFeed, 5),
	}
	us := strings.NewReplacer(",ts,", ",ts_us,", "1000,", "1000000,", "1150,", "1150000,", "1149,", "1149000,", "1200,", "1200000,", "1350,", "1350000,").Replace(two)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"plain":        two,
		"zip":          zipped(t, "trades.csv", two, "README", "nothing", "__MACOSX/._trades.csv", "\x00", ".x.csv", "\x00"),
		"gzip":         gzipped(t, two),
		"two members":  gzipped(t, two[:90]) + gzipped(t, two[90:]),
		"crlf":         "\ufeff" + strings.ReplaceAll(two, "\n", "\r\n\r\n"),
		"quoted":       strings.ReplaceAll(two, "SPY", `"SPY"`),
		"ts_us":        us,
		"ts_ns":        strings.NewReplacer("ts_us", "ts_ns", "000000,", "000000000,", "50000,", "50000000,", "49000,", "49000000,", "1200000,", "1200000000,").Replace(us),
		"no end":       strings.TrimSuffix(two, "\n"),
		"capital":      strings.Replace(two, "symbol,ts", "Symbol, TS", 1),
		"no last ones": strings.ReplaceAll(strings.ReplaceAll(two, ",,\n", "\n"), ",\n", "\n"),
	} {
		got := replayed(t, Options{Path: file(t, dir, name, text)}, 0, "SPY", "QQQ").entries
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}

// TestValues reads what is rare: the ids and sides that there are, and conditions.
func TestValues(t *testing.T) {
	path := file(t, t.TempDir(), "a.csv", "id,conditions,side,symbol,price,size,ts_ns\n"+
		"18446744073709551615,14 37,B,a,+1,1,1\n0,14 37,S,a,1,1,2\n18446744073709551616,,sELL,a,1e-7,.5,3\n-5,,Buy,a,-37.63,1,4\n007,,,a,1,9223372036854775807,5\n")
	got := replayed(t, Options{Path: path, Conditions: func(text string) (uint64, error) { return uint64(len(text)), nil }}, 0, "A").trades()
	want := []market.Entry{
		{ID: math.MaxUint64, Order: math.MaxUint64, Conditions: 5, Side: market.SideBuy, Price: market.MustDecimal("1"), Size: market.MustDecimal("1")},
		{ID: 0, Order: 2, Conditions: 5, Side: market.SideSell, Price: market.MustDecimal("1"), Size: market.MustDecimal("1")},
		{ID: xxhash.Sum64String("18446744073709551616"), Order: 3, Side: market.SideSell, Price: market.MustDecimal("0.0000001"), Size: market.MustDecimal("0.5")},
		{ID: xxhash.Sum64String("-5"), Order: 4, Side: market.SideBuy, Price: market.MustDecimal("-37.63"), Size: market.MustDecimal("1")},
		{ID: 7, Order: 7, Price: market.MustDecimal("1"), Size: market.MustDecimal("9223372036854775807")},
	}
	for i := range want {
		want[i].Kind, want[i].Time, want[i].Offset = market.Trade, int64(i+1), uint64(i+1)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestMerge reads a directory in order of time, each file in its own order, ties by name:
// files of a symbol each, files of a day each, and archives.
func TestMerge(t *testing.T) {
	dir := t.TempDir()
	file(t, dir, "b.csv", "symbol,ts,price,size\nB,1000,1,1\nB,3000,2,1\nB,2500,3,1\n")
	file(t, dir, "a.CSV", "symbol,ts,price,size\nA,1000,4,1\nA,2600,5,1\n")
	file(t, dir, "c.csv", "symbol,ts,price,size\n")
	file(t, dir, "d.csv", gzipped(t, "ts,symbol,price,size\n2600,A,6,1\n9000,A,7,1\n"))
	file(t, dir, "e.zip", zipped(t, "2.csv", "symbol,ts,price,size\nB,9000,8,1\n", "1.csv", "symbol,ts,price,size\nB,9000,9,1\n"))
	file(t, dir, "notes.txt", "nothing")
	file(t, dir, ".hidden.csv", "nothing")
	if err := os.Mkdir(filepath.Join(dir, "x.csv"), 0o700); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range replayed(t, Options{Path: dir}, 0, "A", "B").trades() {
		got = append(got, fmt.Sprint(e.Price, "@", e.Time/1e6, "#", e.Offset))
	}
	if d := cmp.Diff([]string{"4@1000#1", "1@1000#2", "5@2600#3", "6@2600#4", "2@3000#5", "3@2500#6", "7@9000#7", "9@9000#8", "8@9000#9"}, got); d != "" {
		t.Error(d)
	}
}

// TestMergeManyFiles: a hundred files, more than have a full window, come in the order of
// one sorted file, and those of a day each are open one at a time.
func TestMergeManyFiles(t *testing.T) {
	const files, each = 100, 30
	bySymbol, byDay := t.TempDir(), t.TempDir()
	for f := range files {
		var symbol, day strings.Builder
		symbol.WriteString("symbol,ts,price,size\n")
		day.WriteString("symbol,ts,price,size\n")
		for i := range each {
			fmt.Fprintf(&symbol, "S,%d,1,1\n", 1+i*files+(f*37)%files)
			fmt.Fprintf(&day, "S,%d,1,1\n", 1+f*each+i)
		}
		file(t, bySymbol, fmt.Sprintf("%03d.csv", f), symbol.String())
		file(t, byDay, fmt.Sprintf("%03d.csv", f), day.String())
	}
	for dir, open := range map[string]int{bySymbol: files, byDay: 1} {
		s := opened(t, Options{Path: dir}, "S")
		m := newMerged(s.parts, s.firsts, nil)
		most := 0
		for i := int64(1); i <= files*each; i++ {
			r, err := m.next()
			if err != nil || r.time != i*1e6 {
				t.Fatalf("row %d: %v, %v", i, r, err)
			}
			most = max(most, m.opened)
		}
		if _, err := m.next(); !errors.Is(err, errEnd) {
			t.Error(err)
		}
		if most != open || m.opened != 0 {
			t.Errorf("%d files open at once, want %d; %d after the end", most, open, m.opened)
		}
	}
}

// TestErrors says which file, line, column and value is wrong, and what would be right.
func TestErrors(t *testing.T) {
	dir := t.TempDir()
	const head = "symbol,ts,price,size\n"
	for text, want := range map[string]string{
		"":                                    "it is empty; the first line must name symbol,ts,price,size",
		"\n\r\n":                              "it is empty",
		"symbol,ts\nA,1,2\n":                  "line 1: no column price, size; the first line must name",
		"symbol,ts,price,size,foo\n":          `line 1: unknown column "foo"; the first line must name`,
		"A,1570752011620,0.0014,23\n":         `line 1: no column symbol, ts, price, size, and unknown column "a", "1570752011620"`,
		"symbol,ts,price,size,ts_us\n":        `line 1: the columns "ts" and "ts_us" are the same`,
		head:                                  "no trades in it",
		head + ",1,2,3\n":                     `line 2: symbol "": want a symbol`,
		head + "A,x,2,3\n":                    `line 2: ts "x": want a whole number of Unix milliseconds, from 1 to 4611686018427`,
		head + "A,0,2,3\n":                    `line 2: ts "0": want`,
		head + "A,1570752011.6,2,3\n":         `line 2: ts "1570752011.6": want`,
		head + "A,1570752011620000,2,3\n":     `line 2: ts "1570752011620000": want a whole number of Unix milliseconds`,
		"symbol,ts_us,price,size\nA,-1,2,3\n": `line 2: ts_us "-1": want a whole number of Unix microseconds`,
		head + "A,1570752011,2,3\n":           `line 2: ts 1570752011 is 19 January 1970 if it is milliseconds; it looks like seconds; want Unix milliseconds: multiply by 1000`,
		"symbol,ts_us,price,size\nA,1570752011620,2,3\n":    `line 2: ts_us 1570752011620 is 19 January 1970 if it is microseconds; it looks like milliseconds; want Unix microseconds, or the column's name ts`,
		"symbol,ts_ns,price,size\nA,1570752011620000,2,3\n": `line 2: ts_ns 1570752011620000 is 19 January 1970 if it is nanoseconds; it looks like microseconds; want Unix nanoseconds, or the column's name ts_us`,
		head + "A,1,2..3,3\n":                               `line 2: price "2..3": want a decimal number`,
		head + "A,1,1234567890123456789012,3\n":             `line 2: price "1234567890123456789012": want a decimal number of at most 18 digits`,
		head + "A,1,,3\n":                                   `line 2: price "": want`,
		head + "A,1,2,0\n":                                  `line 2: size "0": want a decimal number above 0`,
		head + "A,1,2,-1\n":                                 `line 2: size "-1"`,
		head + "\nA,1,2\n":                                  "line 3: only 3 of 4 fields, so there is no size",
		head + "A,1,2,3,\n":                                 "line 2: 5 fields; the first line names 4 columns",
		"symbol,ts,price,size,side\nA,1,2,3,up\n":           `line 2: side "up": want buy, sell, b, s or nothing`,
		head + "\"A,1,2,3\n":                                "line 2: a quote is opened and not closed",
		"symbol,ts,price,size,conditions\nA,1,2,3,T\n":      `line 2: conditions "T": no condition table`,
		head + "A," + strings.Repeat("9", 60) + ",1,1":      `line 2: ts "9999999999999999999999999999999999999999…": want`,
		"\x1f\x8b\x01":                                      "not readable as gzip",
		gzipped(t, head+"A,1,2,3\n")[:20]:                   "line 1: the file cannot be read on: unexpected EOF",
		"PK\x03\x04 and no more":                            "not readable as zip",
		zipped(t, "a.txt", two):                             "no *.csv in this archive",
		zipped(t, "a.csv", two, "b.csv", head+"A\n"):        "x.csv#b.csv line 2: only 1 of 4 fields",
	} {
		_, err := Open(Options{Path: file(t, dir, "x.csv", text)})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "x.csv") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60q: %v, want %s", text, err, want)
		}
	}
	if _, err := Open(Options{Path: filepath.Join(dir, "none")}); err == nil || !strings.HasSuffix(err.Error(), "none: there is no such file or directory") {
		t.Error(err)
	}
	if here, err := os.Getwd(); err != nil {
		t.Error(err)
	} else if _, err := Open(Options{Path: "none"}); err == nil || !strings.HasSuffix(err.Error(), "a relative path begins where the program was started, which is "+here) {
		t.Error(err)
	}
	empty := t.TempDir()
	file(t, empty, "README.md", two)
	if _, err := Open(Options{Path: empty}); err == nil || !strings.Contains(err.Error(), "no file named *.csv, *.csv.gz or *.zip") {
		t.Error(err)
	}
}

// TestVenue reads a venue's real trades, in its own numbers.
func TestVenue(t *testing.T) {
	root := os.Getenv("MARKETSTREAM_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared")
	}
	in, err := os.Open(filepath.Join(root, "data", "crypto-binance-xrpeth-2019", "aggtrades.csv.gz"))
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI needs the shared data: %v", err)
		}
		t.Skipf("no shared data: %v", err)
	}
	defer func() { _ = in.Close() }()
	z, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(z).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	text.WriteString("symbol,ts,price,size,side,id\n")
	for _, r := range rows[1:] { // agg_id,first_id,last_id,ts_ms,price,qty,buyer_is_maker
		side := map[string]string{"0": "buy", "1": "sell"}[r[6]]
		fmt.Fprintf(&text, "XRPETH,%s,%s,%s,%s,%s\n", r[3], r[4], r[5], side, r[0])
	}
	got := replayed(t, Options{Path: file(t, t.TempDir(), "xrpeth.csv.gz", gzipped(t, text.String()))}, 0, "xrpeth").trades()
	if len(got) != 12_477 || len(got) != len(rows)-1 {
		t.Fatalf("%d trades, want 12,477", len(got))
	}
	for i, r := range rows[1:] {
		e := &got[i]
		if fmt.Sprint(e.ID, e.Time/1e6) != r[0]+" "+r[3] || e.Price != market.MustDecimal(r[4]) || e.Size != market.MustDecimal(r[5]) || (e.Side == market.SideSell) != (r[6] == "1") {
			t.Fatalf("%v became %+v", r, e)
		}
	}
}
