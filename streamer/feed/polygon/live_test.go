package polygon

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/feed/account"
	"github.com/marketstream/marketstream/streamer/feed/polygon/polygontest"
	"github.com/marketstream/marketstream/streamer/feed/vendortest"
	"github.com/marketstream/marketstream/streamer/market"
)

// TestTrades: what is sent comes as it is, in its order, of stocks and of crypto, also over TLS.
func TestTrades(t *testing.T) {
	v := vendor(t, polygontest.Options{Options: vendortest.Options{TLS: true}, Batch: 7})
	r := start(t, v, nil)
	r.covered(t)
	var want []market.Entry
	for range 5 {
		want = append(want, r.wants(r.trade(t, "AAPL", 20, vendortest.How{Conditions: []int{14, 37}}, polygontest.Fault{}))...)
		want = append(want, r.wants(r.trade(t, "MSFT", 3, vendortest.How{}, polygontest.Fault{}))...)
	}
	if d := cmp.Diff(want, r.came(t, len(want))); d != "" {
		t.Error(d)
	}
	r.sink.Until(t, "a mark past the last trade", func() bool {
		marks := r.sink.Of(market.Mark)
		return len(marks) > 0 && marks[len(marks)-1].Time >= want[len(want)-1].Time
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

func TestCrypto(t *testing.T) {
	v := vendor(t, polygontest.Options{Crypto: true, Symbols: []string{"BTC-USD"}})
	r := start(t, v, func(o *Options) { o.Crypto = true })
	r.SetSymbols([]feed.Symbol{{Number: 9, Name: "btc/usd"}})
	r.sink.Until(t, "subscribed", func() bool {
		return slices.Equal(v.Topics(), []string{"XT.BTC-USD"}) && r.sink.Said(feed.Connected, "") > 0
	})
	trades := r.trade(t, "BTC-USD", 10, vendortest.How{}, polygontest.Fault{})
	got := r.came(t, 10)
	var want []market.Entry
	for i := range trades {
		x := &trades[i]
		want = append(want, market.Entry{Kind: market.Trade, Symbol: 9, Price: x.Price, Size: x.Size, Time: x.TimeNs - x.TimeNs%1e6, Order: x.ID,
			ID: identify([]byte(fmt.Sprint(x.Exchange)), []byte(fmt.Sprint(x.ID)), nil), Side: map[uint64]market.Side{0: market.SideSell, 1: market.SideBuy}[x.ID%2]})
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	from, to := trades[0].TimeNs-1e9, trades[9].TimeNs+2e6
	again, err := r.refillSoon(t, "BTC-USD", from, to)
	for i := range again {
		again[i].Symbol = 9
	}
	if d := cmp.Diff(want, again); d != "" || err != nil {
		t.Error(err, d)
	}
}

// TestSubscriptions: bounded batches, changes while connected, and only what has changed is asked for.
func TestSubscriptions(t *testing.T) {
	var names []string
	for i := range 25 {
		names = append(names, fmt.Sprintf("S%02d", i))
	}
	v := vendor(t, polygontest.Options{Symbols: names})
	r := start(t, v, func(o *Options) { o.Batch = 10 })
	r.covered(t)
	topics := func(n int) func() bool { return func() bool { return len(v.Topics()) == n } }
	r.sink.Until(t, "all topics", topics(75))
	if st := v.Stats(); st.Subscribes != 3+5 { // 25 trades by 10; 50 others by 10
		t.Errorf("%+v", st)
	}
	r.SetSymbols(vendortest.Symbols(names[20:]...))
	r.sink.Until(t, "fewer topics", topics(15))
	r.SetSymbols(vendortest.Symbols(names[18:]...))
	r.sink.Until(t, "more topics", topics(21))
	if st := v.Stats(); st.Accepted != 1 || st.Auths != 1 {
		t.Errorf("%+v", st)
	}
	trades := r.trade(t, "S24", 5, vendortest.How{}, polygontest.Fault{})
	r.trade(t, "S00", 5, vendortest.How{}, polygontest.Fault{})
	last := r.came(t, 5)
	if last[4].Symbol != 7 || last[4].ID != trades[4].Seq { // S24 is the seventh from S18 on
		t.Errorf("%+v", last[4])
	}
	r.SetSymbols(nil)
	r.sink.Until(t, "no connection", func() bool { return v.Stats().Open == 0 })
}

// TestHappened: a trade that was reported late has the time at which it happened, by both ways, and the watermark goes by reports.
func TestHappened(t *testing.T) {
	v := vendor(t, polygontest.Options{Participant: true, Symbols: []string{"AAPL"}})
	r := start(t, v, nil)
	r.covered(t)
	trades := r.trade(t, "AAPL", 2, vendortest.How{Late: 8 * time.Second}, polygontest.Fault{})
	got := r.came(t, 2)
	for i, x := range trades {
		if got[i].Time != x.TimeNs-x.TimeNs%1e6 || x.SentNs-x.TimeNs != 8e9 {
			t.Errorf("%+v of %+v", got[i], x)
		}
	}
	r.sink.Until(t, "a mark at the report", func() bool {
		marks := r.sink.Of(market.Mark)
		return len(marks) > 0 && marks[len(marks)-1].Time > trades[0].SentNs-int64(time.Second)
	})
	again, err := r.refillSoon(t, "AAPL", trades[0].TimeNs-1e9, trades[1].TimeNs+2e6)
	if d := cmp.Diff(got, again); d != "" || err != nil {
		t.Error(err, d)
	}
}

// TestKeyRefused: the vendor's words are said, nothing is tried until the key is another one, and then at once.
func TestKeyRefused(t *testing.T) {
	v := vendor(t, polygontest.Options{Symbols: []string{"AAPL"}})
	key := make(chan string, 1)
	now := "wrong-key"
	r := start(t, v, func(o *Options) {
		o.Key = func() ([]string, error) {
			select {
			case now = <-key:
			default:
			}
			if now == "" {
				return nil, errors.New("there is no such file")
			}
			return []string{now}, nil
		}
	})
	r.sink.Until(t, "refused", func() bool {
		return r.sink.Said(feed.Disconnected, "the key was refused: the vendor says: auth_failed: authentication failed") == 1
	})
	key <- "" // a key that is gone is no change
	key <- "key"
	r.covered(t)
	if st := v.Stats(); st.Auths != 2 || st.Refused != 1 {
		t.Errorf("%+v", st)
	}
}

// TestNoKey: without a key there is no connection, and the status says why.
func TestNoKey(t *testing.T) {
	v := vendor(t, polygontest.Options{Symbols: []string{"AAPL"}})
	r := start(t, v, func(o *Options) { o.Key = account.Files("") })
	r.sink.Until(t, "said", func() bool { return r.sink.Said(feed.Disconnected, "the key: no directory of Secrets was named") == 1 })
	if st := v.Stats(); st.Accepted != 0 {
		t.Errorf("%+v", st)
	}
}

// TestPlan: trades that the plan does not have are said as such; without the others one goes on.
func TestPlan(t *testing.T) {
	v := vendor(t, polygontest.Options{Symbols: []string{"AAPL"}})
	v.Forbid("T")
	r := start(t, v, nil)
	r.sink.Until(t, "said", func() bool {
		return r.sink.Said(feed.Disconnected, "the plan does not have these trades: the vendor says: not authorized") == 1
	})
	v2 := vendor(t, polygontest.Options{Symbols: []string{"AAPL"}})
	v2.Forbid("LULD")
	r2 := start(t, v2, nil)
	r2.covered(t)
	r2.sink.Until(t, "the log says it", func() bool { return strings.Contains(r2.log.String(), "no bars of seconds or no price bands") })
	r2.trade(t, "AAPL", 1, vendortest.How{}, polygontest.Fault{})
	r2.came(t, 1)
}

// TestLimit: max_connections after success means rest and a status, whichever connection the vendor ends.
func TestLimit(t *testing.T) {
	for _, how := range []polygontest.LimitHow{{}, {Abort: true}, {AtAuth: true}, {Oldest: true}, {Oldest: true, Abort: true}} {
		t.Run(fmt.Sprintf("%+v", how), func(t *testing.T) {
			v := vendor(t, polygontest.Options{Symbols: []string{"AAPL"}})
			v.LimitConnections(1, how)
			first := start(t, v, func(o *Options) { o.Link.LimitedWait = time.Hour })
			first.covered(t)
			first.sink.Until(t, "counted", func() bool { return v.Stats().Subscribes >= 2 || how.AtAuth })
			second := start(t, v, func(o *Options) { o.Link.LimitedWait = time.Hour })
			loser := second
			if how.Oldest {
				loser = first
			}
			loser.sink.Until(t, "limited", func() bool {
				return loser.sink.Said(feed.Limited, "the vendor says: max_connections: Maximum number of websocket connections exceeded.; trying again in 1h") == 1
			})
			if how.Oldest {
				second.covered(t)
			}
			if n := loser.Stats().Limited; n != 1 {
				t.Errorf("limited %d times", n)
			}
		})
	}
}

// TestReconnect: whatever ends a connection, what it did not see is a hole, and REST has it.
func TestReconnect(t *testing.T) {
	for name, end := range map[string]func(*polygontest.Vendor){
		"cut":        func(v *polygontest.Vendor) { v.DropAll() },
		"half open":  func(v *polygontest.Vendor) { v.Die() },
		"mute limit": func(v *polygontest.Vendor) { v.Clients()[0].Abort() },
		"closed":     func(v *polygontest.Vendor) { v.Clients()[0].Close("going away") },
		"auth timeout": func(v *polygontest.Vendor) {
			v.Status("auth_timeout", "No authentication request received.")
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := vendor(t, polygontest.Options{Symbols: []string{"AAPL"}})
			r := start(t, v, func(o *Options) {
				if name == "half open" {
					o.Link.PongWithin = 500 * time.Millisecond
				}
			})
			r.covered(t)
			r.trade(t, "AAPL", 5, vendortest.How{}, polygontest.Fault{})
			r.came(t, 5)
			r.sink.Until(t, "a mark", func() bool { return r.sink.Count(market.Mark) > 0 })
			v.RefuseFor(time.Hour, 503)
			end(v)
			missed := r.trade(t, "AAPL", 5, vendortest.How{}, polygontest.Fault{Skip: true})
			v.RefuseFor(0, 0)
			r.connected(t, 2)
			r.sink.Until(t, "trades again", func() bool {
				r.trade(t, "AAPL", 1, vendortest.How{}, polygontest.Fault{})
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
	v := vendor(t, polygontest.Options{Symbols: []string{"AAPL"}})
	for n := int64(1); n < 420; n += 7 {
		v.CutAfter(n, 1)
		r := start(t, v, nil)
		r.covered(t)
		do(t, errors.Join(canceled(r.stop())))
	}
	if n := v.Stats().Cut; n < 40 {
		t.Errorf("%d connections were cut", n)
	}
}

func canceled(err error) error {
	if err != nil && err.Error() == "context canceled" {
		return nil
	}
	return err
}

// TestOddFrames: frames of 1 MB, events that can't be read, frames that are none.
func TestOddFrames(t *testing.T) {
	v := vendor(t, polygontest.Options{Symbols: []string{"AAPL"}})
	r := start(t, v, nil)
	r.covered(t)
	r.trade(t, "AAPL", 1, vendortest.How{}, polygontest.Fault{})
	r.came(t, 1)
	r.sink.Until(t, "a mark", func() bool { return len(r.sink.Of(market.Mark)) > 0 })
	v.Huge(1 << 20)
	now := time.Now().UnixMilli()
	v.Raw(fmt.Appendf(nil, `[{"ev":"T","sym":"AAPL","p":"x","s":1,"t":%d,"q":1},{"ev":"T","sym":"AAPL","p":1,"s":1,"t":%d,"q":2}]`, now, now))
	v.Raw([]byte(`[{"ev":"T","sym":"AAPL","p":1`))
	v.Raw([]byte(`nonsense`))
	v.Raw([]byte(`[]`))
	trades := r.trade(t, "AAPL", 1, vendortest.How{}, polygontest.Fault{})
	got := r.came(t, 3)
	if got[1].ID != 2 || got[2] != r.entry(&trades[0]) {
		t.Errorf("%+v", got)
	}
	holes := r.sink.Of(market.Hole)
	if len(holes) != 3 || holes[0].Symbol != 1 || holes[0].Time > now*1e6 || holes[0].Until <= now*1e6 || holes[1].Symbol != market.AllSymbols {
		t.Errorf("holes %+v", holes)
	}
	if st := r.Stats(); st.BadFrames != 3 || st.Connects != 1 {
		t.Errorf("%+v", st)
	}
	if n := strings.Count(r.log.String(), "can't be read"); n > 2 {
		t.Errorf("%d lines of bad frames in the log", n)
	}
}

// TestChecked: trades that did not come are found by the vendor's bar of their second; those that did are not.
func TestChecked(t *testing.T) {
	v := vendor(t, polygontest.Options{Symbols: []string{"AAPL"}, Participant: true})
	r := start(t, v, nil)
	r.sink.Until(t, "all topics", func() bool { return len(v.Topics()) == 3 })
	at := time.Now().Truncate(time.Second).Add(4 * time.Second).UnixNano() // it was subscribed to before
	v.Skew(10 * time.Second)                                               // seconds are over
	r.trade(t, "AAPL", 30, vendortest.How{At: at}, polygontest.Fault{})
	r.trade(t, "AAPL", 30, vendortest.How{At: at + 1e9, Conditions: []int{15}}, polygontest.Fault{})
	r.trade(t, "AAPL", 30, vendortest.How{At: at + 2e9, Late: 3 * time.Second}, polygontest.Fault{})
	r.trade(t, "AAPL", 30, vendortest.How{At: at + 3e9}, polygontest.Fault{})
	r.trade(t, "AAPL", 1, vendortest.How{At: at + 3e9 + 5e8, Whole: true}, polygontest.Fault{Skip: true})
	r.came(t, 120)
	v.Aggregates(0)
	r.sink.Until(t, "found", func() bool { return r.Missed() > 0 })
	holes := r.sink.Of(market.Hole)
	last := holes[len(holes)-1]
	if last.Symbol != 1 || last.Time > at+3e9 || last.Until != at+4e9 {
		t.Errorf("holes %+v, at %d", holes, at)
	}
	if r.Missed() != 1 {
		t.Errorf("missed %d", r.Missed())
	}
}

// TestKeyChanges: a new key connects once more, at once, and what came between is a hole that REST fills.
func TestKeyChanges(t *testing.T) {
	v := vendor(t, polygontest.Options{Symbols: []string{"AAPL"}})
	v.LimitConnections(1, polygontest.LimitHow{})
	key := make(chan string, 8)
	now := "key"
	r := start(t, v, func(o *Options) {
		o.Key = func() ([]string, error) {
			select {
			case now = <-key:
			default:
			}
			return []string{now}, nil
		}
	})
	r.covered(t)
	first := r.trade(t, "AAPL", 3, vendortest.How{}, polygontest.Fault{})
	r.came(t, 3)
	r.sink.Until(t, "a mark", func() bool { return len(r.sink.Of(market.Mark)) > 0 })
	v.SetKey("another")
	key <- "another"
	r.connected(t, 2)
	r.sink.Until(t, "a hole", func() bool { return len(r.sink.Of(market.Hole)) == 1 })
	if st := v.Stats(); st.Auths != 2 || st.Refused != 0 || st.Evicted != 0 {
		t.Errorf("%+v", st)
	}
	if n := r.sink.Said(feed.Disconnected, "") + r.sink.Said(feed.Limited, ""); n != 0 {
		t.Errorf("%+v", r.sink.Statuses())
	}
	h := r.sink.Of(market.Hole)[0]
	got, err := r.refillSoon(t, "AAPL", h.Time, time.Now().UnixNano())
	if d := cmp.Diff(r.wants(first), got); d != "" || err != nil {
		t.Error(err, d)
	}
}

// TestSilence: nothing trades, and nothing is wrong; the watermark goes on by pings.
func TestSilence(t *testing.T) {
	v := vendor(t, polygontest.Options{Symbols: []string{"AAPL"}})
	r := start(t, v, nil)
	r.covered(t)
	r.trade(t, "AAPL", 1, vendortest.How{}, polygontest.Fault{})
	r.came(t, 1)
	n := len(r.sink.Of(market.Mark))
	r.sink.Until(t, "marks", func() bool { return len(r.sink.Of(market.Mark)) > n+5 })
	if st := r.Stats(); st.Connects != 1 || r.sink.Said(feed.Disconnected, "") != 0 {
		t.Errorf("%+v, %+v", st, r.sink.Statuses())
	}
}

// TestBurst: 100,000 trades in a tenth of a second on one connection: none is lost, none comes twice, and the connection lives.
func TestBurst(t *testing.T) {
	const n = 100_000
	v := vendor(t, polygontest.Options{Symbols: []string{"AAPL"}})
	r := start(t, v, func(o *Options) { o.Unchecked = true })
	r.covered(t)
	trades, err := v.Make("AAPL", n, vendortest.How{Apart: time.Microsecond, Conditions: []int{14, 37}})
	do(t, err)
	release := r.sink.Hold() // the whole burst waits in the queue and the socket
	v.Send(trades, polygontest.Fault{})
	release()
	got := r.came(t, n)
	for i := range trades {
		if got[i].ID != trades[i].Seq || got[i].Price != trades[i].Price || got[i].Size != trades[i].Size {
			t.Fatalf("trade %d is %+v, want %+v", i, got[i], trades[i])
		}
	}
	last := trades[n-1].SentNs
	r.sink.Until(t, "the watermark passes the burst", func() bool {
		marks := r.sink.Of(market.Mark)
		return len(marks) > 0 && marks[len(marks)-1].Time >= last-last%1e6-2e6
	})
	if st := r.Stats(); len(r.sink.Of(market.Trade)) != n || st.Connects != 1 || st.Frames < n/100 || v.Stats().Killed != 0 || len(r.sink.Of(market.Hole)) != 0 {
		t.Errorf("%+v, %+v", st, v.Stats())
	}
}

// TestSlowReader: who does not read is cut by the vendor; what it missed is a hole.
func TestSlowReader(t *testing.T) {
	v := vendor(t, polygontest.Options{Options: vendortest.Options{SlowBytes: 1 << 20}, Symbols: []string{"AAPL"}})
	r := start(t, v, func(o *Options) { o.Link.QueueBytes, o.Unchecked = 1<<16, true })
	r.covered(t)
	r.trade(t, "AAPL", 1, vendortest.How{}, polygontest.Fault{})
	r.came(t, 1)
	r.sink.Until(t, "a mark", func() bool { return len(r.sink.Of(market.Mark)) > 0 })
	release := r.sink.Hold()
	trades := []vendortest.Trade{}
	r.sink.Until(t, "the vendor cuts", func() bool {
		trades = append(trades, r.trade(t, "AAPL", 1000, vendortest.How{}, polygontest.Fault{})...)
		return v.Stats().Killed == 1
	})
	release()
	r.connected(t, 2)
	r.sink.Until(t, "a hole", func() bool { return len(r.sink.Of(market.Hole)) == 1 })
	h := r.sink.Of(market.Hole)[0]
	have := map[uint64]bool{}
	for _, e := range r.sink.Of(market.Trade) {
		have[e.ID] = true
	}
	for i := range trades {
		if e := r.entry(&trades[i]); !have[e.ID] && (e.Time < h.Time || e.Time >= h.Until) {
			t.Fatalf("trade %+v did not come and lies outside the hole %+v", e, h)
		}
	}
}

// TestSkew: the vendor's clock is minutes ahead, or behind: trades come, marks go by it.
func TestSkew(t *testing.T) {
	for _, skew := range []time.Duration{-7 * time.Minute, 3 * time.Second} {
		v := vendor(t, polygontest.Options{Symbols: []string{"AAPL"}})
		v.Skew(skew)
		r := start(t, v, nil)
		r.covered(t)
		trades := r.trade(t, "AAPL", 3, vendortest.How{}, polygontest.Fault{})
		r.came(t, 3)
		r.sink.Until(t, "a mark by the vendor's clock", func() bool {
			marks := r.sink.Of(market.Mark)
			return len(marks) > 0 && marks[len(marks)-1].Time > trades[2].SentNs
		})
		if n := r.Stats().Ahead; n != 0 {
			t.Errorf("skewed by %v: %d events were ahead", skew, n)
		}
	}
}

// BenchmarkPath is a frame of 100 trades from the queue's entrance to the sink.
func BenchmarkPath(b *testing.B) {
	v := vendor(b, polygontest.Options{Symbols: []string{"AAPL"}})
	r := &rig{v: v}
	src, err := New(Options{Endpoint: v.URL(), Key: account.Fixed("key"), Unchecked: true})
	do(b, err)
	r.Source = src
	src.SetSymbols(vendortest.Symbols("AAPL"))
	d := &drain{}
	stop := vendortest.Run(b, src, d)
	r.covered(b)
	text := hundred()
	b.ReportAllocs()
	b.ResetTimer()
	d.want.Store(int64(b.N) * 100)
	d.full = make(chan struct{})
	for range b.N {
		v.Raw(text)
	}
	<-d.full
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*100), "ns/trade")
	_ = stop()
}

// drain is a sink that only counts.
type drain struct {
	n, want atomic.Int64
	full    chan struct{}
}

func (d *drain) Put(e *market.Entry) error {
	if e.Kind == market.Trade && d.n.Add(1) == d.want.Load() {
		close(d.full)
	}
	return nil
}
func (d *drain) Flush() error       { return nil }
func (d *drain) Status(feed.Status) {}
