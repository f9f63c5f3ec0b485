package pods

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// Holder does the work of the partitions that a keeper gets. Its methods are called one at a
// time for a partition, and must not block but for Release and Floor.
type Holder interface {
	// Floor returns the highest fencing token that the logs have of a partition.
	Floor(ctx context.Context, partition int) (uint64, error)
	// Prepare says that a partition is going to be ours: its trades may be gathered.
	Prepare(partition int)
	// Forget says that it is not, after all.
	Forget(partition int)
	// Start says that a partition is ours, for as long as the grant is valid.
	Start(g *Grant, reason Reason)
	// Release stops writing a partition, after everything that was taken in is in the logs, or at ctx's end.
	Release(ctx context.Context, partition int)
	// Lost says that another has the partition: what was not written is void.
	Lost(partition int)
}

// Options are what a keeper is made with.
type Options struct {
	Pod      string
	Address  string // host:port of the internal port
	Registry logs.Registry
	Peers    logs.Peers
	Holder   Holder
	// Overlap: see [Input].
	Overlap bool
	// Sole: see [Input].
	Sole bool
	// Known are pods that were heard before the keeper runs.
	Known []Announcement
	Log   logr.Logger
	// Changed is called from the keeper's goroutine when who is alive, or who is to hold what, has changed; may be nil.
	Changed func(View)
}

// View is who is alive and who holds what, as a pod sees it. It does not change.
type View struct {
	Pods     []Announcement
	Away     bool // the backbone carries no announcements
	Assigned Assignment
	Leases   [market.Partitions]Lease
	Held     [market.Partitions]uint64 // token of what we hold, else 0
	// Hold is why we are not to be ready yet, though we are warm; see [Hold].
	Hold string
	// Settled: whoever is alive has had the time to be heard.
	Settled bool
}

type drainSeen struct {
	Drain
	rev uint64
}

// Warm returns the names of the pods that may hold things, sorted.
func (v *View) Warm() (names []string) {
	for i := range v.Pods {
		if v.Pods[i].State == Warm {
			names = append(names, v.Pods[i].Pod)
		}
	}
	return names
}

// Get returns what a pod said last; ok is false if it is not alive.
func (v *View) Get(pod string) (a Announcement, ok bool) {
	for i := range v.Pods {
		if v.Pods[i].Pod == pod {
			return v.Pods[i], true
		}
	}
	return a, false
}

const (
	// lookAround is how often the keeper looks whether a step is due.
	lookAround = 100 * time.Millisecond
	// settleFor is how long a new pod listens before it believes that it knows who is alive.
	settleFor = AnnounceEvery + 250*time.Millisecond
	// stepWithin bounds the IO of one step.
	stepWithin = 2 * time.Second
	// stepAgain is after how long a step that failed is tried again: a registry that is away refuses at once.
	stepAgain = lookAround
	// releaseWithin bounds a Release: after it the lease is given away all the same.
	releaseWithin = 5 * time.Second
)

// Keeper announces a pod, keeps its leases and hands them over.
type Keeper struct {
	opts Options
	self Announcement

	events  chan func() // run by the keeper's goroutine
	members *Members
	leases  *Leases
	grants  [market.Partitions]*Grant
	busy    [market.Partitions]bool      // a put or a look is under way
	again   [market.Partitions]time.Time // when one that failed may be tried again
	writers [market.Partitions]WriterState
	offered [market.Partitions]bool // Prepare was called
	conns   int                     // connections that the feed may have
	drains  map[string]drainSeen    // by key
	drained bool                    // our own drain was announced
	view    View
	began   time.Time
	leaving bool
	ready   bool
	steps   sync.WaitGroup
	tokens  sync.Mutex // one token is drawn at a time
}

// NewKeeper returns a keeper. Run makes it work.
func NewKeeper(o Options) *Keeper {
	return &Keeper{opts: o, members: NewMembers(o.Pod), leases: NewLeases(o.Pod), drains: make(map[string]drainSeen), events: make(chan func(), 64),
		self: Announcement{Pod: o.Pod, Address: o.Address, StartedMs: time.Now().UnixMilli(), State: Joining}, conns: 1}
}

// Set says how far the pod is, and how many connections the feed may have.
func (k *Keeper) Set(ctx context.Context, s State, connections int) {
	k.do(ctx, func() {
		k.self.State, k.conns = s, connections
		k.announce()
	})
}

