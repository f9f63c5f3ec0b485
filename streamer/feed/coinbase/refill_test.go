package coinbase

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/feed/coinbase/coinbasetest"
	"github.com/marketstream/marketstream/streamer/market"
)

// refilled is what Refill gives of BTC-USD, symbol 1.
func refilled(s *Source, stretch feed.Stretch) (trades []market.Entry, err error) {
	stretch.Symbol = feed.Symbol{Number: 1, Name: "btc-usd"}
	err = s.Refill(context.Background(), stretch, func(e *market.Entry) error {
		trades = append(trades, *e)
		return nil
	})
	return trades, err
}

func ids(after, before uint64) feed.Stretch { return feed.Stretch{AfterID: after, BeforeID: before} }

func TestRefillByID(t *testing.T) {
	for _, secure := range []bool{false, true} {
		v := vendor(t, coinbasetest.Options{Seed: 3, TLS: secure})
		do(t, v.Make("BTC-USD", 3500))
		s := source(t, v, nil)
		for _, c := range [][2]uint64{{1, 2}, {1, 3}, {5, 1005}, {5, 1006}, {5, 1007}, {1, 3501}, {3499, 3501}, {3400, 3401}, {1000, 900}} {
			got, err := refilled(s, ids(c[0], c[1]))
			if err != nil {
				t.Fatalf("%v: %v", c, err)
			}
			check(t, v, "BTC-USD", 1, c[0], c[1], got)
		}
		if n := v.Stats().Requests; n != 1+1+1+2+4+1 {
			t.Errorf("%d requests, want 10: one a page", n)
		}
	}
}

// TestRefillWhileTrading: pages change while they are read.
func TestRefillWhileTrading(t *testing.T) {
	v := vendor(t, coinbasetest.Options{Products: []coinbasetest.Product{{Name: "BTC-USD", PerSecond: 10_000 / scale, FirstID: 1 << 40}}, Past: 3 * time.Second, Tick: time.Millisecond})
	s := source(t, v, nil)
	const after = 1 << 40
	got, err := refilled(s, ids(after, after+12_000/scale))
	do(t, err)
	check(t, v, "BTC-USD", 1, after, after+12_000/scale, got)
	to := time.Now().Add(-1100 * time.Millisecond)
	got, err = refilled(s, feed.Stretch{FromNs: to.Add(-200 * time.Millisecond).UnixNano(), ToNs: to.UnixNano()})
	do(t, err)
	want, err := v.TradesBetween("BTC-USD", to.Add(-200*time.Millisecond), to)
	do(t, err)
	if len(got) != len(want) || len(got) > 0 && (got[0].ID != want[0].ID || got[len(got)-1].ID != want[len(want)-1].ID) {
		t.Errorf("%d trades by time, want %d", len(got), len(want))
	}
}

// TestRefillByTime: where an id is not known its place is looked for.
func TestRefillByTime(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	v := vendor(t, coinbasetest.Options{Products: []coinbasetest.Product{{Name: "BTC-USD", PerSecond: 5}}, Past: time.Hour, Tick: -1, Now: func() time.Time { return now }})
	s := source(t, v, nil)
	ago := func(d time.Duration) int64 { return now.Add(-d).UnixNano() }
	for _, c := range []feed.Stretch{
		{FromNs: ago(time.Minute), ToNs: ago(0)},
		{FromNs: ago(50 * time.Minute), ToNs: ago(49 * time.Minute)},
		{FromNs: ago(10 * time.Minute), ToNs: ago(10*time.Minute - time.Millisecond)},
		{FromNs: ago(2 * time.Hour), ToNs: ago(59 * time.Minute)},
		{FromNs: ago(2 * time.Hour), ToNs: ago(time.Hour)},
		{FromNs: ago(time.Hour), ToNs: ago(0)},
		{FromNs: ago(time.Minute), ToNs: ago(time.Minute)},
		{FromNs: ago(time.Minute), ToNs: ago(time.Hour)},
		{AfterID: 17_500, ToNs: ago(time.Minute)},
		{AfterID: 100, ToNs: ago(59 * time.Minute)},
		{BeforeID: 17_750, FromNs: ago(2 * time.Minute)},
		{BeforeID: 17_750, FromNs: ago(2 * time.Hour)},
	} {
		before := v.Stats().Requests
		got, err := refilled(s, c)
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		all, err := v.Trades("BTC-USD", c.AfterID, c.BeforeID)
		do(t, err)
		var want []market.Entry
		for _, x := range all {
			if (c.AfterID > 0 || x.TimeNs >= c.FromNs) && (c.BeforeID > 0 || x.TimeNs < c.ToNs) {
				want = append(want, entry(x, 1))
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%+v: %d trades, want %d", c, len(got), len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("%+v: trade %d is %+v, want %+v", c, i, got[i], want[i])
			}
		}
		if n := v.Stats().Requests - before; n > len(want)/pageTrades+40 {
			t.Errorf("%+v: %d requests for %d trades", c, n, len(want))
		}
	}
}

