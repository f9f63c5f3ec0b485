package backbone

import (
	"errors"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketstream/marketstream/streamer/logs"
)

// TestRefusedOnceDecided: a cluster refuses an append while another on its subject is in flight, and
// whoever is refused then is told once it is decided: whoever wrote it, not that somebody writes.
func TestRefusedOnceDecided(t *testing.T) {
	servers := startCluster(t, 3)
	b := mustConnect(t, optionsFor(t, servers)())
	last, refusals := uint64(0), 0
	for range 300 {
		var wg sync.WaitGroup
		var seqs [2]uint64
		var errs [2]error
		for i := range seqs {
			wg.Go(func() { seqs[i], errs[i] = b.Bars().Append(t.Context(), 3, last, []byte("frame")) })
		}
		wg.Wait()
		if seqs[0] == 0 && seqs[1] == 0 {
			t.Fatalf("nobody was let: %v, %v", errs[0], errs[1])
		}
		last = max(seqs[0], seqs[1])
		for _, err := range errs {
			if err == nil {
				continue
			}
			refusals++
			var answer *jetstream.APIError
			if !errors.Is(err, logs.ErrConflict) || !errors.As(err, &answer) || answer.ErrorCode != codeWrongLastSequence {
				t.Fatalf("after %d refusals: %v", refusals, err)
			}
		}
	}
	if refusals == 0 {
		t.Error("nothing was refused: it shows nothing")
	}
}
