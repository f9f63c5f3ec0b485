package main

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/run"
)

// guard is a limit against hanging, far above what this takes.
const guard = 15 * time.Minute

// TestChaos does fifteen faults to a whole system. CHAOS_SEED does those of a seed again.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes two minutes and more")
	}
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	defer cancel()
	o := run.Options{Faults: 15, Clients: 24, Slow: 6, Nodes: 3, Pods: 4, Settle: 4 * time.Minute, Pause: time.Second, Out: t.Output()}
	if text := os.Getenv("CHAOS_SEED"); text != "" {
		var err error
		if o.Seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	r, err := run.Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Good() {
		t.Errorf("%d findings; again with CHAOS_SEED=%s in hack/chaos, logs in %s", len(r.Findings), strconv.FormatUint(r.Seed, 10), r.Dir)
	}
}
