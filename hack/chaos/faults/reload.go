package faults

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/oracle"
	"github.com/marketstream/marketstream/hack/chaos/system"
)

// free returns a place without a pod, or nil.
func (e *Env) free() *system.Pod {
	for _, p := range e.Slots {
		if !p.Running() {
			return p
		}
	}
	return nil
}

// reload changes the document: some of the symbols and timeframes that come and go are in it.
func reload(ctx context.Context, e *Env, r *rand.Rand) {
	var symbols, timeframes []string
	for _, s := range e.Fickle {
		if r.IntN(2) == 0 {
			symbols = append(symbols, s)
		}
	}
	for _, tf := range e.TimeframesFickle {
		if r.IntN(2) == 0 {
			timeframes = append(timeframes, tf)
		}
	}
	e.Carry(symbols, timeframes)
	e.Sleep(ctx, between(r, 0, 3*time.Second))
}

// reachesAll is how long a document takes to reach every pod, and bars of it to be there.
const reachesAll = 30 * time.Second

// Carry puts a document into effect and notes what is absent.
func (e *Env) Carry(symbols, timeframes []string) {
	e.say("the document has, of what comes and goes, %v and %v", symbols, timeframes)
	now := time.Now()
	if e.gone == nil {
		e.gone = make(map[oracle.Absence]time.Time)
	}
	note := func(a oracle.Absence, is bool) {
		since, was := e.gone[a]
		switch {
		case !is && !was:
			e.gone[a] = now
		case is && was:
			delete(e.gone, a)
			a.From, a.To = since.Add(-time.Second), now.Add(reachesAll)
			e.Absences = append(e.Absences, a)
		}
	}
	for _, s := range e.Fickle {
		note(oracle.Absence{Symbol: s}, slices.Contains(symbols, s))
	}
	for _, tf := range e.TimeframesFickle {
		note(oracle.Absence{Timeframe: tf}, slices.Contains(timeframes, tf))
	}
	if err := e.System.Carry(symbols, timeframes); err != nil {
		e.Bad("chaos", "the document is not written: "+err.Error())
	}
}

// Absent notes what was not carried from the beginning.
func (e *Env) Absent(timeframes []string, since time.Time) {
	if e.gone == nil {
		e.gone = make(map[oracle.Absence]time.Time)
	}
	for _, tf := range timeframes {
		e.gone[oracle.Absence{Timeframe: tf}] = since
	}
}
