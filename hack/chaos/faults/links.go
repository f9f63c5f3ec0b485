package faults

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/link"
)

var linkFaults = []Kind{
	{Name: "cut", weight: 6, do: cut},
	{Name: "stall", weight: 6, do: stall},
	{Name: "slow", weight: 5, do: slow},
	{Name: "clients-cut", weight: 3, do: clientsCut},
}

// valves draws one or a few links: those of a pod to something, those of a pod to all nodes, those
// between two nodes, or all of a node.
func valves(e *Env, r *rand.Rand) []*link.Valve {
	what, at, far := r.IntN(8), r.Uint64(), r.IntN(3)
	running := e.Running()
	if len(running) == 0 {
		return nil
	}
	p := running[at%uint64(len(running))]
	n := e.Nodes[far%len(e.Nodes)]
	switch what {
	case 0:
		return []*link.Valve{p.Clients}
	case 1:
		return []*link.Valve{p.Vendor}
	case 2:
		return []*link.Valve{p.REST, p.Vendor}
	case 3, 4:
		return p.Nodes
	case 5:
		return []*link.Valve{p.Nodes[far%len(p.Nodes)]}
	case 6: // a node from the others and from the pods
		var all []*link.Valve
		for i, o := range e.Nodes {
			if o == n {
				continue
			}
			all = append(all, n.Valves[i], o.Valves[far%len(e.Nodes)])
		}
		for _, q := range e.Slots {
			all = append(all, q.Nodes[far%len(e.Nodes)])
		}
		return all
	}
	if len(e.Nodes) == 1 {
		return p.Nodes
	}
	other := (far + 1) % len(e.Nodes)
	return []*link.Valve{n.Valves[other], e.Nodes[other].Valves[far]}
}

func names(vs []*link.Valve) (out []string) {
	for _, v := range vs {
		out = append(out, v.Name)
	}
	return out
}

// cut cuts links and keeps them cut for a while.
func cut(ctx context.Context, e *Env, r *rand.Rand) {
	vs, d := valves(e, r), between(r, 0, 9*time.Second)
	e.say("cut %q for %s", names(vs), d)
	for _, v := range vs {
		v.Refuse(true)
		v.Cut()
	}
	e.Sleep(ctx, d)
	for _, v := range vs {
		v.Mend()
	}
}

// stall holds links back, as if every packet were lost, for a while.
func stall(ctx context.Context, e *Env, r *rand.Rand) {
	vs, d := valves(e, r), between(r, 500*time.Millisecond, 12*time.Second)
	e.say("stall %q for %s", names(vs), d)
	for _, v := range vs {
		v.Stall(true)
	}
	e.Sleep(ctx, d)
	for _, v := range vs {
		v.Mend()
	}
}

// slow delays what links carry for a while.
func slow(ctx context.Context, e *Env, r *rand.Rand) {
	vs, d := valves(e, r), between(r, 2*time.Second, 12*time.Second)
	delay, rate := between(r, time.Millisecond, 400*time.Millisecond), 2_000+r.IntN(60_000)
	e.say("slow %q: %s and %d bytes/s for %s", names(vs), delay, rate, d)
	for _, v := range vs {
		v.Slow(delay, rate)
	}
	e.Sleep(ctx, d)
	for _, v := range vs {
		v.Mend()
	}
}

// clientsCut cuts every client at once.
func clientsCut(_ context.Context, e *Env, _ *rand.Rand) {
	n := 0
	for _, p := range e.Slots {
		n += p.Clients.Cut()
	}
	e.say("cut all %d connections of clients", n)
}
