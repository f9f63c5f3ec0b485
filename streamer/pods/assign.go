package pods

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/marketstream/marketstream/streamer/market"
)

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// Weight is the rendezvous weight of a pod for x: of all pods, the one with the greatest has it.
func Weight(pod, x string) uint64 { return weight(prefix(pod), x) }

// prefix is the state of FNV-1a after pod and a zero byte.
func prefix(pod string) uint64 {
	h := uint64(fnvOffset)
	for i := range len(pod) {
		h = (h ^ uint64(pod[i])) * fnvPrime
	}
	return h * fnvPrime
}

// weight goes on over x and finishes as MurmurHash3 does: FNV alone orders pods by their last letters.
func weight(h uint64, x string) uint64 {
	for i := range len(x) {
		h = (h ^ uint64(x[i])) * fnvPrime
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// Assignment is who is to hold each partition, "" where there is nobody.
type Assignment [market.Partitions]string

// Assign gives the partitions to at most connections of the pods, evenly: none gets more
// than its share rounded up, and within that bound the weights decide. The order of pods does not matter.
func Assign(pods []string, connections int) (a Assignment) {
	ingest := byWeight(pods, "ingest")
	ingest = ingest[:min(len(ingest), max(1, connections))]
	if len(ingest) == 0 {
		return a
	}
	share := (market.Partitions + len(ingest) - 1) / len(ingest)
	has := make(map[string]int, len(ingest))
	for p := range a {
		for _, pod := range byWeight(ingest, "partition."+strconv.Itoa(p)) {
			if has[pod] < share {
				has[pod]++
				a[p] = pod
				break
			}
		}
	}
	return a
}

// byWeight returns the pods, those with the greatest weight for x first.
func byWeight(pods []string, x string) []string {
	out := slices.Clone(pods)
	slices.SortFunc(out, func(a, b string) int {
		return cmp.Or(cmp.Compare(Weight(b, x), Weight(a, x)), cmp.Compare(a, b))
	})
	return out
}

// Rings says which pod holds the ring of a symbol. The zero value says nobody does.
type Rings struct {
	pods     []string // sorted
	prefixes []uint64
	id       string
}

// NewRings returns who holds the rings while these pods are warm.
func NewRings(pods []string) *Rings {
	r := &Rings{pods: slices.Sorted(slices.Values(pods))}
	h := uint64(fnvOffset)
	for _, p := range r.pods {
		r.prefixes = append(r.prefixes, prefix(p))
		for i := range len(p) {
			h = (h ^ uint64(p[i])) * fnvPrime
		}
		h *= fnvPrime
	}
	r.id = fmt.Sprintf("%016x", h)
	return r
}

// ID names the set of pods: the same wherever it is the same, and another for another.
func (r *Rings) ID() string { return r.id }

// Pods returns the set, sorted; it is not the caller's.
func (r *Rings) Pods() []string { return r.pods }

// Holder returns the pod that holds a symbol's ring; "" if there is no pod.
func (r *Rings) Holder(symbol string) (pod string) {
	x := "ring." + strings.ToUpper(symbol)
	best := uint64(0)
	for i, h := range r.prefixes {
		if w := weight(h, x); pod == "" || w > best {
			pod, best = r.pods[i], w
		}
	}
	return pod
}