// Report says how many clients the pod has, which partitions of those it was offered it covers, and how its feed is doing.
func (k *Keeper) Report(ctx context.Context, clients int, covered []int, feed Feed) {
	k.do(ctx, func() {
		now := Announcement{Covered: covered, Feed: feed}
		changed := !(&Announcement{Covered: k.self.Covered, Feed: k.self.Feed}).equal(&now)
		k.self.Connections, k.self.Covered, k.self.Feed = clients, covered, feed
		if changed {
			k.announce()
		}
	})
}

// Loaded says for which set of warm pods ([Rings.ID]) the pod has all rings that it is to hold.
func (k *Keeper) Loaded(ctx context.Context, rings string) {
	k.do(ctx, func() {
		if k.self.Rings != rings {
			k.self.Rings = rings
			k.announce()
		}
	})
}

// do runs fn in the keeper's goroutine, soon.
func (k *Keeper) do(ctx context.Context, fn func()) {
	select {
	case k.events <- fn:
	case <-ctx.Done():
	}
}

// Ready says that the pod is ready: nothing holds it any more.
func (k *Keeper) Ready(ctx context.Context) {
	k.do(ctx, func() {
		k.ready, k.self.Holding = true, false
		k.announce()
	})
}

// Retake has a partition of ours taken anew, with a new token: its writer could not go on.
func (k *Keeper) Retake(ctx context.Context, partition int) {
	k.do(ctx, func() {
		if k.grants[partition] != nil && k.writers[partition] == Writing {
			k.writers[partition] = Stopped
		}
	})
}

// Run works until ctx ends; then it gives back what it holds, for leave at most or until
// hurry closes, and says goodbye.
func (k *Keeper) Run(ctx context.Context, leave time.Duration, hurry <-chan struct{}) error {
	stop, err := k.opts.Peers.Listen(func(data []byte) { k.hear(ctx, data) })
	if err != nil {
		return fmt.Errorf("listening for the other pods: %w", err)
	}
	defer stop()
	watching, stopWatch := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWatch()
	k.steps.Go(func() { k.watch(watching) })

	k.began = time.Now()
	around, hello := time.NewTicker(lookAround), time.NewTicker(AnnounceEvery)
	defer around.Stop()
	defer hello.Stop()
	for _, a := range k.opts.Known {
		k.members.Hear(time.Now(), a)
	}
	k.announce()
	work := context.WithoutCancel(ctx)
	ending := ctx.Done()
	var end <-chan time.Time
	var hurried <-chan struct{}
	for !k.leaving || k.holds() {
		select {
		case fn := <-k.events:
			fn()
		case <-hello.C:
			k.announce()
			k.forgetDrains(work, time.Now())
		case <-around.C:
		case <-ending:
			ending, end, k.leaving = nil, time.After(leave), true
			hurried = hurry
		case <-end:
			k.giveUp()
		case <-hurried:
			hurried = nil
			k.giveUp()
		}
		k.work(work)
	}
	k.self.State = Left
	k.announce()
	stopWatch()
	k.finish()
	return nil
}

func (k *Keeper) holds() bool {
	for p := range k.grants {
		if k.grants[p] != nil || k.busy[p] {
			return true
		}
	}
	return false
}

// giveUp drops what could not be given back in time: the leases run out by themselves.
func (k *Keeper) giveUp() {
	var left []int
	for p, g := range k.grants {
		if g != nil {
			left = append(left, p)
			k.drop(p)
		}
	}
	if len(left) == 0 {
		return
	}
	if k.opts.Sole {
		k.opts.Log.Info("ended before everything was written: the next start goes on from what the log has", "partitions", left)
	} else {
		k.opts.Log.Info("ended before these partitions were given back: another pod takes them once their leases have run out", "partitions", left, "within", TTL.String())
	}
}

// finish lets what is under way report and end.
func (k *Keeper) finish() {
	done := make(chan struct{})
	go func() {
		k.steps.Wait()
		close(done)
	}()
	for {
		select {
		case fn := <-k.events:
			fn()
		case <-done:
			return
		}
	}
}

func (k *Keeper) announce() {
	k.self.Seq++
	data, err := json.Marshal(&k.self)
	if err == nil {
		err = k.opts.Peers.Announce(data)
	}
	if err != nil {
		k.opts.Log.V(1).Info("not announced", "reason", err.Error())
	}
}

func (k *Keeper) hear(ctx context.Context, data []byte) {
	var a Announcement
	if json.Unmarshal(data, &a) != nil || a.Pod == "" {
		return // a later version, or not ours
	}
	now := time.Now()
	k.do(ctx, func() { k.members.Hear(now, a) })
}

