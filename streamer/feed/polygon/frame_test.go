package polygon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
)

// beside returns a file of the data beside the project; nil if there is none, which CI does not allow.
func beside(t testing.TB, elem ...string) []byte {
	t.Helper()
	root := os.Getenv("MARKETSTREAM_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared")
	}
	text, err := os.ReadFile(filepath.Join(append([]string{root, "data"}, elem...)...))
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI needs the shared data: %v", err)
		}
		t.Logf("no shared data, only what is written here is looked at: %v", err)
		return nil
	}
	return text
}

// recorded returns the recorded and documented frames.
func recorded(t testing.TB) (frames [][]byte) {
	t.Helper()
	for _, line := range bytes.Split(beside(t, "frames", "massive-polygon.jsonl"), []byte("\n")) {
		var x struct{ Frame string }
		if len(line) > 0 {
			if err := json.Unmarshal(line, &x); err != nil {
				t.Fatal(err)
			}
			frames = append(frames, []byte(x.Frame))
		}
	}
	return frames
}

// written are frames that the recording does not have, and texts that are none.
var written = []string{
	`[{"ev":"T","sym":"AAPL","i":"1","x":4,"p":0.0001,"s":1,"ds":"0.000001","c":[14,37,41],"t":1763550000123,"pt":1763549990456789,"q":7,"z":3,"trfi":202,"trft":1763549990457}]`,
	`[{"ev":"T","sym":"BRK.A","i":"x\u0031","x":10,"p":9223372036854775807,"s":9223372036854775808,"ds":"922337203685.4775807","t":1763550000123456789,"q":18446744073709551615}]`,
	`[{"ev":"T","sym":"A","p":9223372036854775808,"s":1,"t":1763550000123,"q":1},{"ev":"T","sym":"B","p":1,"s":1,"t":1763550000123,"q":18446744073709551616}]`,
	`[{"ev":"T","sym":"A","x":1,"i":"5","p":1e-7,"s":1.50,"t":1763550000123},{"ev":"T","sym":"A","x":1,"i":"5","trfi":2,"p":1,"s":1E2,"c":null,"t":1763550000123,"q":0}]`,
	`[{"ev":"T","sym":"A","p":0,"s":1,"t":1763550000123,"q":1},{"ev":"T","sym":"A","p":1,"s":0,"t":1763550000123,"q":1},{"ev":"T","sym":"A","p":1,"s":0,"ds":"0.5","t":1763550000123,"q":1},{"ev":"T","sym":"A","p":1,"s":1,"ds":"0.0","t":1763550000123,"q":1}]`,
	`[{"ev":"T","sym":"A","p":-1,"s":1,"t":1763550000123,"q":1},{"ev":"T","sym":"A","p":1,"s":-1,"t":1763550000123,"q":1},{"ev":"T","sym":"A","p":1,"s":1,"ds":"-1","t":1763550000123,"q":1},{"ev":"T","sym":"A","p":1,"s":1,"ds":"x","t":1763550000123}]`,
	`[{"ev":"T","sym":"","p":1,"s":1,"t":1763550000123},{"ev":"T","sym":5,"p":1,"s":1,"t":1763550000123},{"ev":"T","p":1,"s":1,"t":1763550000123},{"ev":"T","sym":"A","s":1,"t":1763550000123},{"ev":"T","sym":"A","p":1,"t":1763550000123}]`,
	`[{"ev":"T","sym":"A","p":1,"s":1},{"ev":"T","sym":"A","p":1,"s":1,"t":5},{"ev":"T","sym":"A","p":1,"s":1,"t":1e12},{"ev":"T","sym":"A","p":1,"s":1,"t":-1763550000123},{"ev":"T","sym":"A","p":1,"s":1,"t":9763550000123},{"ev":"T","sym":"A","p":1,"s":1,"t":"1763550000123"}]`,
	`[{"ev":"T","sym":"A","p":1,"s":1,"t":99999999999},{"ev":"T","sym":"A","p":1,"s":1,"t":100000000000},{"ev":"T","sym":"A","p":1,"s":1,"t":99999999999999},{"ev":"T","sym":"A","p":1,"s":1,"t":100000000000000},{"ev":"T","sym":"A","p":1,"s":1,"t":4611686018427387904},{"ev":"T","sym":"A","p":1,"s":1,"t":77000000000000},{"ev":"T","sym":"A","p":1,"s":1,"t":4611686018427},{"ev":"T","sym":"A","p":1,"s":1,"t":4611686018428}]`,
	`[{"ev":"T","sym":"A","p":1,"s":1,"t":1763550000123,"pt":7,"q":1},{"ev":"T","sym":"A","p":1,"s":1,"t":1763550000123,"pt":null,"q":1},{"ev":"T","sym":"A","p":1,"s":1,"t":1763550000123,"q":"1"},{"ev":"T","sym":"A","p":1,"s":1,"t":1763550000123,"q":null}]`,
	`[{"ev":"T","sym":"A","p":1,"s":1,"t":1763550000123,"c":[]},{"ev":"T","sym":"A","p":1,"s":1,"t":1763550000123,"c":[ 0 , 63 ,64,99999999999999999999]},{"ev":"T","sym":"A","p":1,"s":1,"t":1763550000123,"c":[-1]},{"ev":"T","sym":"A","p":1,"s":1,"t":1763550000123,"c":[1.5]},{"ev":"T","sym":"A","p":1,"s":1,"t":1763550000123,"c":["1"]},{"ev":"T","sym":"A","p":1,"s":1,"t":1763550000123,"c":5},{"ev":"T","sym":"A","p":1,"s":1,"t":1763550000123,"c":[[1]]}]`,
	`[{"ev":"XT","pair":"BTC-USD","p":33021.9,"t":1610462007425,"s":0.00000001,"c":[1],"i":"abc","x":3},{"ev":"XT","pair":"BTC-USD","p":1,"t":1610462007425,"s":1,"c":[1,2],"x":3},{"ev":"XT","pair":"BTC-USD","p":1,"t":1610462007425,"s":1,"c":[0],"i":5},{"ev":"XT","p":1,"t":1610462007425,"s":1},{"ev":"XT","pair":"X","p":1,"t":1610462007425,"s":1,"c":"x"}]`,
	`[{"ev":"A","sym":"A","v":12,"dv":"11.25","o":1,"c":2,"h":3,"l":0.5,"s":1610144868000,"e":1610144869000},{"ev":"A","sym":"A","v":12,"o":1,"c":2,"h":3,"s":1610144868000,"e":1610144869000},{"ev":"AM","sym":"A","v":12,"dv":"x","o":1,"c":2,"h":3,"l":1,"s":1610144868000,"e":1610144869000},{"ev":"XAS","pair":"A-B","v":1e-8,"o":1,"c":2,"h":3,"l":1,"s":1610144868000,"e":1610144869000},{"ev":"A","sym":"A","v":12,"o":1,"c":2,"h":3,"l":1,"s":0,"e":1610144869000},{"ev":"A","sym":"A","v":12,"o":1,"c":2,"h":3,"l":1,"s":1610144868000}]`,
	`[{"ev":"LULD","T":"A","h":1,"l":1,"z":1,"t":1601316752683746,"q":1},{"ev":"LULD","T":"A","i":5,"t":1601316752683746},{"ev":"LULD","i":[1],"t":1601316752683746},{"ev":"LULD","T":"A","i":[1,"x"],"t":0}]`,
	`[{"ev":"status","status":"error","message":"not \"authorized\" caf\u00e9"},{"ev":"status","message":"` + "\xff" + `"},{"ev":"Q","sym":"A"},{"ev":7},{"sym":"A"},{},5,null,"x",[{"ev":"T"}]]`,
	`[{"e\u0076":"T","sym":"A","sym":"B","p":1,"p":"2.50","s":1,"t":1763550000123,"q":9,"unknown":[{"a":[true,false,null,-0.5e+3,"\u00e9\"\\"]}]}]`,
	`{"ev":"T","sym":"A","p":1,"s":1,"t":1763550000123,"q":9}`, ` [ { "ev" : "T" , "sym" : "A" , "p" : 1 , "s" : 1 , "t" : 1763550000123 , "q" : 9 , "c" : [ 1 , 2 ] } ] `,
	`[]`, ``, ` `, `null`, `"x"`, `5`, `[`, `[{`, `[{"`, `[{"a`, `[{"a"`, `[{"a":`, `[{"a":1`, `[{"a":1}`, `[{"a":1},`, `[{"a":1},]`, `[{"a":1,}]`, `[{,}]`, `[{"a":1}]]`, `{"a":1}{}`, `[][]`,
	`[{"a":01}]`, `[{"a":1.}]`, `[{"a":.5}]`, `[{"a":-}]`, `[{"a":1e}]`, `[{"a":tru}]`, `[{"a":"\x"}]`, `[{"a":"\u12g4"}]`, "[{\"a\":\"\x01\"}]", "[{\"a\x01\":1}]", `[{"a":[1,]}]`, `[{"a":[}]`,
	`[{"a":` + strings.Repeat("[", 9_998) + strings.Repeat("]", 9_998) + `}]`,
}

