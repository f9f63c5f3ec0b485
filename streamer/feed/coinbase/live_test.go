package coinbase

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/feed/coinbase/coinbasetest"
	"github.com/marketstream/marketstream/streamer/feed/socket"
	"github.com/marketstream/marketstream/streamer/market"
)

// TestLive: subscribing, what was traded last, trades, heartbeats, watermarks, in that order; with and without TLS.
func TestLive(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("tls=", secure), func(t *testing.T) {
			v := vendor(t, coinbasetest.Options{Seed: 7, TLS: secure})
			do(t, v.Make("BTC-USD", 5))
			s := source(t, v, nil)
			k := run(t, s, "btc-usd", "ETH-USD")
			covered(t, s, "BTC-USD", "eth-usd")
			do(t, v.Make("BTC-USD", 100))
			do(t, v.Make("ETH-USD", 50))
			do(t, v.Make("SOL-USD", 50))
			k.until(t, "150 trades", func() bool {
				return len(k.of(market.Trade, 1)) == 100 && len(k.of(market.Trade, 2)) == 50
			})
			check(t, v, "BTC-USD", 1, 5, 0, k.got(market.Trade, 1))
			check(t, v, "ETH-USD", 2, 0, 0, k.got(market.Trade, 2))
			k.until(t, "heartbeats", func() bool {
				seen := k.of(market.Seen, 1)
				return len(seen) > 2 && seen[0].ID == 5 && seen[len(seen)-1].ID == 105
			})
			last := k.got(market.Trade, 2)[49].Time
			k.until(t, "a watermark beyond the last trade", func() bool { return k.mark() > last })
			if entries, _ := k.all(); entries[0].Kind != market.Seen || entries[0].ID != 5 {
				t.Errorf("the first entry is %+v", entries[0])
			}
			k.until(t, "a flush of everything", func() bool { return k.loose == 0 })
			k.until(t, "Connected", func() bool { return k.saw(feed.Connecting, v.URL()) && k.saw(feed.Connected, "") })
			if st := s.Stats(); st.Trades != 150 || st.Connects != 1 || st.BadFrames+st.ErrorFrames+st.Disconnects != 0 || st.Unknown != 0 {
				t.Errorf("%+v", st)
			}
			checkMarks(t, k)
		})
	}
}

// checkMarks: whole ms, rising.
func checkMarks(t *testing.T, k *sink) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	at := int64(0)
	for _, e := range k.entries {
		if e.Kind != market.Mark {
			continue
		}
		if e.Symbol != market.AllSymbols || e.Time%1e6 != 0 || e.Time <= at || e.Offset != 0 {
			t.Fatalf("mark %+v after %d", e, at)
		}
		at = e.Time
	}
}

// TestChangeSymbols: only the differences are said to the vendor, and a symbol that leaves
// and comes back is whole.
func TestChangeSymbols(t *testing.T) {
	v := vendor(t, coinbasetest.Options{})
	s := source(t, v, nil)
	k := run(t, s, "BTC-USD", "ETH-USD")
	covered(t, s, "BTC-USD", "ETH-USD")
	s.SetSymbols(symbols("BTC-USD", "eth-usd", "SOL-USD"))
	covered(t, s, "SOL-USD")
	do(t, v.Make("SOL-USD", 3))
	k.until(t, "the new symbol's trades", func() bool { return len(k.of(market.Trade, 3)) == 3 })
	if st := v.Stats(); st.Subscribes != 2 || st.Unsubscribes != 0 || st.Accepted != 1 {
		t.Errorf("%+v", st)
	}
	s.SetSymbols([]feed.Symbol{{Number: 3, Name: "SOL-USD"}, {Number: 9, Name: "BTC-USD"}})
	k.until(t, "unsubscribing", func() bool { return v.Stats().Unsubscribes == 1 })
	short, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Covered(short, symbols("ETH-USD")); !errors.Is(err, context.Canceled) {
		t.Errorf("a symbol that left is covered: %v", err)
	}
	do(t, v.Make("ETH-USD", 1))
	do(t, v.Make("BTC-USD", 2))
	k.until(t, "trades under a new number", func() bool { return len(k.of(market.Trade, 9)) == 2 })
	if n := len(k.got(market.Trade, 2)); n != 0 {
		t.Errorf("%d trades of a symbol that left", n)
	}
	s.SetSymbols(symbols("BTC-USD", "ETH-USD"))
	covered(t, s, "ETH-USD")
	do(t, v.Make("ETH-USD", 4))
	k.until(t, "trades of the symbol that came back", func() bool { return len(k.of(market.Trade, 2)) == 4 })
	check(t, v, "ETH-USD", 2, 1, 0, k.got(market.Trade, 2))

	s.SetSymbols(nil)
	k.until(t, "no connection without symbols", func() bool { return k.saw(feed.Connecting, "no symbols") })
	k.until(t, "it to end", func() bool { return v.Stats().Open == 0 })
	s.SetSymbols(symbols("BTC-USD"))
	covered(t, s, "BTC-USD")
}

