package history

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/ring"
)

// walked is rings that are asked; calls are those of Answer and Walk.
type walked struct {
	*ring.Set
	calls atomic.Int64
}

func (c *walked) Answer(ctx context.Context, seq uint64, asks []ring.Ask) ([]ring.Answer, error) {
	c.calls.Add(1)
	return c.Set.Answer(ctx, seq, asks)
}

func (c *walked) Walk(ctx context.Context, seq uint64, asks []ring.Ask, fn func(int, ring.Answer) error) error {
	c.calls.Add(1)
	return c.Set.Walk(ctx, seq, asks, fn)
}

// TestAll: many requests at once get what each gets alone, in their order, with one call to the rings, and the log
// is read for many symbols together.
func TestAll(t *testing.T) {
	const symbols = 40
	w := newWorld(t, 4)
	w.alone = true
	all := make([]uint32, symbols)
	for i := range all {
		all[i] = uint32(i)
	}
	w.rings.Carry(all, tfs)
	w.minutes(0, 8, all[:symbols/2]...) // half of them have lost bars that the log has
	w.minutes(8, 11, all...)
	rings := &walked{Set: w.rings}
	w.opts.Rings = rings
	var requests []Request
	for _, n := range all {
		for _, limit := range []int{1, 7} {
			requests = append(requests, Request{Symbol: Symbol{Number: n}, Timeframe: market.M1, HereOnly: true, Query: ring.Query{Limit: limit}})
		}
		requests = append(requests, Request{Symbol: Symbol{Number: n}, Timeframe: market.M1, HereOnly: true, Newest: true, Query: ring.Query{HasAfter: true, AfterSeq: market.Seq(t0) + 1, Limit: 9}})
	}
	w.hold = make(chan struct{})
	time.AfterFunc(50*time.Millisecond, func() { close(w.hold) }) // the first reading waits for a moment, so that others share the next
	got := make([][]market.Bar, 0, len(requests))
	err := w.All(context.Background(), requests, func(i int, bars []market.Bar) error {
		if i != len(got) {
			t.Errorf("%d comes, want %d", i, len(got))
		}
		got = append(got, slices.Clone(bars))
		return nil
	})
	if err != nil || len(got) != len(requests) {
		t.Fatal(len(got), err)
	}
	if n, scans := rings.calls.Load(), w.n("scans"); n != 1 || scans >= symbols/2 {
		t.Errorf("%d calls to the rings, %d readings of BARS for %d symbols", n, scans, symbols/2)
	}
	for i, r := range requests {
		want, err := w.Bars(context.Background(), r)
		if err != nil || !slices.Equal(want, got[i]) || len(want) == 0 {
			t.Errorf("request %d: %d bars, want %d, %v", i, len(got[i]), len(want), err)
		}
	}
	stop := errors.New("stop")
	if err := w.All(context.Background(), requests, func(i int, _ []market.Bar) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}
