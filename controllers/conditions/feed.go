package conditions

import (
	"slices"
	"strings"

	"github.com/marketstream/marketstream/api/podreport"
	"github.com/marketstream/marketstream/controllers/observed"
)

// feedStates are the states of a feed (wire-protocol, event status), the worst first.
var feedStates = []string{"failed", "limited", "disconnected", "silent", "connecting", "catching_up", "connected", "ended"}

func feedConnected(in *Input, _ map[string]Condition) Condition {
	if hibernated(in) {
		return unknown("Hibernated", "no pods run")
	}
	if len(in.Shares) > 0 {
		return not("SharedKey", "the vendor's account allows one connection, and %s %s the same key", strings.Join(in.Shares, ", "), uses(len(in.Shares)))
	}
	bad := secrets(&in.Seen.Streamers)
	worst, why := "", ""
	for _, p := range in.Seen.Streamers.Staying() {
		if p.Report == nil || p.Report.Feed.State == "" {
			continue
		}
		if worst == "" || slices.Index(feedStates, p.Report.Feed.State) < slices.Index(feedStates, worst) {
			worst, why = p.Report.Feed.State, p.Report.Feed.Reason
		}
	}
	if why != "" {
		why = ": " + why
	}
	if len(bad) > 0 && worst != "" { // pods that have a feed go on with what they loaded
		why += "; " + strings.Join(bad, "; ")
	}
	switch worst {
	case "":
		if len(bad) > 0 {
			return not("SecretMissing", "%s", strings.Join(bad, "; "))
		}
		return unknown("NoReport", "no pod has reported yet")
	case "connected":
		return is("Connected", "%s is connected%s", in.Stream.Spec.Feed.FeedName(), why)
	case "ended":
		return is("Ended", "the recording is played to its end%s", why)
	case "catching_up":
		return is("CatchingUp", "%s is connected and catches up%s", in.Stream.Spec.Feed.FeedName(), why)
	}
	return not(camel(worst), "%s is %s%s", in.Stream.Spec.Feed.FeedName(), worst, why)
}

func uses(n int) string {
	if n == 1 {
		return "uses"
	}
	return "use"
}

func camel(s string) string {
	if s == "" {
		return "Unknown"
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// secrets says what pods lack, each once.
func secrets(w *observed.Workload) []string {
	var out []string
	for _, p := range w.Staying() {
		out = append(out, lacks(p)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// lacks says which Secrets a pod has not, in its own words.
func lacks(p *observed.Pod) (out []string) {
	if p.Report == nil {
		return nil
	}
	for _, s := range p.Report.Secrets {
		if s.State == podreport.SecretLoaded || s.State == "" {
			continue
		}
		say := "Secret " + s.Name + " is " + s.State
		if s.Reason != "" {
			say += ": " + s.Reason
		}
		out = append(out, say)
	}
	return out
}
