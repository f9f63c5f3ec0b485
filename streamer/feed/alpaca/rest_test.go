package alpaca

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/feed/account"
	"github.com/marketstream/marketstream/streamer/feed/alpaca/alpacatest"
	"github.com/marketstream/marketstream/streamer/feed/vendortest"
	"github.com/marketstream/marketstream/streamer/market"
)

// idle is a rig whose source is not run.
func idle(t testing.TB, v *alpacatest.Vendor, change func(*Options)) *rig {
	t.Helper()
	r := &rig{v: v, sink: vendortest.NewSink(), log: &vendortest.Log{}}
	opts := Options{Endpoint: v.URL(), RESTEndpoint: v.RESTURL(), TLS: v.ClientTLS(), Key: account.Fixed("id", "secret"), Settle: time.Nanosecond, RequestBurst: 1000}
	if change != nil {
		change(&opts)
	}
	var err error
	r.Source, err = New(opts)
	do(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// aMinute is a whole minute, some time ago.
var aMinute = time.Date(2026, 3, 4, 15, 30, 0, 0, time.UTC).UnixNano()

// TestRefillPages: pages lead on, also while trades are made; each trade comes once, of stocks and of crypto.
func TestRefillPages(t *testing.T) {
	for _, f := range []Feed{SIP, Crypto} {
		name := map[Feed]string{SIP: "AAPL", Crypto: "BTC/USD"}[f]
		v := vendor(t, alpacatest.Options{PageTrades: 100, Symbols: []string{name}, Crypto: f == Crypto})
		r := idle(t, v, func(o *Options) { o.Feed = f })
		trades, err := v.Make(name, 950, vendortest.How{At: aMinute, Apart: time.Millisecond})
		do(t, err)
		var got []market.Entry
		err = r.Refill(context.Background(), feed.Stretch{Symbol: feed.Symbol{Number: 1, Name: name}, FromNs: aMinute, ToNs: aMinute + 60e9}, func(e *market.Entry) error {
			if got = append(got, *e); len(got) == 150 { // in the middle of a page
				more, err := v.Make(name, 50, vendortest.How{At: aMinute + 30e9})
				trades = append(trades, more...)
				return err
			}
			return nil
		})
		if d := cmp.Diff(r.wants(trades), got); d != "" || err != nil {
			t.Error(err, d)
		}
		if n := v.Stats().Requests; n != 10 {
			t.Errorf("%d requests for 1000 trades by 100", n)
		}
		part, err := r.refill(name, trades[100].TimeNs, trades[200].TimeNs)
		if d := cmp.Diff(r.wants(trades[100:200]), part); d != "" || err != nil {
			t.Error(err, d)
		}
	}
}

// TestRefillFails: what is no answer is never "there is nothing", and what is nothing is no failure.
func TestRefillFails(t *testing.T) {
	v := vendor(t, alpacatest.Options{Symbols: []string{"AAPL"}, PageTrades: 10})
	r := idle(t, v, nil)
	_, err := v.Make("AAPL", 30, vendortest.How{At: aMinute})
	do(t, err)
	for name, c := range map[string]struct {
		fault vendortest.RESTFault
		after time.Duration // 0: of no use to ask again
		part  string
	}{
		"forbidden":   {vendortest.RESTFault{Times: 1, Status: 403, Body: `{"message":"subscription does not permit querying recent SIP data"}`}, time.Minute, "does not permit"},
		"failure":     {vendortest.RESTFault{Times: 1, Status: 500}, 2 * time.Second, "500 Internal Server Error"},
		"bad request": {vendortest.RESTFault{Times: 1, Status: 422}, 0, "422"},
		"cut":         {vendortest.RESTFault{Times: 1, Cut: true}, 2 * time.Second, "unexpected EOF"},
		"second page": {vendortest.RESTFault{Times: 1, After: 1, Cut: true}, 2 * time.Second, "unexpected EOF"},
		"no trades":   {vendortest.RESTFault{Times: 1, Status: 200, Body: `{"message":"soon"}`}, 2 * time.Second, "it has no trades"},
		"no JSON":     {vendortest.RESTFault{Times: 1, Status: 200, Body: `<html>`}, 2 * time.Second, "not JSON"},
		"bad trade":   {vendortest.RESTFault{Times: 1, Status: 200, Body: `{"trades":{"AAPL":[{"t":"x"}]}}`}, 2 * time.Second, "its t can't be read"},
		"no end":      {vendortest.RESTFault{Status: 200, Body: `{"trades":{},"next_page_token":"a"}`}, 2 * time.Second, "leads on to itself"},
	} {
		v.REST(c.fault)
		got, err := r.refill("AAPL", aMinute, aMinute+60e9)
		var retry *feed.RetryError
		switch {
		case err == nil:
			t.Errorf("%s: no error, %d trades", name, len(got))
		case c.after == 0 && !errors.Is(err, feed.ErrUnrepairable), c.after > 0 && (!errors.As(err, &retry) || retry.After < c.after), !strings.Contains(err.Error(), c.part):
			t.Errorf("%s: %v", name, err)
		}
		if name == "second page" && len(got) != 10 {
			t.Errorf("%s: %d trades", name, len(got))
		}
	}
	v.REST(vendortest.RESTFault{})
	if got, err := r.refill("AAPL", aMinute+120e9, aMinute+180e9); err != nil || len(got) != 0 {
		t.Errorf("of a time without trades: %d, %v", len(got), err)
	}
	if _, err := r.refill("AAPL", 0, 0); !errors.Is(err, feed.ErrUnrepairable) {
		t.Errorf("by ids alone: %v", err)
	}
	var retry *feed.RetryError
	if _, err := r.refill("AAPL", time.Now().UnixNano(), time.Now().Add(time.Minute).UnixNano()); !errors.As(err, &retry) || retry.After < 58*time.Second {
		t.Errorf("of a time that is not over: %v", err)
	}
	test := idle(t, v, func(o *Options) { o.Feed = Test })
	if _, err := test.refill("AAPL", aMinute, aMinute+60e9); !errors.Is(err, feed.ErrUnrepairable) {
		t.Errorf("of the test feed: %v", err)
	}
}

// TestTooMany: 429 is a wait, until the second that the vendor names.
func TestTooMany(t *testing.T) {
	v := vendor(t, alpacatest.Options{Symbols: []string{"AAPL"}})
	r := idle(t, v, nil)
	v.REST(vendortest.RESTFault{Times: 1, Status: 429, RetryAfter: 30 * time.Second})
	var retry *feed.RetryError
	for i, least := range []time.Duration{30 * time.Second, 20 * time.Second} {
		if _, err := r.refill("AAPL", aMinute, aMinute+60e9); !errors.As(err, &retry) || retry.After < least {
			t.Errorf("%d: %v", i, err)
		}
	}
	if n := v.Stats().Requests; n != 1 {
		t.Errorf("%d requests", n)
	}
}

// TestRecords: bars of minutes, over pages, as records; without any there are none, and that is no error.
func TestRecords(t *testing.T) {
	v := vendor(t, alpacatest.Options{Symbols: []string{"AAPL"}, PageTrades: 3})
	r := idle(t, v, nil)
	for i := range int64(8) {
		_, err := v.Make("AAPL", 10, vendortest.How{At: aMinute + i*60e9})
		do(t, err)
	}
	got, err := r.Records(context.Background(), "AAPL", aMinute/1e6, aMinute/1e6+7*60_000)
	do(t, err)
	if len(got) != 7 {
		t.Fatalf("%d records, want 7", len(got))
	}
	for i, x := range got {
		want := market.Record{Timeframe: market.M1, StartMs: x.StartMs, EndMs: x.EndMs}
		for _, trade := range v.Trades("AAPL", aMinute+int64(i)*60e9, aMinute+int64(i+1)*60e9) {
			e := r.entry(&trade)
			do(t, want.AddTrade(&e, market.UseAll))
		}
		gotBar, ok := x.Bar()
		wantBar, _ := want.Bar()
		gotBar.VWAP, wantBar.VWAP = 0, 0 // the scripted vendor's is 1
		if d := cmp.Diff(wantBar, gotBar); d != "" || !ok {
			t.Errorf("minute %d: %s", i, d)
		}
	}
	if none, err := r.Records(context.Background(), "AAPL", 60_000, 120_000); err != nil || len(none) != 0 {
		t.Errorf("%d, %v", len(none), err)
	}
}
