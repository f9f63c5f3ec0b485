package feed

import (
	"context"
	"time"
)

// shortest is the shortest wait that is worth a timer.
const shortest = time.Millisecond

// Pacer lets event time pass at a speed: it anchors at the first event time that it is
// asked to wait for.
type Pacer struct {
	Speed  Speed
	wall   time.Time // at event
	event  int64     // ns
	begun  bool
	timer  *time.Timer
	paused func() error // called before a wait
}

// NewPacer makes a pacer that calls before whenever it is going to wait.
func NewPacer(speed Speed, before func() error) *Pacer {
	return &Pacer{Speed: speed, paused: before}
}

// Anchor says that event time is event at wall.
func (p *Pacer) Anchor(event int64, wall time.Time) { p.event, p.wall, p.begun = event, wall, true }

// Wait waits until event time is at, if that takes long enough to be worth it.
func (p *Pacer) Wait(ctx context.Context, at int64) error {
	if p.Speed == Max {
		return ctx.Err()
	}
	now := time.Now()
	if !p.begun {
		p.Anchor(at, now)
	}
	wait := time.Duration(float64(at-p.event)/float64(p.Speed)) - now.Sub(p.wall)
	if wait < shortest {
		return ctx.Err()
	}
	if err := p.paused(); err != nil {
		return err
	}
	if p.timer == nil {
		p.timer = time.NewTimer(wait)
	} else {
		p.timer.Reset(wait)
	}
	select {
	case <-p.timer.C:
		return nil
	case <-ctx.Done():
		p.timer.Stop()
		return ctx.Err()
	}
}
