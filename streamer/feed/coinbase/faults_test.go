package coinbase

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/feed/coinbase/coinbasetest"
	"github.com/marketstream/marketstream/streamer/feed/socket"
	"github.com/marketstream/marketstream/streamer/market"
)

// TestReconnect: trades are made while connections are dropped again and again; after
// Refill none is missing.
func TestReconnect(t *testing.T) {
	v := vendor(t, coinbasetest.Options{Products: []coinbasetest.Product{{Name: "BTC-USD", PerSecond: 2000}, {Name: "ETH-USD", PerSecond: 500}}, Tick: time.Millisecond})
	s := source(t, v, nil)
	k := run(t, s, "BTC-USD", "ETH-USD")
	covered(t, s, "BTC-USD", "ETH-USD")
	k.until(t, "a first trade", func() bool { return len(k.of(market.Trade, 1)) > 0 && len(k.of(market.Trade, 2)) > 0 })
	first := [3]uint64{0, k.got(market.Trade, 1)[0].ID, k.got(market.Trade, 2)[0].ID}
	for i := range 20 {
		v.DropAll()
		k.until(t, "a new connection", func() bool { return k.count(feed.Connected) > i+1 })
	}
	k.until(t, "a trade after the last", func() bool {
		newest, _ := v.Newest("ETH-USD")
		return k.has(2, newest)
	})
	for symbol, name := range []string{1: "BTC-USD", 2: "ETH-USD"} {
		if symbol == 0 {
			continue
		}
		trades := k.whole(t, s, name, uint32(symbol), first[symbol]-1)
		last := trades[len(trades)-1].ID
		check(t, v, name, uint32(symbol), first[symbol]-1, last+1, trades)
	}
	checkMarks(t, k)
	if st := s.Stats(); st.Disconnects < 20 || v.Stats().Faulty != 0 {
		t.Errorf("%+v", st)
	}
}

// TestFaultyTrades: lost ids are seen by the next trade or heartbeat, what comes twice or in
// another order is passed on as it comes, late trades are no loss.
func TestFaultyTrades(t *testing.T) {
	v := vendor(t, coinbasetest.Options{})
	s := source(t, v, nil)
	k := run(t, s, "BTC-USD")
	covered(t, s, "BTC-USD")
	do(t, v.Skip("BTC-USD", 3))
	do(t, v.Make("BTC-USD", 5)) // 1, 2, 3 are lost
	do(t, v.Duplicate("BTC-USD", 2))
	do(t, v.Make("BTC-USD", 2)) // 6, 7 come twice
	do(t, v.Disorder("BTC-USD", 3))
	do(t, v.Make("BTC-USD", 3)) // 10, 9, 8
	do(t, v.Skip("BTC-USD", 2))
	do(t, v.Make("BTC-USD", 2)) // 11, 12 are lost, and nothing comes after them
	k.until(t, "the heartbeat that tells what is lost", func() bool {
		seen := k.of(market.Seen, 1)
		return len(seen) > 0 && seen[len(seen)-1].ID == 12
	})
	var ids []uint64
	for _, e := range k.got(market.Trade, 1) {
		ids = append(ids, e.ID)
	}
	if got, want := fmt.Sprint(ids), "[4 5 6 6 7 7 10 9 8]"; got != want {
		t.Errorf("ids %s, want %s", got, want)
	}
	check(t, v, "BTC-USD", 1, 0, 0, k.whole(t, s, "BTC-USD", 1, 0))

	do(t, v.Late("BTC-USD", 1, 200*time.Millisecond))
	do(t, v.Make("BTC-USD", 1))
	k.until(t, "a late trade", func() bool { return k.has(1, 13) })
}

