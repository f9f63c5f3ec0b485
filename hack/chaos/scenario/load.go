package scenario

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/oracle"
	"github.com/marketstream/marketstream/hack/chaos/run"
	"github.com/marketstream/marketstream/hack/chaos/system"
)

// closes is how long after a minute's end its bars have come, on a machine that is busy.
const closes = 8 * time.Second

// loaded connects the clients that were asked for, once all is in its place, and waits until all are in.
func loaded(ctx context.Context, s *run.Stage) error {
	if err := s.AwaitSettled(ctx, patience); err != nil {
		return err
	}
	s.Connect(s.Wanted(), nil)
	return s.AwaitIn(ctx, patience)
}

// minute waits until the next minute has closed.
func minute(ctx context.Context, s *run.Stage) error {
	now := time.Now()
	s.Sleep(ctx, now.Truncate(time.Minute).Add(time.Minute+closes).Sub(now))
	return ctx.Err()
}

// attempts are when clients set out to connect again after a time, in Unix ms, in order.
func attempts(s *run.Stage, after time.Time) (out []int64) {
	for _, c := range s.Clients() {
		for i, at := range c.Attempts() {
			if i > 0 && at > after.UnixMilli() {
				out = append(out, at)
			}
		}
	}
	slices.Sort(out)
	return out
}

// mostInSecond is how many of sorted times lie within one second, at most.
func mostInSecond(ms []int64) (most int) {
	from := 0
	for i, at := range ms {
		for at-ms[from] >= 1000 {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// reconnects notes how often the clients came back since a time.
func reconnects(s *run.Stage, since time.Time) {
	times := attempts(s, since)
	s.Figure("reconnects per client", "%.2f (%d of %d clients)", float64(len(times))/float64(max(1, len(s.Clients()))), len(times), len(s.Clients()))
	s.Figure("reconnects in one second at most", "%d", mostInSecond(times))
}

// late notes, in the end, how long after its end a bar reached a client, which may have been away, by bars that ended after a time.
func late(s *run.Stage, since time.Time) {
	s.Check(func(log *oracle.Log) {
		ends := make(map[string]int64, len(log.Events))
		for i := range log.Events {
			if e := &log.Events[i]; e.Bar != nil && e.Bar.Rev == 0 && e.Bar.End > since.UnixMilli() {
				ends[e.ID] = e.Bar.End
			}
		}
		var took []time.Duration
		for _, c := range s.Clients() {
			for _, e := range c.Seen().Events {
				if end, ok := ends[e.ID]; ok {
					took = append(took, e.At.Sub(time.UnixMilli(end)))
				}
			}
		}
		s.Figure("from the end of a bar until a client had it", "%s", spread(took))
	})
}

// meter adds up counters over all processes that there were.
type meter struct {
	s     *run.Stage
	names []string
	seen  map[string]map[string]float64 // by process, by name
	stop  func()
}

// measure begins to look at counters.
func measure(ctx context.Context, s *run.Stage, names ...string) *meter {
	m := &meter{s: s, names: names, seen: make(map[string]map[string]float64)}
	m.stop = s.Watch(meterEvery, func() {
		for _, p := range s.Running() {
			m.look(ctx, p)
		}
	})
	return m
}

const meterEvery = 500 * time.Millisecond

func (m *meter) look(ctx context.Context, p *system.Pod) {
	for _, name := range m.names {
		n, err := p.Metric(ctx, name)
		if err != nil {
			continue // it ends, or begins
		}
		of := m.seen[p.Process()]
		if of == nil {
			of = make(map[string]float64)
			m.seen[p.Process()] = of
		}
		of[name] = max(of[name], n)
	}
}

// totals ends the looking, with a last look, and returns the sums.
func (m *meter) totals(ctx context.Context) map[string]float64 {
	m.stop()
	for _, p := range m.s.Running() {
		m.look(ctx, p)
	}
	sums := make(map[string]float64)
	for _, of := range m.seen {
		for name, n := range of {
			sums[name] += n
		}
	}
	return sums
}

func mega(bytes float64) string { return fmt.Sprintf("%.3f MB", bytes/1e6) }
