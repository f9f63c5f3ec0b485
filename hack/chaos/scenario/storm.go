package scenario

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/clients"
	"github.com/marketstream/marketstream/hack/chaos/oracle"
	"github.com/marketstream/marketstream/hack/chaos/run"
	"github.com/marketstream/marketstream/hack/chaos/system"
)

const (
	stormSymbols = 10_000
	// stormEvery is when all of the four timeframes close at once.
	stormEvery = 10 * time.Minute
	// grace is spec.bars.closeGrace, by default.
	grace = 2 * time.Second
	// perClient is how many symbols a stream takes by default: fifty clients have all of them.
	perClient = 200
	// window is what the CPU is measured over, about a storm and before it.
	window = 6 * time.Second
	// within is how long before it the clients come: a few minutes of so many bars are all that a pod replays,
	// and the oracle reads the log as a pod tells it.
	within = 75 * time.Second
)

// storm closes 10,000 symbols × 4 timeframes in one second.
func storm() run.Scenario {
	shape := func(o *system.Options) {
		ordinary(o, stormSymbols, 2, 2)
		o.NodeCount, o.PodBytes = 1, 1<<30
		o.TimeframesAlways = []string{"1m", "2m", "5m", "10m"}
		o.Feed, o.Stream = "{synthetic: {seed: 7, ticksPerSecond: 1}}", "seedBars: 12"
	}
	return run.Scenario{Name: "storm-close", Shape: shape, Play: closeAll, Limit: time.Hour}
}

func closeAll(ctx context.Context, s *run.Stage) error {
	if err := s.AwaitSettled(ctx, patience); err != nil {
		return err
	}
	if err := present(ctx, s); err != nil {
		return err
	}
	end := time.Now().Add(within + window).Truncate(stormEvery).Add(stormEvery)
	s.Say("all timeframes close at %s", end.UTC().Format(time.TimeOnly))
	s.Sleep(ctx, time.Until(end.Add(-within)))
	id, err := epoch(ctx, s)
	if err != nil {
		return err
	}
	from, err := s.CursorAt(ctx, id, time.Now())
	if err != nil {
		return err
	}
	s.LookFrom(from)
	s.Connect(s.Wanted(), func(i int, o *clients.Options) {
		at := i * perClient % len(s.Always)
		o.Symbols, o.Timeframes = s.Always[at:at+perClient], s.TimeframesAlways
		o.Query.Set("seed", "0")
	})
	if err := s.AwaitIn(ctx, patience); err != nil {
		return err
	}
	s.Sleep(ctx, time.Until(end.Add(-window-time.Second)))
	before := measureCPU(ctx, s)
	s.Sleep(ctx, time.Until(end.Add(-time.Second)))
	quiet := measureCPU(ctx, s).less(before)
	start := measureCPU(ctx, s)
	s.Sleep(ctx, time.Until(end.Add(window-time.Second)))
	busy := measureCPU(ctx, s).less(start)
	s.Figure("frames in the storm", "%v", busy.frames)
	s.Figure("CPU of the pods", "%.2f s in the %s about the storm, %.2f s in the %s before", busy.cpu, window, quiet.cpu, window)
	s.Check(func(log *oracle.Log) {
		closing(s, log, "in the storm", end)
		closing(s, log, "a minute before, of 1m alone", end.Add(-time.Minute))
	})
	for _, p := range s.Running() {
		_, peak := p.Usage()
		s.Figure(p.Name()+", peak memory", "%d of %d MiB", peak>>20, s.PodBytes>>20)
	}
	return ctx.Err()
}

// closing notes how long after the watermark the bars that ended at a time reached the clients.
func closing(s *run.Stage, log *oracle.Log, what string, end time.Time) {
	ids := make(map[string]bool)
	for i := range log.Events {
		if e := &log.Events[i]; e.Bar != nil && e.Bar.Rev == 0 && e.Bar.End == end.UnixMilli() {
			ids[e.ID] = true
		}
	}
	var took []time.Duration
	worst := time.Duration(0)
	for _, c := range s.Clients() {
		for _, e := range c.Seen().Events {
			if ids[e.ID] {
				d := e.At.Sub(end.Add(grace))
				took, worst = append(took, d), max(worst, d)
			}
		}
	}
	s.Figure("bars that closed "+what, "%d in the log, %d came to clients", len(ids), len(took))
	s.Figure("from the watermark to a client, "+what, "%s", spread(took))
	promised(s, "the last bar "+what, worst, time.Second)
}

