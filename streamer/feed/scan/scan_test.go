package scan

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/market"
)

var texts = []string{
	``, ` `, `null`, `true`, `false`, `nul`, `5`, `-0`, `-`, `01`, `1.`, `.5`, `1e5`, `1E+5`, `1e`, `-1.25e-7`, `1-`, `"a"`, `"`, `"a`, `"\u00e9\n"`, `"\x"`, `"\u12g4"`, `"\u12`, `"\`, "\"\x01\"",
	"\"\xff and so on, long enough\"", `"` + "caf\xc3\xa9" + `"`, `[]`, `[ ]`, `[1,2]`, `[1,]`, `[,]`, `[1 2]`, `[`, `]`, `[}`, `{}`, `{"a":1}`, `{"a" : [ {"b":null} ] }`, `{"a":1,}`, `{,}`, `{"a"}`,
	`{"a":}`, `{a:1}`, `{"a":1`, `{"a":1}}`, `{"\u0061":1}`, "{\"\x01\":1}", `{1:1}`, `{} {}`, "\ufeff{}", `18446744073709551615`, `18446744073709551616`, `0.5`, `5.`, `"0.50"`, `"+1"`, `9223372036854775807.5`,
	`0.000000000000000001`, `0.0000000000000000001`, `999999999999999999`, `1234567890.12345678`, `12345678901234567.89`, `00`, `"00.10"`, `0.0`,
	strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001),
}

// walk passes a text whole, by Open, Key, Value and More as a parser would at its first level.
func walk(text []byte) error {
	var s Scanner
	s.Reset(text)
	c := s.Peek()
	if c != '{' && c != '[' {
		var t Token
		if err := s.Value(&t); err != nil {
			return err
		}
		return s.End()
	}
	more, err := s.Open(c)
	for more && err == nil {
		if c == '{' {
			if _, err = s.Key(); err != nil {
				return err
			}
		}
		if err = s.skip(1); err == nil { // one is around it
			more, err = s.More(c)
		}
	}
	if err != nil {
		return err
	}
	return s.End()
}

func compare(t *testing.T, text []byte) {
	t.Helper()
	if err, valid := walk(text), json.Valid(text); (err == nil) != valid {
		t.Fatalf("%.200q: %v, encoding/json says %v", text, err, valid)
	}
	var s Scanner
	s.Reset(text)
	if err := s.Skip(); err == nil && s.End() == nil != json.Valid(text) {
		t.Fatalf("%.200q is passed", text)
	}
	var tok Token
	s.Reset(text)
	if s.Value(&tok) != nil || s.End() != nil {
		return
	}
	trimmed := bytes.Trim(text, " \t\r\n")
	var str *string
	if json.Unmarshal(text, &str) == nil && str != nil {
		if string(tok.Text()) != *str || tok.Kind() != String {
			t.Errorf("%q is read as %q", text, tok.Text())
		}
	} else if !bytes.Equal(tok.Text(), trimmed) {
		t.Errorf("%q is read as %q", text, tok.Text())
	}
	if tok.Null() != (string(trimmed) == "null") {
		t.Errorf("%q: null %v", text, tok.Null())
	}
	want, err := strconv.ParseUint(string(trimmed), 10, 64)
	if n, ok := tok.Uint(); ok != (err == nil && tok.Kind() == Number) || ok && n != want {
		t.Errorf("%q: %d, %v", text, n, ok)
	}
	d, ok := tok.Decimal()
	wantD, err := market.ParseDecimal(tok.raw)
	if may := tok.Kind() == Number || tok.Kind() == String && !tok.escaped; ok != (may && err == nil) || ok && d != wantD {
		t.Errorf("%q: %v, %v; want %v, %v", text, d, ok, wantD, err)
	}
}

func TestAgreesWithEncodingJSON(t *testing.T) {
	for _, text := range texts {
		compare(t, []byte(text))
	}
}

// TestWalk: what a parser does with an object, step by step.
func TestWalk(t *testing.T) {
	var s Scanner
	s.Reset([]byte(` { "a" : 1.50 , "b\u0021" : [ 7 ] } `))
	var got []string
	at := 0
	more, err := s.Open('{')
	for more && err == nil {
		var key []byte
		if key, err = s.Key(); err != nil {
			break
		}
		var v Token
		if err = s.Value(&v); err != nil {
			break
		}
		got = append(got, string(key)+"="+string(v.Text())+" "+string(rune(v.Kind())))
		more, err = s.More('{')
		at = s.At()
	}
	if strings.Join(got, "; ") != "a=1.50 0; b!=[ 7 ] [" || err != nil || s.End() != nil || string(s.Since(at-1)) != "} " {
		t.Errorf("%q, %v, %q", got, err, s.Since(at-1))
	}
	for text, bracket := range map[string]byte{`{}`: '[', `[}`: '[', `5`: '{', ``: '{'} {
		s.Reset([]byte(text))
		if _, err := s.Open(bracket); err == nil && text != `[}` {
			t.Errorf("%s opens as %c", text, bracket)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, text := range texts {
		if len(text) < 1000 {
			f.Add([]byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) { compare(t, text) })
}

// slowTime is Time by package time.
func slowTime(text string) (int64, bool) {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || !regexp.MustCompile(`^(19[7-9]|20|21[01])[0-9]+-..-..T..:..:..(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`).MatchString(text) || text[:4] > "2115" || at.Before(time.Unix(0, 0)) {
		return 0, false
	}
	return at.UnixNano(), true
}

func compareTime(t *testing.T, text string) {
	t.Helper()
	ns, ok := Time([]byte(text))
	if want, wantOK := slowTime(text); ok != wantOK || ok && ns != want {
		t.Fatalf("%q: %d, %v; want %d, %v", text, ns, ok, want, wantOK)
	}
}

var times = []string{"2021-02-22T15:51:44.208Z", "2021-07-08T17:18:28.04582059Z", "2023-04-06T14:25:06.542305024Z", "2021-02-22T10:51:44-05:00", "2021-02-22T10:51:44.5+05:30",
	"1970-01-01T00:00:00Z", "1970-01-01T00:00:00+01:00", "2115-12-31T23:59:59.999999999Z", "2116-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2100-02-29T00:00:00Z", "2000-02-29T00:00:00Z",
	"2021-02-22T15:51:44.Z", "2021-02-22T15:51:44.1234567890Z", "2021-02-22T15:51:44", "2021-02-22T15:51:44z", "2021-02-22t15:51:44Z", "2021-02-22 15:51:44Z", "2021-02-22T24:00:00Z",
	"2021-02-22T15:60:00Z", "2021-02-22T15:00:60Z", "2021-13-22T15:00:00Z", "2021-04-31T15:00:00Z", "2021-02-22T15:51:44+24:00", "2021-02-22T15:51:44+05:60", "2021-02-22T15:51:44+0530", "", "2021", "2021-0a-22T15:51:44Z"}

func TestTime(t *testing.T) {
	for _, text := range times {
		compareTime(t, text)
	}
	for at := time.Date(1970, 1, 1, 3, 4, 5, 678_901_234, time.UTC); at.Year() < 2116; at = at.AddDate(0, 0, 1) {
		compareTime(t, at.Format("2006-01-02T15:04:05.999999999Z"))
	}
}

func FuzzTime(f *testing.F) {
	for _, text := range times {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { compareTime(t, text) })
}