// TestRefillEdges: a stretch ends where it ends, wherever halving has stopped.
func TestRefillEdges(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	v := vendor(t, coinbasetest.Options{Products: []coinbasetest.Product{{Name: "BTC-USD", PerSecond: 500}}, Past: 20 * time.Second, Tick: -1, Now: func() time.Time { return now }})
	s := source(t, v, nil)
	for i := range 40 {
		to := now.Add(-time.Duration(i) * 450 * time.Millisecond)
		from := to.Add(-50 * time.Millisecond)
		got, err := refilled(s, feed.Stretch{FromNs: from.UnixNano(), ToNs: to.UnixNano()})
		do(t, err)
		want, err := v.TradesBetween("BTC-USD", from, to)
		do(t, err)
		if len(got) != len(want) || len(got) == 0 || got[0] != entry(want[0], 1) {
			t.Errorf("%d trades up to %v, want %d", len(got), to, len(want))
		}
	}
}

// TestRefillNotOver: while the vendor's clock has not passed the end, trades may still be made.
func TestRefillNotOver(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	v := vendor(t, coinbasetest.Options{Products: []coinbasetest.Product{{Name: "BTC-USD", PerSecond: 20}, {Name: "ETH-USD"}}, Past: time.Minute, Tick: -1, Now: func() time.Time { return now }})
	s := source(t, v, nil)
	_, err := refilled(s, feed.Stretch{FromNs: now.Add(-time.Minute).UnixNano(), ToNs: now.Add(5 * time.Second).UnixNano()})
	var retry *feed.RetryError
	if !errors.As(err, &retry) || retry.After < 5*time.Second || retry.After > 7*time.Second {
		t.Errorf("error %v", err)
	}
	err = s.Refill(context.Background(), feed.Stretch{Symbol: feed.Symbol{Name: "ETH-USD"}, FromNs: 0, ToNs: now.UnixNano()}, nil)
	if err != nil {
		t.Errorf("a product that never traded: %v", err)
	}
}

