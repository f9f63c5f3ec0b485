package scenario

import (
	"context"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/run"
	"github.com/marketstream/marketstream/hack/chaos/system"
)

// reshard goes from 4 pods to 8 and to 2, one by one as the operator does, under load.
func reshard() run.Scenario {
	const first, most, last = 4, 8, 2
	shape := func(o *system.Options) {
		ordinary(o, 64, first, most)
		o.Drain = 10 * time.Second
	}
	play := func(ctx context.Context, s *run.Stage) error {
		if err := loaded(ctx, s); err != nil {
			return err
		}
		if err := minute(ctx, s); err != nil {
			return err
		}
		before := make(map[string]float64)
		m := measure(ctx, s, ringsSent, barsRead)
		s.Sleep(ctx, 2*meterEvery)
		for name, n := range m.totals(ctx) {
			before[name] = n
		}
		m = measure(ctx, s, ringsSent, barsRead)
		began := time.Now()

		s.Scale(ctx, most, 0)
		if err := s.AwaitSettled(ctx, patience); err != nil {
			return err
		}
		s.Figure("4 to 8 pods, until all is moved", "%s", seconds(time.Since(began)))
		s.Say("8 pods")
		s.Connect(max(1, s.Wanted()/newcomers), nil)
		if err := minute(ctx, s); err != nil {
			return err
		}
		var steps []time.Duration
		down := time.Now()
		for len(s.Running()) > last {
			p := s.Running()[0] // one of the oldest: it has clients
			step := time.Now()
			s.Say("%s goes", p.Name())
			select {
			case <-p.Terminate():
			case <-time.After(patience):
				p.Stop() // which says that it does not end
			}
			if err := s.AwaitSettled(ctx, patience); err != nil {
				return err
			}
			steps = append(steps, time.Since(step))
		}
		s.Figure("8 to 2 pods, one after the other", "%s, of which each %s (with a drain of 10 s)", seconds(time.Since(down)), spread(steps))
		if err := minute(ctx, s); err != nil {
			return err
		}
		sums := m.totals(ctx)
		s.Figure("bytes of rings sent among pods", "%s", mega(sums[ringsSent]-before[ringsSent]))
		s.Figure("bytes of BARS read to load rings and partitions", "%s", mega(sums[barsRead]-before[barsRead]))
		reconnects(s, began)
		late(s, began)
		return nil
	}
	return run.Scenario{Name: "reshard", Shape: shape, Play: play}
}

// newcomers: one for so many clients comes while there are 8 pods, and reads rings that are elsewhere.
const newcomers = 10

const (
	ringsSent = "ring_sent_bytes_total"
	barsRead  = "log_read_bytes_total"
)
