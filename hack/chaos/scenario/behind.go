package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/clients"
	"github.com/marketstream/marketstream/hack/chaos/run"
	"github.com/marketstream/marketstream/hack/chaos/system"
	"github.com/marketstream/marketstream/streamer/logs"
)

const (
	// past is how many minutes the log has at the start: of so many symbols more than a pod replays, and the last
	// hour of them more than a pod has in memory.
	past          = 100
	behindSymbols = 1000
	// hour is how far behind a client is that is to be served, and tooFar one that is to be reset.
	hour   = 57 * time.Minute
	tooFar = 95 * time.Minute
	// tooFarEvery is how many clients there are to one that is too far behind.
	tooFarEvery = 10
	// sweepsMost is how often a pod may read the log for all of them.
	sweepsMost = 2
)

// behind has thousands of clients come back at once, an hour behind.
func behind() run.Scenario {
	shape := func(o *system.Options) {
		ordinary(o, behindSymbols, 4, 4)
		o.NodeCount = 1
		o.Feed = "{synthetic: {seed: 7, ticksPerSecond: 1}}"
		o.Stream = fmt.Sprintf("seedBars: %d", past)
	}
	return run.Scenario{Name: "behind", Shape: shape, Play: returnAtOnce}
}

func returnAtOnce(ctx context.Context, s *run.Stage) error {
	if err := s.AwaitSettled(ctx, patience); err != nil {
		return err
	}
	if err := present(ctx, s); err != nil {
		return err
	}
	if err := minute(ctx, s); err != nil {
		return err
	}
	id, err := epoch(ctx, s)
	if err != nil {
		return err
	}
	now := time.Now()
	var cursors [2]string
	for i, d := range []time.Duration{hour, tooFar} {
		if cursors[i], err = s.CursorAt(ctx, id, now.Add(-d)); err != nil {
			return err
		}
	}
	s.Say("cursors: an hour behind %s, too far behind %s", cursors[0], cursors[1])
	s.LookFrom(cursors[0])
	target, err := applied(ctx, s)
	if err != nil {
		return err
	}
	sweeps := make(map[*system.Pod]float64)
	for _, p := range s.Running() {
		if sweeps[p], err = p.Metric(ctx, "sse_sweeps_total"); err != nil {
			return err
		}
		_, peak := p.Usage()
		s.Figure(p.Name()+", peak memory before", "%d MiB", peak>>20)
	}
	began := time.Now()
	s.Connect(s.Wanted(), func(i int, o *clients.Options) {
		o.LastID = cursors[0]
		if i%tooFarEvery == tooFarEvery-1 {
			o.LastID = cursors[1]
			o.Reset = func(c *clients.Client, why string) {
				if c.ResetCount() > 1 {
					s.Wrong(c.Name, "reset %s, and not for the first time", why)
				}
			}
		}
	})
	if err := arrived(ctx, s, target); err != nil {
		return err
	}
	s.Figure("all clients have what they missed after", "%s", seconds(time.Since(began)))
	if err := minute(ctx, s); err != nil {
		return err
	}
	reset := 0
	for i, c := range s.Clients() {
		n := c.ResetCount()
		if far := i%tooFarEvery == tooFarEvery-1; far && n == 0 {
			s.Wrong(c.Name, "it was too far behind, and was not reset")
		}
		reset += n
	}
	s.Figure("clients", "%d, of which %d were reset as too far behind", len(s.Clients()), reset)
	for _, p := range s.Running() {
		n, err := p.Metric(ctx, "sse_sweeps_total")
		if err != nil {
			return err
		}
		n -= sweeps[p]
		_, peak := p.Usage()
		s.Figure(p.Name(), "%v sweeps of the log, %d clients, peak memory %d of %d MiB", n, connections(ctx, p), peak>>20, s.PodBytes>>20)
		if n > sweepsMost {
			s.Wrong(p.Name(), "it swept the log %v times: want at most %d", n, sweepsMost)
		}
		if peak > s.PodBytes {
			s.Wrong(p.Name(), "it had %d MiB of memory: want at most %d", peak>>20, s.PodBytes>>20)
		}
	}
	reconnects(s, began)
	return nil
}

// arrived waits until every client has come to a sequence.
func arrived(ctx context.Context, s *run.Stage, seq uint64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.Await(ctx, func() string {
		left := 0
		for _, c := range s.Clients() {
			if at, err := logs.ParseCursor(c.Newest()); err != nil || at.Seq < seq {
				left++
			}
		}
		if left > 0 {
			return fmt.Sprintf("%d clients have not come to sequence %d", left, seq)
		}
		return ""
	})
}
