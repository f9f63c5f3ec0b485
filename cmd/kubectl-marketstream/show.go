package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/marketstream/marketstream/api/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// status prints what a stream does.
func status(ctx context.Context, c *cluster, args []string, out, _ io.Writer) error {
	m, err := c.stream(ctx, args[0])
	if err != nil {
		return err
	}
	s := &m.Status
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, a ...any) { _, _ = fmt.Fprintf(w, name+":\t"+format+"\n", a...) }
	row("MarketStream", "%s/%s", m.Namespace, m.Name)
	row("Ready", "%s", readiness(m))
	want := int32(1)
	if m.Spec.Shards != nil {
		want = *m.Spec.Shards
	}
	if want == 0 {
		row("Shards", "hibernated; %d pods are left", s.Shards)
	} else {
		row("Shards", "%d of %d ready", s.ReadyShards, want)
	}
	row("Symbols", "%d", s.Symbols)
	row("Feed", "%s", orDash(s.Feed))
	row("Connections", "about %d", s.Connections)
	row("URL", "%s", orDash(s.URL))
	row("Age", "%s", age(m.CreationTimestamp))
	if m.Annotations[pausedKey] == "true" {
		row("Paused", "yes: nothing is changed until kubectl marketstream resume %s", m.Name)
	}
	if len(s.Conditions) == 0 {
		_, _ = fmt.Fprintln(w, "\nNo conditions yet: no operator has looked at it. Does one watch this namespace?")
		return w.Flush()
	}
	_, _ = fmt.Fprintln(w, "\nCONDITION\tSTATUS\tREASON\tSINCE\tMESSAGE")
	for _, cond := range s.Conditions {
		stale := ""
		if cond.ObservedGeneration != m.Generation {
			stale = fmt.Sprintf(" (of generation %d; the object is at %d)", cond.ObservedGeneration, m.Generation)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s%s\n", cond.Type, cond.Status, cond.Reason, age(cond.LastTransitionTime), cond.Message, stale)
	}
	return w.Flush()
}

// readiness is the Ready condition in words: one of an older generation says nothing of this one.
func readiness(m *v1alpha1.MarketStream) string {
	r := meta.FindStatusCondition(m.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case r == nil:
		return "not known yet"
	case r.ObservedGeneration != m.Generation:
		return "not known yet: the last change was not looked at"
	case r.Status == metav1.ConditionTrue:
		return "yes, " + r.Reason
	}
	if stalled := meta.FindStatusCondition(m.Status.Conditions, v1alpha1.ConditionStalled); stalled != nil && stalled.Status == metav1.ConditionTrue {
		return "no, and it won't be by itself: " + stalled.Reason + ": " + stalled.Message
	}
	return "no, " + r.Reason + ": " + r.Message
}

// shards prints a stream's pods.
func shards(ctx context.Context, c *cluster, args []string, out, _ io.Writer) error {
	m, err := c.stream(ctx, args[0])
	if err != nil {
		return err
	}
	pods, err := c.pods(ctx, m.Name)
	if err != nil {
		return err
	}
	if len(pods) == 0 {
		_, err := fmt.Fprintf(out, "%s/%s has no pods\n", m.Namespace, m.Name)
		return err
	}
	slices.SortFunc(pods, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "POD\tSTATE\tPARTITIONS\tCONFIG\tRESTARTS\tNODE\tAGE")
	for _, p := range pods {
		partitions, config := "-", "-"
		if i := slices.IndexFunc(m.Status.Pods, func(s v1alpha1.PodStatus) bool { return s.Name == p.Name }); i >= 0 {
			partitions, config = ranges(m.Status.Pods[i].Partitions), orDash(m.Status.Pods[i].ConfigRevision)
		}
		restarts := int32(0)
		for _, cs := range p.Status.ContainerStatuses {
			restarts += cs.RestartCount
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", p.Name, state(&p), partitions, config, restarts, orDash(p.Spec.NodeName), age(p.CreationTimestamp))
	}
	return w.Flush()
}

// state is what a pod does, in a word.
func state(p *corev1.Pod) string {
	if p.DeletionTimestamp != nil {
		return "Draining"
	}
	for _, cs := range p.Status.ContainerStatuses {
		if w := cs.State.Waiting; w != nil && w.Reason != "" {
			return w.Reason
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return "Ready"
		}
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return c.Reason
		}
	}
	if p.Status.Phase == corev1.PodRunning {
		return "NotReady"
	}
	return string(p.Status.Phase)
}

// ranges writes 0,1,2,5 as 0-2,5.
func ranges(n []int32) string {
	if len(n) == 0 {
		return "none"
	}
	n = slices.Sorted(slices.Values(n))
	var out []string
	for i := 0; i < len(n); {
		j := i
		for j+1 < len(n) && n[j+1] == n[j]+1 {
			j++
		}
		if i == j {
			out = append(out, fmt.Sprint(n[i]))
		} else {
			out = append(out, fmt.Sprintf("%d-%d", n[i], n[j]))
		}
		i = j + 1
	}
	return strings.Join(out, ",")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func age(t metav1.Time) string {
	if t.IsZero() {
		return "-"
	}
	return duration.HumanDuration(time.Since(t.Time))
}
