package pods

import (
	"fmt"
	"time"

	"github.com/marketstream/marketstream/streamer/market"
)

// Lease is who may write a partition; the value of key lease.<p>.
type Lease struct {
	Holder string `json:"holder"` // "": it was given back
	Token  uint64 `json:"token"`
	// Next is who is to get it; it may gather trades meanwhile.
	Next string `json:"next,omitempty"`
}

const (
	// TTL is how long a lease runs after the last renewal that was confirmed.
	TTL = 3 * time.Second
	// RenewEvery is when it is renewed.
	RenewEvery = time.Second
	// lookEvery is how often a lease that is wanted and another's is read.
	lookEvery = 500 * time.Millisecond
	// coverWait is how long an offer waits for the next holder to get the trades.
	coverWait = 5 * time.Second
)

// Input is what [Leases.Steps] decides on, beside what it has seen.
type Input struct {
	Now time.Time
	// Assigned is who is to hold each partition.
	Assigned Assignment
	// Covers reports whether a pod gets the trades of a partition already.
	Covers func(pod string, partition int) bool
	// Overlap: two pods may take in the same partition for a moment, so a move waits for Covers.
	Overlap bool
	// Sole: no other process can be alive (a lock says so): every lease is free.
	Sole bool
	// Hurry moves all partitions at once, not one by one: we drain.
	Hurry bool
	// Leave gives everything back: we end.
	Leave bool
	// Writers says how our writer of each partition is.
	Writers [market.Partitions]WriterState
}

// WriterState is how the writer of a partition of ours is.
type WriterState uint8

// The states of a writer.
const (
	Writing WriterState = iota
	Stopping
	Stopped
)

// StepKind is what to do about a lease.
type StepKind string

// The steps.
const (
	Take  StepKind = "take"  // draw a token and put Lease with it
	Renew StepKind = "renew" // put Lease
	Stop  StepKind = "stop"  // let the writer write what it has and end
	Give  StepKind = "give"  // put Lease, which is another's
	Look  StepKind = "look"  // read the key
)

// Step is one thing to do, and why.
type Step struct {
	Kind      StepKind
	Partition int
	Expect    uint64 // revision of the key for a put
	Lease     Lease
	Why       string // in words, for the log
	Reason    Reason // of a Take
}

// Reason is why a pod takes a partition; a label of metrics.
type Reason string

// The reasons.
const (
	ReasonNew     Reason = "new"      // nobody ever had it
	ReasonSole    Reason = "sole"     // no other process can be alive
	ReasonGiven   Reason = "handover" // the holder gave it back
	ReasonExpired Reason = "expired"  // the holder did not renew it
	ReasonAgain   Reason = "again"    // ours, begun anew
)

// Leases is what a pod knows of the leases and which it holds. It is a pure core: time and
// answers come in, steps go out. One goroutine uses it.
type Leases struct {
	self string
	seen [market.Partitions]seen
	held [market.Partitions]held
}

// seen is a key as it was last read.
type seen struct {
	known bool // it was read
	ever  bool // there was a lease
	there bool
	rev   uint64
	lease Lease
	// since is when an answered read first showed this revision, with none unanswered after it; zero: since none.
	since time.Time
	asked time.Time // when the last answered read was sent
}

// held is a lease of ours.
type held struct {
	token   uint64 // 0: not ours
	until   time.Time
	renewAt time.Time
	offered time.Time // since when Next is who it is
}

// NewLeases returns the leases as a pod sees them that knows nothing yet.
func NewLeases(self string) *Leases { return &Leases{self: self} }

// Saw takes what a key was: read by a request sent at asked and answered at now, or told by
// a watch, with asked zero. lost: it was ours and is another's now.
func (l *Leases) Saw(p int, asked, now time.Time, rev uint64, lease Lease, there bool) (lost bool) {
	s, h := &l.seen[p], &l.held[p]
	if s.known && there && rev < s.rev && !asked.IsZero() && asked.Before(s.since) {
		return false // an old answer: a newer value came meanwhile
	}
	if !s.known || s.rev != rev || s.there != there || s.lease != lease {
		s.since = now
	}
	s.known, s.there, s.rev, s.lease = true, there, rev, lease
	s.ever = s.ever || there
	if !asked.IsZero() {
		s.asked = asked
		if s.since.IsZero() {
			s.since = now
		}
	}
	if h.token != 0 && there && lease.Token > h.token && lease.Holder != l.self {
		*h = held{}
		return true
	}
	return false
}

// Unanswered says that the registry did not answer: a lease that we watch may have been
// renewed meanwhile, or could not be.
func (l *Leases) Unanswered() {
	for p := range l.seen {
		l.seen[p].since = time.Time{}
	}
}