// slow reads a frame by encoding/json and math/big, and says what is in it.
func slow(text []byte) (said []string, err error) {
	if !json.Valid(text) {
		return nil, errors.New("no JSON")
	}
	var elements []json.RawMessage
	switch bytes.TrimLeft(text, " \t\r\n")[0] {
	case '{':
		elements = []json.RawMessage{text}
	case '[':
		if err := json.Unmarshal(text, &elements); err != nil {
			return nil, err
		}
	default:
		return nil, errors.New("no array")
	}
	for _, x := range elements {
		if x[0] == '{' || bytes.TrimLeft(x, " \t\r\n")[0] == '{' {
			said = append(said, slowEvent(x))
		}
	}
	return said, nil
}

type object map[string]json.RawMessage

func (m object) null(key string) bool { return m[key] == nil || string(m[key]) == "null" }

func (m object) str(key string) (string, bool) {
	var p *string
	if json.Unmarshal(m[key], &p) != nil || p == nil {
		return "", false
	}
	return *p, true
}

// raw is a text, or the JSON of any other value.
func (m object) raw(key string) string {
	if s, ok := m.str(key); ok {
		return s
	}
	return string(m[key])
}

func (m object) decimal(key string) (*big.Rat, bool) {
	s, ok := m.str(key)
	if ok && s != string(bytes.Trim(m[key], `"`)) { // numbers are not escaped
		return nil, false
	}
	if !ok {
		s = string(m[key])
		if s == "" || s[0] != '-' && (s[0] < '0' || s[0] > '9') {
			return nil, false
		}
	}
	if _, err := market.ParseDecimal(s); err != nil { // tested in its own package
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

func (m object) time(key string) (int64, bool) {
	n, err := strconv.ParseUint(string(m[key]), 10, 64)
	if err != nil || n < 100_000_000_000 {
		return 0, false
	}
	ns := new(big.Int).SetUint64(n)
	if n < 100_000_000_000_000 {
		ns.Mul(ns, big.NewInt(1_000_000))
	} else if n < 100_000_000_000_000_000 {
		ns.Mul(ns, big.NewInt(1_000))
	}
	return ns.Int64(), ns.Cmp(big.NewInt(feed.MaxTime)) < 0
}

func (m object) conditions() (set uint64, ok bool) {
	if m.null("c") {
		return 0, true
	}
	var ids []json.Number
	if m["c"][0] != '[' || json.Unmarshal(m["c"], &ids) != nil || bytes.ContainsAny(m["c"], `"n`) {
		return 0, false
	}
	for _, id := range ids {
		n, good := new(big.Int).SetString(id.String(), 10)
		if !good || strings.Contains(id.String(), "-") {
			return 0, false
		}
		if n.IsInt64() && n.Int64() < 64 {
			set |= 1 << n.Int64()
		}
	}
	return set, true
}

func (m object) hash(keys ...string) uint64 {
	h := fnv.New64a()
	for _, k := range keys {
		if k != "" {
			h.Write([]byte(m.raw(k)))
		}
		h.Write([]byte{0xff})
	}
	return h.Sum64()
}

func slowEvent(text []byte) string {
	var m object
	if err := json.Unmarshal(text, &m); err != nil {
		panic(err)
	}
	ev, _ := m.str("ev")
	bad := func(field string) string { return "bad " + field }
	switch ev {
	case "T", "XT":
		name := map[string]string{"T": "sym", "XT": "pair"}[ev]
		symbol, ok := m.str(name)
		if !ok || symbol == "" {
			return bad(name)
		}
		sent, ok := m.time("t")
		if !ok {
			return bad("t")
		}
		price, ok := m.decimal("p")
		if !ok || price.Sign() < 0 {
			return bad("p")
		}
		field := "s"
		if !m.null("ds") {
			field = "ds"
		}
		size, ok := m.decimal(field)
		if !ok || size.Sign() < 0 {
			return bad(field)
		}
		at, side := sent, ""
		var id, order uint64
		if ev == "T" {
			if !m.null("q") {
				var err error
				if id, err = strconv.ParseUint(string(m["q"]), 10, 64); err != nil {
					return bad("q")
				}
			}
			if id == 0 {
				id = m.hash("x", "i", "trfi")
			}
			order = id
			if !m.null("pt") {
				if at, ok = m.time("pt"); !ok {
					return bad("pt")
				}
			}
		} else if !m.null("i") {
			id = m.hash("x", "i", "")
			order = id
			if n, err := strconv.ParseUint(m.raw("i"), 10, 64); err == nil && !strings.HasPrefix(m.raw("i"), "+") {
				order = n
			}
		}
		set, ok := m.conditions()
		if !ok {
			return bad("c")
		}
		if ev == "XT" {
			side, set = map[uint64]string{2: "sell", 4: "buy"}[set&6], 0
		}
		if price.Sign() == 0 || size.Sign() == 0 {
			return "none"
		}
		return fmt.Sprint("trade ", symbol, sent, at, price.RatString(), " ", size.RatString(), " ", id, order, set, side)
	case "A", "AM", "XAS", "XA":
		name := map[bool]string{false: "sym", true: "pair"}[ev[0] == 'X']
		symbol, ok := m.str(name)
		if !ok || symbol == "" {
			return bad(name)
		}
		from, ok := m.time("s")
		if !ok {
			return bad("s")
		}
		to, ok := m.time("e")
		if !ok {
			return bad("e")
		}
		said := fmt.Sprint(map[string]string{"A": "second", "XAS": "second", "AM": "minute", "XA": "minute"}[ev], " ", symbol, from, to)
		for _, key := range []string{"o", "h", "l", "c", "v", "dv"} {
			if key == "dv" && m.null(key) {
				break
			}
			d, ok := m.decimal(key)
			if !ok {
				return bad(key)
			}
			if key != "v" || m.null("dv") {
				said += " " + d.RatString()
			}
		}
		return said
	case "LULD":
		symbol, ok := m.str("T")
		if !ok || symbol == "" {
			return bad("T")
		}
		at, ok := m.time("t")
		if !ok {
			return bad("t")
		}
		if !m.null("i") && m["i"][0] != '[' {
			return bad("i")
		}
		return fmt.Sprint("limits ", symbol, at, string(m["i"]))
	case "status":
		return fmt.Sprintf("status %s: %s", m.raw("status"), m.raw("message"))
	}
	return "none"
}

func rat(d market.Decimal) string {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.Scale)), nil)
	return new(big.Rat).SetFrac(big.NewInt(d.Coef), scale).RatString()
}