// TestHeartbeatAhead: a heartbeat that names a trade a moment before it comes is no loss; one
// that names it for a whole beat is.
func TestHeartbeatAhead(t *testing.T) {
	v := vendor(t, coinbasetest.Options{Tick: -1})
	v.Heartbeats(false)
	s := source(t, v, nil)
	do(t, v.Make("BTC-USD", 1))
	k := run(t, s, "BTC-USD")
	covered(t, s, "BTC-USD")
	k.until(t, "the last match", func() bool { return len(k.of(market.Seen, 1)) == 1 })
	beat := func(id int) {
		v.Raw(fmt.Appendf(nil, `{"type":"heartbeat","last_trade_id":%d,"product_id":"BTC-USD","time":"%s"}`, id, time.Now().UTC().Format(time.RFC3339Nano)))
	}
	beat(2)
	do(t, v.Make("BTC-USD", 1))
	beat(2)
	k.until(t, "the second beat", func() bool { return len(k.of(market.Seen, 1)) == 2 })
	if entries, _ := k.all(); entries[1].Kind != market.Trade && entries[2].Kind != market.Trade || k.got(market.Seen, 1)[1].ID != 2 {
		t.Errorf("entries %+v", entries)
	}
	beat(3)
	beat(4)
	k.until(t, "the loss", func() bool { return len(k.of(market.Seen, 1)) == 3 })
	if got := k.got(market.Seen, 1)[2].ID; got != 3 {
		t.Errorf("seen %d, want 3", got)
	}
	beat(4)
	k.until(t, "the next loss", func() bool { return len(k.of(market.Seen, 1)) == 4 && k.of(market.Seen, 1)[3].ID == 4 })
}

// TestConnectionLimit: an account that allows no more is left alone for LimitedWait and more.
func TestConnectionLimit(t *testing.T) {
	for _, how := range []coinbasetest.LimitHow{coinbasetest.Refuse, coinbasetest.RefuseClosing, coinbasetest.RefuseHandshake} {
		t.Run(string(how), func(t *testing.T) {
			v := vendor(t, coinbasetest.Options{})
			v.LimitConnections(1, how)
			first := source(t, v, nil)
			k1 := run(t, first, "BTC-USD")
			covered(t, first, "BTC-USD")
			second := source(t, v, func(o *Options) {
				o.draw = func(time.Duration) time.Duration { return 0 }
				o.LimitedWait = 70 * time.Millisecond
			})
			k2 := run(t, second, "BTC-USD")
			k2.until(t, "Limited, three times", func() bool { return k2.count(feed.Limited) >= 3 })
			if !k2.said(feed.Limited, "Connection limit exceeded") || !k2.said(feed.Limited, "trying again in 70ms") || second.Stats().Limited < 3 {
				_, statuses := k2.all()
				t.Errorf("statuses %v, %+v", statuses, second.Stats())
			}
			v.LimitConnections(0, how)
			covered(t, second, "BTC-USD")
			if k1.times(feed.Connected) != 1 || first.Stats().Disconnects != 0 {
				t.Error("the one that was there was disturbed")
			}
		})
	}
}

// TestEviction: the newcomer lives, and the older one learns that it is one too many.
func TestEviction(t *testing.T) {
	v := vendor(t, coinbasetest.Options{})
	first := source(t, v, func(o *Options) { o.LimitedWait = time.Hour })
	k1 := run(t, first, "BTC-USD")
	covered(t, first, "BTC-USD")
	v.LimitConnections(1, coinbasetest.Evict)
	second := source(t, v, nil)
	run(t, second, "BTC-USD")
	covered(t, second, "BTC-USD")
	k1.until(t, "Limited", func() bool { return k1.saw(feed.Limited, "Connection limit exceeded") })
	if st := v.Stats(); st.Evicted != 1 || second.Stats().Disconnects != 0 {
		t.Errorf("%+v", st)
	}
}

// TestEvictionSilently: two that evict each other without a word do so ever less often.
func TestEvictionSilently(t *testing.T) {
	v := vendor(t, coinbasetest.Options{})
	v.LimitConnections(1, coinbasetest.EvictSilently)
	waits := func(o *Options) {
		o.RetryFirst, o.RetryMost = 4*time.Millisecond, 64*time.Millisecond
		o.draw = func(bound time.Duration) time.Duration { return bound }
	}
	a, b := source(t, v, waits), source(t, v, waits)
	ka := run(t, a, "BTC-USD")
	run(t, b, "BTC-USD")
	ka.until(t, "the longest wait", func() bool { return ka.saw(feed.Disconnected, "trying again in 64ms") })
	for _, wait := range []string{"4ms", "8ms", "16ms", "32ms"} {
		if !ka.saw(feed.Disconnected, "trying again in "+wait) {
			t.Errorf("no wait of %s: %v", wait, ka.statuses)
		}
	}
}

// TestLifeResetsBackoff: a connection that lived makes the wait short again.
func TestLifeResetsBackoff(t *testing.T) {
	v := vendor(t, coinbasetest.Options{})
	s := source(t, v, func(o *Options) {
		o.RetryFirst, o.RetryMost, o.ResetAfter = 3*time.Millisecond, time.Second, time.Nanosecond
		o.draw = func(bound time.Duration) time.Duration { return bound }
	})
	k := run(t, s, "BTC-USD")
	for i := range 5 {
		k.until(t, "a connection", func() bool { return k.count(feed.Connected) > i })
		v.DropAll()
	}
	k.until(t, "five disconnects", func() bool { return k.count(feed.Disconnected) == 5 })
	_, statuses := k.all()
	for _, st := range statuses {
		if st.State == feed.Disconnected && !strings.HasSuffix(st.Reason, "trying again in 3ms") {
			t.Errorf("%v", st)
		}
	}
}

