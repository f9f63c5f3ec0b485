package coinbase

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

// recorded returns the frames that were received in the recording beside the project.
func recorded(t testing.TB) (frames [][]byte) {
	t.Helper()
	root := os.Getenv("MARKETSTREAM_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared")
	}
	text, err := os.ReadFile(filepath.Join(root, "data", "frames", "coinbase-exchange-matches.cryptofeed.txt"))
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI needs the shared data: %v", err)
		}
		t.Logf("no shared data, only what is written here is looked at: %v", err)
		return nil
	}
	received := regexp.MustCompile(`^[0-9.]+: (.*)$`)
	for _, line := range strings.Split(string(text), "\n") {
		if m := received.FindStringSubmatch(line); m != nil {
			frames = append(frames, []byte(m[1]))
		}
	}
	if len(frames) != 110 {
		t.Fatalf("%d frames in the recording, want 110", len(frames))
	}
	return frames
}

// written are frames that the recording does not have, and texts that are none.
var written = []string{
	`{"type":"match","trade_id":1,"side":"sell","size":"0.00000001","price":"9223372036854775807","product_id":"A-B","time":"2024-02-29T23:59:59.999999999Z"}`,
	`{"type":"match","trade_id":18446744073709551615,"side":"buy","size":"1","price":"92233720368.54775807","product_id":"A-B","time":"2100-03-01T00:00:00Z"}`,
	`{"type":"match","trade_id":18446744073709551616,"side":"buy","size":"1","price":"1","product_id":"A-B","time":"2100-02-29T00:00:00Z"}`,
	`{"type":"match","trade_id":2,"side":"buy","size":"1","price":"9223372036854775808","product_id":"A-B","time":"2000-02-29T00:00:00.5Z"}`,
	`{"type":"match","trade_id":2,"side":"hold","size":1.50,"price":1e-7,"product_id":"A-B","time":"1970-01-01T00:00:00Z","deep":[{"a":[true,false,null,-0.5e+3,"\u00e9\"\\"]}]}`,
	`{"type":"match","trade_id":0,"side":"buy","size":"1","price":"1","product_id":"A-B","time":"2021-04-17T16:43:30Z"}`,
	`{"type":"match","trade_id":3,"size":"0","price":"1","product_id":"A-B","time":"2021-04-17T16:43:30Z"}`,
	`{"type":"match","trade_id":3,"size":"1","price":"-1","product_id":"A-B","time":"2021-04-17T16:43:30Z"}`,
	`{"type":"match","trade_id":3,"size":"1","price":"1","product_id":null,"time":"2021-04-17T16:43:30Z"}`,
	`{"type":"match","trade_id":3,"size":"1","price":"1","product_id":"A-B","time":"2115-12-31T23:59:59.1234567890Z"}`,
	`{"type":"match","trade_id":"3","size":"1","price":"1","product_id":"A-B","time":"2021-13-17T16:43:30Z"}`,
	`{"t\u0079pe":"\u006datch","trade_id":4,"trade_id":5,"side":"sell","size":"+007.5","price":".5","product_id":"A\u002dB","time":"2021-04-17T16:43:30.1Z"}`,
	`{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD","time":"2014-11-07T08:19:28.464459Z"}`,
	`{"type":"heartbeat","last_trade_id":0,"product_id":"NEW-USD","time":"2014-11-07T08:19:28Z"}`,
	`{"type":"heartbeat","product_id":"NEW-USD","time":"2014-11-07T08:19:28Z"}`,
	`{"type":"error","message":"Failed to subscribe","reason":"XX-USD is not a valid product"}`,
	`{"type":"error","message":"caf\u00e9","reason":"` + "\xff" + `"}`,
	`{"type":"error","message":"` + "\xff" + `and so on, long enough","reason":"caf` + "\xc3\xa9" + ` and so on"}`, `{"a":"` + "\x1f" + `long enough"}`,
	` { "type" : "subscriptions" , "channels" : [ ] } `,
	`{"type":"status","products":[]}`, `{"type":7}`, `{"type":"match"}`, `{}`, ``, ` `, `[]`, `null`, `"x"`, `{`, `{"`, `{"a`, `{"a"`, `{"a":`, `{"a":1`,
	`{"a":1,}`, `{,}`, `{"a":01}`, `{"a":1.}`, `{"a":.5}`, `{"a":-}`, `{"a":1e}`, `{"a":tru}`, `{"a":"\x"}`, `{"a":"\u12g4"}`, `{"a":"\u` + "\x10\x10\x10\x10" + `"}`,
	`{"a":"` + "\x01" + `"}`, "{\"a\":\"\x00\"}", `{"a":[1,]}`, `{"a":[}`, `{"a":1}}`, `{"a":1}{}`, `{"type":"match"` + strings.Repeat(" ", 100) + `}`,
	`{"a":` + strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999) + `}`, `{"a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`,
}

