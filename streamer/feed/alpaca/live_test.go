package alpaca

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/feed/alpaca/alpacatest"
	"github.com/marketstream/marketstream/streamer/feed/vendortest"
	"github.com/marketstream/marketstream/streamer/market"
)

// TestTrades: what is sent comes as it is, in its order, of stocks and of crypto, also over TLS.
func TestTrades(t *testing.T) {
	for _, f := range []Feed{IEX, Crypto} {
		names := []string{"AAPL", "MSFT"}
		if f == Crypto {
			names = []string{"BTC/USD", "ETH/USD"}
		}
		v := vendor(t, alpacatest.Options{Options: vendortest.Options{TLS: true}, Batch: 7, Symbols: names, Crypto: f == Crypto})
		r := start(t, v, func(o *Options) { o.Feed = f })
		r.covered(t)
		var want []market.Entry
		for range 5 {
			want = append(want, r.wants(r.trade(t, names[0], 20, vendortest.How{Conditions: []int{14, 37}}, alpacatest.Fault{}))...)
			want = append(want, r.wants(r.trade(t, names[1], 3, vendortest.How{}, alpacatest.Fault{}))...)
		}
		if f == Crypto {
			for i := range want {
				want[i].Conditions = 0
			}
		}
		if d := cmp.Diff(want, r.came(t, len(want))); d != "" {
			t.Error(d)
		}
		r.sink.Until(t, "a mark past the last trade", func() bool {
			marks := r.sink.Of(market.Mark)
			return len(marks) > 0 && marks[len(marks)-1].Time >= want[len(want)-1].Time-1e6
		})
		if holes := r.sink.Of(market.Hole); len(holes) > 0 {
			t.Errorf("holes %+v", holes)
		}
		if err := r.stop(); err == nil || err.Error() != "context canceled" {
			t.Error(err)
		}
		if st := r.Stats(); st.Trades != 115 || st.BadFrames+st.ErrorFrames+st.Limited != 0 || st.Connects != 1 {
			t.Errorf("%+v", st)
		}
	}
}

// TestSubscriptions: bounded batches, changes while connected, and only what has changed is asked for.
func TestSubscriptions(t *testing.T) {
	var names []string
	for i := range 25 {
		names = append(names, fmt.Sprintf("S%02d", i))
	}
	v := vendor(t, alpacatest.Options{Symbols: names})
	r := start(t, v, func(o *Options) { o.Batch = 10 })
	r.covered(t)
	topics := func(n int) func() bool { return func() bool { return len(v.Topics()) == n } }
	r.sink.Until(t, "all topics", topics(25))
	r.SetSymbols(vendortest.Symbols(names[20:]...))
	r.sink.Until(t, "fewer topics", topics(5))
	r.SetSymbols(vendortest.Symbols(names[18:]...))
	r.sink.Until(t, "more topics", topics(7))
	if st := v.Stats(); st.Accepted != 1 || st.Auths != 1 || st.Subscribes > 14 {
		t.Errorf("%+v", st)
	}
	trades := r.trade(t, "S24", 5, vendortest.How{}, alpacatest.Fault{})
	r.trade(t, "S00", 5, vendortest.How{}, alpacatest.Fault{})
	last := r.came(t, 5)
	if last[4].Symbol != 7 || last[4].Time != trades[4].TimeNs { // S24 is the seventh from S18 on
		t.Errorf("%+v", last[4])
	}
	r.SetSymbols(nil)
	r.sink.Until(t, "no connection", func() bool { return v.Stats().Open == 0 })
}