func TestSubscriptionLimit(t *testing.T) {
	v := vendor(t, coinbasetest.Options{})
	v.LimitSubscriptions(1)
	s := source(t, v, nil)
	k := run(t, s, "BTC-USD", "ETH-USD")
	k.until(t, "Limited", func() bool { return k.saw(feed.Limited, "subscription limit exceeded") })
	v.LimitSubscriptions(0)
	covered(t, s, "BTC-USD", "ETH-USD")
}

// TestSubscriptionLimitLater: a symbol too many costs those that come nothing.
func TestSubscriptionLimitLater(t *testing.T) {
	v := vendor(t, coinbasetest.Options{})
	v.LimitSubscriptions(1)
	v.Heartbeats(false) // so nothing but the end of the pause wakes it
	s := source(t, v, func(o *Options) { o.Quiet, o.PingEvery = time.Hour, time.Hour })
	k := run(t, s, "BTC-USD")
	covered(t, s, "BTC-USD")
	s.SetSymbols(symbols("BTC-USD", "ETH-USD"))
	k.until(t, "Limited, twice", func() bool { return k.count(feed.Limited) == 2 })
	do(t, v.Make("BTC-USD", 1))
	k.until(t, "a trade of the symbol that was there", func() bool { return k.has(1, 1) })
	v.LimitSubscriptions(0)
	covered(t, s, "BTC-USD", "ETH-USD")
	k.until(t, "Connected again", func() bool { return k.count(feed.Connected) == 2 })
	if st := s.Stats(); st.Disconnects != 0 || st.Limited < 2 {
		t.Errorf("%+v", st)
	}
}

// TestRefused: the vendor is away in several ways and comes back.
func TestRefused(t *testing.T) {
	for status, want := range map[int]string{0: "the vendor cannot be reached at ws://", 503: "503 Service Unavailable: not now", 429: "429 Too Many Requests: not now"} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			v := vendor(t, coinbasetest.Options{})
			v.RefuseFor(time.Hour, status)
			s := source(t, v, nil)
			k := run(t, s, "BTC-USD")
			k.until(t, "three refusals", func() bool { return k.count(feed.Disconnected) >= 3 })
			if !k.said(feed.Disconnected, want) {
				_, statuses := k.all()
				t.Errorf("statuses %v", statuses)
			}
			v.RefuseFor(0, 0)
			covered(t, s, "BTC-USD")
			if n := k.times(feed.Connecting); n != 1 {
				t.Errorf("it says %d times that it connects: each attempt would be news to clients", n)
			}
			if k.said(feed.Disconnected, "lost") {
				t.Error("a connection is lost that never was")
			}
		})
	}
}

