package run

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/clients"
	"github.com/marketstream/marketstream/hack/chaos/faults"
	"github.com/marketstream/marketstream/hack/chaos/oracle"
	"github.com/marketstream/marketstream/hack/chaos/system"
)

// Scenario is a planned course of things. When it has come to its end the oracle looks, as after faults.
type Scenario struct {
	Name string
	// Shape says what runs: it changes what faults would be done to.
	Shape func(o *system.Options)
	// Play does it. An error says what did not come about, which is a finding.
	Play func(ctx context.Context, s *Stage) error
	// Limit is a guard against hanging: 20 minutes.
	Limit time.Duration
}

const defaultLimit = 20 * time.Minute

// Stage is where a scenario is played. Its methods are called by Play's goroutine, but for Wrong.
type Stage struct {
	*faults.Env
	r      *run
	living context.Context //nolint:containedctx // of the clients
	rnd    *rand.Rand
}

// figure is what was measured.
type figure struct{ name, value string }

// play plays the scenario.
func (r *run) play(going, living context.Context) {
	limit := r.Scenario.Limit
	if limit == 0 {
		limit = defaultLimit
	}
	ctx, cancel := context.WithTimeout(going, limit)
	defer cancel()
	s := &Stage{Env: r.env, r: r, living: living, rnd: rand.New(rand.NewPCG(r.Seed, 1<<41))}
	if err := r.Scenario.Play(ctx, s); err != nil && going.Err() == nil {
		r.wrong(r.Scenario.Name, err.Error())
	}
}

// tellFigures prints what was measured, one a line.
func (r *run) tellFigures() {
	for _, f := range r.figures {
		fmt.Fprintf(r.Out, "%s: %s\n", f.name, f.value)
	}
}

// Say adds a line to the timeline and shows it.
func (s *Stage) Say(format string, args ...any) { s.r.line.Say(s.r.Scenario.Name, format, args...) }

// Wrong notes what must not be.
func (s *Stage) Wrong(who, format string, args ...any) { s.r.wrong(who, fmt.Sprintf(format, args...)) }

// Figure notes what was measured, to be printed in the end.
func (s *Stage) Figure(name, format string, args ...any) {
	s.r.figures = append(s.r.figures, figure{name, fmt.Sprintf(format, args...)})
}

// Start starts a process in a place for a pod.
func (s *Stage) Start(p *system.Pod) {
	if err := p.Start(); err != nil {
		s.Wrong(p.Name(), "it does not start: %v", err)
	}
}

// Check has the whole log looked at in the end, once every client has come as far.
func (s *Stage) Check(fn func(log *oracle.Log)) { s.r.checks = append(s.r.checks, fn) }

// LookFrom has the log looked at from a cursor on only: what is older is further behind than a pod replays.
func (s *Stage) LookFrom(cursor string) { s.r.logFrom = cursor }

// Wanted is how many clients were asked for.
func (s *Stage) Wanted() int { return s.r.Options.Clients }

// Clients are those that were connected.
func (s *Stage) Clients() []*clients.Client { return s.r.clients }

// wholeEvery is how many clients there are to one that keeps all that it gets; the others keep hashes.
const wholeEvery = 10

// Connect starts clients, each with a query of its own, that pick their pods themselves. change, which
// may be nil, changes the i-th.
func (s *Stage) Connect(n int, change func(i int, o *clients.Options)) (made []*clients.Client) {
	r := s.r
	for i := range n {
		o := clients.Options{Name: fmt.Sprintf("client-%d", len(r.clients)), URL: r.sys.URL(), Lean: i%wholeEvery != 0, Pick: r.sys.Pick,
			Query: url.Values{"seed": {strconv.Itoa(s.rnd.IntN(30))}, "events": {"bar"}}, Silence: 3 * system.Heartbeat,
			Wrong:   func(c *clients.Client, what string) { r.wrong(c.Name, what) },
			Reset:   r.reset,
			Symbols: some(s.rnd, r.sys.Always, 5), Timeframes: some(s.rnd, r.sys.TimeframesAlways, len(r.sys.TimeframesAlways))}
		if change != nil {
			change(i, &o)
		}
		made = append(made, clients.Start(s.living, o))
		r.clients = append(r.clients, made[i])
	}
	s.Say("%d clients", n)
	return made
}

// AwaitIn waits until every client has had its first id.
func (s *Stage) AwaitIn(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := s.Await(ctx, func() string {
		out := 0
		for _, c := range s.r.clients {
			if c.Newest() == "" {
				out++
			}
		}
		if out == 0 {
			return ""
		}
		return fmt.Sprintf("%d of %d clients have had no id yet", out, len(s.r.clients))
	})
	s.Say("all clients are in: %v", err == nil)
	return err
}

// look is how often Await looks.
const look = 20 * time.Millisecond

// Await waits until why returns "".
func (s *Stage) Await(ctx context.Context, why func() string) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		text := why()
		if text == "" {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(errors.New(text), ctx.Err())
		}
	}
}

// Watch calls fn often, in a goroutine of its own, until stop is called, which waits for it.
func (s *Stage) Watch(every time.Duration, fn func()) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	var stopped atomic.Bool
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fn()
			case <-done:
				return
			}
		}
	}()
	return func() {
		if !stopped.Swap(true) {
			close(done)
		}
		<-ended
	}
}
