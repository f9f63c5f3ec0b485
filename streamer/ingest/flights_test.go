package ingest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/logs"
)

// pickyTicks takes no batch that is longer than most.
type pickyTicks struct {
	noTicks
	most int
	took int
}

func (p *pickyTicks) Publish(_ context.Context, _ int, data []byte) (logs.Ack, error) {
	if len(data) > p.most {
		return nil, logs.ErrTooLarge
	}
	p.took++
	return done{}, nil
}

// TestTooLargeBehindAnother: of two batches under way the first is tried again until it is stored, and the second can never
// be: the writer says so, and does not try for ever.
func TestTooLargeBehindAnother(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // against hanging
	defer cancel()
	ticks := &pickyTicks{most: 1}
	w := &Writer{Claim: Claim{Gate: always{}}, env: &Env{Ticks: ticks}, log: logr.Discard()}
	first, second := w.flights.next(1), w.flights.next(2)
	first.data, first.err = []byte("1"), logs.ErrUnavailable
	second.data, second.err = []byte("22"), logs.ErrUnavailable
	if err := w.landed(ctx); !errors.Is(err, logs.ErrTooLarge) {
		t.Errorf("%v", err)
	}
	if ticks.took != 1 {
		t.Errorf("%d batches were stored", ticks.took)
	}
}