// quick says of the fast parser's events what slow says.
func quick(text []byte) (said []string, err error) {
	var p parser
	err = p.each(text, func(e *event) error {
		n := &e.entry
		switch e.kind {
		case trade:
			said = append(said, fmt.Sprint("trade ", string(e.symbol), e.sent, n.Time, rat(n.Price), " ", rat(n.Size), " ", n.ID, n.Order, n.Conditions, n.Side.String()))
		case second, minute:
			line := fmt.Sprint(map[kind]string{second: "second", minute: "minute"}[e.kind], " ", string(e.symbol), e.from, e.to)
			for _, d := range []market.Decimal{e.open, e.high, e.low, e.close, e.volume} {
				line += " " + rat(d)
			}
			said = append(said, line)
		case limits:
			said = append(said, fmt.Sprint("limits ", string(e.symbol), e.sent, string(e.indicators)))
		case status:
			said = append(said, fmt.Sprintf("status %s: %s", e.status, e.message))
		case malformed:
			said = append(said, "bad "+e.wrong)
		default:
			said = append(said, "none")
		}
		return nil
	})
	return said, err
}

func compare(t *testing.T, text []byte) {
	t.Helper()
	before := bytes.Clone(text)
	want, wantErr := slow(text)
	got, gotErr := quick(text)
	if (gotErr == nil) != (wantErr == nil) || gotErr == nil && strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%.300q\nfast %v\n%s\nslow %v\n%s", text, gotErr, strings.Join(got, "\n"), wantErr, strings.Join(want, "\n"))
	}
	if !bytes.Equal(before, text) {
		t.Errorf("%.300q: parsing changed the frame", before)
	}
}

