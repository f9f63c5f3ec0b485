package faults

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/system"
)

func three(s *system.System) bool { return len(s.Nodes) == 3 }

var nodeFaults = []Kind{
	{Name: "node-kill", weight: 6, do: nodeKill},
	{Name: "node-stop", weight: 4, do: nodeStop},
	{Name: "node-term", weight: 3, do: nodeTerm},
	{Name: "nodes-kill", weight: 3, needs: three, do: nodesKill},
}

// nodeKill kills a node and starts it again.
func nodeKill(ctx context.Context, e *Env, r *rand.Rand) {
	n, _ := pick(r, e.Nodes)
	wait := between(r, 0, 8*time.Second)
	e.say("kill -9 %s, again in %s", n.Name(), wait)
	n.Kill()
	e.Sleep(ctx, wait)
	e.start(n.Start())
}

// nodeStop stops a node for seconds.
func nodeStop(ctx context.Context, e *Env, r *rand.Rand) {
	n, _ := pick(r, e.Nodes)
	d := between(r, 500*time.Millisecond, 12*time.Second)
	e.say("SIGSTOP %s for %s", n.Name(), d)
	n.Pause(true)
	e.Sleep(ctx, d)
	n.Pause(false)
	e.say("SIGCONT %s", n.Name())
}

// nodeTerm stops a node politely and starts it again.
func nodeTerm(_ context.Context, e *Env, r *rand.Rand) {
	n, _ := pick(r, e.Nodes)
	e.say("SIGTERM %s, then again", n.Name())
	n.Stop()
	e.start(n.Start())
}

// nodesKill kills all nodes, or two of three, at once.
func nodesKill(ctx context.Context, e *Env, r *rand.Rand) {
	spared, wait := r.IntN(len(e.Nodes)), between(r, 0, 6*time.Second)
	all := r.IntN(2) == 0
	e.say("kill -9 the nodes, all of them: %v, else all but node-%d; again in %s", all, spared, wait)
	for i, n := range e.Nodes {
		if all || i != spared {
			n.Kill()
		}
	}
	e.Sleep(ctx, wait)
	for i, n := range e.Nodes {
		if all || i != spared {
			e.start(n.Start())
		}
	}
}