// TestUnreachable: a vendor that cannot be reached is told in plain words.
func TestUnreachable(t *testing.T) {
	dialing := func(err error) error {
		return fmt.Errorf("failed to WebSocket dial: %w", &url.Error{Op: "Get", URL: "https://a", Err: &net.OpError{Op: "dial", Net: "tcp", Err: err}})
	}
	for want, cause := range map[string]error{
		"nothing listens there":                 dialing(os.NewSyscallError("connect", syscall.ECONNREFUSED)),
		"there is no way to it from here":       dialing(os.NewSyscallError("connect", syscall.ENETUNREACH)),
		"the name a is not known here":          dialing(&net.DNSError{Err: "no such host", Name: "a", IsNotFound: true}),
		"the name a could not be looked up":     dialing(&net.DNSError{Err: "server misbehaving", Name: "a", IsTemporary: true}),
		"no answer within 10s":                  dialing(context.DeadlineExceeded),
		"its certificate is not accepted: x509": dialing(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}),
		"something else":                        dialing(errors.New("something else")),
	} {
		err := &socket.UnreachableError{Endpoint: "wss://a", Within: 10 * time.Second, Cause: cause}
		if got := err.Error(); !strings.HasPrefix(got, "the vendor cannot be reached at wss://a: "+want) || strings.Contains(got, "dial") {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestSilentDeath: a half-open connection is noticed by the ping that nobody answers.
func TestSilentDeath(t *testing.T) {
	v := vendor(t, coinbasetest.Options{})
	s := source(t, v, func(o *Options) { o.Quiet, o.PongWithin = 100*time.Millisecond, 400*time.Millisecond })
	k := run(t, s, "BTC-USD")
	covered(t, s, "BTC-USD")
	v.Die()
	do(t, v.Make("BTC-USD", 3))
	k.until(t, "the end of the connection", func() bool { return k.saw(feed.Disconnected, "no answer to a ping") })
	covered(t, s, "BTC-USD")
	k.until(t, "what was missed to be seen", func() bool {
		seen := k.of(market.Seen, 1)
		return len(seen) > 0 && seen[len(seen)-1].ID == 3
	})
	check(t, v, "BTC-USD", 1, 0, 0, k.whole(t, s, "BTC-USD", 1, 0))
}

// TestSilence: without frames a connection lives on pongs, and the watermark too.
func TestSilence(t *testing.T) {
	v := vendor(t, coinbasetest.Options{})
	s := source(t, v, func(o *Options) { o.Quiet, o.PongWithin = 30*time.Millisecond, patience })
	do(t, v.Make("BTC-USD", 1))
	k := run(t, s, "BTC-USD")
	k.until(t, "a heartbeat", func() bool { return k.mark() > 0 })
	v.Heartbeats(false)
	do(t, v.Make("BTC-USD", 1))
	k.until(t, "a trade", func() bool { return k.has(1, 2) })
	last := k.got(market.Trade, 1)[0].Time
	before, _ := k.all()
	k.until(t, "the watermark to pass it by far", func() bool { return k.mark() > last+int64(300*time.Millisecond) })
	after, _ := k.all()
	for _, e := range after[len(before):] {
		if e.Kind != market.Mark {
			t.Errorf("%+v came", e)
		}
	}
	if st := s.Stats(); st.Disconnects != 0 {
		t.Errorf("%+v", st)
	}
}

// TestNoPongs: any frame is a sign of life, though pings are not answered.
func TestNoPongs(t *testing.T) {
	v := vendor(t, coinbasetest.Options{Heartbeat: 50 * time.Millisecond})
	v.Pongs(false)
	s := source(t, v, func(o *Options) {
		o.PingEvery, o.PongWithin, o.Quiet = 10*time.Millisecond, 400*time.Millisecond, 10*time.Millisecond
	})
	do(t, v.Make("BTC-USD", 1))
	k := run(t, s, "BTC-USD")
	k.until(t, "heartbeats for longer than a ping waits", func() bool { return len(k.of(market.Seen, 1)) > 30 })
	if st := s.Stats(); st.Disconnects != 0 {
		t.Errorf("%+v", st)
	}
}

// TestSkew: the exchange's clock is off by an hour and the watermark follows it; when it steps far
// ahead for a moment the watermark does not.
func TestSkew(t *testing.T) {
	for _, skew := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			v := vendor(t, coinbasetest.Options{Products: []coinbasetest.Product{{Name: "BTC-USD", PerSecond: 100}}, Skew: skew})
			s := source(t, v, nil)
			k := run(t, s, "BTC-USD")
			k.until(t, "a watermark", func() bool { return k.mark() > 0 })
			if off := time.Now().Add(skew).UnixNano() - k.watermark(); off > int64(patience) || off < 0 {
				t.Errorf("the watermark is %v behind the exchange's clock", time.Duration(off))
			}
			if off := s.Stats().Offset + skew; off < -time.Second || off > time.Second {
				t.Errorf("offset %v, want about %v", s.Stats().Offset, -skew)
			}
			v.Raw([]byte(`{"type":"match","trade_id":1000000,"side":"buy","size":"1","price":"1","product_id":"BTC-USD","time":"2099-01-01T00:00:00Z"}`))
			k.until(t, "the wild trade", func() bool { return k.has(1, 1000000) })
			before := k.watermark()
			k.until(t, "the watermark to go on", func() bool { return k.mark() > before })
			if at := time.Unix(0, k.watermark()); at.Year() == 2099 {
				t.Errorf("the watermark is at %v", at)
			}
			if s.Stats().Ahead == 0 {
				t.Error("nothing was counted")
			}
		})
	}
}

