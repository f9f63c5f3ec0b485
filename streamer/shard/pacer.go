package shard

import (
	"context"
	"time"
)

const (
	// paceEvery is how many frames are read between two looks at the clock.
	paceEvery = 64
	// longestRest bounds a rest: the log's reader must not take us for dead.
	longestRest = 50 * time.Millisecond
)

// pacer has a pass over BARS rest as long as it works: streams and the fold come first.
type pacer struct {
	began time.Time
	n     int
}

// wait rests if a rest is due; its error is ctx's.
func (p *pacer) wait(ctx context.Context) error {
	if p.n++; p.n%paceEvery != 0 {
		return nil
	}
	t := time.NewTimer(min(time.Since(p.began), longestRest))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	p.began = time.Now()
	return nil
}
