package backbone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketstream/marketstream/streamer/logs"
)

// answer is what JetStream says to an append.
type answer struct {
	Error *jetstream.APIError `json:"error"`
	Seq   uint64              `json:"seq"`
}

// inFlightFor is how long an append waits for one on its subject that is not decided yet.
const inFlightFor = 2 * time.Millisecond

// append stores m, whose header is not nil, if the last message of its subject has sequence
// expect (0: if there is none), and returns its sequence.
//
// A leader of several acknowledges a message before it forgets that it was in flight, and refuses
// the next one on that subject meanwhile (NATS 2.15, code 10164): it is asked again.
func (c *conn) append(ctx context.Context, m *nats.Msg, expect uint64) (uint64, error) {
	if err := c.connected(); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(expect, 10))
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		a, err := c.ask(ctx, m)
		switch {
		case err != nil:
			return 0, err
		case a.Error == nil:
			return a.Seq, nil
		case a.Error.ErrorCode != codeWrongLastSequenceConstant:
			return 0, refusal(a.Error)
		}
		wait.Reset(inFlightFor)
		select {
		case <-wait.C:
		case <-ctx.Done():
			return 0, refusal(a.Error)
		}
	}
}

// ask sends m once and returns what JetStream says to it: an error of its own, or a sequence.
func (c *conn) ask(ctx context.Context, m *nats.Msg) (a answer, err error) {
	reply, err := c.nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		if errors.Is(err, nats.ErrNoResponders) {
			c.revive()
		}
		return a, unavailable(err)
	}
	if err := json.Unmarshal(reply.Data, &a); err != nil {
		return a, fmt.Errorf("%w: answer %q: %w", logs.ErrUnavailable, reply.Data, err)
	}
	if a.Error == nil && a.Seq == 0 {
		return a, fmt.Errorf("%w: answer %q names no sequence", logs.ErrUnavailable, reply.Data)
	}
	return a, nil
}
