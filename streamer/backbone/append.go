package backbone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketstream/marketstream/streamer/logs"
)

// answer is what JetStream says to an append.
type answer struct {
	Error *jetstream.APIError `json:"error"`
	Seq   uint64              `json:"seq"`
}

// append stores m, whose header is not nil, if the last message of its subject has sequence
// expect (0: if there is none), and returns its sequence.
func (c *conn) append(ctx context.Context, m *nats.Msg, expect uint64) (uint64, error) {
	if err := c.connected(); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(expect, 10))
	reply, err := c.nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		if errors.Is(err, nats.ErrNoResponders) {
			c.revive()
		}
		return 0, unavailable(err)
	}
	var a answer
	if err := json.Unmarshal(reply.Data, &a); err != nil {
		return 0, fmt.Errorf("%w: answer %q: %w", logs.ErrUnavailable, reply.Data, err)
	}
	if a.Error != nil {
		return 0, refusal(a.Error)
	}
	if a.Seq == 0 {
		return 0, fmt.Errorf("%w: answer %q names no sequence", logs.ErrUnavailable, reply.Data)
	}
	return a.Seq, nil
}
