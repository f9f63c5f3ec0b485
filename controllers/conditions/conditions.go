package conditions

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/controllers/observed"
	"github.com/marketstream/marketstream/controllers/rollout"
)

// Input is what conditions follow from.
type Input struct {
	Stream *v1alpha1.MarketStream
	Seen   *observed.Stream
	Kinds  observed.Kinds

	Document  rollout.DocumentDecision
	Streamers rollout.Decision
	Backbone  *rollout.BackboneDecision // nil: an external one
	Growth    rollout.Growth

	// Wrote: something was applied in this look, so that what was seen is of before.
	Wrote bool
	// Conflicts are objects of others under our names.
	Conflicts []string
	// Failure of applying, and the word for it; empty: none.
	Failure, FailureReason string
	// Shares names streams that use the same vendor's key, whose account allows fewer connections.
	Shares []string
}

// Condition is one, without the times.
type Condition struct {
	Type    string
	Status  metav1.ConditionStatus
	Reason  string
	Message string
}

// table is every condition, in the order in which they follow from one another.
var table = []struct {
	kind string
	of   func(in *Input, before map[string]Condition) Condition
}{
	{v1alpha1.ConditionPaused, paused},               // the annotation
	{v1alpha1.ConditionFeedConnected, feedConnected}, // the worst that pods report
	{v1alpha1.ConditionBackboneReady, backboneReady}, // the nodes' own reports
	{v1alpha1.ConditionExposed, exposed},             // an Ingress exists, a route is accepted
	{v1alpha1.ConditionMonitored, monitored},         // what is made for Prometheus
	{v1alpha1.ConditionStalled, stalled},             // what does not get better by waiting
	{v1alpha1.ConditionReconciling, reconciling},     // what is under way
	{v1alpha1.ConditionReady, ready},                 // none of the above stands in the way
}

// Of returns all conditions.
func Of(in *Input) []Condition {
	out := make([]Condition, 0, len(table))
	before := make(map[string]Condition, len(table))
	for _, row := range table {
		c := row.of(in, before)
		c.Type = row.kind
		c.Message = shorten(c.Message)
		before[c.Type] = c
		out = append(out, c)
	}
	return out
}

func is(reason, format string, args ...any) Condition {
	return Condition{Status: metav1.ConditionTrue, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func not(reason, format string, args ...any) Condition {
	return Condition{Status: metav1.ConditionFalse, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func unknown(reason, format string, args ...any) Condition {
	return Condition{Status: metav1.ConditionUnknown, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// shorten keeps a message within what the API server takes of a condition (32 KiB), and readable.
func shorten(s string) string {
	const most = 2048
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + " …"
}

// count says "1 pod", "3 pods".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// names lists at most three.
func names(all []string) string {
	if len(all) > 3 {
		return strings.Join(all[:3], ", ") + fmt.Sprintf(" and %d more", len(all)-3)
	}
	return strings.Join(all, ", ")
}