// Stored takes a put of ours, sent at sent, that was confirmed with revision rev. If the
// lease names us, we hold it until sent + [TTL].
func (l *Leases) Stored(p int, sent, now time.Time, rev uint64, lease Lease) {
	s, h := &l.seen[p], &l.held[p]
	if lease.Next != s.lease.Next || h.token == 0 {
		h.offered = now
	}
	*s = seen{known: true, ever: true, there: true, rev: rev, lease: lease, since: now, asked: sent}
	if lease.Holder != l.self {
		*h = held{}
		return
	}
	h.token, h.until, h.renewAt = lease.Token, sent.Add(TTL), sent.Add(RenewEvery)
}

// Drop says that we hold a lease no more, whatever the registry says: it runs out by itself.
func (l *Leases) Drop(p int) { l.held[p] = held{} }

// Held returns the token and the end of a lease of ours; token is 0 if it is none.
func (l *Leases) Held(p int) (token uint64, until time.Time) { return l.held[p].token, l.held[p].until }

// Lease returns a lease as last seen; ok is false if there is none.
func (l *Leases) Lease(p int) (lease Lease, ok bool) { return l.seen[p].lease, l.seen[p].there }

// Offered reports whether a partition that another holds is to be ours.
func (l *Leases) Offered(p int) bool {
	s := &l.seen[p]
	return l.held[p].token == 0 && s.there && s.lease.Next == l.self
}

// Steps returns what to do now, by partition.
func (l *Leases) Steps(in Input) (steps []Step) {
	moving := false
	for p := range l.held {
		to := in.Assigned[p]
		if l.held[p].token == 0 {
			if to == l.self && !in.Leave {
				steps = append(steps, l.want(p, in)...)
			}
			continue
		}
		if in.Leave && to == l.self {
			to = ""
		}
		move := in.Leave || to != "" && to != l.self
		if move && moving && !in.Hurry && !in.Leave {
			move = false // one after the other
		}
		moving = moving || move
		steps = append(steps, l.keep(p, to, move, in)...)
	}
	return steps
}

// want is the steps for a partition that is to be ours and is not.
func (l *Leases) want(p int, in Input) []Step {
	s := &l.seen[p]
	take := func(reason Reason, why string) []Step {
		return []Step{{Take, p, s.revision(), Lease{Holder: l.self}, why, reason}}
	}
	look := func(why string) []Step {
		if in.Now.Sub(s.asked) < lookEvery {
			return nil
		}
		return []Step{{Kind: Look, Partition: p, Why: why}}
	}
	answered := s.asked.Sub(s.since) // how long it has stood still while the registry answered
	if s.since.IsZero() {
		answered = 0
	}
	switch {
	case !s.known:
		return look("not read yet")
	case in.Sole:
		return take(ReasonSole, "no other process can be alive")
	case !s.there && !s.ever:
		return take(ReasonNew, "nobody ever had it")
	case s.there && s.lease.Holder == "" && (s.lease.Next == "" || s.lease.Next == l.self):
		return take(ReasonGiven, "it was given back")
	case answered >= TTL:
		return take(ReasonExpired, fmt.Sprintf("its holder has not renewed it for %s", TTL))
	case s.there:
		return look("held by " + s.lease.Holder)
	}
	return look("it is gone; its holder may write it again")
}

func (s *seen) revision() uint64 {
	if !s.there {
		return 0
	}
	return s.rev
}

// keep is the steps for a partition that is ours; to is who is to have it, if it is to move.
func (l *Leases) keep(p int, to string, move bool, in Input) []Step {
	s, h := &l.seen[p], &l.held[p]
	ours := Lease{Holder: l.self, Token: h.token}
	if move {
		ours.Next = to
	}
	step := func(kind StepKind, lease Lease, why string) Step {
		return Step{kind, p, s.revision(), lease, why, ReasonAgain}
	}
	switch {
	case in.Writers[p] == Stopped && move:
		return []Step{step(Give, Lease{Token: h.token, Next: to}, "its writer has ended")}
	case in.Writers[p] == Stopped:
		return []Step{step(Take, Lease{Holder: l.self}, "its writer has ended, and it does not move after all")}
	}
	var steps []Step
	if why := l.letGo(p, to, in); move && in.Writers[p] == Writing && why != "" {
		steps = append(steps, step(Stop, Lease{}, why))
	}
	switch {
	case s.lease.Next != ours.Next && ours.Next == "":
		return append(steps, step(Renew, ours, "the offer to "+s.lease.Next+" is off"))
	case s.lease.Next != ours.Next:
		return append(steps, step(Renew, ours, "offered to "+to))
	case !in.Now.Before(h.renewAt):
		return append(steps, step(Renew, ours, "renewal is due"))
	}
	return steps
}

// letGo is why a partition that is to move may be let go now; "": not yet.
func (l *Leases) letGo(p int, to string, in Input) string {
	s, h := &l.seen[p], &l.held[p]
	switch {
	case to == "":
		return "we end"
	case !in.Overlap:
		return to + " is to have it"
	case s.lease.Next != to:
		return ""
	case in.Covers(to, p):
		return to + " gets the trades"
	case in.Now.Sub(h.offered) >= coverWait:
		return fmt.Sprintf("%s did not get the trades within %s", to, coverWait)
	}
	return ""
}
