package marketstream

import (
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/marketstream/marketstream/api/v1alpha1"
)

// TestFigures: figures that move by themselves are written once a minute at most, and only past a tenth.
func TestFigures(t *testing.T) {
	at := func(connections int32, held ...int32) *v1alpha1.MarketStreamStatus {
		return &v1alpha1.MarketStreamStatus{Connections: connections, Pods: []v1alpha1.PodStatus{{Name: "us-a", Partitions: held}}}
	}
	for _, c := range []struct {
		name         string
		before, next *v1alpha1.MarketStreamStatus
		due          bool // a minute is over
		want         *v1alpha1.MarketStreamStatus
		again        bool // it is to be looked at when the minute is over
	}{
		{"nothing moved", at(100, 1, 2), at(100, 1, 2), false, at(100, 1, 2), false},
		{"by a tenth", at(100, 1), at(110, 1), true, at(100, 1), false},
		{"past a tenth", at(100, 1), at(111, 1), true, at(111, 1), false},
		{"past a tenth, too soon", at(100, 1), at(200, 1), false, at(100, 1), true},
		{"the first client", at(0, 1), at(1, 1), true, at(1, 1), false},
		{"the last client", at(1, 1), at(0, 1), false, at(1, 1), true},
		{"a partition moved", at(100, 1), at(100, 1, 2), true, at(100, 1, 2), false},
		{"a partition moved, too soon", at(100, 1), at(100, 1, 2), false, at(100, 1), true},
		{"a pod is new", &v1alpha1.MarketStreamStatus{Connections: 100}, at(100, 1), false, at(100, 1), false},
	} {
		if again := (&scope{}).damp(c.next, c.before, c.due); !reflect.DeepEqual(c.next, c.want) || again != c.again {
			t.Errorf("%s: %+v, again %t; want %+v, %t", c.name, c.next, again, c.want, c.again)
		}
	}
}

// TestUrgent: what flips is written at once, what is said in other words waits.
func TestUrgent(t *testing.T) {
	status := func(generation int64, kind string, is metav1.ConditionStatus, message string) *v1alpha1.MarketStreamStatus {
		return &v1alpha1.MarketStreamStatus{ObservedGeneration: generation, Conditions: []metav1.Condition{{Type: kind, Status: is, Message: message}}}
	}
	for _, c := range []struct {
		name         string
		before, next *v1alpha1.MarketStreamStatus
		want         bool
	}{
		{"other words", status(1, v1alpha1.ConditionReady, "False", "a"), status(1, v1alpha1.ConditionReady, "False", "b"), false},
		{"ready", status(1, v1alpha1.ConditionReady, "False", ""), status(1, v1alpha1.ConditionReady, "True", ""), true},
		{"stalled", status(1, v1alpha1.ConditionStalled, "False", ""), status(1, v1alpha1.ConditionStalled, "True", ""), true},
		{"the feed", status(1, v1alpha1.ConditionFeedConnected, "True", ""), status(1, v1alpha1.ConditionFeedConnected, "False", ""), false},
		{"a generation", status(1, v1alpha1.ConditionReady, "True", ""), status(2, v1alpha1.ConditionReady, "True", ""), true},
	} {
		if got := urgent(c.before, c.next); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

// TestNewest: a status that was written counts until the cache has it, or anything newer.
func TestNewest(t *testing.T) {
	var f figures
	m := &v1alpha1.MarketStream{ObjectMeta: metav1.ObjectMeta{Namespace: "md", Name: "us", ResourceVersion: "5"}}
	key, now := types.NamespacedName{Namespace: "md", Name: "us"}, time.Unix(1, 0)
	f.writtenAt(key, now)
	f.wrote(key, now, statement{&v1alpha1.MarketStreamStatus{Shards: 3}, "5"})
	if got := f.newest(m); got.Shards != 3 {
		t.Errorf("what was written over version 5 is forgotten: %+v", got)
	}
	m.ResourceVersion, m.Status.Shards = "6", 4
	if got := f.newest(m); got.Shards != 4 {
		t.Errorf("what is newer is passed over: %+v", got)
	}
	m.ResourceVersion = "5"
	if got := f.newest(m); got.Shards != 4 {
		t.Errorf("it is kept for ever: %+v", got)
	}
}