// TestStrangeFrames: what can't be read, huge frames, errors out of nowhere, a frame that is too long.
func TestStrangeFrames(t *testing.T) {
	v := vendor(t, coinbasetest.Options{})
	s := source(t, v, nil)
	k := run(t, s, "BTC-USD")
	covered(t, s, "BTC-USD")
	v.Huge(1 << 20)
	for _, text := range []string{"hello", "", `{"type":"match","product_id":"BTC-USD","trade_id":"x"}`, `{"type":"subscriptions","channels":7}`, `{"type":"l2update"}`} {
		v.Raw([]byte(text))
	}
	v.Error("Internal error", "something odd")
	do(t, v.Make("BTC-USD", 1))
	k.until(t, "the trade after them", func() bool { return k.has(1, 1) })
	if st := s.Stats(); st.BadFrames != 3 || st.ErrorFrames != 1 || st.Disconnects != 0 {
		t.Errorf("%+v", st)
	}
	v.Huge(s.opts.FrameBytes + 1)
	k.until(t, "the end of the connection", func() bool { return k.saw(feed.Disconnected, "a frame is longer than 4194304 bytes") })
	covered(t, s, "BTC-USD")
}

// TestSlowSink: while the sink holds the source up the queue fills, then the socket is not
// read. Nothing is lost, and the lag shows.
func TestSlowSink(t *testing.T) {
	const trades = 50_000 // some 16 MB, more than the queue and the socket hold
	v := vendor(t, coinbasetest.Options{SlowBytes: 1 << 30})
	s := source(t, v, func(o *Options) { o.QueueBytes = 64 << 10 })
	k := run(t, s, "BTC-USD")
	covered(t, s, "BTC-USD")
	release := k.hold()
	do(t, v.Make("BTC-USD", trades))
	begun := time.Now()
	s.SetSymbols(symbols("BTC-USD", "ETH-USD")) // its answer comes behind all of them
	var read uint64
	still := 0
	k.until(t, "reading to stop for a while", func() bool {
		if now := s.Stats().Frames; now != read || now < 100 {
			read, still = now, 0
		} else {
			still++
		}
		return still > 100 // looks, 2 ms apart
	})
	if read > trades/2 {
		t.Errorf("%d frames were read while the sink stood", read)
	}
	held := time.Since(begun)
	release()
	k.until(t, "all trades", func() bool { return len(k.entries) > trades && k.has(1, trades) })
	check(t, v, "BTC-USD", 1, 0, 0, k.got(market.Trade, 1))
	covered(t, s, "BTC-USD", "ETH-USD")
	if st := s.Stats(); st.Disconnects != 0 || st.Lag < held {
		t.Errorf("lag %v after %v, %+v", st.Lag, held, st)
	}
	do(t, v.Make("BTC-USD", 1))
	k.until(t, "the lag to go", func() bool { return k.has(1, trades+1) && s.Stats().Lag < held/2 })
}

// TestHeldIsNotSilent: while the sink holds the source up, for longer than one waits for a pong,
// silence is not held against the vendor.
func TestHeldIsNotSilent(t *testing.T) {
	v := vendor(t, coinbasetest.Options{Heartbeat: time.Hour})
	s := source(t, v, func(o *Options) {
		o.QueueBytes, o.Quiet, o.PongWithin = 1<<10, 20*time.Millisecond, 400*time.Millisecond
	})
	k := run(t, s, "BTC-USD")
	covered(t, s, "BTC-USD")
	release := k.hold()
	do(t, v.Make("BTC-USD", 100))
	looks := 0
	k.until(t, "a second to pass", func() bool {
		looks++
		return looks > 500 // 2 ms apart
	})
	release()
	k.until(t, "all trades", func() bool { return k.has(1, 100) })
	if st := s.Stats(); st.Disconnects != 0 {
		t.Errorf("%+v", st)
	}
}

// TestKilledForSlowness: a vendor that does not wait for a slow reader; what is missing can be had.
func TestKilledForSlowness(t *testing.T) {
	const trades = 40_000 // 13 MB: more than what the kernel holds for both sides
	v := vendor(t, coinbasetest.Options{SlowBytes: 1 << 20})
	s := source(t, v, func(o *Options) { o.QueueBytes = 64 << 10 })
	k := run(t, s, "BTC-USD")
	covered(t, s, "BTC-USD")
	release := k.hold()
	do(t, v.Make("BTC-USD", trades))
	k.until(t, "the kill", func() bool { return v.Stats().Killed == 1 })
	release()
	k.until(t, "a new connection", func() bool { return k.count(feed.Connected) == 2 && len(k.of(market.Seen, 1)) > 0 })
	check(t, v, "BTC-USD", 1, 0, 0, k.whole(t, s, "BTC-USD", 1, 0))
}