// TestRevisions: a cancel takes back what it names, with what it was; a correction puts another in its place, at its time. Of
// what is not known any more the minute is made again.
func TestRevisions(t *testing.T) {
	v := vendor(t, alpacatest.Options{Symbols: []string{"AAPL"}})
	r := start(t, v, nil)
	r.covered(t)
	trades := r.trade(t, "AAPL", 4, vendortest.How{Conditions: []int{37}}, alpacatest.Fault{})
	r.came(t, 4)
	_, err := v.Cancelled("AAPL", trades[1].ID)
	do(t, err)
	was, now, err := v.Corrected("AAPL", trades[2].ID)
	do(t, err)
	_, now2, err := v.Corrected("AAPL", now.ID) // what took a place is taken back itself
	do(t, err)
	r.came(t, 6)
	cancels := r.sink.Of(market.Cancel)
	want := r.wants([]vendortest.Trade{trades[1], was, now})
	for i := range want {
		want[i].Kind = market.Cancel
	}
	if d := cmp.Diff(want, cancels); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(r.wants([]vendortest.Trade{now, now2}), r.sink.Of(market.Trade)[4:]); d != "" {
		t.Error(d)
	}
	left, err := r.refillSoon(t, "AAPL", trades[0].TimeNs, trades[3].TimeNs+1)
	slices.SortFunc(left, func(a, b market.Entry) int { return int(a.Order - b.Order) })
	if d := cmp.Diff(r.wants([]vendortest.Trade{trades[0], trades[3], now2}), left); d != "" || err != nil {
		t.Error(err, d)
	}
	v.DropAll()
	r.connected(t, 2)
	_, err = v.Cancelled("AAPL", trades[0].ID) // of a connection before
	do(t, err)
	r.sink.Until(t, "the minute is to be made again", func() bool {
		holes := r.sink.Of(market.Hole)
		return slices.ContainsFunc(holes, func(h market.Entry) bool {
			return h.Reason == market.GapCancel && h.Symbol == 1 && h.Time%minuteNs == 0 && h.Time <= trades[0].TimeNs && h.Until == h.Time+minuteNs && h.Until > trades[0].TimeNs
		})
	})
	if n := len(r.sink.Of(market.Cancel)); n != 3 {
		t.Errorf("%d cancels", n)
	}
}

// TestCodes: each code to its own meaning.
func TestCodes(t *testing.T) {
	for code, want := range map[int]struct {
		state feed.State
		part  string
		lives bool
	}{
		400: {feed.Disconnected, "the vendor does not take a message: the vendor says: 400 x", false},
		401: {feed.Disconnected, "the vendor says: 401 x; trying again", false},
		402: {feed.Disconnected, "the key was refused: the vendor says: 402 x; trying again in 1h", false},
		403: {feed.Connected, "", true},
		404: {feed.Disconnected, "the vendor says: 404 x; trying again", false},
		405: {feed.Limited, "the vendor says: 405 x; trying again", false},
		406: {feed.Limited, "another connection holds the account: the vendor says: 406 x; trying again", false},
		407: {feed.Disconnected, "it was not read fast enough: the vendor says: 407 x; trying again", false},
		409: {feed.Disconnected, "the plan does not have this feed: the vendor says: 409 x; trying again in 1h", false},
		410: {feed.Disconnected, "the vendor does not take a message: the vendor says: 410 x", false},
		411: {feed.Disconnected, "the plan does not have this feed: the vendor says: 411 x; trying again in 1h", false},
		500: {feed.Disconnected, "the vendor says: 500 x; trying again", false},
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			v := vendor(t, alpacatest.Options{Symbols: []string{"AAPL"}})
			r := start(t, v, nil)
			r.covered(t)
			r.sink.Until(t, "all is asked for", func() bool { return v.Stats().Subscribes == 2 })
			r.trade(t, "AAPL", 1, vendortest.How{}, alpacatest.Fault{}) // the answer to the last is in
			r.came(t, 1)
			v.Error(code, "x")
			r.sink.Until(t, "said", func() bool { return r.sink.Said(want.state, want.part) > 0 })
			if want.lives {
				r.trade(t, "AAPL", 1, vendortest.How{}, alpacatest.Fault{})
				r.came(t, 2)
				if n := v.Stats().Accepted; n != 1 {
					t.Errorf("%d connections", n)
				}
			}
		})
	}
}

// TestKeyRefused: nothing is tried until the key is another one, and then at once.
func TestKeyRefused(t *testing.T) {
	v := vendor(t, alpacatest.Options{Symbols: []string{"AAPL"}})
	key := make(chan []string, 1)
	now := []string{"id", "wrong-secret"}
	r := start(t, v, func(o *Options) {
		o.Key = func() ([]string, error) {
			select {
			case now = <-key:
			default:
			}
			if now == nil {
				return nil, errors.New("there is no such file")
			}
			return now, nil
		}
	})
	r.sink.Until(t, "refused", func() bool {
		return r.sink.Said(feed.Disconnected, "the key was refused: the vendor says: 402 auth failed") == 1
	})
	key <- nil // a key that is gone is no change
	key <- []string{"id", "secret"}
	r.covered(t)
	if st := v.Stats(); st.Auths != 2 || st.Refused != 1 {
		t.Errorf("%+v", st)
	}
}

