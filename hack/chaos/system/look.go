package system

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/marketstream/marketstream/api/podreport"
)

const (
	readyEvery = 250 * time.Millisecond
	// missesMost is how many probes in a row may fail before a pod is taken out.
	missesMost = 2
	statusOver = 4 // probes for one look at /status
)

// look probes everything, again and again: who is ready gets clients, what changes goes to the timeline.
func (s *System) look(ctx context.Context) {
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var all sync.WaitGroup
		for _, p := range s.Slots {
			if !p.Running() {
				p.ready.Store(false)
				s.unexpected(p)
				continue
			}
			all.Go(func() {
				s.probe(p)
				if n%statusOver == 0 {
					s.status(ctx, p)
				}
			})
		}
		all.Wait()
		if n%statusOver == 0 {
			s.weigh()
		}
		for _, node := range s.Nodes {
			if x := node.process(); x != nil && !x.Running() && !x.Told() {
				s.Bad(node.Name(), "it ended by itself: "+x.Exit())
				x.Kill() // told now
				_ = node.Start()
			}
		}
	}
}

// unexpected says that a pod ended by itself, and starts it again.
func (s *System) unexpected(p *Pod) {
	x := p.process()
	if x == nil || x.Told() {
		return
	}
	x.Kill() // told now
	s.Bad(p.Name(), "it ended by itself: "+x.Exit())
	_ = p.Start()
}

func (s *System) probe(p *Pod) {
	why := probe("http://" + p.internal + "/readyz")
	if why == "" {
		p.misses = 0
		if !p.ready.Swap(true) {
			s.Timeline.Add(p.Name(), "is ready")
		}
		return
	}
	if p.misses++; p.misses >= missesMost && p.ready.Swap(false) {
		s.Timeline.Add(p.Name(), "is unready: %s", why)
	}
}

// status notes what a pod says of itself, if that is news.
func (s *System) status(ctx context.Context, p *Pod) {
	r, err := p.Report(ctx)
	if err != nil {
		return // the probe says it
	}
	var b strings.Builder
	for _, x := range r.Partitions {
		fmt.Fprintf(&b, " %d(t%d)", x.ID, x.Token)
	}
	for _, m := range r.Moves {
		fmt.Fprintf(&b, ", %d %s from %s to %s", m.Partition, m.State, m.From, m.To)
	}
	said := fmt.Sprintf("feed %s %s, holds%s", r.Feed.State, r.Feed.Reason, b.String())
	if r.ConfigError != "" {
		said += ", config: " + r.ConfigError
	}
	if g := p.gaps(ctx); g != "" && g != "0" {
		said += ", gaps open " + g
	}
	p.mu.Lock()
	same := p.said == said
	p.said = said
	p.mu.Unlock()
	if !same {
		s.Timeline.Add(p.Name(), "%s", said)
	}
}

// Report asks a pod's /status.
func (p *Pod) Report(ctx context.Context) (r podreport.Report, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	body, code, err := fetch(ctx, "http://"+p.internal+"/status")
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("%s: status %d", p.Name(), code)
	}
	if err == nil {
		err = json.Unmarshal(body, &r)
	}
	return r, err
}

// gaps is how many gaps a pod says are open.
func (p *Pod) gaps(ctx context.Context) string {
	n, err := p.Metric(ctx, "feed_gaps_open")
	if err != nil {
		return ""
	}
	return strconv.FormatFloat(n, 'f', -1, 64)
}

// Metric is a metric of a pod, summed over the series whose labels hold all of these.
func (p *Pod) Metric(ctx context.Context, name string, labels ...string) (sum float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	body, code, err := fetch(ctx, "http://"+p.internal+"/metrics")
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("%s: status %d", p.Name(), code)
	}
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(body)) {
		series, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		of, rest, _ := strings.Cut(series, "{")
		if !ok || of != name || slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(rest, l) }) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %q: %w", p.Name(), line, err)
		}
		sum += n
	}
	return sum, nil
}

// Peaks are the most memory that a process of each kind had, in bytes.
type Peaks struct {
	mu          sync.Mutex
	pods, nodes int64
}

func (k *Peaks) note(of *int64, n int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	*of = max(*of, n)
}

// Get returns them.
func (k *Peaks) Get() (pods, nodes int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pods, k.nodes
}

// weigh looks at the memory of every process.
func (s *System) weigh() {
	for _, p := range s.Slots {
		if x := p.process(); x != nil && x.Running() {
			if n := x.Resident(); n > s.PodBytes {
				s.Bad(p.Name(), fmt.Sprintf("it has %d MiB of memory: want at most %d", n>>20, s.PodBytes>>20))
			}
			s.Peaks.note(&s.Peaks.pods, x.Peak())
		}
	}
	for _, n := range s.Nodes {
		if x := n.process(); x != nil && x.Running() {
			if has := x.Resident(); has > s.NodeBytes {
				s.Bad(n.Name(), fmt.Sprintf("it has %d MiB of memory: want at most %d", has>>20, s.NodeBytes>>20))
			}
			s.Peaks.note(&s.Peaks.nodes, x.Peak())
		}
	}
}
