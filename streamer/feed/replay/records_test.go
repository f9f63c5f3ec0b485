package replay

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/streamer/market"
)

func textPart(text string) part {
	return part{"fuzz", func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
}

// split returns all records of a text, and why there are no more.
func split(in io.Reader, window int) (out [][]string, err error) {
	r := records{name: "x", in: in, buf: make([]byte, window)}
	for {
		if err := r.read(); err != nil {
			return out, err
		}
		var fields []string
		for _, f := range r.fields {
			fields = append(fields, string(f))
		}
		out = append(out, fields)
	}
}

// TestRecordsAcrossWindows: where a window ends changes nothing, nor how much a read gives.
func TestRecordsAcrossWindows(t *testing.T) {
	var text strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&text, "S%d,\"a \"\"quoted\"\"\n%s\",%d\r\n", i, strings.Repeat("x", i%97), i*i)
	}
	want, err := csv.NewReader(strings.NewReader(text.String())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]io.Reader{
		"whole":       strings.NewReader(text.String()),
		"half reads":  iotest.HalfReader(strings.NewReader(text.String())),
		"single":      iotest.OneByteReader(strings.NewReader(text.String())),
		"end at once": iotest.DataErrReader(strings.NewReader(text.String())),
	} {
		got, err := split(in, maxRecord)
		if !errors.Is(err, errEnd) {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestRecordErrors: the records before are read, and the line is the right one.
func TestRecordErrors(t *testing.T) {
	long := strings.Repeat("x", maxRecord)
	for _, c := range []struct {
		name string
		in   io.Reader
		good int
		want string
	}{
		{"not closed", strings.NewReader("a\n\n\"b\nc\nd\n"), 1, "x line 3: a quote is opened and not closed"},
		{"inside", strings.NewReader("a\nb\"c\nd\n"), 1, "x line 2: a quote inside a field that is not quoted"},
		{"after", strings.NewReader("\"a\nb\",2\n\"b\"c\nd\n"), 1, `x line 3: "c" after a closing quote; want a comma`},
		{"long", strings.NewReader("a\n" + long + "\nb\n"), 1, "x line 2: longer than 16384 bytes"},
		{"long without an end", strings.NewReader("a\n" + long + long), 1, "x line 2: longer than 16384 bytes"},
		{"long quoted", strings.NewReader("a\n\"" + long + "\nb"), 1, "x line 2: a quote is opened and not closed"},
		{"read error", io.MultiReader(strings.NewReader("a\nb\nc"), iotest.ErrReader(errors.New("disk"))), 2, "x line 3: the file cannot be read on: disk"},
		{"no progress", iotest.ErrReader(nil), 0, "multiple Read calls return no data"},
	} {
		got, err := split(c.in, maxRecord)
		if len(got) != c.good || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %d records and %v, want %d and %s", c.name, len(got), err, c.good, c.want)
		}
	}
}

var csvSeeds = []string{
	two,
	"symbol,ts,price,size\n\"A\"\"B\",1,2,3\n",
	"symbol,ts,price,size\nA,1,2,3\r\n\r\nB,2,3,4",
	"\ufeffts_ns,symbol,size,price\n5,A,1,2\n",
	"\ufeff\n\"symbol\",ts,price,size\nA,\"1\",2,3\r",
	"symbol,ts,price,size,id\n\"A\r\n,\n\",1,2,3,\"x\ny\"\n",
	"symbol,ts,price,size\nA\"B,1,2,3\n",
	"symbol,ts,price,size\n\"A\"B,1,2,3\n",
	"symbol,ts,price,size\n\"A,1,2,3\n\n",
	"symbol,ts_us,price,size,side,id,conditions\nA,1,1e-7,.5,S,18446744073709551615,14 37\nA,1,1,1,,18446744073709551616,\n",
	"symbol,ts,price,size\n\r\r\n\rA,1,2,3\n",
}

// FuzzCSV: a text splits into the records that encoding/csv makes of it, and every record is
// a trade or an error that names file, line and column.
func FuzzCSV(f *testing.F) {
	for _, s := range csvSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) >= maxRecord {
			return
		}
		got, err := split(strings.NewReader(text), maxRecord)
		std := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
		std.FieldsPerRecord = -1
		var want [][]string
		var serr error
		for serr == nil {
			var record []string
			if record, serr = std.Read(); serr == nil {
				want = append(want, record)
			}
		}
		if errors.Is(serr, io.EOF) != errors.Is(err, errEnd) {
			t.Fatalf("ends with %v, encoding/csv with %v", err, serr)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
		fuzzTrades(t, text)
	})
}

func fuzzTrades(t *testing.T, text string) {
	r, err := openRows(textPart(text), make([]byte, maxRecord), func(string) (uint64, error) { return 1, nil })
	var e market.Entry
	for err == nil {
		if err = r.next(); err != nil {
			break
		}
		if err = r.trade(&e); err == nil && (e.Size.Coef <= 0 || e.Time <= 0 || e.Kind != market.Trade || len(r.symbol) == 0) {
			t.Fatalf("%q: %+v", r.symbol, e)
		}
	}
	if !errors.Is(err, errEnd) && !strings.HasPrefix(err.Error(), "fuzz line ") && !strings.HasPrefix(err.Error(), "fuzz: it is empty") {
		t.Fatalf("where is %q?", err)
	}
}

func benchText(n int) string {
	var text strings.Builder
	text.WriteString("symbol,ts,price,size,side,id\n")
	for i := range n {
		fmt.Fprintf(&text, "S%03d,%d,%d.%02d,%d,buy,%d\n", i%500, 1_709_649_000_000+i, 100+i%50, i%100, 1+i%500, i+1)
	}
	return text.String()
}

// TestRowsDoNotAllocate: whatever the spelling of its values, and with conditions seen before.
func TestRowsDoNotAllocate(t *testing.T) {
	const n = 2000
	text := "symbol,ts,price,size,side,id,conditions\n" + strings.Repeat("SPY,1,1.5,2,BUY,7,14 37\nspy,2,1.5,2,Sell,abc,\n", n)
	in := strings.NewReader(text)
	r := &rows{records: records{name: "x", in: in, buf: make([]byte, maxRecord)}, parse: func(string) (uint64, error) { return 1, nil }}
	var err error
	if r.head, err = readHeader(&r.records); err != nil {
		t.Fatal(err)
	}
	var e market.Entry
	read := func() {
		if err := errors.Join(r.next(), r.trade(&e)); err != nil {
			t.Fatal(err)
		}
	}
	read()
	if a := testing.AllocsPerRun(n, read); a != 0 {
		t.Errorf("a row allocates %v times", a)
	}
}

func BenchmarkRows(b *testing.B) {
	const n = 100_000
	text := benchText(n)
	window := make([]byte, windowSize)
	for name, read := range map[string]func(*rows, *market.Entry) error{
		"trade": func(r *rows, e *market.Entry) error { return r.trade(e) },
		"skip":  func(*rows, *market.Entry) error { return nil },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				r, err := openRows(textPart(text), window, nil)
				if err != nil {
					b.Fatal(err)
				}
				var e market.Entry
				for r.next() == nil {
					if err := read(r, &e); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
		})
	}
}
