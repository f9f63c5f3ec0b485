package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/run"
	"github.com/marketstream/marketstream/hack/chaos/system"
)

// entry is a scenario and how many clients it has where nobody says another number.
type entry struct {
	run.Scenario
	clients int
}

// all are the scenarios.
func all() []entry {
	return []entry{
		{reshard(), 1000},
		{roll(), 2000},
		{lone(), 50},
		{move(), 200},
		{outage("outage", 1), 200},
		{outage("outage3", 3), 200},
		{behind(), 5000},
		{storm(), 50},
		{burst(), 50},
	}
}

// Named returns a scenario and how many clients it is meant for.
func Named(name string) (s *run.Scenario, clients int, err error) {
	var names []string
	for _, e := range all() {
		if e.Name == name {
			return &e.Scenario, e.clients, nil
		}
		names = append(names, e.Name)
	}
	return nil, 0, fmt.Errorf("scenario %q: want one of %s", name, strings.Join(names, ", "))
}

const (
	// patience is a guard against hanging in one step, far above what it takes.
	patience = 5 * time.Minute
	// tenfold is how much more than its promised time something may take before it is a finding.
	tenfold = 10
)

// symbols makes n names.
func symbols(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("S%04d-USD", i))
	}
	return out
}

// ordinary shapes a system that trades n symbols at the scripted vendor.
func ordinary(o *system.Options, n, pods, slots int) {
	o.Always, o.PerSecond = symbols(n), 2
	o.PodCount, o.SlotCount = pods, slots
	o.TimeframesAlways = []string{"1m", "2m", "5m"}
}

// spread describes durations.
func spread(list []time.Duration) string {
	if len(list) == 0 {
		return "none"
	}
	sorted := slices.Sorted(slices.Values(list))
	return fmt.Sprintf("median %s, worst %s of %d", seconds(sorted[len(sorted)/2]), seconds(sorted[len(sorted)-1]), len(sorted))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// promised notes a time beside what was promised.
func promised(s *run.Stage, name string, took, promise time.Duration) {
	s.Figure(name, "%s (promised %s)", seconds(took), promise)
	if took > tenfold*promise {
		s.Wrong(name, "it took %s: want %s, and at most ten times that", seconds(took), promise)
	}
}