// TestBurst: 100,000 trades in 100 ms on one socket.
func TestBurst(t *testing.T) {
	const trades = 100_000 / scale
	v := vendor(t, coinbasetest.Options{})
	s := source(t, v, nil)
	k := run(t, s, "BTC-USD")
	covered(t, s, "BTC-USD")
	do(t, v.Burst("BTC-USD", trades, 100*time.Millisecond))
	k.until(t, "all of them", func() bool { return len(k.entries) > trades && k.has(1, trades) })
	check(t, v, "BTC-USD", 1, 0, 0, k.got(market.Trade, 1))
	if st := s.Stats(); st.Disconnects != 0 || v.Stats().Killed != 0 {
		t.Errorf("%+v", st)
	}
}

// TestCutAnywhere ends connections after every number of bytes of the handshake, the
// answer and the first frames.
func TestCutAnywhere(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("tls=", secure), func(t *testing.T) {
			v := vendor(t, coinbasetest.Options{TLS: secure})
			do(t, v.Make("BTC-USD", 3))
			s := source(t, v, func(o *Options) {
				o.draw = func(time.Duration) time.Duration { return 0 }
			})
			step, most := 1, 600
			if secure {
				step, most = 17, 2400
			}
			v.CutAfter(0, 1<<30)
			k := run(t, s, "BTC-USD")
			for at := 0; at < most; at += step {
				if at == 400 && !secure { // beyond the handshake's 129 and the answer's 116
					step = 5
				}
				v.CutAfter(int64(at), 1<<30)
				n := v.Stats().Cut + 2 // the first may have begun before
				k.until(t, fmt.Sprintf("the cut after %d bytes", at), func() bool { return v.Stats().Cut >= n })
			}
			v.CutAfter(0, 0)
			covered(t, s, "BTC-USD")
			do(t, v.Make("BTC-USD", 1))
			k.until(t, "the trade, or word of it if the last cut took it", func() bool {
				return k.has(1, 4) || slices.ContainsFunc(k.of(market.Seen, 1), func(e market.Entry) bool { return e.ID == 4 })
			})
			if k.times(feed.Failed)+k.times(feed.Limited) != 0 {
				_, statuses := k.all()
				t.Errorf("statuses %v", statuses)
			}
			entries, _ := k.all()
			for _, e := range entries {
				if e.Kind == market.Seen && e.ID > 4 || e.Kind == market.Trade && e.ID != 4 {
					t.Errorf("%+v was made of a frame that was cut off", e)
				}
			}
		})
	}
}

// TestNoAnswer: a subscription that nobody answers ends the connection.
func TestNoAnswer(t *testing.T) {
	v := vendor(t, coinbasetest.Options{})
	v.Answers(false)
	s := source(t, v, func(o *Options) { o.AnswerWithin, o.Quiet = 30*time.Millisecond, 10*time.Millisecond })
	k := run(t, s, "BTC-USD")
	k.until(t, "the end of the connection", func() bool {
		return k.saw(feed.Disconnected, "the vendor did not answer a subscription of 1 products within")
	})
	v.Answers(true)
	covered(t, s, "BTC-USD")
}

func TestLimits(t *testing.T) {
	for text, want := range map[string]bool{
		"Connection limit exceeded": true, "subscription limit exceeded": true, "Too many connections": true,
		"Public rate limit exceeded": false, "Failed to subscribe: X is not a valid product": false, "": false,
	} {
		if limits(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		text, product string
		want          bool
	}{
		{"BTC-USD is not a valid product", "BTC-USD", true},
		{"btc-usd is not a valid product", "BTC-USD", true},
		{"BTC-USDT is not a valid product", "BTC-USD", false},
		{"WBTC-USD is not a valid product", "BTC-USD", false},
		{"BTC-USDT and BTC-USD", "BTC-USD", true},
		{`"BTC-USD"`, "BTC-USD", true},
		{"BTC-USD-PERP", "BTC-USD", false},
		{" is not a valid product", "BTC-USD", false},
	} {
		if names(c.text, c.product) != c.want {
			t.Errorf("%q names %s: %v", c.text, c.product, !c.want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{"": 0, "7": 7 * time.Second, "1.5": 1500 * time.Millisecond, "-3": 0, "x": 0, "99999": time.Hour,
		"Thu, 01 Jan 2026 00:01:00 GMT": time.Minute, "Wed, 31 Dec 2025 00:01:00 GMT": 0} {
		if got := socket.RetryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
