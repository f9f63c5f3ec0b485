package scenario

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/run"
	"github.com/marketstream/marketstream/hack/chaos/system"
)

// drainWindow is what the program gives streams by default.
const drainWindow = 20 * time.Second

// roll replaces every pod as a Deployment with maxSurge 1 and maxUnavailable 0 does: a new one is started, and as
// soon as its probe says ready one of the old ones is told to end. That the next is started at once, and still not
// two drain at the same time, is the new pods' own doing.
func roll() run.Scenario {
	const pods = 4
	shape := func(o *system.Options) {
		ordinary(o, 64, pods, 2*pods)
		o.Drain = drainWindow
	}
	play := func(ctx context.Context, s *run.Stage) error {
		if err := loaded(ctx, s); err != nil {
			return err
		}
		if err := minute(ctx, s); err != nil {
			return err
		}
		began := time.Now()
		d := watchDrains(ctx, s)
		var holds, ends []time.Duration
		var ending sync.WaitGroup
		var mu sync.Mutex
		old := s.Running()
		for i, p := range old {
			fresh := s.Slots[pods+i]
			started := time.Now()
			s.Start(fresh)
			if err := ready(ctx, s, fresh); err != nil {
				return err
			}
			holds = append(holds, time.Since(started))
			s.Say("%s is ready after %s; SIGTERM to %s, which has %d clients", fresh.Name(), seconds(time.Since(started)), p.Name(), connections(ctx, p))
			told, ended := time.Now(), p.Terminate()
			ending.Go(func() {
				select {
				case <-ended:
				case <-time.After(patience):
					p.Stop() // which says that it does not end
				}
				mu.Lock()
				defer mu.Unlock()
				ends = append(ends, time.Since(told))
			})
		}
		ending.Wait()
		if err := s.AwaitSettled(ctx, patience); err != nil {
			return err
		}
		took := time.Since(began)
		if err := minute(ctx, s); err != nil {
			return err
		}
		d.report()
		s.Figure("the whole roll", "%s", seconds(took))
		for i, h := range holds {
			s.Figure(fmt.Sprintf("new pod %d, from its start to ready", i+1), "%s", seconds(h))
		}
		s.Figure("from SIGTERM to the end of a pod", "%s", spread(ends))
		times := attempts(s, began)
		reconnects(s, began)
		// What retry: was meant to spread: a pod's clients over its four seconds, and the drain does more.
		spreads := max(1, s.Wanted()/pods/4)
		s.Figure("reconnects in one second, if only retry: spread a pod's clients", "%d", spreads)
		if n := mostInSecond(times); n > tenfold*spreads {
			s.Wrong("roll", "%d reconnects in one second: want about %d, and at most ten times that", n, spreads)
		}
		tries(s, began)
		late(s, began)
		return nil
	}
	return run.Scenario{Name: "roll", Shape: shape, Play: play}
}

func connections(ctx context.Context, p *system.Pod) int {
	r, err := p.Report(ctx)
	if err != nil {
		return -1
	}
	return r.Connections
}

// ready waits until the probe of a pod says so, as an orchestrator asks it.
func ready(ctx context.Context, s *run.Stage, p *system.Pod) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	last := ""
	err := s.Await(ctx, func() string {
		why := p.Unready()
		if why != last {
			last = why
			s.Timeline.Add(p.Name(), "its probe: %q", why)
		}
		return why
	})
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name(), err)
	}
	return nil
}

// drains is which pods drained, and how many at once.
type drains struct {
	s    *run.Stage
	stop func()
	most int
	both time.Duration // how long two did
}

const drainLook = 50 * time.Millisecond

// watchDrains looks at who says of itself that it drains.
func watchDrains(ctx context.Context, s *run.Stage) *drains {
	d := &drains{s: s}
	last := time.Now()
	d.stop = s.Watch(drainLook, func() {
		n := 0
		for _, p := range s.Running() {
			// A pod whose streams are gone ends; what is left of it drains nobody.
			if r, err := p.Report(ctx); err == nil && r.Draining && r.Connections > 0 {
				n++
			}
		}
		now := time.Now()
		if n > 1 {
			d.both += now.Sub(last)
		}
		d.most, last = max(d.most, n), now
	})
	return d
}

func (d *drains) report() {
	d.stop()
	d.s.Figure("pods that drained clients at the same time, at most", "%d", d.most)
	if d.most > 1 {
		d.s.Wrong("roll", "%d pods drained clients at the same time, two or more for %s in all: want one", d.most, seconds(d.both))
	}
}

// tries looks whether each client was back on its first or second try.
func tries(s *run.Stage, since time.Time) {
	worst, more := 1, 0
	for _, c := range s.Clients() {
		n := 1
		for _, v := range c.Connections() {
			switch {
			case v.From.Before(since):
			case v.Began:
				n = 1
			default:
				n++
				worst = max(worst, n)
				if n > 2 {
					more++
					s.Wrong(c.Name, "it needed %d tries to be back; at %s: %s", n, v.Pod, v.End)
				}
			}
		}
	}
	s.Figure("tries that a client needed to be back, at most", "%d (%d were third or more)", worst, more)
}
