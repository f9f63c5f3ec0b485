package main

import (
	"archive/zip"
	"bufio"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"
	"time"
)

// leanTrades writes one day (2013-10-07) of real US trades in three symbols in the form
// that replay reads, in order of time but for one in 50, which comes up to three minutes late.
func leanTrades(t testing.TB) string {
	t.Helper()
	type row struct {
		at   int64 // ms; by which rows are sorted
		text string
	}
	midnight := time.Date(2013, 10, 7, 4, 0, 0, 0, time.UTC).UnixMilli() // in New York
	rnd := rand.New(rand.NewPCG(1, 2))
	var rows []row
	for _, symbol := range []string{"aig", "bac", "ibm"} {
		z, err := zip.OpenReader(shared(t, "equities-lean-2013/"+symbol+"_20131007_tick.zip"))
		if err != nil {
			t.Fatal(err)
		}
		f, err := z.File[0].Open()
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		for n := 1; lines.Scan(); n++ { // ms, price × 10,000, size, exchange, conditions, suspicious
			c := strings.Split(lines.Text(), ",")
			var ms, price int64
			if _, err := fmt.Sscan(c[0]+" "+c[1], &ms, &price); err != nil {
				t.Fatal(err)
			}
			r := row{at: midnight + ms}
			r.text = fmt.Sprintf("%s,%d,%d.%04d,%s,,%d,\n", strings.ToUpper(symbol), r.at, price/10000, price%10000, c[2], n)
			if rnd.IntN(50) == 0 {
				r.at += rnd.Int64N(180_000)
			}
			rows = append(rows, r)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	sort.SliceStable(rows, func(i, j int) bool { return rows[i].at < rows[j].at })
	var out strings.Builder
	out.WriteString("symbol,ts,price,size,side,id,conditions\n")
	for _, r := range rows {
		out.WriteString(r.text)
	}
	return write(t, "lean.csv", out.String())
}

const leanSpec = "  timeframes: [1m, 5m, 15m, 1h, 1d]\n  bars: {session: {calendar: USEquities}, closeGrace: 2s}\n"