// TestRefillErrors: each kind of failure is told by its kind, says when to ask again, and what was given before it is right.
func TestRefillErrors(t *testing.T) {
	const retry, unrepairable, fine = "retry", "unrepairable", ""
	for name, c := range map[string]struct {
		fault func(v *coinbasetest.Vendor)
		kind  string
		after time.Duration
		part  string
		given int // trades of 10 to 2,110 that came before the error
	}{
		"none":                 {func(*coinbasetest.Vendor) {}, fine, 0, "", 2099},
		"429 with a time":      {faulty(coinbasetest.RESTFault{Status: 429, RetryAfter: 7 * time.Second}), retry, 7 * time.Second, "429 Too Many Requests", 0},
		"429 without":          {faulty(coinbasetest.RESTFault{Status: 429}), retry, 2 * time.Second, "429", 0},
		"503":                  {faulty(coinbasetest.RESTFault{Status: 503}), retry, 2 * time.Second, "503", 0},
		"503 with a time":      {faulty(coinbasetest.RESTFault{Status: 503, RetryAfter: 9 * time.Second}), retry, 9 * time.Second, "503", 0},
		"500":                  {faulty(coinbasetest.RESTFault{Status: 500}), retry, 2 * time.Second, "Internal Server Error", 0},
		"403":                  {faulty(coinbasetest.RESTFault{Status: 403}), retry, time.Minute, "403", 0},
		"404":                  {faulty(coinbasetest.RESTFault{Status: 404}), unrepairable, 0, "404 Not Found", 0},
		"400":                  {faulty(coinbasetest.RESTFault{Status: 400}), unrepairable, 0, "400", 0},
		"slow":                 {faulty(coinbasetest.RESTFault{Delay: time.Hour}), retry, 2 * time.Second, "deadline", 0},
		"a body cut off":       {faulty(coinbasetest.RESTFault{Cut: true}), retry, 2 * time.Second, "unexpected EOF", 0},
		"oldest left out":      {faulty(coinbasetest.RESTFault{Drop: 3}), retry, 2 * time.Second, "trade 11 is left out", 0},
		"some left out once":   {faulty(coinbasetest.RESTFault{Drop: 3, Times: 1}), fine, 0, "", 2099},
		"a hole once":          {faulty(coinbasetest.RESTFault{Hole: 5, Times: 2}), fine, 0, "", 2099},
		"a hole in every page": {faulty(coinbasetest.RESTFault{Hole: 1}), fine, 0, "", 2099},
		"REST is behind":       {faulty(coinbasetest.RESTFault{Lag: time.Hour}), retry, 2 * time.Second, "trade 11 is not there yet", 0},
		"forgotten": {func(v *coinbasetest.Vendor) { _ = v.Forget("BTC-USD", 1500, 1510) }, unrepairable, 0,
			"trade 1500: the vendor does not have these trades, though it has trade 3500", 1489},
		"all forgotten":    {func(v *coinbasetest.Vendor) { _ = v.Forget("BTC-USD", 1, 3000) }, unrepairable, 0, "trade 11:", 0},
		"newest forgotten": {func(v *coinbasetest.Vendor) { _ = v.Forget("BTC-USD", 2000, 3500) }, retry, 2 * time.Second, "trade 2000 is not there yet", 1989},
	} {
		t.Run(name, func(t *testing.T) {
			v := vendor(t, coinbasetest.Options{Seed: 5})
			do(t, v.Make("BTC-USD", 3500))
			s := source(t, v, func(o *Options) {
				o.RequestWithin = patience
				if name == "slow" {
					o.RequestWithin = 50 * time.Millisecond
				}
			})
			c.fault(v)
			got, err := refilled(s, ids(10, 2110))
			if c.given >= 0 && len(got) != c.given {
				t.Errorf("%d trades were given, want %d", len(got), c.given)
			}
			check(t, v, "BTC-USD", 1, 10, 11+uint64(len(got)), got)
			var again *feed.RetryError
			switch {
			case c.kind == fine:
				if err != nil {
					t.Error(err)
				}
				return
			case c.kind == retry && (!errors.As(err, &again) || errors.Is(err, feed.ErrUnrepairable) || again.After != c.after):
				t.Errorf("error %v (again %+v), want to be asked after %v", err, again, c.after)
			case c.kind == unrepairable && (errors.As(err, &again) || !errors.Is(err, feed.ErrUnrepairable)):
				t.Errorf("error %v, want it unrepairable", err)
			}
			if err == nil || !strings.Contains(err.Error(), c.part) || !strings.HasPrefix(err.Error(), "coinbase: refilling btc-usd: ") {
				t.Errorf("error %v, want %q in it", err, c.part)
			}
		})
	}
}

func faulty(f coinbasetest.RESTFault) func(*coinbasetest.Vendor) {
	return func(v *coinbasetest.Vendor) { v.REST(f) }
}

func TestRefillUnknownProduct(t *testing.T) {
	v := vendor(t, coinbasetest.Options{})
	s := source(t, v, nil)
	err := s.Refill(context.Background(), feed.Stretch{Symbol: feed.Symbol{Name: "NO/SUCH"}, AfterID: 1, BeforeID: 3}, nil)
	if !errors.Is(err, feed.ErrUnrepairable) {
		t.Errorf("error %v", err)
	}
}

// TestRefillUnreachable: nobody listens.
func TestRefillUnreachable(t *testing.T) {
	v := vendor(t, coinbasetest.Options{})
	s := source(t, v, nil)
	do(t, v.Close())
	_, err := refilled(s, ids(1, 3))
	var retry *feed.RetryError
	if !errors.As(err, &retry) {
		t.Errorf("error %v", err)
	}
}

