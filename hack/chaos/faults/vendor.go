package faults

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/marketstream/marketstream/streamer/feed/coinbase/coinbasetest"
)

var vendorFaults = []Kind{
	{Name: "vendor-drop", weight: 4, do: vendorDrop},
	{Name: "vendor-die", weight: 2, do: vendorDie},
	{Name: "vendor-lose", weight: 5, do: vendorLose},
	{Name: "rest-down", weight: 3, do: restDown},
}

// vendorDrop drops the vendor's connections, and refuses new ones for a while.
func vendorDrop(ctx context.Context, e *Env, r *rand.Rand) {
	d, status := between(r, 0, 6*time.Second), []int{0, 503, 429}[r.IntN(3)]
	e.say("the vendor drops its connections and refuses (%d) for %s", status, d)
	e.Vendor.RefuseFor(d, status)
	e.Vendor.DropAll()
	e.Sleep(ctx, d)
}

// vendorDie makes the vendor's connections half open.
func vendorDie(_ context.Context, e *Env, _ *rand.Rand) {
	e.say("the vendor's connections are half open")
	e.Vendor.Die()
}

// vendorLose loses, doubles, mixes up and delays messages on the vendor's socket.
func vendorLose(_ context.Context, e *Env, r *rand.Rand) {
	for range 1 + r.IntN(4) {
		symbols := append(append([]string(nil), e.Always...), e.Fickle...)
		s, _ := pick(r, symbols)
		n, how := 1+r.IntN(20), r.IntN(4)
		by := between(r, 10*time.Millisecond, 3*time.Second)
		e.say("%s: of the next %d trades the socket has %s", s, n, []string{"none", "each twice", "the last first", "each late by " + by.String()}[how])
		var err error
		switch how {
		case 0:
			err = e.Vendor.Skip(s, n)
		case 1:
			err = e.Vendor.Duplicate(s, n)
		case 2:
			err = e.Vendor.Disorder(s, n)
		case 3:
			err = e.Vendor.Late(s, n, by)
		}
		if err != nil {
			e.Bad("chaos", err.Error())
		}
	}
}

// restDown breaks the vendor's REST side for a while, and its connections with it, so that it is needed.
func restDown(ctx context.Context, e *Env, r *rand.Rand) {
	d := between(r, 3*time.Second, 20*time.Second)
	f := []coinbasetest.RESTFault{{Status: 503}, {Status: 429, RetryAfter: 2 * time.Second}, {Cut: true}, {Delay: 3 * time.Second}}[r.IntN(4)]
	e.say("the vendor's REST goes wrong for %s: %+v; its connections drop", d, f)
	e.Vendor.REST(f)
	e.later(d, "the vendor's REST is well again", func() { e.Vendor.REST(coinbasetest.RESTFault{}) })
	e.Vendor.DropAll()
	e.Sleep(ctx, between(r, 0, 4*time.Second))
}
