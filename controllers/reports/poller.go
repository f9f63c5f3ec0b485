package reports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/marketstream/marketstream/api/podreport"
)

// Target is a pod that is asked.
type Target struct {
	UID string
	// URL of its /status.
	URL string
	// Node: a node of a backbone, not a streamer.
	Node bool
}

// Answer is what a pod said last.
type Answer struct {
	Report *podreport.Report // of a streamer
	Node   *podreport.Node   // of a node
	// Err is why the newest question was not answered; the reports are then of before.
	Err string
}

// Options of a Poller. The zero value of a field has a default.
type Options struct {
	// Every is how often a pod is asked; 10 s. Soon is how often while its stream is hurried; 1 s.
	Every, Soon time.Duration
	// For is how long a stream stays hurried; 1 min.
	For time.Duration
	// Workers ask at once at most; 32.
	Workers int
	// Client of HTTP; one with a limit of 2 s.
	Client *http.Client
	// Changed is called, from several goroutines, when an answer of a stream's pod is another one. It may
	// block; ctx is that of Run.
	Changed func(ctx context.Context, stream string)
}

// Poller asks pods how they are.
type Poller struct {
	o    Options
	work chan *pod

	mu      sync.Mutex
	streams map[string]*stream
}

type stream struct {
	pods    map[string]*pod // by UID
	hurried time.Time       // until then
}

// pod is guarded by the mutex of its Poller.
type pod struct {
	stream string
	target Target
	due    time.Time
	asked  bool // a worker has it
	answer Answer
}

// maxBody is the largest report that is read, in bytes: a pod of 20,000 symbols says less than a tenth.
const maxBody = 1 << 20

// New returns a Poller that asks nobody yet.
func New(o Options) *Poller {
	orElse := func(d *time.Duration, absent time.Duration) {
		if *d == 0 {
			*d = absent
		}
	}
	orElse(&o.Every, 10*time.Second)
	orElse(&o.Soon, time.Second)
	orElse(&o.For, time.Minute)
	if o.Workers == 0 {
		o.Workers = 32
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return &Poller{o: o, work: make(chan *pod), streams: make(map[string]*stream)}
}

// Run asks until ctx ends, and returns when nobody asks any more.
func (p *Poller) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range p.o.Workers {
		workers.Go(func() {
			for pod := range p.work {
				p.ask(ctx, pod)
			}
		})
	}
	defer workers.Wait()
	defer close(p.work)
	look := time.NewTicker(p.o.Soon / 4)
	defer look.Stop()
	for {
		for _, pod := range p.due(time.Now()) {
			select {
			case p.work <- pod:
			case <-ctx.Done():
				return nil
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// due takes the pods that are to be asked now.
func (p *Poller) due(now time.Time) (out []*pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.streams {
		for _, pod := range s.pods {
			if !pod.asked && !now.Before(pod.due) {
				pod.asked = true
				out = append(out, pod)
			}
		}
	}
	return out
}

// Set says which pods a stream has; none forgets the stream.
func (p *Poller) Set(key string, targets []Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(targets) == 0 {
		delete(p.streams, key)
		return
	}
	s := p.streams[key]
	if s == nil {
		s = &stream{pods: make(map[string]*pod, len(targets))}
		p.streams[key] = s
	}
	keep := make(map[string]bool, len(targets))
	for _, t := range targets {
		keep[t.UID] = true
		if known := s.pods[t.UID]; known == nil || known.target != t {
			s.pods[t.UID] = &pod{stream: key, target: t}
		}
	}
	maps.DeleteFunc(s.pods, func(uid string, _ *pod) bool { return !keep[uid] })
}

// Hurry asks the pods of a stream more often for a while: something changed, and what they make of
// it is waited for.
func (p *Poller) Hurry(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.streams[key]
	if s == nil {
		return
	}
	now := time.Now()
	s.hurried = now.Add(p.o.For)
	for _, pod := range s.pods {
		if soon := now.Add(p.o.Soon); pod.due.After(soon) {
			pod.due = soon
		}
	}
}

// Of returns the last answers of a stream's pods by UID; a pod that was not asked yet is not there.
func (p *Poller) Of(key string) map[string]Answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[string]Answer)
	if s := p.streams[key]; s != nil {
		for uid, pod := range s.pods {
			if pod.answer != (Answer{}) {
				out[uid] = pod.answer
			}
		}
	}
	return out
}

// Sharing names the other streams of which a pod reports one of these fingerprints.
func (p *Poller) Sharing(key string, fingerprints map[string]bool) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sharing(key, fingerprints)
}

func (p *Poller) sharing(key string, fingerprints map[string]bool) (out []string) {
	for other, s := range p.streams {
		if other != key && s.shows(fingerprints) {
			out = append(out, other)
		}
	}
	return out
}

// shared names the other streams to which the difference between two answers is news: a fingerprint that they show
// came or went.
func (p *Poller) shared(key string, before, after Answer) []string {
	was, is := prints(before), prints(after)
	differ := make(map[string]bool)
	for f := range was {
		differ[f] = !is[f]
	}
	for f := range is {
		differ[f] = !was[f]
	}
	maps.DeleteFunc(differ, func(_ string, d bool) bool { return !d })
	if len(differ) == 0 {
		return nil
	}
	return p.sharing(key, differ)
}

// prints are the fingerprints in a streamer's report.
func prints(a Answer) map[string]bool {
	out := make(map[string]bool)
	if a.Report != nil {
		for _, s := range a.Report.Secrets {
			if s.Fingerprint != "" {
				out[s.Fingerprint] = true
			}
		}
	}
	return out
}

func (s *stream) shows(fingerprints map[string]bool) bool {
	for _, pod := range s.pods {
		for f := range prints(pod.answer) {
			if fingerprints[f] {
				return true
			}
		}
	}
	return false
}

// ask asks one pod and keeps what it says.
func (p *Poller) ask(ctx context.Context, who *pod) {
	answer, err := p.fetch(ctx, who.target)
	if ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	before := who.answer
	if err != nil {
		answer = before
		answer.Err = err.Error()
	}
	who.answer, who.asked = answer, false
	every := p.o.Every
	s := p.streams[who.stream]
	gone := s == nil || s.pods[who.target.UID] != who
	var others []string
	if !gone {
		others = p.shared(who.stream, before, answer)
	}
	if s != nil && time.Now().Before(s.hurried) {
		every = p.o.Soon
	}
	who.due = time.Now().Add(every)
	p.mu.Unlock()
	if !gone && p.o.Changed != nil && matters(before, answer) {
		p.o.Changed(ctx, who.stream)
		for _, other := range others {
			p.o.Changed(ctx, other)
		}
	}
}

// fetch asks a pod.
func (p *Poller) fetch(ctx context.Context, t Target) (a Answer, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, t.URL, nil)
	if err != nil {
		return a, err
	}
	response, err := p.o.Client.Do(r)
	if err != nil {
		return a, fmt.Errorf("it does not answer: %w", errors.Unwrap(err)) // without the address, which changes
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return a, fmt.Errorf("it answers /status with %s", response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return a, fmt.Errorf("its report breaks off: %w", err)
	}
	if len(body) > maxBody {
		return a, fmt.Errorf("its report is longer than %d bytes", maxBody)
	}
	if t.Node {
		a.Node = &podreport.Node{}
		err = json.Unmarshal(body, a.Node)
	} else {
		a.Report = &podreport.Report{}
		err = json.Unmarshal(body, a.Report)
	}
	if err != nil {
		return Answer{}, fmt.Errorf("its report is not what a pod says: %w", err)
	}
	return a, nil
}