// TestRefillStops: fn's error and the context's end it and are returned as they are.
func TestRefillStops(t *testing.T) {
	v := vendor(t, coinbasetest.Options{})
	do(t, v.Make("BTC-USD", 100))
	s := source(t, v, nil)
	full := errors.New("full")
	stretch := feed.Stretch{Symbol: feed.Symbol{Name: "BTC-USD"}, AfterID: 1, BeforeID: 90}
	n := 0
	err := s.Refill(context.Background(), stretch, func(*market.Entry) error {
		n++
		return full
	})
	if err != full || n != 1 { //nolint:errorlint // as it is
		t.Errorf("error %v after %d", err, n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var retry *feed.RetryError
	if err := s.Refill(ctx, stretch, nil); !errors.Is(err, context.Canceled) || errors.As(err, &retry) {
		t.Errorf("error %v", err)
	}
}

// TestRequestsArePaced: all sources of the process share the limit of an endpoint, and a 429
// quiets all of them.
func TestRequestsArePaced(t *testing.T) {
	v := vendor(t, coinbasetest.Options{})
	do(t, v.Make("BTC-USD", 100))
	slow := func(o *Options) { o.RequestsPerSecond, o.RequestBurst = 0.001, 3 }
	a, b := source(t, v, slow), source(t, v, slow)
	for _, s := range []*Source{a, b, a} {
		_, err := refilled(s, ids(1, 3))
		do(t, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	stretch := feed.Stretch{Symbol: feed.Symbol{Name: "BTC-USD"}, AfterID: 1, BeforeID: 3}
	var retry *feed.RetryError
	if err := b.Refill(ctx, stretch, nil); !errors.As(err, &retry) || v.Stats().Requests != 3 {
		t.Errorf("a fourth request: %v, %d were made", err, v.Stats().Requests)
	}

	quick := func(o *Options) { o.RequestsPerSecond = 1e5 }
	c, d := source(t, v, quick), source(t, v, quick)
	v.REST(coinbasetest.RESTFault{Status: 429, RetryAfter: time.Hour, Times: 1})
	_, err := refilled(c, ids(1, 3))
	_, other := refilled(d, ids(1, 3))
	if !errors.As(other, &retry) || retry.After < 59*time.Minute || !strings.Contains(other.Error(), "asked for fewer requests") {
		t.Errorf("after %v the other source has %v", err, other)
	}
	if n := v.Stats().Requests; n != 4 {
		t.Errorf("%d requests, want 4", n)
	}
}

// TestRefillLimits is against the vendor's real limit: 429 without a word of how long.
func TestRefillLimits(t *testing.T) {
	v := vendor(t, coinbasetest.Options{RequestsPerSecond: 0.001, RequestBurst: 2})
	do(t, v.Make("BTC-USD", 5000))
	s := source(t, v, nil)
	got, err := refilled(s, ids(1, 5000))
	var retry *feed.RetryError
	if !errors.As(err, &retry) || len(got) != 2000 {
		t.Errorf("%d trades, error %v", len(got), err)
	}
	check(t, v, "BTC-USD", 1, 1, 2002, got)
}

// TestPagesThatAreNone: answers that no vendor should give are refused, and bounded.
func TestPagesThatAreNone(t *testing.T) {
	one := func(id int, at string) string {
		return fmt.Sprintf(`{"trade_id":%d,"side":"buy","size":"1.00000000","price":"2.50","time":"%s"}`, id, at)
	}
	const at = "2024-01-01T00:00:00.000001Z"
	for name, c := range map[string]struct{ body, part string }{
		"no array":           {`{"message":"hello"}`, "not a JSON array"},
		"no JSON":            {`[` + one(2, at), "not JSON"},
		"more than an array": {`[]x`, "not JSON"},
		"a trade without id": {`[{"size":"1","price":"1","time":"` + at + `"}]`, "trade_id is missing"},
		"a bad time":         {`[` + one(2, "yesterday") + `]`, "time is missing"},
		"a negative price":   {`[` + strings.Replace(one(2, at), `"2.50"`, `"-2.50"`, 1) + `]`, "price is missing or no positive"},
		"too many":           {`[` + one(3, at) + `,` + one(2, at) + `,` + one(1, at) + `]`, "a page of 3 trades, want at most 2"},
		"the wrong order":    {`[` + one(2, at) + `,` + one(3, at) + `]`, "not in the order of their ids"},
		"ids from above":     {`[` + one(4, at) + `,` + one(3, at) + `]`, "not in the order of their ids"},
		"twice the same":     {`[` + one(3, at) + `,` + one(3, at) + `]`, "not in the order of their ids"},
		"too long":           {`[` + strings.Repeat(" ", pageBytes) + `]`, "longer than 2097152 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(c.body)) }))
			defer srv.Close()
			s, err := New(Options{RESTEndpoint: srv.URL + "/", RequestsPerSecond: 1e6, PageWait: time.Millisecond})
			do(t, err)
			_, err = refilled(s, ids(1, 4))
			var retry *feed.RetryError
			if !errors.As(err, &retry) || !strings.Contains(err.Error(), c.part) {
				t.Errorf("error %v, want %q in it and to be asked again", err, c.part)
			}
			do(t, s.Close())
		})
	}
}
