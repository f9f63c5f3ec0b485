package coinbasetest

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// LimitHow is what happens to a connection that is one too many.
type LimitHow string

// What happens to it.
const (
	// Refuse: the newcomer is told so by an error frame, and closed.
	Refuse LimitHow = "refuse"
	// RefuseClosing: the newcomer is told so by the close frame alone.
	RefuseClosing LimitHow = "refuse-closing"
	// RefuseHandshake: the newcomer gets 429 instead of a WebSocket.
	RefuseHandshake LimitHow = "refuse-handshake"
	// Evict: the oldest is told so and closed; the newcomer lives.
	Evict LimitHow = "evict"
	// EvictSilently: the oldest is cut without a word.
	EvictSilently LimitHow = "evict-silently"
)

const limitText = "Connection limit exceeded"

type limit struct {
	n   int
	how LimitHow
}

type refusal struct {
	until  time.Time
	status int
}

// LimitConnections allows n connections; 0: any number. Those that are open stay.
func (v *Vendor) LimitConnections(n int, how LimitHow) { v.with(func() { v.limit = limit{n, how} }) }

// LimitSubscriptions allows a connection n products; 0: any number.
func (v *Vendor) LimitSubscriptions(n int) { v.with(func() { v.subs = n }) }

// DropAll cuts every connection without a word.
func (v *Vendor) DropAll() {
	for _, c := range v.open() {
		c.abort()
	}
}

// RefuseFor refuses connections for a while: with an HTTP status, or, with 0, by hanging up.
func (v *Vendor) RefuseFor(d time.Duration, status int) {
	v.with(func() { v.refuse = refusal{v.opts.Now().Add(d), status} })
}

// Die makes every open connection half open: nothing comes from it any more and nothing is
// answered, and nobody is told. It counts no longer; new connections live.
func (v *Vendor) Die() {
	v.with(func() {
		for _, c := range v.clients {
			c.wire.Die()
		}
		v.dead, v.clients = append(v.dead, v.clients...), nil
	})
}

// CutAfter ends each of the next connections once it was sent n bytes, those of TLS and of
// the handshake counted.
func (v *Vendor) CutAfter(n int64, connections int) {
	v.sockets.CutAfter(n, connections, func() { v.with(func() { v.stats.Cut++ }) })
}

// Heartbeats turns heartbeats on or off.
func (v *Vendor) Heartbeats(on bool) { v.with(func() { v.mute = !on }) }

// Answers turns answers to subscriptions on or off.
func (v *Vendor) Answers(on bool) { v.with(func() { v.deaf = !on }) }

// Pongs turns answers to pings on or off.
func (v *Vendor) Pongs(on bool) { v.with(func() { v.pongless = !on }) }

// Skip keeps the next n trades of a product from the sockets.
func (v *Vendor) Skip(product string, n int) error {
	return v.product(product, func(b *book) { b.skip += n })
}

// Duplicate sends each of the next n trades twice.
func (v *Vendor) Duplicate(product string, n int) error {
	return v.product(product, func(b *book) { b.duplicate += n })
}

// Disorder sends the next n trades in the opposite order.
func (v *Vendor) Disorder(product string, n int) error {
	return v.product(product, func(b *book) { b.disorder += n })
}

// Late sends each of the next n trades by so much later than it was made.
func (v *Vendor) Late(product string, n int, by time.Duration) error {
	return v.product(product, func(b *book) { b.late, b.lateBy = b.late+n, by })
}

// Make makes n trades now.
func (v *Vendor) Make(product string, n int) error {
	return v.product(product, func(b *book) {
		us := v.opts.Now().Add(v.skew).UnixMicro()
		for range n {
			id, r := b.make(us, v.opts.Keep)
			v.made(b, id, r)
		}
	})
}

// Burst makes n trades, spread evenly over a time from now on.
func (v *Vendor) Burst(product string, n int, over time.Duration) error {
	if n < 1 || over < 0 || over > 24*time.Hour {
		return fmt.Errorf("a burst of %d trades in %v: want at least 1 in at most 24h", n, over)
	}
	return v.product(product, func(b *book) { b.bursts = append(b.bursts, burst{v.opts.Now().UnixNano(), int64(over), n, 0}) })
}

// Skew sets the exchange's clock ahead by d, or back. (Times of a product's trades keep rising.)
func (v *Vendor) Skew(d time.Duration) { v.with(func() { v.skew = d }) }

// Error sends every connection an error frame.
func (v *Vendor) Error(message, reason string) { v.sendAll(errorFrame(message, reason)) }

// Huge sends every connection a frame of n bytes, of a type that nobody knows.
func (v *Vendor) Huge(n int) {
	const head, tail = `{"type":"status","products":["`, `"]}`
	v.sendAll([]byte(head + strings.Repeat("x", max(n-len(head)-len(tail), 0)) + tail))
}

// Raw sends every connection a text frame.
func (v *Vendor) Raw(text []byte) { v.sendAll(bytes.Clone(text)) }

// RESTFault is how REST goes wrong.
type RESTFault struct {
	// Times is how many requests go wrong; 0: all until the next call.
	Times int
	// Status is answered instead of a page, with RetryAfter if that is not 0.
	Status     int
	RetryAfter time.Duration
	// Delay comes before every answer.
	Delay time.Duration
	// Drop is how many of a page's oldest trades are left out, Hole of its middle. One is left.
	Drop, Hole int
	// Cut ends the body in its middle.
	Cut bool
	// Lag hides the trades of the last time from REST.
	Lag time.Duration
}

// REST makes REST go wrong; the zero value mends it.
func (v *Vendor) REST(f RESTFault) { v.with(func() { v.rest = f }) }

// Forget makes REST lack the trades with ids from to to, both inclusive, for ever.
func (v *Vendor) Forget(product string, from, to uint64) error {
	return v.product(product, func(b *book) { b.forgot = append(b.forgot, [2]uint64{from, to}) })
}

// Trades is the oracle: every remembered trade with an id between two, both exclusive
// (before 0: up to the newest), oldest first.
func (v *Vendor) Trades(product string, after, before uint64) (trades []Trade, err error) {
	err = v.product(product, func(b *book) {
		if before == 0 {
			before = math.MaxUint64
		}
		for id := max(after+1, b.first); id < min(before, b.next()); id++ {
			trades = append(trades, b.trade(id, b.records[id-b.first]))
		}
	})
	return trades, err
}

// TradesBetween is the same by time, in [from, to).
func (v *Vendor) TradesBetween(product string, from, to time.Time) ([]Trade, error) {
	all, err := v.Trades(product, 0, 0)
	return slices.DeleteFunc(all, func(t Trade) bool { return t.TimeNs < from.UnixNano() || t.TimeNs >= to.UnixNano() }), err
}

// Newest is the id of a product's newest trade; 0: there is none.
func (v *Vendor) Newest(product string) (id uint64, err error) {
	err = v.product(product, func(b *book) { id = b.newest() })
	return id, err
}

func (v *Vendor) with(do func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	do()
}

func (v *Vendor) product(name string, do func(*book)) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	b := v.books[name]
	if b == nil {
		return fmt.Errorf("product %q: want one of %s", name, strings.Join(v.names, ", "))
	}
	do(b)
	return nil
}

func (v *Vendor) open() []*client {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.clients)
}

func (v *Vendor) sendAll(frame []byte) {
	for _, c := range v.open() {
		c.send(frame)
	}
}