// usage is what the pods used.
type usage struct{ cpu, frames float64 }

func (u usage) less(o usage) usage { return usage{u.cpu - o.cpu, u.frames - o.frames} }

func measureCPU(ctx context.Context, s *run.Stage) (u usage) {
	for _, p := range s.Running() {
		cpu, _ := p.Usage()
		u.cpu += cpu
	}
	u.frames, _ = sum(ctx, s, "log_frames_total") // 0 says that it could not be read
	return u
}

const (
	burstSymbols = 100
	sustained    = time.Minute
)

// burst has the vendor send 10,000 trades a second for a minute, and in it 50,000 in one second and 10,000 in a tenth of one.
func burst() run.Scenario {
	shape := func(o *system.Options) {
		ordinary(o, burstSymbols, 2, 2)
		o.PerSecond, o.NodeCount, o.PodBytes = 1, 1, 512<<20
	}
	return run.Scenario{Name: "burst", Shape: shape, Play: takeBursts}
}

func takeBursts(ctx context.Context, s *run.Stage) error {
	if err := loaded(ctx, s); err != nil {
		return err
	}
	if err := minute(ctx, s); err != nil {
		return err
	}
	if err := gapless(ctx, s); err != nil {
		return err
	}
	from, err := applied(ctx, s)
	if err != nil {
		return err
	}
	unbroken(s, from)
	taken, err := sum(ctx, s, "feed_ticks_total")
	if err != nil {
		return err
	}
	made, requests := s.Vendor.Stats().Trades, s.Vendor.Stats().Requests
	lag := 0.0
	stop := s.Watch(200*time.Millisecond, func() {
		for _, p := range s.Running() {
			if n, err := p.Metric(ctx, "feed_lag_seconds"); err == nil {
				lag = max(lag, n)
			}
		}
	})
	// Each symbol makes its share; on top of what the vendor makes anyway.
	all := func(perSecond int, over time.Duration) error {
		n := int(float64(perSecond) * over.Seconds() / burstSymbols)
		for _, name := range s.Always {
			if err := s.Vendor.Burst(name, n, over); err != nil {
				return err
			}
		}
		s.Say("%d trades a second for %s", perSecond, over)
		return nil
	}
	const steady = 10_000
	began := time.Now()
	cpu := measureCPU(ctx, s)
	for _, b := range []struct {
		at        time.Duration
		perSecond int
		over      time.Duration
	}{{0, steady, sustained}, {sustained / 3, 50_000 - steady, time.Second}, {2 * sustained / 3, 100_000 - steady, time.Second / 10}} {
		s.Sleep(ctx, time.Until(began.Add(b.at)))
		if err := all(b.perSecond, b.over); err != nil {
			return err
		}
	}
	s.Sleep(ctx, time.Until(began.Add(sustained)))
	used := measureCPU(ctx, s).less(cpu)
	if err := minute(ctx, s); err != nil {
		return err
	}
	stop()
	after, err := sum(ctx, s, "feed_ticks_total")
	if err != nil {
		return err
	}
	stats := s.Vendor.Stats()
	s.Figure("trades that the vendor made, and that the pods took from its socket", "%d, %.0f", stats.Trades-made, after-taken)
	s.Figure("requests to the vendor's REST meanwhile", "%d", stats.Requests-requests)
	s.Figure("connections that the vendor cut as too slow", "%d", stats.Killed)
	s.Figure("CPU of the pods in the minute", "%.1f s", used.cpu)
	s.Figure("the feed's lag at most", "%.2f s", lag)
	var dropped []string
	for _, event := range []string{"tick", "bar"} {
		n, err := sum(ctx, s, "sse_dropped_total", `event="`+event+`"`)
		if err != nil {
			return err
		}
		dropped = append(dropped, fmt.Sprintf("%v %ss", n, event))
	}
	s.Figure("dropped for clients", "%s", strings.Join(dropped, ", "))
	return nil
}
