package run

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"

	"github.com/marketstream/marketstream/hack/chaos/clients"
	"github.com/marketstream/marketstream/hack/chaos/system"
)

// fickleEvery is how many clients there are to one that asks for what comes and goes.
const fickleEvery = 20

// connect starts the clients, each with a query of its own.
func (r *run) connect(ctx context.Context) {
	rnd := rand.New(rand.NewPCG(r.Seed, 1<<40))
	for i := range r.Clients {
		o := clients.Options{Name: fmt.Sprintf("client-%d", i), URL: r.sys.URL(), Slow: i < r.Slow, Query: url.Values{"seed": {strconv.Itoa(rnd.IntN(30))}},
			Silence: 3 * system.Heartbeat, Served: r.sys.Served,
			Wrong: func(c *clients.Client, what string) { r.wrong(c.Name, what) },
			Reset: r.reset}
		o.Symbols = some(rnd, r.sys.Always, 5)
		o.Timeframes = some(rnd, r.sys.TimeframesAlways, len(r.sys.TimeframesAlways))
		switch i % fickleEvery {
		case fickleEvery - 1:
			o.Persistent = true
			o.Symbols = append(o.Symbols, some(rnd, r.sys.Fickle, 2)...)
		case fickleEvery - 2:
			o.Persistent = true
			o.Timeframes = append(o.Timeframes, some(rnd, r.sys.TimeframesFickle, 1)...)
		}
		r.clients = append(r.clients, clients.Start(ctx, o))
	}
	r.line.Say("chaos", "%d clients, %d of them slow", r.Clients, r.Slow)
}

// some draws 1 to most of a list.
func some(rnd *rand.Rand, list []string, most int) (out []string) {
	n := 1 + rnd.IntN(min(most, len(list)))
	for _, i := range rnd.Perm(len(list))[:n] {
		out = append(out, list[i])
	}
	return out
}

// reset looks whether a reset may be: each rewound log gives a client one.
func (r *run) reset(c *clients.Client, why string) {
	n := len(c.Seen().Resets)
	r.line.Add(c.Name, "reset %s, its %d.", why, n)
	if allowed := r.sys.Rewinds.Load(); int64(n) > allowed {
		r.wrong(c.Name, fmt.Sprintf("reset %s, its %d.; the log was rewound %d times", why, n, allowed))
	}
}