// slow reads a frame by encoding/json and time.Parse, and returns what is said of it.
func slow(text []byte) (string, error) {
	if !json.Valid(text) || bytes.TrimLeft(text, " \t\r\n")[0] != '{' {
		return "", errors.New("no object")
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(text, &m); err != nil {
		return "", err
	}
	str := func(key string) (string, bool) {
		var p *string
		err := json.Unmarshal(m[key], &p)
		if err != nil || p == nil {
			return "", false
		}
		return *p, true
	}
	id := func(key string) (uint64, error) { return strconv.ParseUint(string(m[key]), 10, 64) }
	instant := func() (int64, error) {
		s, _ := str("time")
		if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$`).MatchString(s) {
			return 0, errors.New("time")
		}
		t, err := time.Parse(time.RFC3339Nano, s)
		if t.Year() < 1970 || t.Year() > 2115 {
			return 0, errors.New("year")
		}
		return t.UnixNano(), err
	}
	decimal := func(key string) (string, error) {
		s, ok := str(key)
		if !ok {
			s = string(m[key])
			if s == "" || s[0] != '-' && (s[0] < '0' || s[0] > '9') {
				return "", errors.New(key)
			}
		}
		if _, err := market.ParseDecimal(s); err != nil { // tested in its own package
			return "", err
		}
		r, ok := new(big.Rat).SetString(s)
		if !ok || r.Sign() <= 0 {
			return "", errors.New(key)
		}
		return r.RatString(), nil
	}
	typ, _ := str("type")
	switch typ {
	case "match", "last_match":
		n, err1 := id("trade_id")
		at, err2 := instant()
		price, err3 := decimal("price")
		size, err4 := decimal("size")
		product, ok := str("product_id")
		if err := errors.Join(err1, err2, err3, err4); err != nil || n == 0 || !ok {
			return "", errors.Join(err, errors.New("no trade"))
		}
		side := "sell"
		switch maker, _ := str("side"); maker {
		case "sell":
			side = "buy"
		case "buy":
		default:
			side = ""
		}
		return fmt.Sprint(typ, n, product, at, price, size, side), nil
	case "heartbeat":
		n, err1 := id("last_trade_id")
		at, err2 := instant()
		product, ok := str("product_id")
		if err := errors.Join(err1, err2); err != nil || !ok {
			return "", errors.Join(err, errors.New("no heartbeat"))
		}
		return fmt.Sprint(typ, n, product, at), nil
	case "error":
		message, ok := str("message")
		if !ok {
			message = string(m["message"])
		}
		reason, ok := str("reason")
		if !ok {
			reason = string(m["reason"])
		}
		return fmt.Sprintf("error %s %s", message, reason), nil
	case "subscriptions":
		return typ, nil
	}
	return "other", nil
}

// quick says of the fast parser's frame what slow says.
func quick(text []byte) (string, error) {
	var f frame
	if err := f.parse(text); err != nil {
		return "", err
	}
	rat := func(d market.Decimal) string {
		scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.Scale)), nil)
		return new(big.Rat).SetFrac(big.NewInt(d.Coef), scale).RatString()
	}
	switch f.kind {
	case match, lastMatch:
		name := [...]string{match: "match", lastMatch: "last_match"}[f.kind]
		return fmt.Sprint(name, f.id, string(f.product), f.time, rat(f.price), rat(f.size), f.side.String()), nil
	case heartbeat:
		return fmt.Sprint("heartbeat", f.id, string(f.product), f.time), nil
	case refusal:
		return fmt.Sprintf("error %s %s", f.message, f.reason), nil
	case subscriptions:
		return "subscriptions", nil
	}
	return "other", nil
}

func compare(t *testing.T, text []byte) {
	t.Helper()
	before := bytes.Clone(text)
	want, wantErr := slow(text)
	got, gotErr := quick(text)
	if got != want || (gotErr == nil) != (wantErr == nil) {
		t.Errorf("%.300q\nfast %q, %v\nslow %q, %v", text, got, gotErr, want, wantErr)
	}
	if !bytes.Equal(before, text) {
		t.Errorf("%.300q: parsing changed the frame", before)
	}
}

func TestParseAgreesWithSlowParser(t *testing.T) {
	kinds := map[kind]int{}
	for _, text := range recorded(t) {
		compare(t, text)
		var f frame
		if err := f.parse(text); err != nil {
			t.Error(err)
		}
		kinds[f.kind]++
	}
	if len(kinds) > 0 && (kinds[match] != 97 || kinds[lastMatch] != 10 || kinds[subscriptions] != 3) {
		t.Errorf("kinds of the recorded frames: %v", kinds)
	}
	for _, text := range written {
		compare(t, []byte(text))
		for i := range len(text) { // and cut off anywhere
			if i < 400 {
				compare(t, []byte(text[:i]))
			}
		}
	}
}

func TestParseTrade(t *testing.T) {
	var f frame
	err := f.parse([]byte(`{"type":"match","trade_id":280232,"maker_order_id":"2a0da34e","taker_order_id":"3c82abaa","side":"sell","size":"985","price":"0.00001305","product_id":"SKL-BTC","sequence":177100030,"time":"2021-04-17T16:43:37.089723Z"}`))
	if err != nil {
		t.Fatal(err)
	}
	var e market.Entry
	f.entry(&e, 7)
	want := market.Entry{Kind: market.Trade, Side: market.SideBuy, Symbol: 7, Time: 1618677817089723000,
		Price: market.MustDecimal("0.00001305"), Size: market.MustDecimal("985"), Order: 280232, ID: 280232}
	if e != want {
		t.Errorf("entry %+v\nwant  %+v", e, want)
	}
}

// TestErrorsSayWhat: what is wrong, where, and what would be right.
func TestErrorsSayWhat(t *testing.T) {
	for text, want := range map[string]string{
		`{"type":"match","trade_id":0}`:                                              `"{\"type\":\"match\",\"trade_id\":0}": trade_id is missing or no whole number of at most 64 bits`,
		`{"type":"match","trade_id":5,"time":"2021-04-17T16:43:37Z","price":"1.5x"}`: `"{\"type\":\"match\",\"trade_id\":5,\"time\":\"2021-04-17T16:43:37Z\",\"price\":\"1.5x\"}": price is missing or no positive decimal of at most 18 decimals and 63 bits`,
		`{"type":"heartbeat","last_trade_id":5,"time":"2021-04-31T16:43:37Z"}`:       `"{\"type\":\"heartbeat\",\"last_trade_id\":5,\"time\":\"2021-04-31T16:43:37Z\"}": time is missing or no UTC time as in 2021-04-17T16:43:30.244075Z`,
		`hello`: `"hello": not a JSON object`,
	} {
		var f frame
		if err := f.parse([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

func TestParseTimeDays(t *testing.T) {
	for at := time.Date(1970, 1, 1, 3, 4, 5, 678_901_234, time.UTC); at.Year() < 2116; at = at.AddDate(0, 0, 1) {
		text := at.Format("2006-01-02T15:04:05.999999999Z")
		if ns, ok := parseTime([]byte(text)); !ok || ns != at.UnixNano() {
			t.Fatalf("%s: %d, %v; want %d", text, ns, ok, at.UnixNano())
		}
	}
}

func TestParseAllocates(t *testing.T) {
	var f frame
	for _, text := range []string{
		`{"type":"match","trade_id":280232,"maker_order_id":"2a0da34e","taker_order_id":"3c82abaa","side":"sell","size":"985","price":"0.00001305","product_id":"SKL-BTC","sequence":177100030,"time":"2021-04-17T16:43:37.089723Z"}`,
		`{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD","time":"2014-11-07T08:19:28.464459Z"}`,
	} {
		b := []byte(text)
		if n := testing.AllocsPerRun(100, func() { _ = f.parse(b) }); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range recorded(f) {
		f.Add(text)
	}
	for _, text := range written {
		if len(text) < 1000 {
			f.Add([]byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) { compare(t, text) })
}

func BenchmarkParse(b *testing.B) {
	frames := recorded(b)
	if frames == nil {
		frames = [][]byte{[]byte(written[0])}
	}
	b.Run("ours", func(b *testing.B) {
		var f frame
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if err := f.parse(frames[i%len(frames)]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		var v struct {
			Type    string    `json:"type"`
			ID      uint64    `json:"trade_id"`
			Side    string    `json:"side"`
			Size    string    `json:"size"`
			Price   string    `json:"price"`
			Product string    `json:"product_id"`
			Time    time.Time `json:"time"`
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if err := json.Unmarshal(frames[i%len(frames)], &v); err != nil {
				b.Fatal(err)
			}
		}
	})
}
