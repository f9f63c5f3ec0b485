package marketstream

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/marketstream/marketstream/api/v1alpha1"
	msv1 "github.com/marketstream/marketstream/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/marketstream/marketstream/controllers/conditions"
	"github.com/marketstream/marketstream/controllers/desired"
	"github.com/marketstream/marketstream/controllers/reports"
)

const (
	// settleFor is how long a status that says the same in other words waits, so that several steps are
	// one write. What flips, Ready and Stalled, is written at once.
	settleFor = 5 * time.Second
	// figuresEvery is how often figures that move by themselves are written at most.
	figuresEvery = time.Minute
)

// figures remembers when a stream's moving figures were written, since when a status waits, and what was
// written last.
type figures struct {
	mu      sync.Mutex
	written map[types.NamespacedName]time.Time
	waits   map[types.NamespacedName]time.Time
	last    map[types.NamespacedName]statement
}

// statement is a status that was written, and the version of the object that it was written over.
type statement struct {
	status *v1alpha1.MarketStreamStatus
	over   string
}

// newest is the status of a stream: that of the cache, or what was written over it since.
func (f *figures) newest(m *v1alpha1.MarketStream) *v1alpha1.MarketStreamStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := client.ObjectKeyFromObject(m)
	s, ok := f.last[key]
	if ok && s.over == m.ResourceVersion {
		return s.status.DeepCopy()
	}
	delete(f.last, key)
	return &m.Status
}

func (f *figures) forget(key types.NamespacedName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.written, key)
	delete(f.waits, key)
	delete(f.last, key)
}

// writtenAt is when figures were written last: now for a stream that is new here, so that a
// restart of the operator writes nothing.
func (f *figures) writtenAt(key types.NamespacedName, now time.Time) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.written == nil {
		f.written, f.waits = make(map[types.NamespacedName]time.Time), make(map[types.NamespacedName]time.Time)
		f.last = make(map[types.NamespacedName]statement)
	}
	if _, ok := f.written[key]; !ok {
		f.written[key] = now
	}
	return f.written[key]
}

// waited is for how long a status has been waiting to be written.
func (f *figures) waited(key types.NamespacedName, now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.waits[key]; !ok {
		f.waits[key] = now
	}
	return now.Sub(f.waits[key])
}

func (f *figures) wrote(key types.NamespacedName, now time.Time, what statement) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written[key], f.last[key] = now, what
	delete(f.waits, key)
}

func (f *figures) settled(key types.NamespacedName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.waits, key)
}

// report writes the status if it says something new. It is the one place that does.
func (r *Reconciler) report(ctx context.Context, s *scope) error {
	if s.unasked && s.stream.Status.ObservedGeneration == s.stream.Generation {
		s.again.after(time.Second) // its answer comes before: until then nothing is known that would be new
		return nil
	}
	now := time.Now()
	before, next := &s.stream.Status, s.status(now)
	written := r.figures.writtenAt(s.key, now)
	if moving := s.damp(next, before, now.Sub(written) >= figuresEvery); moving {
		s.again.after(figuresEvery - now.Sub(written))
	}
	if equality.Semantic.DeepEqual(before, next) {
		r.figures.settled(s.key)
		return nil
	}
	if !urgent(before, next) {
		if waited := r.figures.waited(s.key, now); waited < settleFor {
			s.again.after(settleFor - waited)
			return nil
		}
	}
	if err := r.client.Status().Apply(ctx, applied(s.key, next), client.FieldOwner(desired.Manager), client.ForceOwnership); err != nil {
		return client.IgnoreNotFound(err)
	}
	r.figures.wrote(s.key, now, statement{next, s.stream.ResourceVersion})
	r.tell(s, before, next)
	return nil
}

// status is what the stream's status is to be. It comes from what pods report.
func (s *scope) status(now time.Time) *v1alpha1.MarketStreamStatus {
	m := s.stream
	out := &v1alpha1.MarketStreamStatus{ObservedGeneration: m.Generation, Shards: int32(len(s.seen.Streamers.Staying())),
		ReadyShards: s.seen.Streamers.Ready(), Feed: m.Spec.Feed.FeedName(), URL: s.url(),
		Selector: labels.SelectorFromSet(desired.Selector(m.Name, desired.ComponentStreamer)).String()}
	for _, p := range s.seen.Streamers.Staying() {
		if p.Report == nil {
			out.Pods = append(out.Pods, v1alpha1.PodStatus{Name: p.Name})
			continue
		}
		seen := v1alpha1.PodStatus{Name: p.Name, ConfigRevision: p.Report.ConfigRevision}
		for _, part := range p.Report.Partitions {
			seen.Partitions = append(seen.Partitions, int32(part.ID))
		}
		slices.Sort(seen.Partitions)
		out.Pods = append(out.Pods, seen)
		out.Symbols = max(out.Symbols, int32(p.Report.Symbols))
		out.Connections += int32(p.Report.Connections)
	}
	for _, c := range s.conditions() {
		out.Conditions = append(out.Conditions, s.condition(c, now))
	}
	return out
}

// condition has the time of the last transition, which is that of before where nothing flipped.
func (s *scope) condition(c conditions.Condition, now time.Time) metav1.Condition {
	out := metav1.Condition{Type: c.Type, Status: c.Status, Reason: c.Reason, Message: c.Message,
		ObservedGeneration: s.stream.Generation, LastTransitionTime: metav1.NewTime(now.Truncate(time.Second))}
	for _, old := range s.stream.Status.Conditions {
		if old.Type == c.Type && old.Status == c.Status {
			out.LastTransitionTime = old.LastTransitionTime
		}
	}
	return out
}

