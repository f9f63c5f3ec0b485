package conditions

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/controllers/observed"
)

// stalled is what does not get better by waiting: someone has to change something.
func stalled(in *Input, _ map[string]Condition) Condition {
	pods := &in.Seen.Streamers
	switch {
	case len(in.Conflicts) > 0:
		return is("Conflict", "%s there already and not ours: rename the stream, or remove %s", list(in.Conflicts), it(len(in.Conflicts)))
	case in.FailureReason != "":
		return is(in.FailureReason, "%s", in.Failure)
	case in.Document.Held:
		return is("NeedsNewerImage", "%s: a field of the spec is newer than the image %s; set spec.pod.image, or spec.pod.updates: Follow", strings.Join(in.Document.Why, "; "), in.Streamers.Image)
	}
	if reason, says := refused(in); reason != "" {
		return is(reason, "%s", says)
	}
	for _, w := range []*observed.Workload{&in.Seen.Nodes, pods} {
		for _, p := range w.Staying() {
			if !p.Ready && p.Stuck != "" && w.Fresh(p) {
				return is(stuckReason(p.Stuck), "%s: %s", p.Name, p.Stuck)
			}
		}
		if w.Failure != "" {
			if strings.Contains(w.Failure, "quota") {
				return is("QuotaExceeded", "%s", w.Failure)
			}
			return is("PodsRefused", "%s", w.Failure)
		}
	}
	return not("NotStalled", "")
}

// refused is what a pod says of the newest document. One of a template of before does not matter: it goes.
func refused(in *Input) (reason, says string) {
	for _, p := range in.Seen.Streamers.Staying() {
		if p.Report == nil || p.Report.ConfigError == "" || !in.Seen.Streamers.Fresh(p) {
			continue
		}
		reason = p.Report.ConfigReason
		if reason == "" {
			reason = "ConfigRefused"
		}
		return reason, p.Name + ": " + p.Report.ConfigError
	}
	return "", ""
}

func stuckReason(stuck string) string {
	if word, _, ok := strings.Cut(stuck, ":"); ok && !strings.Contains(word, " ") && word != "" {
		return word
	}
	return "PodStuck"
}

// reconciling is what is under way.
func reconciling(in *Input, before map[string]Condition) Condition {
	pods, nodes := &in.Seen.Streamers, &in.Seen.Nodes
	if before[v1alpha1.ConditionPaused].Status == metav1.ConditionTrue {
		return not("Paused", "nothing is changed while it is paused")
	}
	if c := before[v1alpha1.ConditionStalled]; c.Status == metav1.ConditionTrue { // kstatus: not under way, but failed
		return not(c.Reason, "see Stalled")
	}
	steps := append([]string(nil), in.Streamers.Why...)
	if in.Backbone != nil {
		steps = append(steps, in.Backbone.Why...)
	}
	detail := ""
	if len(steps) > 0 {
		detail = ": " + strings.Join(steps, "; ")
	}
	switch {
	case in.Wrote:
		return is("Applying", "changes were applied%s", detail)
	case in.Backbone != nil && in.Backbone.Moving != "":
		return is("MovingBackbone", "%s", in.Backbone.Moving)
	case len(in.Growth.Claims) > 0 || in.Growth.Remake:
		return is("GrowingVolumes", "%s", strings.Join(in.Growth.Why, "; "))
	case in.Backbone != nil && (before[v1alpha1.ConditionBackboneReady].Status != metav1.ConditionTrue || changing(nodes)):
		return is("Backbone", "%s%s", progress(nodes, "node"), detail)
	case !pods.Done() || pods.Replicas != shards(in):
		return is("Rolling", "%s%s", progress(pods, "streamer"), detail)
	}
	if late := behind(in); len(late) > 0 {
		return is("Reloading", "%s not run document %s yet", does(late), in.Document.Revision)
	}
	return not("Settled", "")
}

// changing reports whether nodes come, go or take a template; one that is away does neither.
func changing(w *observed.Workload) bool {
	if !w.Settled || len(w.Pods) != int(w.Replicas) {
		return true
	}
	for i := range w.Pods {
		if w.Pods[i].Leaving || !w.Fresh(&w.Pods[i]) {
			return true
		}
	}
	return false
}

// shards that are wanted.
func shards(in *Input) int32 {
	if in.Stream.Spec.Shards == nil {
		return 1
	}
	return *in.Stream.Spec.Shards
}

// behind names the pods that do not say that they run the document.
func behind(in *Input) []string {
	var out []string
	for _, p := range in.Seen.Streamers.Staying() {
		if p.Report == nil || p.Report.ConfigRevision != in.Document.Revision {
			out = append(out, p.Name)
		}
	}
	return out
}

func progress(w *observed.Workload, what string) string {
	fresh, ready := 0, 0
	var says []string
	for _, p := range w.Staying() {
		if w.Fresh(p) {
			fresh++
		}
		switch {
		case p.Ready:
			ready++
		case p.Unscheduled != "":
			says = append(says, p.Name+": "+p.Unscheduled)
		default:
			if lacking := lacks(p); len(lacking) > 0 {
				says = append(says, p.Name+": "+strings.Join(lacking, ", "))
			}
		}
	}
	text := count(int(w.Replicas), what) + " wanted, " + count(len(w.Pods), "pod") + ", " + count(fresh, "pod") + " of the newest template, " + count(ready, "pod") + " ready"
	if len(says) > 0 {
		text += "; " + names(says)
	}
	return text
}

func ready(in *Input, before map[string]Condition) Condition {
	for _, row := range []struct {
		kind string
		bad  metav1.ConditionStatus
	}{
		{v1alpha1.ConditionStalled, metav1.ConditionTrue},
		{v1alpha1.ConditionBackboneReady, metav1.ConditionFalse},
		{v1alpha1.ConditionReconciling, metav1.ConditionTrue},
		{v1alpha1.ConditionExposed, metav1.ConditionFalse},
	} {
		if c := before[row.kind]; c.Status == row.bad {
			return not(c.Reason, "%s", c.Message)
		}
	}
	pods := &in.Seen.Streamers
	switch {
	case before[v1alpha1.ConditionPaused].Status == metav1.ConditionTrue && (!pods.Done() || len(behind(in)) > 0):
		return not("Paused", "paused before everything was applied")
	case hibernated(in):
		return is("Hibernated", "no streamers are wanted; the log keeps what it has for its retention")
	}
	return is("Serving", "%s ready, every one runs document %s", count(int(pods.Ready()), "streamer"), in.Document.Revision)
}

func list(all []string) string {
	if len(all) == 1 {
		return all[0] + " is"
	}
	return names(all) + " are"
}

func it(n int) string {
	if n == 1 {
		return "it"
	}
	return "them"
}

func does(all []string) string {
	if len(all) == 1 {
		return all[0] + " does"
	}
	return names(all) + " do"
}
