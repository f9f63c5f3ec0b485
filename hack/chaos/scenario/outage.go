package scenario

import (
	"context"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/oracle"
	"github.com/marketstream/marketstream/hack/chaos/run"
	"github.com/marketstream/marketstream/hack/chaos/system"
)

// outage takes the whole backbone away for ten seconds, once in the middle of a minute and once over its end: what
// the vendor sent meanwhile is in the bars, without a gap and without having been asked for again.
func outage(name string, nodes int) run.Scenario {
	shape := func(o *system.Options) {
		ordinary(o, 64, 4, 4)
		o.NodeCount = nodes
	}
	play := func(ctx context.Context, s *run.Stage) error {
		if err := loaded(ctx, s); err != nil {
			return err
		}
		probe := pulse(s)
		if err := minute(ctx, s); err != nil {
			return err
		}
		if err := gapless(ctx, s); err != nil {
			return err
		}
		began := time.Now()
		from, err := applied(ctx, s)
		if err != nil {
			return err
		}
		unbroken(s, from)
		for _, second := range []time.Duration{25 * time.Second, 55 * time.Second} {
			now := time.Now()
			at := now.Truncate(time.Minute).Add(second)
			if at.Before(now) {
				at = at.Add(time.Minute)
			}
			s.Sleep(ctx, at.Sub(now))
			probe.Pause()
			s.Say("kill -9 all %d nodes for %s", nodes, away)
			for _, n := range s.Nodes {
				n.Kill()
			}
			s.Sleep(ctx, away)
			back := time.Now()
			for _, n := range s.Nodes {
				if err := n.Start(); err != nil {
					return err
				}
			}
			if err := s.AwaitReady(ctx, patience); err != nil {
				return err
			}
			s.Figure("nodes started again to ready, from second "+second.String(), "%s", seconds(time.Since(back)))
			s.Sleep(ctx, away)
			s.Figure("longest time without a microbar, from second "+second.String(), "%s (10 s of them without a backbone)", seconds(probe.Pause()))
		}
		if err := minute(ctx, s); err != nil {
			return err
		}
		reconnects(s, began)
		late(s, began)
		return nil
	}
	return run.Scenario{Name: name, Shape: shape, Play: play}
}

// unbroken has the log looked at: after a sequence no gap stands in it, and no bar was ever partial.
func unbroken(s *run.Stage, from uint64) {
	s.Check(func(log *oracle.Log) {
		gaps, partial, bars := 0, 0, 0
		for i := range log.Events {
			e := &log.Events[i]
			switch {
			case e.Cursor.Seq <= from:
				continue
			case e.Bar == nil:
				gaps++
			case e.Bar.Partial:
				partial++
			default:
				bars++
			}
			if (e.Bar == nil || e.Bar.Partial) && gaps+partial <= 3 {
				s.Wrong("the log", "%s: %s", e.ID, e.Data)
			}
		}
		s.Figure("events of the log from then on", "%d bars, %d gaps, %d bars that were partial", bars, gaps, partial)
	})
}
