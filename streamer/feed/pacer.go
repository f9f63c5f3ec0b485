package feed

import (
	"context"
	"time"
)

const (
	// shortestWait is the shortest wait that is worth a timer: what comes sooner is said at once.
	shortestWait = time.Millisecond
	// longestWait is how long at most the clock is not looked at: a machine that was asleep
	// goes on at the right place, and no wait overflows.
	longestWait = time.Hour
)

// Pacer lets event time pass at a speed: event time = anchor + speed × (wall − start). It
// anchors at the first event time that it is asked to wait for, if not told where.
type Pacer struct {
	speed  Speed
	before func() error // called before a wait
	wall   time.Time    // at event
	event  int64        // ns
	begun  bool
	// reached is the event time that had come when the clock was last looked at: most trades
	// of a busy feed lie before it and cost no look.
	reached int64
	timer   *time.Timer
}

// NewPacer makes a pacer that calls before whenever it is going to wait.
func NewPacer(speed Speed, before func() error) *Pacer {
	return &Pacer{speed: speed, before: before}
}

// Anchor says that event time is event, in ns, at wall.
func (p *Pacer) Anchor(event int64, wall time.Time) {
	p.event, p.wall, p.begun, p.reached = event, wall, true, event
}

// Wait waits until event time is at, if that takes long enough to be worth it. It looks at
// ctx only where it waits.
func (p *Pacer) Wait(ctx context.Context, at int64) error {
	if p.speed == Max || p.begun && at <= p.reached {
		return nil
	}
	if !p.begun {
		p.Anchor(at, time.Now())
		return nil
	}
	for flushed := false; ; {
		passed := time.Since(p.wall)
		if err := ctx.Err(); err != nil {
			return err
		}
		// Floats bear what integers do not: a gap of years at a thousandth of the pace.
		wait := float64(at-p.event)/float64(p.speed) - float64(passed)
		if wait < float64(shortestWait) {
			come := min(float64(passed)*float64(p.speed), float64(MaxTime-p.event))
			p.reached = max(at, p.event+int64(come))
			return nil
		}
		if !flushed {
			if err := p.before(); err != nil {
				return err
			}
			flushed = true
		}
		if err := p.sleep(ctx, time.Duration(min(wait, float64(longestWait)))); err != nil {
			return err
		}
	}
}

func (p *Pacer) sleep(ctx context.Context, d time.Duration) error {
	if p.timer == nil {
		p.timer = time.NewTimer(d)
	} else {
		p.timer.Reset(d)
	}
	select {
	case <-p.timer.C:
		return nil
	case <-ctx.Done():
		p.timer.Stop()
		return ctx.Err()
	}
}
