package reports

import (
	"slices"

	"github.com/marketstream/marketstream/api/podreport"
)

// matters reports whether the difference between two answers of a pod is worth a look at its
// stream. Positions, watermarks and bytes move all the time and are not; a number of
// connections is, past a tenth.
func matters(a, b Answer) bool {
	if a.Err != b.Err || (a.Report == nil) != (b.Report == nil) || (a.Node == nil) != (b.Node == nil) {
		return true
	}
	if a.Node != nil {
		x, y := a.Node, b.Node
		return x.Generation != y.Generation || x.Replicas != y.Replicas || x.Ready != y.Ready || x.Moving != y.Moving ||
			x.Reason != y.Reason || x.Version != y.Version || !slices.Equal(x.Secrets, y.Secrets)
	}
	if a.Report == nil {
		return false
	}
	x, y := a.Report, b.Report
	return x.ConfigRevision != y.ConfigRevision || x.ConfigError != y.ConfigError || x.ConfigReason != y.ConfigReason ||
		x.Ready != y.Ready || x.Draining != y.Draining || x.Symbols != y.Symbols || x.Version != y.Version || x.Schema != y.Schema ||
		x.Feed.State != y.Feed.State || x.Feed.Reason != y.Feed.Reason || !slices.Equal(x.Secrets, y.Secrets) ||
		!slices.Equal(held(x), held(y)) || Moved(x.Connections, y.Connections)
}

// Moved reports whether a figure that moves by itself has moved by more than a tenth.
func Moved(from, to int) bool {
	d := from - to
	return d*10 > from || -d*10 > from
}

func held(r *podreport.Report) []int {
	out := make([]int, 0, len(r.Partitions))
	for _, p := range r.Partitions {
		out = append(out, p.ID)
	}
	slices.Sort(out)
	return out
}
