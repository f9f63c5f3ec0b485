package system

import (
	"context"
	"fmt"
	"time"

	"github.com/marketstream/marketstream/streamer/market"
)

// Moving says what keeps the pods that run from having everything where it belongs, as they tell at
// /status: "" once all are ready, each partition has one holder, and all rings are loaded and those that moved let go.
func (s *System) Moving(ctx context.Context) string {
	holder := make(map[int]string)
	set, held := "", 0
	for _, p := range s.Running() {
		r, err := p.Report(ctx)
		switch {
		case err != nil:
			return err.Error()
		case !r.Ready || r.Draining:
			return p.Name() + " is not ready"
		case len(r.Moves) > 0:
			return fmt.Sprintf("%d partitions are on their way", len(r.Moves))
		case r.Rings.Loaded != r.Rings.Set || r.Rings.Held != r.Rings.Wanted:
			return fmt.Sprintf("%s has %d rings of %d", p.Name(), r.Rings.Held, r.Rings.Wanted)
		case set != "" && r.Rings.Set != set:
			return p.Name() + " sees other pods than the others do"
		}
		set, held = r.Rings.Set, held+r.Rings.Held
		for _, x := range r.Partitions {
			if o := holder[x.ID]; o != "" {
				return fmt.Sprintf("%s and %s have partition %d", o, p.Name(), x.ID)
			}
			holder[x.ID] = p.Name()
		}
	}
	s.docMu.Lock()
	defer s.docMu.Unlock()
	for _, name := range s.symbols {
		if p := market.PartitionOf(name); holder[p] == "" {
			return fmt.Sprintf("nobody has partition %d", p)
		}
	}
	if want := len(s.symbols) * len(s.timeframes); held != want {
		return fmt.Sprintf("the pods have %d rings of %d", held, want)
	}
	return ""
}

// AwaitSettled waits until nothing moves any more.
func (s *System) AwaitSettled(ctx context.Context, within time.Duration) error {
	limit := time.After(within)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for last := ""; ; {
		why := s.Moving(ctx)
		if why != last {
			last = why
			s.Timeline.Add("system", "what moves: %q", why)
		}
		if why == "" {
			return nil
		}
		select {
		case <-tick.C:
		case <-limit:
			return fmt.Errorf("after %s: %s", within, why)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