// TestSymbolsToAndFro changes symbols faster than the vendor answers; in the end what is
// carried is what comes.
func TestSymbolsToAndFro(t *testing.T) {
	v := vendor(t, coinbasetest.Options{})
	s := source(t, v, nil)
	k := run(t, s, "BTC-USD")
	for i := range 300 {
		switch i % 4 {
		case 0:
			s.SetSymbols(symbols("BTC-USD", "ETH-USD", "NO-SUCH"))
		case 1:
			s.SetSymbols(symbols("BTC-USD"))
		case 2:
			s.SetSymbols(symbols("BTC-USD", "ETH-USD", "SOL-USD"))
			if i%12 == 2 {
				covered(t, s, "SOL-USD")
			}
		case 3:
			s.SetSymbols(symbols("SOL-USD"))
			if i%20 == 3 {
				covered(t, s, "SOL-USD")
			}
		}
	}
	s.SetSymbols(symbols("BTC-USD", "ETH-USD"))
	covered(t, s, "BTC-USD", "ETH-USD")
	do(t, v.Make("BTC-USD", 3))
	do(t, v.Make("ETH-USD", 3))
	do(t, v.Make("SOL-USD", 3))
	k.until(t, "trades", func() bool {
		return len(k.of(market.Trade, 1)) == 3 && len(k.of(market.Trade, 2)) == 3
	})
	if st := s.Stats(); st.Disconnects != 0 || len(k.got(market.Trade, 3)) != 0 {
		t.Errorf("%+v, %d trades of a symbol that left", st, len(k.got(market.Trade, 3)))
	}
}

// TestUnknownProducts: they are reported and count as covered; the rest lives. Coinbase ignores a
// subscription that names one.
func TestUnknownProducts(t *testing.T) {
	for _, how := range []coinbasetest.Unknown{coinbasetest.IgnoreWhole, coinbasetest.IgnoreVaguely, coinbasetest.TakeRest, coinbasetest.TakeSilently} {
		for _, batch := range []int{1, 2, 100} {
			if how == coinbasetest.TakeSilently && batch < 100 {
				continue // a message that names only unknown products has no answer then
			}
			t.Run(fmt.Sprintf("%s/batch=%d", how, batch), func(t *testing.T) {
				v := vendor(t, coinbasetest.Options{Unknown: how})
				s := source(t, v, func(o *Options) { o.Batch, o.AnswerWithin = batch, 100*time.Millisecond })
				names := []string{"BTC-USD", "BTC-USDX", "NO-SUCH", "ETH-USD", "SOL-USD"}
				k := run(t, s, names...)
				covered(t, s, names...)
				do(t, v.Make("SOL-USD", 1))
				do(t, v.Make("BTC-USD", 1))
				k.until(t, "trades of those that are known", func() bool { return k.has(5, 1) && k.has(1, 1) })
				k.until(t, "a report", func() bool {
					return k.saw(feed.Connected, "2 of 5 symbols are not known to Coinbase: BTC-USDX, NO-SUCH")
				})
				if st := s.Stats(); st.Unknown != 2 || st.Connects != 1 {
					t.Errorf("%+v", st)
				}
				if n := v.Stats().Subscribes; batch == 100 && how != coinbasetest.IgnoreVaguely && n > 3 {
					t.Errorf("%d messages, want one and one more for each that is unknown", n)
				}
				k.until(t, "watermarks", func() bool { return k.mark() > 0 })
			})
		}
	}
}

