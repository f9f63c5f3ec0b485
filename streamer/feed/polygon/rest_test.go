package polygon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/feed/account"
	"github.com/marketstream/marketstream/streamer/feed/polygon/polygontest"
	"github.com/marketstream/marketstream/streamer/feed/vendortest"
	"github.com/marketstream/marketstream/streamer/market"
)

// idle is a rig whose source is not run.
func idle(t testing.TB, v *polygontest.Vendor, change func(*Options)) *rig {
	t.Helper()
	r := &rig{v: v, sink: vendortest.NewSink(), log: &vendortest.Log{}}
	opts := Options{Endpoint: v.URL(), RESTEndpoint: v.RESTURL(), TLS: v.ClientTLS(), Key: account.Fixed("key"), Settle: time.Nanosecond}
	if change != nil {
		change(&opts)
	}
	var err error
	r.Source, err = New(opts)
	do(t, err)
	t.Cleanup(func() { _ = r.Close() })
	r.reportedOnly.Store(true)
	return r
}

// aMinute is a whole minute, some time ago.
var aMinute = time.Date(2026, 3, 4, 15, 30, 0, 0, time.UTC).UnixNano()

// TestRefillPages: pages lead on, also while trades are made; each trade comes once, in the order of its report.
func TestRefillPages(t *testing.T) {
	v := vendor(t, polygontest.Options{PageTrades: 100, Symbols: []string{"AAPL"}})
	r := idle(t, v, nil)
	trades, err := v.Make("AAPL", 950, vendortest.How{At: aMinute, Apart: time.Millisecond, Conditions: []int{14}})
	do(t, err)
	var got []market.Entry
	err = r.Refill(context.Background(), feed.Stretch{Symbol: feed.Symbol{Number: 1, Name: "AAPL"}, FromNs: aMinute, ToNs: aMinute + 60e9}, func(e *market.Entry) error {
		if got = append(got, *e); len(got) == 150 { // in the middle of a page
			more, err := v.Make("AAPL", 50, vendortest.How{At: aMinute + 30e9})
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
	part, err := r.refill("AAPL", trades[100].TimeNs, trades[200].TimeNs)
	if d := cmp.Diff(r.wants(trades[100:200]), part); d != "" || err != nil {
		t.Error(err, d)
	}
}

// TestRefillLeavesOut: what was taken back does not count, what took its place does.
func TestRefillLeavesOut(t *testing.T) {
	v := vendor(t, polygontest.Options{Symbols: []string{"AAPL"}})
	r := idle(t, v, nil)
	trades, err := v.Make("AAPL", 5, vendortest.How{At: aMinute, Apart: time.Second})
	do(t, err)
	_, err = v.Cancel("AAPL", trades[1].ID)
	do(t, err)
	_, now, err := v.Correct("AAPL", trades[3].ID)
	do(t, err)
	got, err := r.refill("AAPL", aMinute, aMinute+60e9)
	want := r.wants([]vendortest.Trade{trades[0], trades[2], now, trades[4]})
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(err, d)
	}
}

// TestRefillFails: what is no answer is never "there is nothing", and what is nothing is no failure.
func TestRefillFails(t *testing.T) {
	v := vendor(t, polygontest.Options{Symbols: []string{"AAPL"}, PageTrades: 10})
	r := idle(t, v, nil)
	_, err := v.Make("AAPL", 30, vendortest.How{At: aMinute})
	do(t, err)
	for name, c := range map[string]struct {
		fault vendortest.RESTFault
		after time.Duration // 0: of no use to ask again
		part  string
	}{
		"forbidden":   {vendortest.RESTFault{Times: 1, Status: 403, Body: `{"status":"NOT_AUTHORIZED","message":"You are not entitled to this data."}`}, time.Minute, "You are not entitled"},
		"unknown key": {vendortest.RESTFault{Times: 1, Status: 401, Body: `{"error":"Unknown API Key"}`}, time.Minute, "Unknown API Key"},
		"failure":     {vendortest.RESTFault{Times: 1, Status: 500}, 2 * time.Second, "500 Internal Server Error"},
		"unavailable": {vendortest.RESTFault{Times: 1, Status: 503, RetryAfter: 9 * time.Second}, 9 * time.Second, "503"},
		"not found":   {vendortest.RESTFault{Times: 1, Status: 404}, 0, "404"},
		"bad request": {vendortest.RESTFault{Times: 1, Status: 400}, 0, "400"},
		"redirect":    {vendortest.RESTFault{Times: 1, Status: 302}, 2 * time.Second, "302"},
		"cut":         {vendortest.RESTFault{Times: 1, Cut: true}, 2 * time.Second, "unexpected EOF"},
		"second page": {vendortest.RESTFault{Times: 1, After: 1, Cut: true}, 2 * time.Second, "unexpected EOF"},
		"error in OK": {vendortest.RESTFault{Times: 1, Status: 200, Body: `{"status":"ERROR","error":"maintenance"}`}, 2 * time.Second, `its status is "ERROR": "maintenance"`},
		"no status":   {vendortest.RESTFault{Times: 1, Status: 200, Body: `{}`}, 2 * time.Second, `its status is ""`},
		"no JSON":     {vendortest.RESTFault{Times: 1, Status: 200, Body: `<html>`}, 2 * time.Second, "not JSON"},
		"bad trade":   {vendortest.RESTFault{Times: 1, Status: 200, Body: `{"status":"OK","results":[{"price":"x"}]}`}, 2 * time.Second, "its price can't be read"},
		"delayed":     {vendortest.RESTFault{Times: 1, Status: 200, Body: `{"status":"DELAYED"}`}, time.Second, ""},
	} {
		v.REST(c.fault)
		from, to := aMinute, aMinute+60e9
		if name == "delayed" {
			from, to = time.Now().UnixNano()-120e9, time.Now().UnixNano()-60e9
		}
		got, err := r.refill("AAPL", from, to)
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
	full := errors.New("full")
	if err := r.Refill(context.Background(), feed.Stretch{Symbol: feed.Symbol{Name: "AAPL"}, FromNs: aMinute, ToNs: aMinute + 60e9}, func(*market.Entry) error { return full }); !errors.Is(err, full) || err.Error() != "full" {
		t.Error(err)
	}
}

// TestTooMany: 429 is a wait, for as long as the vendor says, for all that ask with the account.
func TestTooMany(t *testing.T) {
	v := vendor(t, polygontest.Options{Symbols: []string{"AAPL"}})
	r := idle(t, v, nil)
	v.REST(vendortest.RESTFault{Times: 1, Status: 429, RetryAfter: 30 * time.Second})
	var retry *feed.RetryError
	if _, err := r.refill("AAPL", aMinute, aMinute+60e9); !errors.As(err, &retry) || retry.After != 30*time.Second {
		t.Error(err)
	}
	if _, err := idle(t, v, nil).Records(context.Background(), "AAPL", aMinute/1e6, aMinute/1e6+60_000); !errors.As(err, &retry) || retry.After < 20*time.Second {
		t.Errorf("another source of the account: %v", err)
	}
	if n := v.Stats().Requests; n != 1 {
		t.Errorf("%d requests", n)
	}
}

// TestRecords: bars of minutes, over pages, as records; without any there are none, and that is no error.
func TestRecords(t *testing.T) {
	v := vendor(t, polygontest.Options{Symbols: []string{"AAPL"}, PageTrades: 3})
	r := idle(t, v, func(o *Options) {
		calendar, err := market.LookupCalendar("USEquities")
		do(t, err)
		o.Session = market.Session{Calendar: calendar}
	})
	for i := range int64(8) {
		_, err := v.Make("AAPL", 10, vendortest.How{At: aMinute + i*60e9, Whole: true})
		do(t, err)
	}
	early := time.Date(2026, 3, 4, 13, 0, 0, 0, time.UTC).UnixMilli()
	got, err := r.Records(context.Background(), "AAPL", early, aMinute/1e6+7*60_000)
	do(t, err)
	if len(got) != 7 {
		t.Fatalf("%d records, want 7", len(got))
	}
	for i, x := range got {
		trades := v.Trades("AAPL", aMinute+int64(i)*60e9, aMinute+int64(i+1)*60e9)
		want := market.Record{Timeframe: market.M1, StartMs: x.StartMs, EndMs: x.EndMs}
		for k := range trades {
			e := r.entry(&trades[k])
			do(t, want.AddTrade(&e, market.UseAll))
		}
		gotBar, ok := x.Bar()
		wantBar, _ := want.Bar()
		gotBar.VWAP, wantBar.VWAP = 0, 0 // the scripted vendor's is 1
		if d := cmp.Diff(wantBar, gotBar); d != "" || !ok || x.Flags&market.Extended != 0 {
			t.Errorf("minute %d: %s", i, d)
		}
	}
	if none, err := r.Records(context.Background(), "AAPL", early, early+60_000); err != nil || len(none) != 0 {
		t.Errorf("%d, %v", len(none), err)
	}
	v.REST(vendortest.RESTFault{Times: 1, Status: 500})
	if _, err := r.Records(context.Background(), "AAPL", early, early+60_000); err == nil {
		t.Error("a failure is no empty answer")
	}
}

// TestDocumentedPages: the vendor's own samples.
func TestDocumentedPages(t *testing.T) {
	var p page
	n := 0
	if p.Body = beside(t, "reference", "massive-trades-AAPL.json"); p.Body != nil {
		err := p.parse(func() error {
			e, err := p.trade()
			if err == nil && (e.ID != 7179341 || e.Time != 1651181822461e6 || e.Conditions != 1<<12|1<<37 || e.Size != market.Decimal{Coef: 1, Scale: 0} && e.Size.String() != "10") {
				t.Errorf("%+v", e)
			}
			n++
			return err
		})
		if err != nil || n != 2 {
			t.Errorf("%d trades, %v", n, err)
		}
	}
	n = 0
	if p.Body = beside(t, "reference", "massive-aggs-AAPL-day.json"); p.Body != nil {
		err := p.parse(func() error {
			b, err := p.bar()
			if err == nil && n == 0 && (b.StartMs != 1112331600000 || b.Volume.String() != "642646396" || b.VWAP.String() != "1.469" || b.N != 82132 || b.High.String() != "1.5064") {
				t.Errorf("%+v", b)
			}
			n++
			return err
		})
		if err != nil || n != 2 {
			t.Errorf("%d bars, %v", n, err)
		}
	}
}

// TestNextStaysHere: a link to another host does not take the key there, and a key in a link is not said again.
func TestNextStaysHere(t *testing.T) {
	foreign := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { foreign++ }))
	defer other.Close()
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked = append(asked, r.URL.String()); len(asked) == 1 {
			fmt.Fprintf(w, `{"status":"OK","next_url":"%s/v3/trades/AAPL?cursor=abc&apiKey=s3cret"}`, other.URL)
			return
		}
		if r.Header.Get("Authorization") != "Bearer s3cret" {
			t.Error("no key")
		}
		fmt.Fprint(w, `{"status":"OK"}`)
	}))
	defer s.Close()
	src, err := New(Options{RESTEndpoint: s.URL, Key: account.Fixed("s3cret"), Settle: time.Nanosecond})
	do(t, err)
	defer func() { _ = src.Close() }()
	err = src.Refill(context.Background(), feed.Stretch{Symbol: feed.Symbol{Name: "AAPL"}, FromNs: aMinute, ToNs: aMinute + 1e9}, func(*market.Entry) error { return nil })
	if err != nil || foreign != 0 || len(asked) != 2 || asked[1] != "/v3/trades/AAPL?cursor=abc" || strings.Contains(strings.Join(asked, " "), "s3cret") {
		t.Errorf("%v, %d requests elsewhere, %q", err, foreign, asked)
	}
}
