package alpaca

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/market"
)

// recorded returns the recorded and documented frames beside the project; CI does not do without.
func recorded(t testing.TB) (frames [][]byte) {
	t.Helper()
	root := os.Getenv("MARKETSTREAM_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared")
	}
	text, err := os.ReadFile(filepath.Join(root, "data", "frames", "alpaca.jsonl"))
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI needs the shared data: %v", err)
		}
		t.Logf("no shared data, only what is written here is looked at: %v", err)
		return nil
	}
	for _, line := range bytes.Split(text, []byte("\n")) {
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
	`[{"T":"t","i":9223372036854775807,"S":"BRK.A","x":"M","p":0.0001,"s":9223372036854775807,"t":"2026-11-19T14:30:00.123456789Z","c":[" ","7","V"],"z":"A"},{"T":"t","i":0,"S":"BTC/USD","p":64000.123456789,"s":0.000000001,"t":"2026-11-19T14:30:00Z","tks":"B"}]`,
	`[{"T":"t","i":18446744073709551615,"S":"A","x":"D","p":1e-7,"s":1E2,"t":"2026-11-19T09:30:00-05:00","c":["B","W","@"],"z":"C","tks":"S"},{"T":"t","i":18446744073709551616,"S":"A","p":1,"s":1,"t":"2026-11-19T14:30:00Z"}]`,
	`[{"T":"t","i":1,"S":"A","p":0,"s":1,"t":"2026-11-19T14:30:00Z"},{"T":"t","i":1,"S":"A","p":1,"s":0,"t":"2026-11-19T14:30:00Z","tks":"-"},{"T":"t","i":1,"S":"A","p":-1,"s":1,"t":"2026-11-19T14:30:00Z"},{"T":"t","i":1,"S":"A","p":1,"s":"x","t":"2026-11-19T14:30:00Z"},{"T":"t","i":1,"S":"A","p":9223372036854775808,"s":1,"t":"2026-11-19T14:30:00Z"}]`,
	`[{"T":"t","i":1,"S":"","p":1,"s":1,"t":"2026-11-19T14:30:00Z"},{"T":"t","i":1,"p":1,"s":1,"t":"2026-11-19T14:30:00Z"},{"T":"t","i":1,"S":"A","p":1,"s":1},{"T":"t","i":1,"S":"A","p":1,"s":1,"t":"yesterday"},{"T":"t","S":"A","p":1,"s":1,"t":"2026-11-19T14:30:00Z"},{"T":"t","i":"5","S":"A","p":1,"s":1,"t":"2026-11-19T14:30:00Z"}]`,
	`[{"T":"t","i":1,"S":"A","x":"NY","p":1,"s":1,"t":"2026-11-19T14:30:00Z","c":null},{"T":"t","i":1,"S":"A","p":1,"s":1,"t":"2026-11-19T14:30:00Z","c":[5]},{"T":"t","i":1,"S":"A","p":1,"s":1,"t":"2026-11-19T14:30:00Z","c":"@"},{"T":"t","i":1,"S":"A","p":1,"s":1,"t":"2026-11-19T14:30:00Z","c":["@F","\u0049","é",""],"z":"B"},{"T":"t","i":1,"S":"A","p":1,"s":1,"t":"2026-11-19T14:30:00Z","c":["4","9","T","U"],"z":"C"}]`,
	`[{"T":"c","S":"EEM","x":"M","oi":52983525033527,"op":39.1582,"os":440000,"oc":[" ","7"],"ci":52983525034326,"cp":39.1809,"cs":440001,"cc":[" ","7"],"z":"B","t":"2023-04-06T14:25:06.542305024Z"},{"T":"c","S":"EEM","oi":1,"op":1,"os":1,"ci":2,"cp":1,"cs":0,"t":"2023-04-06T14:25:06Z"},{"T":"c","S":"EEM","oi":1,"op":1,"os":1,"ci":2,"cp":1,"t":"2023-04-06T14:25:06Z"},{"T":"c","S":"EEM","oi":1,"op":1,"ci":2,"cp":1,"t":"2023-04-06T14:25:06Z"}]`,
	`[{"T":"x","S":"GOOGL","i":465,"x":"D","p":120.1,"s":5,"a":"C","z":"C","t":"2023-04-06T13:15:42.83540958Z"},{"T":"x","S":"GOOGL","i":465,"x":"D","p":120.1,"s":5,"a":"E","c":["@"],"z":"C","t":"2023-04-06T13:15:42Z"},{"T":"x","S":"GOOGL","x":"D","p":120.1,"s":5,"t":"2023-04-06T13:15:42Z"}]`,
	`[{"T":"s","S":"AAPL","sc":"H","sm":"Trading Halt","rc":"T12","rm":"Trading Halted; For information requested by NASDAQ","t":"2021-02-22T19:15:00Z","z":"C"},{"T":"s","S":"AAPL","sc":"T","rc":"","t":"2021-02-22T19:15:00Z"},{"T":"s","sc":"T","t":"2021-02-22T19:15:00Z"},{"T":"l","S":"IONM","u":3.24,"d":2.65,"i":"B","t":"2023-04-06T13:34:45.565004401Z","z":"C"},{"T":"l","S":"IONM"}]`,
	`[{"T":"b","S":"SPY","o":388.985,"h":389.13,"l":388.975,"c":389.12,"v":49378,"n":461,"vw":389.062639,"t":"2021-02-22T19:15:00Z"},{"T":"u","S":"SPY","o":1,"h":1,"l":1,"c":1,"v":0.5,"t":"2021-02-22T19:15:00Z"},{"T":"d","S":"SPY","o":1,"h":1,"l":1,"c":1,"v":1,"n":"x","t":"2021-02-22T19:15:00Z"},{"T":"b","S":"SPY","o":1,"h":1,"l":1,"v":1,"t":"2021-02-22T19:15:00Z"}]`,
	`[{"T":"error","code":400,"msg":"invalid syntax"},{"T":"error","code":"400","msg":"x"},{"T":"error"},{"T":"error","code":1001},{"T":"success","msg":"caf\u00e9"},{"T":"subscription","trades":["AAPL"],"quotes":[],"bars":["*"]},{"T":"subscription"},{"T":"subscription","trades":5},{"T":"q","S":"A"},{"T":7},{"S":"A"},{},5,null,"x",[{"T":"t"}]]`,
	`[{"\u0054":"t","i":1,"i":2,"S":"A\u002dB","p":"2.50","s":1,"t":"2026-11-19T14:30:00Z","unknown":[{"a":[true,false,null,-0.5e+3,"\u00e9\"\\"]}]}]`,
	` [ { "T" : "t" , "i" : 1 , "S" : "A" , "p" : 1 , "s" : 1 , "t" : "2026-11-19T14:30:00Z" , "c" : [ "@" , "I" ] } ] `,
	`[]`, ``, ` `, `null`, `"x"`, `5`, `[`, `[{`, `[{"`, `[{"a`, `[{"a"`, `[{"a":`, `[{"a":1`, `[{"a":1}`, `[{"a":1},`, `[{"a":1},]`, `[{"a":1,}]`, `{"a":1}{}`, `[{"a":"` + "\xff" + `"}]`,
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
	s, ok := m.str(key)
	if !ok || s != string(bytes.Trim(m[key], `"`)) || !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`).MatchString(s) {
		return 0, false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return t.UnixNano(), err == nil && s >= "1970" && s < "2116" && !t.Before(time.Unix(0, 0))
}

func (m object) conditions(key string) (set uint64, ok bool) {
	if m.null(key) {
		return 0, true
	}
	var all []any
	if m[key][0] != '[' || json.Unmarshal(m[key], &all) != nil {
		return 0, false
	}
	table, _ := market.LookupConditions("USEquities")
	sip := "CTA:"
	if m.raw("z") == "C" {
		sip = "UTP:"
	}
	for _, x := range all {
		letter, ok := x.(string)
		if !ok {
			return 0, false
		}
		if len(letter) == 1 {
			bit, err := table.Parse(sip + letter)
			if err == nil {
				set |= bit
			}
		}
	}
	return set, true
}

// trade says a trade as quick does; its ids are compared with those of the fast parser's function, which is tested by itself.
func (m object) trade(at int64, keys ...string) (said, wrong string) {
	id, err := strconv.ParseUint(string(m[keys[0]]), 10, 64)
	if err != nil {
		return "", keys[0]
	}
	price, ok := m.decimal(keys[1])
	if !ok || price.Sign() < 0 {
		return "", keys[1]
	}
	size, ok := m.decimal(keys[2])
	if !ok || size.Sign() < 0 {
		return "", keys[2]
	}
	set, ok := m.conditions(keys[3])
	if !ok {
		return "", keys[3]
	}
	side := ""
	if s, ok := m.str("tks"); ok {
		side = map[string]string{"B": "buy", "S": "sell"}[s]
	}
	order, all := identify(id, []byte(m.raw("x")), at)
	if price.Sign() == 0 || size.Sign() == 0 {
		return "nothing", ""
	}
	return fmt.Sprint(at, price.RatString(), " ", size.RatString(), " ", order, all, set, side), ""
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
		if x = bytes.TrimLeft(x, " \t\r\n"); x[0] == '{' {
			line, wrong := slowMessage(x)
			if wrong != "" {
				line = "bad " + wrong
			}
			said = append(said, line)
		}
	}
	return said, nil
}

func slowMessage(text []byte) (said, wrong string) {
	var m object
	if err := json.Unmarshal(text, &m); err != nil {
		panic(err)
	}
	typ, _ := m.str("T")
	head := ""
	var at int64
	switch typ {
	case "t", "c", "x", "s", "l", "b", "u", "d":
		symbol, ok := m.str("S")
		if !ok || symbol == "" {
			return "", "S"
		}
		if at, ok = m.time("t"); !ok {
			return "", "t"
		}
		head = fmt.Sprint(typ, " ", symbol, at, " ")
	}
	switch typ {
	case "t":
		one, wrong := m.trade(at, "i", "p", "s", "c")
		if one == "nothing" {
			return "none", ""
		}
		return head + one, wrong
	case "c":
		was, wrong := m.trade(at, "oi", "op", "os", "oc")
		if wrong != "" {
			return "", wrong
		}
		now, wrong := m.trade(at, "ci", "cp", "cs", "cc")
		return head + was + " > " + now + fmt.Sprint(!m.null("oc")), wrong
	case "x":
		one, wrong := m.trade(at, "i", "p", "s", "c")
		return head + one + fmt.Sprint(!m.null("c")), wrong
	case "s":
		state, reason := m.raw("sm"), m.raw("rm")
		if state == "" {
			state = m.raw("sc")
		}
		if reason == "" {
			reason = m.raw("rc")
		}
		return head + state + ": " + reason, ""
	case "l":
		return head, ""
	case "b", "u", "d":
		for _, key := range []string{"o", "h", "l", "c", "v"} {
			d, ok := m.decimal(key)
			if !ok {
				return "", key
			}
			head += " " + d.RatString()
		}
		var n uint64
		if !m.null("n") {
			var err error
			if n, err = strconv.ParseUint(string(m["n"]), 10, 64); err != nil {
				return "", "n"
			}
		}
		return fmt.Sprint(head, " ", n), ""
	case "success":
		return "success " + m.raw("msg"), ""
	case "error":
		n, err := strconv.ParseUint(string(m["code"]), 10, 64)
		if err != nil || n > 1000 {
			return "", "code"
		}
		return fmt.Sprint("error ", n, m.raw("msg")), ""
	case "subscription":
		if !m.null("trades") && m["trades"][0] != '[' {
			return "", "trades"
		}
		return "subscription " + string(m["trades"]), ""
	}
	return "none", ""
}

func rat(d market.Decimal) string {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.Scale)), nil)
	return new(big.Rat).SetFrac(big.NewInt(d.Coef), scale).RatString()
}

// quick says of the fast parser's messages what slow says.
func quick(text []byte) (said []string, err error) {
	one := func(e *market.Entry) string {
		if e.Kind == 0 {
			return "nothing"
		}
		return fmt.Sprint(e.Time, rat(e.Price), " ", rat(e.Size), " ", e.Order, e.ID, e.Conditions, e.Side.String())
	}
	var p parser
	err = p.each(text, func(m *message) error {
		head := fmt.Sprint(" ", string(m.symbol), m.sent, " ")
		line := "none"
		switch m.kind {
		case trade:
			line = "t" + head + one(&m.entry)
		case correction:
			line = "c" + head + one(&m.corrected) + " > " + one(&m.entry) + fmt.Sprint(m.known)
		case cancellation:
			line = "x" + head + one(&m.entry) + fmt.Sprint(m.known)
		case halt:
			line = "s" + head + string(m.state) + ": " + string(m.reason)
		case limits:
			line = "l" + head
		case bar:
			line = string(rune(m.bar)) + head
			for _, d := range []market.Decimal{m.open, m.high, m.low, m.close, m.volume} {
				line += " " + rat(d)
			}
			line = fmt.Sprint(line, " ", m.n)
		case success:
			line = "success " + string(m.message)
		case refusal:
			line = fmt.Sprint("error ", m.code, string(m.message))
		case subscription:
			line = "subscription " + string(m.trades)
		case malformed:
			line = "bad " + m.wrong
		}
		said = append(said, line)
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
		if err := p.each(text, func(m *message) error { kinds[m.kind]++; return nil }); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if want := (map[kind]int{trade: 2, success: 2, refusal: 5}); frames != nil && fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Errorf("kinds of the recorded messages: %v, want %v", kinds, want)
	}
	for _, text := range written {
		compare(t, []byte(text))
		for i := range min(len(text), 400) { // and cut off anywhere
			compare(t, []byte(text[:i]))
		}
	}
}

// TestParseTrade: a recorded trade; its letters mean what the SIP of its tape means by them.
func TestParseTrade(t *testing.T) {
	for tape, set := range map[string]uint64{"C": 1<<2 | 1<<37, "A": 1 << 37} { // W: average price at UTP, nothing at CTA
		var got market.Entry
		var p parser
		err := p.each([]byte(`[{"T":"t","i":8207,"S":"TSLA","x":"V","p":648.15,"s":15,"c":["W","I"],"z":"`+tape+`","t":"2021-07-08T17:18:28.04582059Z"}]`), func(m *message) error {
			got = m.entry
			return nil
		})
		if got.ID == 0 || got.Order != 8207^uint64('V')<<56 {
			t.Errorf("order %d, id %d", got.Order, got.ID)
		}
		want := market.Entry{Kind: market.Trade, Time: 1625764708045820590, Price: market.Decimal{Coef: 64815, Scale: 2}, Size: market.Decimal{Coef: 15}, Order: got.Order, ID: got.ID, Conditions: set}
		if err != nil || got != want {
			t.Errorf("%v: %+v\nwant %+v", err, got, want)
		}
	}
}

// TestIdentify: what differs in id, exchange or time has another id; the order rises with the vendor's ids.
func TestIdentify(t *testing.T) {
	seen := map[uint64]string{}
	for id := uint64(1); id < 2000; id++ {
		for _, x := range []string{"", "V", "D"} {
			for _, at := range []int64{1763550000123456789, 1763550000123456790, 1763550000123456790 + int64(id)} {
				order, all := identify(id, []byte(x), at)
				what := fmt.Sprint(id, x, at)
				if old, twice := seen[all]; twice && old != what {
					t.Fatalf("%s and %s have one id", old, what)
				}
				seen[all] = what
				if next, _ := identify(id+1, []byte(x), at); next <= order {
					t.Fatalf("the order of %d is %d, that of the one before %d", id+1, next, order)
				}
			}
		}
	}
}

// hundred is a frame of 100 trades as they come at a busy moment.
func hundred() []byte {
	text := []byte("[")
	for i := range 100 {
		if i > 0 {
			text = append(text, ',')
		}
		text = fmt.Appendf(text, `{"T":"t","S":"AAPL","i":%d,"x":"%c","p":%d.%02d,"s":%d,"c":["@","I"],"z":"C","t":"2026-11-19T14:30:00.%09dZ"}`,
			52983525033527+i, 'A'+i%20, 161+i%3, i, 1+i*7%300, 123456*i)
	}
	return append(text, ']')
}

func TestParseAllocates(t *testing.T) {
	var p parser
	n := 0
	count := func(*message) error { n++; return nil }
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
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { compare(t, text) })
}

// BenchmarkParse is a frame of 100 trades; ns/trade is what one of them costs.
func BenchmarkParse(b *testing.B) {
	text := hundred()
	b.Run("ours", func(b *testing.B) {
		var p parser
		n := 0
		count := func(*message) error { n++; return nil }
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
			Type       string    `json:"T"`
			Symbol     string    `json:"S"`
			ID         int64     `json:"i"`
			Exchange   string    `json:"x"`
			Price      float64   `json:"p"`
			Size       float64   `json:"s"`
			Conditions []string  `json:"c"`
			Time       time.Time `json:"t"`
			Tape       string    `json:"z"`
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