// TestOverdue: an answer is late once what the vendor sent after that time was read, not before.
func TestOverdue(t *testing.T) {
	s, err := New(Options{})
	do(t, err)
	c := &socket.Conn{Frames: socket.NewQueue(1 << 20)}
	x := newSession(s, c, newSink(), feed.NewWatermark(0))
	x.ctx = context.Background()
	p := &product{name: "BTC-USD", number: 1, carried: true}
	x.products[p.name], x.order = p, []*product{p}
	now := time.Now()
	x.asked = &request{products: x.order, until: now.Add(-5 * time.Second).UnixNano()}
	beat := func(sent, received time.Time) error {
		c.Frames.Push(fmt.Appendf(nil, `{"type":"heartbeat","last_trade_id":7,"product_id":"BTC-USD","time":"%s"}`, sent.UTC().Format("2006-01-02T15:04:05.000000Z")), received.UnixNano())
		b, _ := c.Frames.Take(&socket.Block{})
		return x.block(b)
	}
	do(t, beat(now.Add(-8*time.Second), now.Add(-8*time.Second)))
	do(t, beat(now.Add(-6*time.Second), now)) // 6 s behind: the answer may come yet
	if err := beat(now.Add(-4*time.Second), now); !errors.Is(err, errNoAnswer) {
		t.Errorf("error %v", err)
	}
	x.reached = 0
	c.Frames.Answer(now.UnixNano(), now.Add(-4*time.Second).UnixNano())
	b, _ := c.Frames.Take(&socket.Block{})
	if err := x.block(b); !errors.Is(err, errNoAnswer) {
		t.Errorf("error %v", err)
	}
}

// TestBackAgain: symbols that leave and come back while a message of ours has no answer yet.
func TestBackAgain(t *testing.T) {
	s, err := New(Options{})
	do(t, err)
	x := newSession(s, nil, newSink(), feed.NewWatermark(0))
	x.asked = &request{until: 1} // so nothing is sent
	carry := func(names ...string) {
		t.Helper()
		s.SetSymbols(symbols(names...))
		do(t, x.carry())
	}
	isCovered := func(name string) bool {
		_, ok := s.covered[name]
		return ok
	}
	carry("UNKNOWN", "LEFT", "STAYS")
	for name, st := range map[string]state{"UNKNOWN": refused, "LEFT": dropping, "STAYS": confirmed} {
		x.products[name].state = st
		x.newest(x.products[name], 5)
		s.cover([]*product{x.products[name]})
	}
	carry("NEW")
	if isCovered("UNKNOWN") || isCovered("LEFT") || isCovered("STAYS") || x.unsettled != 1 {
		t.Errorf("covered %v, %d unsettled", s.covered, x.unsettled)
	}
	carry("UNKNOWN", "LEFT", "STAYS")
	if isCovered("UNKNOWN") || isCovered("LEFT") || !isCovered("STAYS") || x.unsettled != 2 || x.products["UNKNOWN"].state != waiting {
		t.Errorf("covered %v, %d unsettled, unknown is %d", s.covered, x.unsettled, x.products["UNKNOWN"].state)
	}
}

// TestSecondError: an error for the message before costs the one that is asked nothing.
func TestSecondError(t *testing.T) {
	s, err := New(Options{})
	do(t, err)
	x := newSession(s, nil, newSink(), feed.NewWatermark(0))
	asked := &request{products: []*product{{name: "ETH-USD", carried: true}, {name: "SOL-USD", carried: true}}}
	x.products["NO-SUCH"] = &product{name: "NO-SUCH", carried: true, state: refused}
	x.asked = asked
	if err := x.refuse("Failed to subscribe", "NO-SUCH is not a valid product"); err != nil || x.asked != asked || x.batch != s.opts.Batch {
		t.Errorf("error %v, asked %v, batches of %d", err, x.asked, x.batch)
	}
	if err := x.refuse("Authentication failed", ""); err == nil || err.Error() != "the vendor refused a subscription: Authentication failed: " {
		t.Errorf("error %v", err)
	}
}

