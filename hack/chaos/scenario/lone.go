package scenario

import (
	"context"
	"strings"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/run"
	"github.com/marketstream/marketstream/hack/chaos/system"
)

// away is how long the backbone is killed for.
const away = 10 * time.Second

// lone replaces a pod that is alone, in each way, and then takes the backbone away.
func lone() run.Scenario {
	shape := func(o *system.Options) {
		ordinary(o, 16, 1, 2)
		o.NodeCount = 1
	}
	play := func(ctx context.Context, s *run.Stage) error {
		if err := loaded(ctx, s); err != nil {
			return err
		}
		began := time.Now()
		for _, way := range []struct {
			name string
			end  func(p *system.Pod) <-chan struct{}
			wait bool // until it has ended, before the replacement is started
		}{
			{"stopped, replaced once it has ended", (*system.Pod).Terminate, true},
			{"stopped, replaced while it drains", (*system.Pod).Terminate, false},
			{"killed -9", func(p *system.Pod) <-chan struct{} { p.Kill(); return nil }, false},
		} {
			old := s.Running()[0]
			fresh := s.Slots[0]
			if old == fresh {
				fresh = s.Slots[1]
			}
			s.Say("%s is %s", old.Name(), way.name)
			ended := way.end(old)
			if way.wait {
				<-ended
			}
			started := time.Now()
			s.Start(fresh)
			held, err := unheld(ctx, s, fresh)
			if err != nil {
				return err
			}
			s.Figure("lone pod "+way.name+": its replacement is ready after", "%s", seconds(time.Since(started)))
			if held != "" {
				s.Wrong("lone", "the replacement of a pod that was %s was held: %s", way.name, held)
			}
			if ended != nil {
				<-ended
			}
			if err := s.AwaitSettled(ctx, patience); err != nil {
				return err
			}
			if err := back(ctx, s); err != nil {
				return err
			}
		}
		s.Figure("until the last of them was settled", "%s", seconds(time.Since(began)))
		if err := minute(ctx, s); err != nil {
			return err
		}
		for _, pods := range []int{1, 2} {
			s.Scale(ctx, pods, 0)
			if err := s.AwaitSettled(ctx, patience); err != nil {
				return err
			}
			steady(ctx, s)
		}
		if err := minute(ctx, s); err != nil {
			return err
		}
		reconnects(s, began)
		late(s, began)
		return nil
	}
	return run.Scenario{Name: "lone", Shape: shape, Play: play}
}

// unheld waits until a pod is ready, and returns what it said if it was held.
func unheld(ctx context.Context, s *run.Stage, p *system.Pod) (held string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = s.Await(ctx, func() string {
		why := p.Unready()
		if strings.HasPrefix(why, "holding: ") && why != "holding:" {
			held = why
		}
		return why
	})
	return held, err
}

// back waits until every client has a connection again.
func back(ctx context.Context, s *run.Stage) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.Await(ctx, func() string {
		n := 0
		for _, p := range s.Running() {
			n += max(0, connections(ctx, p))
		}
		if n < len(s.Clients()) {
			return "not all clients are back"
		}
		return ""
	})
}

// steady takes the backbone away for a while: no pod's probe may fail.
func steady(ctx context.Context, s *run.Stage) {
	pods := s.Running()
	s.Say("the backbone is killed for %s, with %d pods", away, len(pods))
	looks, unready := 0, ""
	stop := s.Watch(drainLook, func() {
		for _, p := range pods {
			looks++
			if why := p.Unready(); why != "" {
				unready = p.Name() + ": " + why
			}
		}
	})
	for _, n := range s.Nodes {
		n.Kill()
	}
	s.Sleep(ctx, away)
	for _, n := range s.Nodes {
		if err := n.Start(); err != nil {
			s.Wrong(n.Name(), "it does not start: %v", err)
		}
	}
	s.Sleep(ctx, away/2)
	stop()
	s.Figure("probes of a pod while the backbone was away and came back", "%d, none unready: %v", looks, unready == "")
	if unready != "" {
		s.Wrong("lone", "without a backbone a pod became unready: %s", unready)
	}
}
