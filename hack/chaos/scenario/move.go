package scenario

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/clients"
	"github.com/marketstream/marketstream/hack/chaos/run"
	"github.com/marketstream/marketstream/hack/chaos/system"
)

// leg is one way of the backbone: what the first node says on it, step by step, and when it has come to its end.
type leg struct {
	name     string
	replicas int
	steps    []string
	done     string
}

var legs = []leg{
	{"1 to 3 nodes", 3, []string{"moves to 3 nodes", "starts generation", "verify BARS", "copy BARS", "compare BARS", "copy CTL", "compare CTL", "verified", "moved to generation"}, "serves generation 2 of 3"},
	{"3 to 1 nodes", 1, []string{"moves to 1 nodes", "close", "seal", "copy BARS", "compare BARS", "copy CTL", "verified", "moved to generation"}, "serves generation 3 of 1"},
}

// move takes the backbone from one node to three and back under load, and kills the node that moves at each step in turn.
func move() run.Scenario {
	shape := func(o *system.Options) {
		ordinary(o, 64, 4, 4)
		o.NodeCount, o.FirstAlone = 3, true
	}
	play := func(ctx context.Context, s *run.Stage) error {
		if err := loaded(ctx, s); err != nil {
			return err
		}
		probe := pulse(s)
		if err := minute(ctx, s); err != nil {
			return err
		}
		began := time.Now()
		for i, l := range legs {
			if err := l.walk(ctx, s, probe, i); err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
			if err := minute(ctx, s); err != nil {
				return err
			}
		}
		if err := minute(ctx, s); err != nil {
			return err
		}
		reconnects(s, began)
		late(s, began)
		return nil
	}
	return run.Scenario{Name: "move", Shape: shape, Play: play}
}

// walk goes one way, killed at every step.
func (l *leg) walk(ctx context.Context, s *run.Stage, probe *clients.Client, i int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	first, others := s.Nodes[0], s.Nodes[1:]
	probe.Pause()
	began := time.Now()
	first.Stop()
	if l.replicas == len(s.Nodes) {
		for _, n := range others {
			if err := n.StartAs(l.replicas); err != nil {
				return err
			}
		}
	}
	kills := 0
	for _, step := range l.steps {
		if err := first.StartAs(l.replicas); err != nil {
			return err
		}
		line, err := first.Await(ctx, step, l.done)
		if err != nil {
			return err
		}
		first.Kill()
		kills++
		s.Say("killed at %q", strings.TrimSpace(line))
	}
	last := time.Now()
	if err := first.StartAs(l.replicas); err != nil {
		return err
	}
	if err := s.Await(ctx, first.Unready); err != nil {
		return err
	}
	undisturbed := time.Since(last)
	if l.replicas == 1 {
		for _, n := range others {
			if _, err := n.Await(ctx, "the backbone is the first node alone"); err != nil {
				return err
			}
			n.Stop()
		}
	}
	err := s.Await(ctx, func() string { // the store of before goes once all is compared
		_, err := os.Stat(filepath.Join(first.Store, fmt.Sprintf("g%d", i+1)))
		if errors.Is(err, os.ErrNotExist) {
			return ""
		}
		return "the old store is still there"
	})
	if err != nil {
		return err
	}
	if err := s.AwaitReady(ctx, patience); err != nil {
		return err
	}
	s.Figure(l.name+", with "+fmt.Sprint(kills)+" kills", "%s, from the last start to ready %s", seconds(time.Since(began)), seconds(undisturbed))
	s.Sleep(ctx, away)
	s.Figure(l.name+": the stall, as the longest time without a microbar", "%s", seconds(probe.Pause()))
	return ctx.Err()
}