// TestLimits: the newcomer is refused, or an older one cut; and symbols beyond the account's number are said and asked for again.
func TestLimits(t *testing.T) {
	v := vendor(t, alpacatest.Options{Symbols: []string{"AAPL"}})
	v.LimitConnections(1, false)
	first := start(t, v, nil)
	first.covered(t)
	second := start(t, v, nil)
	second.sink.Until(t, "limited twice", func() bool {
		return second.sink.Said(feed.Limited, "another connection holds the account: the vendor says: 406 connection limit exceeded") >= 2
	})
	_ = first.stop()
	second.covered(t)

	var names []string
	for i := range 25 {
		names = append(names, fmt.Sprintf("S%02d", i))
	}
	v2 := vendor(t, alpacatest.Options{Symbols: names})
	v2.LimitSymbols(10)
	r := start(t, v2, nil)
	r.sink.Until(t, "said", func() bool {
		return r.sink.Said(feed.Limited, "405 symbol limit exceeded; 15 of 25 symbols are not subscribed to, asking again in") > 0
	})
	r.covered(t) // those that are refused are reported
	if n := len(v2.Topics()); n != 10 {
		t.Errorf("%d symbols", n)
	}
	v2.LimitSymbols(0)
	r.sink.Until(t, "all", func() bool { return len(v2.Topics()) == 25 && r.sink.Said(feed.Connected, "") > 0 })
	if n := v2.Stats().Accepted; n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestPlan: a feed that the plan does not have.
func TestPlan(t *testing.T) {
	v := vendor(t, alpacatest.Options{Symbols: []string{"AAPL"}})
	v.Forbid(true)
	r := start(t, v, nil)
	r.sink.Until(t, "said", func() bool {
		return r.sink.Said(feed.Disconnected, "the plan does not have this feed: the vendor says: 409 insufficient subscription") == 1
	})
}

// TestReconnect: whatever ends a connection, what it did not see is a hole, and REST has it.
func TestReconnect(t *testing.T) {
	for name, end := range map[string]func(*alpacatest.Vendor){
		"cut":       func(v *alpacatest.Vendor) { v.DropAll() },
		"half open": func(v *alpacatest.Vendor) { v.Die() },
		"closed":    func(v *alpacatest.Vendor) { v.Clients()[0].Close("going away") },
		"slow":      func(v *alpacatest.Vendor) { v.Error(407, "slow client"); v.Clients()[0].Hang() },
	} {
		t.Run(name, func(t *testing.T) {
			v := vendor(t, alpacatest.Options{Symbols: []string{"AAPL"}})
			r := start(t, v, func(o *Options) {
				if name == "half open" {
					o.Link.PongWithin = 500 * time.Millisecond
				}
			})
			r.covered(t)
			r.trade(t, "AAPL", 5, vendortest.How{}, alpacatest.Fault{})
			r.came(t, 5)
			r.sink.Until(t, "a mark", func() bool { return r.sink.Count(market.Mark) > 0 })
			v.RefuseFor(time.Hour, 503)
			end(v)
			missed := r.trade(t, "AAPL", 5, vendortest.How{}, alpacatest.Fault{Skip: true})
			v.RefuseFor(0, 0)
			r.connected(t, 2)
			r.sink.Until(t, "trades again", func() bool {
				r.trade(t, "AAPL", 1, vendortest.How{}, alpacatest.Fault{})
				return r.sink.Count(market.Trade) >= 10
			})
			holes := r.whole(t, "AAPL")
			h := holes[0]
			if h.Symbol != market.AllSymbols || h.Reason != market.GapDisconnect || h.Time > missed[0].TimeNs || h.Until <= missed[4].TimeNs {
				t.Errorf("hole %+v around %+v", h, missed)
			}
			got, err := r.refillSoon(t, "AAPL", h.Time, h.Until)
			want := slices.DeleteFunc(r.wants(v.Trades("AAPL", 0, 1<<62)), func(e market.Entry) bool { return e.Time < h.Time || e.Time >= h.Until })
			if d := cmp.Diff(want, got); d != "" || err != nil {
				t.Error(err, d)
			}
		})
	}
}

// TestCutAnywhere: a connection that ends after any number of bytes is made again.
func TestCutAnywhere(t *testing.T) {
	v := vendor(t, alpacatest.Options{Symbols: []string{"AAPL"}})
	for n := int64(1); n < 420; n += 7 {
		v.CutAfter(n, 1)
		r := start(t, v, nil)
		r.covered(t)
		if err := r.stop(); err == nil || err.Error() != "context canceled" {
			t.Error(err)
		}
	}
	if n := v.Stats().Cut; n < 30 {
		t.Errorf("%d connections were cut", n)
	}
}

// TestOddFrames: frames of 1 MB, messages that can't be read, frames that are none, halts.
func TestOddFrames(t *testing.T) {
	v := vendor(t, alpacatest.Options{Symbols: []string{"AAPL"}})
	r := start(t, v, nil)
	r.covered(t)
	r.trade(t, "AAPL", 1, vendortest.How{}, alpacatest.Fault{})
	r.came(t, 1)
	r.sink.Until(t, "a mark", func() bool { return len(r.sink.Of(market.Mark)) > 0 })
	v.Huge(1 << 20)
	v.Halt("AAPL", true)
	now := time.Now().UTC()
	at := now.Format(time.RFC3339Nano)
	v.Raw(fmt.Appendf(nil, `[{"T":"t","S":"AAPL","i":1,"x":"V","p":"x","s":1,"t":%q},{"T":"t","S":"AAPL","i":2,"x":"V","p":1,"s":1,"t":%q}]`, at, at))
	v.Raw([]byte(`[{"T":"t","S":"AAPL","p":1`))
	v.Raw([]byte(`nonsense`))
	v.Raw([]byte(`[]`))
	trades := r.trade(t, "AAPL", 1, vendortest.How{}, alpacatest.Fault{})
	got := r.came(t, 3)
	if got[1].Time != now.UnixNano() || got[2] != r.entry(&trades[0]) {
		t.Errorf("%+v", got)
	}
	holes := r.sink.Of(market.Hole)
	if len(holes) != 3 || holes[0].Symbol != 1 || holes[0].Time > now.UnixNano() || holes[0].Until <= now.UnixNano() || holes[1].Symbol != market.AllSymbols {
		t.Errorf("holes %+v", holes)
	}
	if st := r.Stats(); st.BadFrames != 3 || st.Connects != 1 {
		t.Errorf("%+v", st)
	}
	if !strings.Contains(r.log.String(), `"symbol"="AAPL" "state"="Trading Halt" "reason"="Volatility Trading Pause"`) {
		t.Error("the halt is not in the log")
	}
}

// TestKeyChanges: a new key connects once more, at once, and what came between is a hole that REST fills.
func TestKeyChanges(t *testing.T) {
	v := vendor(t, alpacatest.Options{Symbols: []string{"AAPL"}})
	v.LimitConnections(1, false)
	key := make(chan []string, 8)
	now := []string{"id", "secret"}
	r := start(t, v, func(o *Options) {
		o.Key = func() ([]string, error) {
			select {
			case now = <-key:
			default:
			}
			return now, nil
		}
		o.Link.LimitedWait = 10 * time.Millisecond // the vendor may not have seen yet that the old connection is gone
	})
	r.covered(t)
	first := r.trade(t, "AAPL", 3, vendortest.How{}, alpacatest.Fault{})
	r.came(t, 3)
	r.sink.Until(t, "a mark", func() bool { return len(r.sink.Of(market.Mark)) > 0 })
	v.SetKey("id2", "secret2")
	key <- []string{"id2", "secret2"}
	r.connected(t, 2)
	r.sink.Until(t, "a hole", func() bool { return len(r.sink.Of(market.Hole)) == 1 })
	if st := v.Stats(); st.Refused != 0 || st.Auths > 2+st.Evicted {
		t.Errorf("%+v", st)
	}
	h := r.sink.Of(market.Hole)[0]
	got, err := r.refillSoon(t, "AAPL", first[0].TimeNs, max(h.Until, first[2].TimeNs+1))
	if d := cmp.Diff(r.wants(first), got); d != "" || err != nil {
		t.Error(err, d)
	}
}

// TestSilence: nothing trades, and nothing is wrong; the watermark goes on by pings.
func TestSilence(t *testing.T) {
	v := vendor(t, alpacatest.Options{Symbols: []string{"AAPL"}})
	r := start(t, v, nil)
	r.covered(t)
	r.trade(t, "AAPL", 1, vendortest.How{}, alpacatest.Fault{})
	r.came(t, 1)
	n := len(r.sink.Of(market.Mark))
	r.sink.Until(t, "marks", func() bool { return len(r.sink.Of(market.Mark)) > n+5 })
	if st := r.Stats(); st.Connects != 1 || r.sink.Said(feed.Disconnected, "") != 0 {
		t.Errorf("%+v, %+v", st, r.sink.Statuses())
	}
}
