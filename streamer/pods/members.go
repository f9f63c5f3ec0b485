package pods

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// State is how far a pod is in its life.
type State string

// The states.
const (
	Joining  State = "joining"  // it loads
	Warm     State = "warm"     // it may hold things
	Draining State = "draining" // it hands over what it holds
	Left     State = "left"     // its last word
)

// Announcement is what a pod says of itself, every [AnnounceEvery] and at every change.
type Announcement struct {
	Pod       string `json:"pod"`
	Address   string `json:"address"` // host:port of its internal port
	StartedMs int64  `json:"startedMs"`
	State     State  `json:"state"`
	// Seq rises with every announcement of the pod: what comes late is passed over.
	Seq         uint64 `json:"seq"`
	Connections int    `json:"connections"`
	// Holding: it is warm, and not ready because another pod drains; see [Hold].
	Holding bool `json:"holding,omitempty"`
	// Covered are the partitions that the pod was offered and whose trades it already gets.
	Covered []int `json:"covered,omitempty"`
	// Rings is the [Rings.ID] for which the pod has loaded all rings that it is to hold; "": none.
	Rings string `json:"rings,omitempty"`
	// Feed is how the pod's feed is doing; without a state it takes no trades in.
	Feed Feed `json:"feed,omitzero"`
}

// Feed is how a feed is doing, in the words of the wire.
type Feed struct {
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
}

const (
	// AnnounceEvery is how often a pod announces itself.
	AnnounceEvery = 500 * time.Millisecond
	// DeadAfter is how long a pod is silent, while we hear ourselves, until it is dead.
	DeadAfter = 2 * time.Second
	// stallAfter is how long we do not hear ourselves until the backbone counts as away.
	stallAfter = 1500 * time.Millisecond
)

// Members is who is alive, by what was heard. It has no clock: a pod is dead when we heard
// ourselves for [DeadAfter] and it not once. So nobody dies of a backbone that is away. One
// goroutine uses it.
type Members struct {
	self   string
	heard  map[string]heard
	selfAt time.Time // when we last heard ourselves
}

type heard struct {
	Announcement
	at time.Time
}

// NewMembers returns the members as a pod sees them that has heard nothing yet.
func NewMembers(self string) *Members { return &Members{self: self, heard: make(map[string]heard)} }

// Hear takes an announcement that came at now, and reports whether anything but the time changed.
func (m *Members) Hear(now time.Time, a Announcement) (changed bool) {
	old, known := m.heard[a.Pod]
	if known && (a.StartedMs < old.StartedMs || a.StartedMs == old.StartedMs && a.Seq <= old.Seq) {
		return false // late; one that was started again under its name counts anew
	}
	if a.Pod == m.self {
		if !m.selfAt.IsZero() && now.Sub(m.selfAt) > stallAfter {
			for pod, h := range m.heard { // the backbone was away: everybody gets the time to be heard again
				h.at = now
				m.heard[pod] = h
			}
		}
		m.selfAt = now
	}
	if a.State == Left {
		delete(m.heard, a.Pod)
		return known
	}
	m.heard[a.Pod] = heard{a, now}
	was := old.Announcement
	was.Seq = a.Seq
	return !known || !was.equal(&a)
}

func (a *Announcement) equal(b *Announcement) bool {
	return a.Pod == b.Pod && a.Address == b.Address && a.StartedMs == b.StartedMs && a.State == b.State &&
		a.Seq == b.Seq && a.Connections == b.Connections && a.Holding == b.Holding && a.Rings == b.Rings && a.Feed == b.Feed && slices.Equal(a.Covered, b.Covered)
}

// Bury forgets the dead and reports whether there were any.
func (m *Members) Bury() (changed bool) {
	for pod, h := range m.heard {
		if pod != m.self && m.selfAt.Sub(h.at) > DeadAfter {
			delete(m.heard, pod)
			changed = true
		}
	}
	return changed
}

// Away reports whether the backbone carries no announcements: we do not hear ourselves.
func (m *Members) Away(now time.Time) bool { return now.Sub(m.selfAt) > stallAfter }

// All returns who is alive, by name.
func (m *Members) All() []Announcement {
	out := make([]Announcement, 0, len(m.heard))
	for _, h := range m.heard {
		out = append(out, h.Announcement)
	}
	slices.SortFunc(out, func(a, b Announcement) int { return cmp.Compare(a.Pod, b.Pod) })
	return out
}

// Get returns what a pod said last; ok is false if it is not alive.
func (m *Members) Get(pod string) (a Announcement, ok bool) {
	h, ok := m.heard[pod]
	return h.Announcement, ok
}

// In returns the names of those in a state, sorted.
func (m *Members) In(s State) []string {
	var out []string
	for _, pod := range slices.Sorted(maps.Keys(m.heard)) {
		if m.heard[pod].State == s {
			out = append(out, pod)
		}
	}
	return out
}
