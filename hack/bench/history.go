package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/history"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/ring"
)

type oneSymbol struct{ session market.Session }

func (o oneSymbol) Lookup(string) (history.Symbol, bool) { return history.Symbol{Name: "S000"}, true }
func (o oneSymbol) Symbols() []history.Symbol            { return nil }
func (o oneSymbol) Timeframes() []market.Timeframe       { return []market.Timeframe{market.M1} }
func (o oneSymbol) Session() market.Session              { return o.session }
func (o oneSymbol) Status() history.Status               { return history.Status{} }
func (o oneSymbol) UpstreamEnabled() bool                { return false }
func (o oneSymbol) Requested(string)                     {}
func (o oneSymbol) Coalesced()                           {}
func (o oneSymbol) VendorRequest(string)                 {}
func (o oneSymbol) VendorEmpty(string, string)           {}
func (o oneSymbol) Frames(context.Context, uint64, func(uint64, *logs.Frame) error) error {
	return nil
}

// historyFromRing asks for pages of 1,000 bars: the newest one again and again, and one that
// differs each time and so is encoded each time.
func historyFromRing() error {
	cal, err := market.LookupCalendar("AlwaysOpen")
	if err != nil {
		return err
	}
	o := oneSymbol{market.Session{Calendar: cal}}
	rings := ring.NewSet(5000)
	rings.Carry([]uint32{0}, o.Timeframes())
	for i := range int64(5000) {
		at := 1_709_649_000_000 + i*60_000
		b := market.Bar{Timeframe: market.M1, StartMs: at, EndMs: at + 60_000, Open: 58_010 + i%50, High: 58_090, Low: 57_990, Close: 58_060 + i%31,
			PriceScale: 2, Volume: market.Int128From(120_340 + i), VWAP: 5_803_011, HasVWAP: true, N: 700}
		rings.Apply(0, &b)
	}
	s := history.New(history.Options{Rings: rings, Frames: o, Catalog: o, Metrics: o, Log: logr.Discard(), Position: func() logs.Cursor { return logs.Cursor{Epoch: "e"} }})
	handler := s.Handler()
	for _, kind := range []string{"the newest page", "pages that differ"} {
		n, before := 0, cpu()
		for began := time.Now(); time.Since(began) < 3*time.Second; n++ {
			path := "/api/history?symbol=S000&limit=1000"
			if kind != "the newest page" {
				path += fmt.Sprint("&before=", 1_709_649_000_000+int64(1000+n%4000)*60_000+int64(n))
			}
			w := &nowhere{head: make(http.Header), code: http.StatusOK}
			handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			if w.code != http.StatusOK {
				return fmt.Errorf("history: %d", w.code)
			}
		}
		row("history requests of 1,000 bars per CPU-second, "+kind, fmt.Sprintf("%.0f", float64(n)/(cpu()-before).Seconds()), "")
	}
	return nil
}

// nowhere is an answer that nobody reads: what it costs to make is measured, not to carry.
type nowhere struct {
	head http.Header
	code int
}

func (w *nowhere) Header() http.Header         { return w.head }
func (w *nowhere) WriteHeader(code int)        { w.code = code }
func (w *nowhere) Write(p []byte) (int, error) { return len(p), nil }
