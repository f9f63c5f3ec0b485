package run

import (
	"fmt"
	"strings"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/clients"
	"github.com/marketstream/marketstream/hack/chaos/oracle"
)

const (
	shown  = 12 // findings that are printed
	around = 12 * time.Second
	told   = 3 // clients whose connections are printed
)

// report prints what a run came to, and, if something is wrong, what happened around it.
func (r *run) report(res *Result) {
	pods, nodes := r.sys.Peaks.Get()
	if !res.Good() {
		r.explain(res)
	}
	what := fmt.Sprintf("FAULTS=%d", res.Faults)
	if r.Scenario != nil {
		what = "NAME=" + r.Scenario.Name
	}
	fmt.Fprintf(r.Out, "SEED=%d %s took %s: lost %d, twice %d, wrong %d, still partial %d, stuck %d; %d findings\n",
		r.Seed, what, res.Took.Round(time.Second), res.Lost, res.Twice, res.Wrong, res.Partial, res.Stuck, len(res.Findings))
	fmt.Fprintf(r.Out, "  %d bars held against the trades, %d events against %d clients' histories (%d connections), %d rewinds; memory: pods %d of %d MiB, nodes %d of %d MiB\n",
		res.Bars, res.Events, len(r.clients), res.Visits, r.sys.Rewinds.Load(), pods>>20, r.sys.PodBytes>>20, nodes>>20, r.sys.NodeBytes>>20)
	r.tellFigures()
}

func (r *run) explain(res *Result) {
	fmt.Fprintf(r.Out, "\n== what is wrong (the first %d of %d)\n", min(shown, len(res.Findings)), len(res.Findings))
	for i, f := range res.Findings {
		if i < shown {
			fmt.Fprintf(r.Out, "  %s  %s\n", f.Who, f.Text)
		}
	}
	first := res.Findings[0]
	for _, f := range res.Findings {
		if !f.At.IsZero() && (first.At.IsZero() || f.At.Before(first.At)) {
			first = f
		}
	}
	at := first.At
	if at.IsZero() {
		at = time.Now()
	}
	fmt.Fprintf(r.Out, "\n== around %s (all of it: %s/timeline.log; one log a process beside it)\n", at.UTC().Format("15:04:05.000"), r.Dir)
	r.line.Print(r.Out, at.Add(-around), at.Add(around/2))
	r.tellClients(res.Findings)
	fmt.Fprintln(r.Out)
}

// tellClients prints the connections and last events of clients that found something.
func (r *run) tellClients(findings []oracle.Finding) {
	seen := make(map[string]bool)
	for _, f := range findings {
		for _, c := range r.clients {
			if c.Name != f.Who || seen[c.Name] || len(seen) == told {
				continue
			}
			seen[c.Name] = true
			tell(r, c, f.At)
		}
	}
}

func tell(r *run, c *clients.Client, at time.Time) {
	s := c.Seen()
	fmt.Fprintf(r.Out, "\n== %s: %s %s, slow: %v, from %q\n", c.Name, strings.Join(c.Symbols, ","), strings.Join(c.Timeframes, ","), c.Slow, s.From)
	near := func(t time.Time) bool { return at.IsZero() || t.After(at.Add(-6*around)) && t.Before(at.Add(6*around)) }
	const clock = "15:04:05.000"
	for _, v := range s.Visits {
		if near(v.From) || near(v.To) {
			fmt.Fprintf(r.Out, "  %s to %s at %s from id %q: %s\n", v.From.UTC().Format(clock), v.To.UTC().Format(clock), v.Pod, v.LastID, v.End)
		}
	}
	for _, e := range s.Resets {
		fmt.Fprintf(r.Out, "  %s reset at %s: %s\n", e.At.UTC().Format(clock), e.Pod, e.Data)
	}
	n := 0
	for _, e := range s.Events {
		if near(e.At) && n < 60 {
			n++
			fmt.Fprintf(r.Out, "  %s %s %s %s\n", e.At.UTC().Format(clock), e.Pod, e.ID, e.Data)
		}
	}
}