func TestParseAgreesWithSlowParser(t *testing.T) {
	frames := recorded(t)
	kinds := map[kind]int{}
	for _, text := range frames {
		compare(t, text)
		var p parser
		if err := p.each(text, func(e *event) error { kinds[e.kind]++; return nil }); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if want := (map[kind]int{trade: 5, second: 1, minute: 2, limits: 1, status: 7}); frames != nil && fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Errorf("kinds of the recorded events: %v, want %v", kinds, want)
	}
	for _, text := range written {
		compare(t, []byte(text))
		for i := range min(len(text), 400) { // and cut off anywhere
			compare(t, []byte(text[:i]))
		}
	}
}

// TestParseTrade: a recorded trade, and one with exact size and the time at which it happened.
func TestParseTrade(t *testing.T) {
	var got []market.Entry
	var sent []int64
	var p parser
	err := p.each([]byte(`[{"ev":"T","sym":"AMZN","i":"72815","x":12,"p":161.87,"s":1,"c":[14,37,41],"t":1651684192536,"q":4009408,"z":3},`+
		`{"ev":"T","sym":"AMZN","i":"1","x":4,"p":161.870,"s":1,"ds":"0.125","c":[],"t":1773684192536,"pt":1773684185001,"q":5,"z":3,"trfi":202}]`), func(e *event) error {
		got, sent = append(got, e.entry), append(sent, e.sent)
		return nil
	})
	want := []market.Entry{
		{Kind: market.Trade, Time: 1651684192536e6, Price: market.Decimal{Coef: 16187, Scale: 2}, Size: market.Decimal{Coef: 1}, Order: 4009408, ID: 4009408, Conditions: 1<<14 | 1<<37 | 1<<41},
		{Kind: market.Trade, Time: 1773684185001e6, Price: market.Decimal{Coef: 16187, Scale: 2}, Size: market.Decimal{Coef: 125, Scale: 3}, Order: 5, ID: 5},
	}
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] || sent[0] != 1651684192536e6 || sent[1] != 1773684192536e6 {
		t.Errorf("%v: %+v sent %v\nwant %+v", err, got, sent, want)
	}
}