// url is where browsers find the stream.
func (s *scope) url() string {
	spec := &s.stream.Spec
	switch {
	case spec.Ingress != nil && spec.Ingress.TLSSecretName != "":
		return "https://" + spec.Ingress.Host
	case spec.Ingress != nil:
		return "http://" + spec.Ingress.Host
	case spec.Gateway != nil && len(spec.Gateway.Hostnames) > 0:
		return "https://" + spec.Gateway.Hostnames[0]
	}
	scheme := "http"
	if spec.Access != nil && spec.Access.TLSSecretName != "" {
		scheme = "https"
	}
	return scheme + "://" + s.key.Name + "." + s.key.Namespace + ".svc"
}

// damp keeps the figures that move by themselves as they were, unless it is time and they moved by
// more than a tenth. It reports whether they are to be looked at again.
func (s *scope) damp(next, before *v1alpha1.MarketStreamStatus, due bool) bool {
	moved := reports.Moved(int(before.Connections), int(next.Connections))
	keep := !moved || !due
	held := holders(before.Pods)
	shifted := false
	for i := range next.Pods {
		p := &next.Pods[i]
		if old, ok := held[p.Name]; ok && !slices.Equal(old, p.Partitions) {
			shifted = true
			if !due {
				p.Partitions = old
			}
		}
	}
	changed := before.Connections != next.Connections
	if keep && changed {
		next.Connections = before.Connections
	}
	return !due && (moved && changed || shifted)
}

func holders(pods []v1alpha1.PodStatus) map[string][]int32 {
	out := make(map[string][]int32, len(pods))
	for _, p := range pods {
		out[p.Name] = p.Partitions
	}
	return out
}

// urgent reports whether a status is to be written at once: the generation, what flipped.
func urgent(before, next *v1alpha1.MarketStreamStatus) bool {
	if before.ObservedGeneration != next.ObservedGeneration {
		return true
	}
	was := statuses(before)
	for kind, status := range statuses(next) {
		switch kind {
		case v1alpha1.ConditionReady, v1alpha1.ConditionStalled, v1alpha1.ConditionPaused:
			if was[kind] != status {
				return true
			}
		}
	}
	return false
}

func statuses(st *v1alpha1.MarketStreamStatus) map[string]metav1.ConditionStatus {
	out := make(map[string]metav1.ConditionStatus, len(st.Conditions))
	for _, c := range st.Conditions {
		out[c.Type] = c.Status
	}
	return out
}

// applied is a status as it is sent.
func applied(key types.NamespacedName, st *v1alpha1.MarketStreamStatus) *msv1.MarketStreamApplyConfiguration {
	status := msv1.MarketStreamStatus().WithObservedGeneration(st.ObservedGeneration).WithShards(st.Shards).WithReadyShards(st.ReadyShards).
		WithSelector(st.Selector).WithURL(st.URL).WithSymbols(st.Symbols).WithFeed(st.Feed).WithConnections(st.Connections)
	for _, c := range st.Conditions {
		status.WithConditions(metav1ac.Condition().WithType(c.Type).WithStatus(c.Status).WithReason(c.Reason).WithMessage(c.Message).
			WithObservedGeneration(c.ObservedGeneration).WithLastTransitionTime(c.LastTransitionTime))
	}
	for _, p := range st.Pods {
		pod := msv1.PodStatus().WithName(p.Name)
		if p.ConfigRevision != "" {
			pod.WithConfigRevision(p.ConfigRevision)
		}
		status.WithPods(pod.WithPartitions(p.Partitions...))
	}
	return msv1.MarketStream(key.Name, key.Namespace).WithStatus(status)
}

// told are the conditions of which an event tells when they flip.
var told = map[string]bool{v1alpha1.ConditionReady: true, v1alpha1.ConditionStalled: true, v1alpha1.ConditionFeedConnected: true,
	v1alpha1.ConditionBackboneReady: true, v1alpha1.ConditionExposed: true, v1alpha1.ConditionPaused: true}

// good is the status of a condition when all is well.
func good(kind string) metav1.ConditionStatus {
	if kind == v1alpha1.ConditionStalled || kind == v1alpha1.ConditionReconciling || kind == v1alpha1.ConditionPaused {
		return metav1.ConditionFalse
	}
	return metav1.ConditionTrue
}

// tell makes an event of each condition that flipped.
func (r *Reconciler) tell(s *scope, before, next *v1alpha1.MarketStreamStatus) {
	was := statuses(before)
	for _, c := range next.Conditions {
		old, known := was[c.Type]
		if !told[c.Type] || old == c.Status {
			continue
		}
		if good := good(c.Type); !known && (c.Status != good || good == metav1.ConditionFalse) { // of a new stream only what it has come to
			continue
		}
		kind := "Normal"
		if c.Status != good(c.Type) {
			kind = "Warning"
		}
		note := c.Message
		if len(note) > 900 {
			note = strings.ToValidUTF8(note[:900], "") + " …"
		}
		if note == "" {
			note = c.Type + " is " + strings.ToLower(string(c.Status))
		}
		r.events.Eventf(s.stream, nil, kind, c.Type+string(c.Status), "Report", "%s: %s", c.Reason, note)
	}
}
