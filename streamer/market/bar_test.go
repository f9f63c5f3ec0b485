package market

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func bar(t testing.TB, edit func(*Record), trades ...string) Bar {
	t.Helper()
	start, end := us(t, HoursExtended, AnchorClock).Period(M1, 1762810200000)
	r := Record{Timeframe: M1, StartMs: start, EndMs: end}
	for i, text := range trades {
		price, size, _ := strings.Cut(text, "x")
		e := Entry{Kind: Trade, Time: start*1e6 + int64(i), Price: MustDecimal(price), Size: MustDecimal(size)}
		if err := r.AddTrade(&e, UseAll); err != nil {
			t.Fatal(err)
		}
	}
	if edit != nil {
		edit(&r)
	}
	b, ok := r.Bar()
	if !ok {
		t.Fatal("not served")
	}
	return b
}

func TestBarJSON(t *testing.T) {
	daily := func(r *Record) {
		r.Timeframe = D1
		r.StartMs, r.EndMs = us(t, HoursRegular, AnchorClock).Period(D1, ny(t, "2025-07-03 10:00"))
	}
	const head = `{"symbol":"SPY","timeframe":"1m","seq":29380170,"bar_start":1762810200000,"bar_end":1762810260000,"ohlcv":`
	for _, c := range []struct {
		name string
		bar  Bar
		want string
	}{
		{"plain", bar(t, nil, "580.10x100", "580.9x20", "580.05x0", "580.60x120220"),
			head + `{"o":580.1,"h":580.9,"l":580.05,"c":580.6,"v":120340},"vwap":580.5996,"n":4}`},
		{"no trailing zeros, no exponent", bar(t, nil, "0.00000001x1000000000000000000", "0.0000000100x0.5"),
			head + `{"o":0.00000001,"h":0.00000001,"l":0.00000001,"c":0.00000001,"v":1000000000000000000.5},"vwap":0.00000001,"n":2}`},
		{"whole prices", bar(t, nil, "100x1", "200x1"),
			head + `{"o":100,"h":200,"l":100,"c":200,"v":2},"vwap":150,"n":2}`},
		{"vwap half to even, down", bar(t, nil, "0.01x3", "0.02x1", "0x0", "0.01x4"), // 0.09/8 = 0.01125
			head + `{"o":0.01,"h":0.02,"l":0,"c":0.01,"v":8},"vwap":0.0112,"n":4}`},
		{"vwap half to even, up", bar(t, nil, "0.01x5", "0.02x3"), // 0.11/8 = 0.01375
			head + `{"o":0.01,"h":0.02,"l":0.01,"c":0.02,"v":8},"vwap":0.0138,"n":2}`},
		{"no volume, no vwap", bar(t, func(r *Record) { r.Volume, r.Notional, r.N = Int128{}, Int128{}, 0 }, "5x1"),
			head + `{"o":5,"h":5,"l":5,"c":5,"v":0},"n":0}`},
		{"negative prices", bar(t, nil, "-37.63x2", "-1.5x1"),
			head + `{"o":-37.63,"h":-1.5,"l":-37.63,"c":-1.5,"v":3},"vwap":-25.5867,"n":2}`},
		{"partial revision", bar(t, func(r *Record) { r.Rev = 3; r.Flags = Partial | Extended | NoNotional }, "5x1"),
			head + `{"o":5,"h":5,"l":5,"c":5,"v":1},"n":1,"rev":3,"partial":true}`},
		{"void", bar(t, func(r *Record) {
			r.Rev, r.Flags = 1, Void
			if _, err := r.RemoveTrade(&Entry{Time: r.StartMs * 1e6, Price: MustDecimal("5"), Size: MustDecimal("2")}, UseAll); err != nil {
				t.Fatal(err)
			}
		}, "5x2"),
			head + `{"o":5,"h":5,"l":5,"c":5,"v":0},"n":0,"rev":1,"void":true}`},
		{"volume of 128 bits", bar(t, func(r *Record) { r.Volume = Int128{Hi: 1, Lo: 5}; r.VolumeScale = 18; r.Flags = NoNotional }, "5x1"),
			head + `{"o":5,"h":5,"l":5,"c":5,"v":18.446744073709551621},"n":1}`},
		{"a half day", bar(t, daily, "623.5x10"),
			`{"symbol":"SPY","timeframe":"1d","seq":29191920,"bar_start":1751515200000,"bar_end":1751562000000,` +
				`"ohlcv":{"o":623.5,"h":623.5,"l":623.5,"c":623.5,"v":10},"vwap":623.5,"n":1,"date":"2025-07-03"}`},
	} {
		got := string(c.bar.AppendJSON(nil, "SPY"))
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%s: not JSON: %s", c.name, got)
		}
		if strings.ContainsAny(strings.Split(got, `"ohlcv"`)[1], "eE+") && c.bar.Timeframe != D1 && c.bar.Flags == 0 {
			t.Errorf("%s: an exponent: %s", c.name, got)
		}
	}
}

func TestBarWithoutPricesIsNotServed(t *testing.T) {
	for _, use := range []Use{UseVolume, UseVolume | UseRange, UseEnds} {
		var r Record
		if err := r.AddTrade(&Entry{Price: MustDecimal("1"), Size: MustDecimal("1")}, use); err != nil {
			t.Fatal(err)
		}
		if b, ok := r.Bar(); ok {
			t.Errorf("%s: served %+v", useText(use), b)
		}
	}
}

func TestVWAPNeedsItsDecimals(t *testing.T) {
	if b := bar(t, nil, "1.000000000000000001x1"); b.HasVWAP {
		t.Errorf("a vwap of 20 decimals cannot fit 63 bits: %d", b.VWAP)
	}
}

func TestTradeDateOf(t *testing.T) {
	for _, s := range []Session{{}, us(t, HoursRegular, AnchorClock)} {
		for ms := ny(t, "2024-12-30 12:00"); ms < ny(t, "2026-01-05 12:00"); ms += msDay {
			y, m, d := s.calendar().TradeDate(ms)
			start, _ := s.Period(D1, ms)
			if got, want := TradeDateOf(start).Format(time.DateOnly), time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Format(time.DateOnly); got != want {
				t.Fatalf("the bar that starts at %s has date %s, want %s", clock(t, start), got, want)
			}
		}
	}
}

func TestAppendJSONString(t *testing.T) {
	for s, want := range map[string]string{
		"BRK.B": `"BRK.B"`, `a"b\c`: `"a\"b\\c"`, "a\nb\x7f": `"a\u000ab\u007f"`, "é1€": `"é1€"`, "a\xffb\xc3": "\"a\uFFFDb\uFFFD\"", "": `""`,
	} {
		got := AppendJSONString(nil, s)
		if string(got) != want || !json.Valid(got) || !utf8.Valid(got) {
			t.Errorf("%q is %s, want %s", s, got, want)
		}
	}
}