// TestBackWhileLeaving: a symbol that comes back before the vendor has let it go is not covered by its old subscription.
func TestBackWhileLeaving(t *testing.T) {
	v := vendor(t, coinbasetest.Options{})
	s := source(t, v, nil)
	k := run(t, s, "BTC-USD", "ETH-USD")
	covered(t, s, "BTC-USD", "ETH-USD")
	v.Answers(false)
	s.SetSymbols(symbols("BTC-USD"))
	k.until(t, "unsubscribing", func() bool { return v.Stats().Ignored == 1 })
	s.SetSymbols(symbols("BTC-USD", "ETH-USD"))
	k.until(t, "the change to be taken up", func() bool { return len(s.changed) == 0 })
	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := s.Covered(short, symbols("ETH-USD")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it is covered: %v", err)
	}
}

// TestManyProducts: bounded batches, one message at a time.
func TestManyProducts(t *testing.T) {
	var products []coinbasetest.Product
	var names []string
	for i := range 550 {
		names = append(names, fmt.Sprintf("P%d-USD", i))
		products = append(products, coinbasetest.Product{Name: names[i]})
	}
	v := vendor(t, coinbasetest.Options{Products: products})
	s := source(t, v, nil)
	k := run(t, s, names...)
	covered(t, s, names...)
	if n := v.Stats().Subscribes; n != 6 {
		t.Errorf("%d messages, want 6", n)
	}
	do(t, v.Make("P549-USD", 1))
	k.until(t, "a trade of the last", func() bool { return k.has(550, 1) })
}

// TestSinkFails: its error ends Run, as it is and without a status.
func TestSinkFails(t *testing.T) {
	v := vendor(t, coinbasetest.Options{})
	s := source(t, v, nil)
	k := newSink()
	k.fail = errors.New("full")
	s.SetSymbols(symbols("BTC-USD"))
	if err := s.Run(context.Background(), market.SourcePosition{}, 0, k); err != k.fail { //nolint:errorlint // as it is
		t.Errorf("Run ended with %v", err)
	}
	if k.times(feed.Disconnected)+k.times(feed.Failed) != 0 {
		t.Errorf("statuses %v", k.statuses)
	}
}

// TestMarksHeld: after a connect the watermark stands until the newest id of every symbol is known.
func TestMarksHeld(t *testing.T) {
	v := vendor(t, coinbasetest.Options{Tick: -1})
	v.Heartbeats(false)
	now := time.Now().UnixNano()
	s := source(t, v, func(o *Options) { o.now = func() int64 { return now } }) // so the hold does not end by itself
	k := run(t, s, "BTC-USD", "ETH-USD")                                        // neither has traded: there is no last match
	covered(t, s, "BTC-USD", "ETH-USD")
	do(t, v.Make("BTC-USD", 1))
	k.until(t, "a trade", func() bool { return k.has(1, 1) })
	k.until(t, "a flush", func() bool { return k.flushes > 0 })
	if at := k.watermark(); at != 0 {
		t.Errorf("the watermark moved to %d before ETH-USD's newest id was known", at)
	}
	v.Heartbeats(true)
	k.until(t, "the watermark to move", func() bool {
		v.Step()
		return k.mark() > 0
	})
}

func TestTraitsAndEndpoints(t *testing.T) {
	s, err := New(Options{})
	do(t, err)
	if s.Traits() != (feed.Traits{Gapless: true, Overlap: true}) || s.opts.Endpoint != DefaultEndpoint || s.opts.RESTEndpoint != DefaultRESTEndpoint ||
		s.opts.LimitedWait < time.Minute || s.opts.ResetAfter != 10*time.Second {
		t.Errorf("%+v", s.opts)
	}
	for _, o := range []Options{{Endpoint: "https://x"}, {Endpoint: "wss://"}, {RESTEndpoint: "wss://x"}, {RESTEndpoint: "https://x?y"}, {Endpoint: "wss://user:word@x"}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}