// watch follows the leases in the registry.
func (k *Keeper) watch(ctx context.Context) {
	err := k.opts.Registry.Watch(ctx, func(kv logs.KeyValue) error {
		if strings.HasPrefix(kv.Key, drainPrefix) {
			k.do(ctx, func() { k.sawDrain(kv) })
			return ctx.Err()
		}
		p, ok := leasePartition(kv.Key)
		if !ok {
			return nil
		}
		lease, there := decodeLease(kv)
		now := time.Now()
		k.do(ctx, func() { k.saw(p, time.Time{}, now, kv.Revision, lease, there) })
		return ctx.Err()
	})
	if err != nil && ctx.Err() == nil {
		k.opts.Log.Error(err, "the registry is not watched any more")
	}
}

func (k *Keeper) saw(p int, asked, now time.Time, rev uint64, lease Lease, there bool) {
	if k.leases.Saw(p, asked, now, rev, lease, there) {
		k.opts.Log.Info("a partition was taken over by another pod", "partition", p, "holder", lease.Holder, "token", lease.Token)
		k.drop(p)
	}
}

// drop ends a grant of ours that is another's now.
func (k *Keeper) drop(p int) {
	if g := k.grants[p]; g != nil {
		g.Lose()
		k.grants[p], k.writers[p] = nil, Writing
		k.leases.Drop(p)
		k.opts.Holder.Lost(p)
	}
}

// work looks at what has changed and begins the steps that are due.
func (k *Keeper) work(ctx context.Context) {
	now := time.Now()
	k.members.Bury()
	in := Input{Now: now, Assigned: k.assign(), Overlap: k.opts.Overlap, Sole: k.opts.Sole, Hurry: k.self.State == Draining, Leave: k.leaving,
		Covers: k.covers, Writers: k.writers}
	for p := range k.offered {
		if is := k.leases.Offered(p); is != k.offered[p] && k.grants[p] == nil {
			k.offered[p] = is
			if is {
				k.opts.Holder.Prepare(p)
			} else {
				k.opts.Holder.Forget(p)
			}
		}
	}
	for _, s := range k.leases.Steps(in) {
		switch {
		case s.Kind == Stop:
			k.stop(ctx, s)
		case !k.busy[s.Partition] && !now.Before(k.again[s.Partition]):
			k.begin(ctx, s)
		}
	}
	if k.self.State == Draining && !k.drained {
		k.drained = true
		k.announceDrain(ctx)
	}
	k.publish(in.Assigned, now)
}

// assign is who is to hold what: nobody new while we are alone in the dark.
func (k *Keeper) assign() Assignment {
	if k.opts.Sole {
		return Assign([]string{k.opts.Pod}, k.conns)
	}
	if k.members.Away(time.Now()) {
		return k.view.Assigned
	}
	return Assign(k.members.In(Warm), k.conns)
}

func (k *Keeper) covers(pod string, partition int) bool {
	a, ok := k.members.Get(pod)
	if !ok {
		return false
	}
	for _, p := range a.Covered {
		if p == partition {
			return true
		}
	}
	return false
}

// publish hands out the view if it has changed.
func (k *Keeper) publish(assigned Assignment, now time.Time) {
	v := View{Pods: k.members.All(), Away: k.members.Away(now), Assigned: assigned}
	v.Settled = k.opts.Sole || k.view.Settled || !v.Away && now.Sub(k.began) > settleFor
	for p := range v.Leases {
		v.Leases[p], _ = k.leases.Lease(p)
		v.Held[p], _ = k.leases.Held(p)
	}
	if !k.ready {
		v.Hold = k.hold(now, v.Pods)
		if holds := v.Hold != ""; holds != k.self.Holding {
			k.self.Holding = holds
			k.announce()
		}
	}
	if same := v.Away == k.view.Away && v.Hold == k.view.Hold && v.Settled == k.view.Settled && v.Assigned == k.view.Assigned && v.Leases == k.view.Leases &&
		v.Held == k.view.Held && sameStates(v.Pods, k.view.Pods); same && k.opts.Changed != nil {
		k.view.Pods = v.Pods
		return
	}
	k.view = v
	if k.opts.Changed != nil {
		k.opts.Changed(v)
	}
}

func sameStates(a, b []Announcement) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x := a[i]
		x.Seq = b[i].Seq
		if !x.equal(&b[i]) {
			return false
		}
	}
	return true
}