// TestParseEnds: the error of who takes the events ends it and is returned, and what stands before an error was given.
func TestParseEnds(t *testing.T) {
	full := errors.New("full")
	var p parser
	if err := p.each([]byte(`[{"ev":"status"},{"ev":"status"}]`), func(*event) error { return full }); !errors.Is(err, full) {
		t.Error(err)
	}
	n := 0
	if err := p.each([]byte(`[{"ev":"status"},{"ev":"status"`), func(*event) error { n++; return nil }); err == nil || n != 1 {
		t.Errorf("%d events, %v", n, err)
	}
}

// hundred is a frame of 100 trades as they come at a busy moment.
func hundred() []byte {
	text := []byte("[")
	for i := range 100 {
		if i > 0 {
			text = append(text, ',')
		}
		text = fmt.Appendf(text, `{"ev":"T","sym":"AAPL","x":%d,"i":"%d","z":3,"p":%d.%02d,"s":%d,"ds":"%d.0","c":[14,37,41],"t":%d,"pt":%d,"q":%d}`,
			i%20, 50000+i, 161+i%3, i, 1+i*7%300, 1+i*7%300, 1651684192462+i, 1651684192460+i, 4009402+i*3)
	}
	return append(text, ']')
}

func TestParseAllocates(t *testing.T) {
	var p parser
	n := 0
	count := func(*event) error { n++; return nil }
	text := hundred()
	if allocs := testing.AllocsPerRun(100, func() { _ = p.each(text, count) }); allocs != 0 || n != 101*100 {
		t.Errorf("%v allocations for a frame of 100 trades; %d trades", allocs, n)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range recorded(f) {
		f.Add(text)
	}
	for _, text := range written {
		if len(text) < 2000 {
			f.Add([]byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) { compare(t, text) })
}

// BenchmarkParse is a frame of 100 trades; ns/trade is what one of them costs.
func BenchmarkParse(b *testing.B) {
	text := hundred()
	b.Run("ours", func(b *testing.B) {
		var p parser
		n := 0
		count := func(*event) error { n++; return nil }
		b.ReportAllocs()
		for b.Loop() {
			if err := p.each(text, count); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/trade")
	})
	b.Run("encoding-json", func(b *testing.B) {
		type trade struct {
			Event      string  `json:"ev"`
			Symbol     string  `json:"sym"`
			ID         string  `json:"i"`
			Exchange   int     `json:"x"`
			Price      float64 `json:"p"`
			Size       int64   `json:"s"`
			Exact      string  `json:"ds"`
			Conditions []int   `json:"c"`
			Time       int64   `json:"t"`
			Happened   int64   `json:"pt"`
			Sequence   int64   `json:"q"`
			Tape       int     `json:"z"`
		}
		n := 0
		b.ReportAllocs()
		for b.Loop() {
			var trades []trade
			if err := json.Unmarshal(text, &trades); err != nil {
				b.Fatal(err)
			}
			n += len(trades)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/trade")
	})
}
