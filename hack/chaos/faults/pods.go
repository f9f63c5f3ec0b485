package faults

import (
	"context"
	"math/rand/v2"
	"time"
)

var podFaults = []Kind{
	{Name: "pod-kill", weight: 8, do: podKill},
	{Name: "pod-stop", weight: 6, do: podStop},
	{Name: "pod-replace", weight: 5, do: podReplace},
	{Name: "pods-kill", weight: 2, do: podsKill},
	{Name: "scale", weight: 3, do: scale},
	{Name: "reload", weight: 5, do: reload},
}

// podKill kills a pod and starts it again.
func podKill(ctx context.Context, e *Env, r *rand.Rand) {
	p, ok := pick(r, e.Running())
	wait := between(r, 0, 5*time.Second)
	if !ok {
		return
	}
	e.say("kill -9 %s, again in %s", p.Name(), wait)
	p.Kill()
	e.Sleep(ctx, wait)
	e.start(p.Start())
}

func (e *Env) start(err error) {
	if err != nil {
		e.Bad("chaos", "a process does not start: "+err.Error())
	}
}

// podStop stops a pod for seconds, which then goes on as if nothing had been.
func podStop(ctx context.Context, e *Env, r *rand.Rand) {
	p, ok := pick(r, e.Running())
	d := between(r, 500*time.Millisecond, 12*time.Second)
	if !ok {
		return
	}
	e.say("SIGSTOP %s for %s", p.Name(), d)
	p.Pause(true)
	e.Sleep(ctx, d)
	p.Pause(false)
	e.say("SIGCONT %s", p.Name())
}

// podReplace starts another pod, where there is a place, and stops one politely.
func podReplace(ctx context.Context, e *Env, r *rand.Rand) {
	p, ok := pick(r, e.Running())
	surge, wait := r.IntN(3) > 0, between(r, 0, 4*time.Second)
	if !ok {
		return
	}
	if free := e.free(); surge && free != nil {
		e.say("%s comes, and %s is to replace it: SIGTERM", free.Name(), p.Name())
		e.start(free.Start())
		e.Sleep(ctx, wait)
		p.Stop()
		return
	}
	e.say("SIGTERM %s, then again", p.Name())
	p.Stop()
	e.start(p.Start())
}

// podsKill kills all pods at once and starts them again.
func podsKill(ctx context.Context, e *Env, r *rand.Rand) {
	running, wait := e.Running(), between(r, 0, 6*time.Second)
	e.say("kill -9 all %d pods, again in %s", len(running), wait)
	for _, p := range running {
		p.Kill()
	}
	e.Sleep(ctx, wait)
	for _, p := range running {
		e.start(p.Start())
	}
}

// scale changes the number of pods: more at once, fewer one after the other.
func scale(ctx context.Context, e *Env, r *rand.Rand) {
	to := 1 + r.IntN(e.SlotCount)
	if r.IntN(2) == 0 {
		to = e.SlotCount
	}
	e.Scale(ctx, to, between(r, 0, 2*time.Second))
}

// Scale starts or stops pods until there are so many.
func (e *Env) Scale(ctx context.Context, to int, pause time.Duration) {
	e.say("from %d to %d pods", len(e.Running()), to)
	for ctx.Err() == nil && len(e.Running()) < to {
		e.start(e.free().Start())
	}
	for ctx.Err() == nil && len(e.Running()) > to {
		running := e.Running()
		running[len(running)-1].Stop()
		e.Sleep(ctx, pause)
	}
}
