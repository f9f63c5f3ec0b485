package engine

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/logs"
)

const (
	patienceFirst = 100 * time.Millisecond
	patienceLast  = 2 * time.Second
)

// patiently does what the log has to answer until it does: a backbone that is away ends no process.
func patiently(ctx context.Context, log logr.Logger, what string, do func() error) error {
	for pause := patienceFirst; ; pause = min(2*pause, patienceLast) {
		err := do()
		if !errors.Is(err, logs.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
		log.Info("the log does not answer; it is asked again", "what", what, "reason", err.Error())
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return err
		}
	}
}
