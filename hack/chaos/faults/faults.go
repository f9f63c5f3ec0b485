// Package faults does bad things to a system, one after another. What is done, to what and for how
// long comes from a seed; when it falls into the course of things does not.
package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/oracle"
	"github.com/marketstream/marketstream/hack/chaos/system"
)

// Env is what faults are done to. One fault is done at a time.
type Env struct {
	*system.System
	// Pause is the longest time between two faults.
	Pause time.Duration
	// Absences are when what comes and goes was not carried; see Done.
	Absences []oracle.Absence
	gone     map[oracle.Absence]time.Time // by what it is, since when
	heal     []func()
}

// Kind is one kind of fault.
type Kind struct {
	Name   string
	weight int
	// long: it takes half a minute and more, so a short run does few of them.
	long  bool
	needs func(*system.System) bool // nil: nothing
	do    func(ctx context.Context, e *Env, r *rand.Rand)
}

// Kinds are all there are.
func Kinds() []Kind {
	return slices.Concat(podFaults, nodeFaults, linkFaults, vendorFaults, wholeFaults)
}

// Choose returns the kinds of these names, or all for none, that a system can have.
func Choose(names []string, s *system.System) (out []Kind, err error) {
	for _, k := range Kinds() {
		named := slices.Contains(names, k.Name)
		if len(names) > 0 && !named || k.needs != nil && !k.needs(s) && !named {
			continue
		}
		out = append(out, k)
	}
	for _, n := range names {
		if !slices.ContainsFunc(out, func(k Kind) bool { return k.Name == n }) {
			var all []string
			for _, k := range Kinds() {
				all = append(all, k.Name)
			}
			return nil, fmt.Errorf("fault %q: want some of %s", n, strings.Join(all, ","))
		}
	}
	return out, nil
}

// Plan draws n faults from a seed. No kind comes more than once more often than its weight says, and
// of the long ones a tenth at most.
func Plan(seed uint64, n int, kinds []Kind) []Kind {
	r := rand.New(rand.NewPCG(seed, 0))
	var out []Kind
	long := 0
	for len(out) < n {
		total := 0
		for _, k := range kinds {
			total += k.weight
		}
		at := r.IntN(total)
		for _, k := range kinds {
			if at -= k.weight; at < 0 {
				if k.long && len(kinds) > 1 {
					if long >= max(1, n/10) {
						break
					}
					long++
				}
				out = append(out, k)
				break
			}
		}
	}
	return out
}

// Do does the i-th fault of a plan, and pauses.
func (e *Env) Do(ctx context.Context, seed uint64, i int, k Kind) {
	r := rand.New(rand.NewPCG(seed, uint64(i)+1))
	if r.IntN(3) == 0 { // about when bars close
		e.Sleep(ctx, untilMinute(time.Now(), between(r, -1500*time.Millisecond, 2*time.Second), 8*time.Second))
	}
	e.Timeline.Say("fault", "%d: %s", i+1, k.Name)
	k.do(ctx, e, r)
	e.Sleep(ctx, between(r, e.Pause/20, e.Pause))
}

// untilMinute is how long it is to a whole minute and a little, if that is soon; else nothing.
func untilMinute(now time.Time, off, most time.Duration) time.Duration {
	at := now.Truncate(time.Minute).Add(off)
	for at.Before(now) {
		at = at.Add(time.Minute)
	}
	if wait := at.Sub(now); wait <= most {
		return wait
	}
	return 0
}

func (e *Env) say(format string, args ...any) { e.Timeline.Say("fault", "   "+format, args...) }

// Sleep waits, or until ctx ends.
func (e *Env) Sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// later undoes something after a while, at the end at the latest.
func (e *Env) later(d time.Duration, what string, undo func()) {
	done := make(chan struct{})
	t := time.AfterFunc(d, func() {
		undo()
		e.Timeline.Say("fault", "   %s", what)
		close(done)
	})
	e.heal = append(e.heal, func() {
		if t.Stop() {
			undo()
			e.Timeline.Say("fault", "   %s", what)
			return
		}
		<-done
	})
}

// Heal undoes everything that is not undone yet.
func (e *Env) Heal() {
	for _, undo := range e.heal {
		undo()
	}
	e.heal = nil
}

// between draws a duration.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(to-from)))
}

// pick draws one of a list; ok is false if it is empty.
func pick[T any](r *rand.Rand, list []T) (x T, ok bool) {
	n := r.Uint64()
	if len(list) == 0 {
		return x, false
	}
	return list[n%uint64(len(list))], true
}
