package scenario

import (
	"context"
	"fmt"

	"github.com/marketstream/marketstream/hack/chaos/clients"
	"github.com/marketstream/marketstream/hack/chaos/run"
)

// pulse connects a client that gets the microbars of all symbols, so that a stall shows at once.
func pulse(s *run.Stage) *clients.Client {
	return s.Connect(1, func(_ int, o *clients.Options) {
		o.Name, o.Symbols = "pulse", s.Always
		o.Query.Set("events", "bar,microbar")
	})[0]
}

// applied is the highest sequence of BARS that a pod has applied.
func applied(ctx context.Context, s *run.Stage) (seq uint64, err error) {
	for _, p := range s.Running() {
		r, err := p.Report(ctx)
		if err != nil {
			return 0, err
		}
		seq = max(seq, r.Log.AppliedSeq)
	}
	return seq, nil
}

// epoch is that of the log.
func epoch(ctx context.Context, s *run.Stage) (string, error) {
	r, err := s.Running()[0].Report(ctx)
	return r.Epoch, err
}

// gapless waits until no gap is open: those of the start are repaired.
func gapless(ctx context.Context, s *run.Stage) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.Await(ctx, func() string {
		n, err := sum(ctx, s, "feed_gaps_open")
		if err != nil {
			return err.Error()
		}
		if n > 0 {
			return fmt.Sprintf("%v gaps are open", n)
		}
		return ""
	})
}

// present waits until a feed that invents its past has come to the present.
func present(ctx context.Context, s *run.Stage) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.Await(ctx, func() string {
		for _, p := range s.Running() {
			r, err := p.Report(ctx)
			if err != nil {
				return err.Error()
			}
			if len(r.Partitions) > 0 && r.Feed.State != "connected" {
				return p.Name() + " is " + r.Feed.State
			}
		}
		return ""
	})
}

// sum is a metric over all pods.
func sum(ctx context.Context, s *run.Stage, name string, labels ...string) (total float64, err error) {
	for _, p := range s.Running() {
		n, err := p.Metric(ctx, name, labels...)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}
