package polygon

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/feed/account"
	"github.com/marketstream/marketstream/streamer/feed/link"
	"github.com/marketstream/marketstream/streamer/feed/polygon/polygontest"
	"github.com/marketstream/marketstream/streamer/feed/vendortest"
	"github.com/marketstream/marketstream/streamer/market"
)

func do(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func vendor(t testing.TB, opts polygontest.Options) *polygontest.Vendor {
	t.Helper()
	v, err := polygontest.Start(opts)
	do(t, err)
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// hurried are link options of tests: nothing waits for long.
func hurried() link.Options {
	return link.Options{Disorder: time.Millisecond, MarkEvery: time.Millisecond, Quiet: 20 * time.Millisecond, PongWithin: time.Minute,
		RetryFirst: time.Millisecond, RetryMost: 5 * time.Millisecond, LimitedWait: 20 * time.Millisecond, RefusedWait: time.Hour, KeyEvery: 5 * time.Millisecond}
}

// rig is a source of a vendor, and what it says.
type rig struct {
	*Source
	v    *polygontest.Vendor
	sink *vendortest.Sink
	log  *vendortest.Log
	stop func() error
}

// start makes a source of a vendor's symbols and runs it.
func start(t testing.TB, v *polygontest.Vendor, change func(*Options)) *rig {
	t.Helper()
	r := &rig{v: v, sink: vendortest.NewSink(), log: &vendortest.Log{}}
	opts := Options{Endpoint: v.URL(), RESTEndpoint: v.RESTURL(), TLS: v.ClientTLS(), Key: account.Fixed("key"), Link: hurried(),
		Settle: time.Nanosecond, Log: funcr.New(r.log.Add, funcr.Options{Verbosity: 2})}
	if change != nil {
		change(&opts)
	}
	var err error
	r.Source, err = New(opts)
	do(t, err)
	r.SetSymbols(vendortest.Symbols(v.Symbols()...))
	r.stop = vendortest.Run(t, r.Source, r.sink)
	return r
}

func (r *rig) covered(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Covered(ctx, vendortest.Symbols(r.v.Symbols()...)); err != nil {
		t.Fatalf("%v: statuses %+v\n%s", err, r.sink.Statuses(), r.log)
	}
}

func (r *rig) connected(t testing.TB, n int) {
	t.Helper()
	r.sink.Until(t, "connected", func() bool { return r.sink.Said(feed.Connected, "") >= n })
}

// entry is a trade as the source is to say it.
func (r *rig) entry(t *vendortest.Trade) market.Entry {
	e := market.Entry{Kind: market.Trade, Price: t.Price, Size: t.Size, Order: t.Seq, ID: t.Seq, Time: t.SentNs - t.SentNs%1e6}
	for i, name := range r.v.Symbols() {
		if name == t.Symbol {
			e.Symbol = uint32(i + 1)
		}
	}
	for _, c := range t.Conditions {
		e.Conditions |= 1 << c
	}
	return e
}

// wants makes entries of trades.
func (r *rig) wants(trades []vendortest.Trade) (out []market.Entry) {
	for i := range trades {
		out = append(out, r.entry(&trades[i]))
	}
	return out
}

// trade makes trades and sends them.
func (r *rig) trade(t testing.TB, symbol string, n int, how vendortest.How, f polygontest.Fault) []vendortest.Trade {
	t.Helper()
	trades, err := r.v.Trade(symbol, n, how, f)
	do(t, err)
	return trades
}

// came waits for so many trades, and returns them.
func (r *rig) came(t testing.TB, n int) []market.Entry {
	t.Helper()
	r.sink.Until(t, "trades", func() bool { return r.sink.Count(market.Trade) >= n })
	return r.sink.Of(market.Trade)
}

// refill gets the trades of a time from REST.
func (r *rig) refill(symbol string, from, to int64) (out []market.Entry, err error) {
	number := uint32(0)
	for i, name := range r.v.Symbols() {
		if name == symbol {
			number = uint32(i + 1)
		}
	}
	err = r.Refill(context.Background(), feed.Stretch{Symbol: feed.Symbol{Number: number, Name: symbol}, FromNs: from, ToNs: to}, func(e *market.Entry) error {
		out = append(out, *e)
		return nil
	})
	return out, err
}

// refillSoon is refill once the vendor's clock, which REST says in whole seconds, has passed the end.
func (r *rig) refillSoon(t testing.TB, symbol string, from, to int64) (out []market.Entry, err error) {
	t.Helper()
	r.sink.Until(t, "the vendor's clock passes the end", func() bool {
		var retry *feed.RetryError
		out, err = r.refill(symbol, from, to)
		return !errors.As(err, &retry)
	})
	return out, err
}

// whole waits until every trade that the vendor made has come or lies in a hole, and returns the holes.
func (r *rig) whole(t testing.TB, symbol string) (holes []market.Entry) {
	t.Helper()
	r.sink.Until(t, "every trade has come or lies in a hole", func() bool {
		have := map[uint64]bool{}
		for _, e := range r.sink.Of(market.Trade) {
			have[e.ID] = true
		}
		holes = r.sink.Of(market.Hole)
		for _, x := range r.v.Trades(symbol, 0, 1<<62) {
			e := r.entry(&x)
			if !have[e.ID] && !slices.ContainsFunc(holes, func(h market.Entry) bool { return h.Time <= e.Time && e.Time < h.Until }) {
				return false
			}
		}
		return true
	})
	return holes
}
