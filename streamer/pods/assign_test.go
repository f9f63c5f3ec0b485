package pods

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/marketstream/marketstream/streamer/market"
)

// TestWeights: the weights are a contract; a pod of another version must come to the same.
func TestWeights(t *testing.T) {
	for _, c := range []struct {
		pod, x string
		want   uint64
	}{
		{"a", "ingest", 0xfd0268683b8131b6},
		{"pod-1", "partition.0", 0x278b973ac399cf90},
		{"pod-1", "ring.SPY", 0x73bb9fdda30428d},
	} {
		if got := Weight(c.pod, c.x); got != c.want {
			t.Errorf("Weight(%q, %q) = %#x, want %#x", c.pod, c.x, got, c.want)
		}
	}
}

func podNames(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("md-streamer-7d9f-%c%c%c%c%c%c%c%c", 'a'+i%26, 'b'+i%7, 'c', 'd', '0'+i%10, 'e', 'f', 'g'+i%13)
	}
	return out
}

// TestAssign: every partition has one pod, evenly, whatever the order in which pods are named.
func TestAssign(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for n := 1; n <= 20; n++ {
		for _, connections := range []int{1, 2, 4, 16, 99} {
			pods := podNames(n)
			a := Assign(pods, connections)
			rnd.Shuffle(n, func(i, j int) { pods[i], pods[j] = pods[j], pods[i] })
			if b := Assign(pods, connections); a != b {
				t.Fatalf("%d pods, %d connections: the order of pods matters", n, connections)
			}
			has := make(map[string]int)
			for p, pod := range a {
				if !slices.Contains(pods, pod) {
					t.Fatalf("partition %d has %q", p, pod)
				}
				has[pod]++
			}
			ingest := min(n, connections)
			share := (market.Partitions + ingest - 1) / ingest
			for pod, k := range has {
				if k > share {
					t.Errorf("%d pods, %d connections: %s has %d partitions, at most %d", n, connections, pod, k, share)
				}
			}
			if len(has) > ingest {
				t.Errorf("%d pods, %d connections: %d ingest", n, connections, len(has))
			}
		}
	}
	if a := Assign(nil, 4); a != (Assignment{}) {
		t.Errorf("without pods: %v", a)
	}
}

// TestRingsMoveLittle: a pod that joins takes its share of the rings, and nothing moves between the others.
func TestRingsMoveLittle(t *testing.T) {
	const symbols = 5000
	for n := 1; n < 8; n++ {
		pods := podNames(n + 1)
		before, after := NewRings(pods[:n]), NewRings(pods)
		moved := 0
		for i := range symbols {
			s := fmt.Sprintf("s%04d", i)
			a, b := before.Holder(s), after.Holder(s)
			if a != b {
				moved++
				if b != pods[n] {
					t.Fatalf("%s moved from %s to %s, and %s came", s, a, b, pods[n])
				}
			}
		}
		if want := symbols / (n + 1); moved < want*8/10 || moved > want*12/10 {
			t.Errorf("from %d to %d pods: %d of %d rings moved, want about %d", n, n+1, moved, symbols, want)
		}
	}
	if (&Rings{}).Holder("SPY") != "" || NewRings(podNames(3)).Holder("spy") != NewRings(podNames(3)).Holder("SPY") {
		t.Error("nobody holds a ring without pods, and case does not matter")
	}
}

// TestRingsID: the id of a set of pods is a contract too.
func TestRingsID(t *testing.T) {
	if a, b := NewRings([]string{"pod-2", "pod-1"}), NewRings([]string{"pod-1", "pod-2"}); a.ID() != b.ID() || a.ID() != "f277bd99f888fe92" {
		t.Errorf("%s, %s", a.ID(), b.ID())
	}
	if a, b := NewRings([]string{"pod", "-1"}), NewRings([]string{"pod-", "1"}); a.ID() == b.ID() {
		t.Error("two sets share an id")
	}
}
