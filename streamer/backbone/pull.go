package backbone

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketstream/marketstream/streamer/logs"
)

const (
	// At most these are on their way to a reader: a bound of memory. Bytes above messages: a
	// batch of the server's ends at the byte bound, and no entry is longer than half of it.
	pullMessages = 256
	pullBytes    = 2 * (logs.MaxEntry + headerRoom)
	// idleConsumer is when the server drops a consumer whose reader has gone without a word.
	idleConsumer = 30 * time.Second
	heartbeat    = 2 * time.Second
)

// errHole says that a consumer left messages out, and must be made anew.
var errHole = errors.New("messages are missing between two that came")

// puller reads a stream in order from a sequence on, through a consumer of its own, until
// something goes wrong. Every error ends it; whoever reads decides where to begin again.
type puller struct {
	stream   jetstream.Stream
	consumer string
	messages jetstream.MessagesContext
	ctx      context.Context
	received uint64 // consumer sequence
}

// newPuller makes a puller for what is stored from seq on, on subject if it is not "". Its
// reads end with ctx. One replica is read, which may lag behind the leader.
func (c *conn) newPuller(ctx context.Context, seq uint64, subject string) (*puller, error) {
	s := c.handle()
	asking, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	consumer, err := s.CreateConsumer(asking, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(seq, 1), FilterSubject: subject,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: idleConsumer,
	})
	if err != nil {
		return nil, fmt.Errorf("read %s from %d: %w", c.config.Name, seq, c.gone(err))
	}
	m, err := consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(pullMessages, pullBytes), jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return nil, fmt.Errorf("read %s from %d: %w", c.config.Name, seq, unavailable(err))
	}
	return &puller{stream: s, consumer: consumer.CachedInfo().Name, messages: m, ctx: ctx}, nil
}

// next returns the next message and its place. ErrTimeout of NATS: none came within wait, if that is not 0.
func (p *puller) next(wait time.Duration) (jetstream.Msg, *jetstream.MsgMetadata, error) {
	until := jetstream.NextContext(p.ctx)
	if wait > 0 {
		until = jetstream.NextMaxWait(wait)
	}
	m, err := p.messages.Next(until)
	if err != nil {
		return nil, nil, unavailable(err)
	}
	at, err := m.Metadata()
	if err != nil {
		return nil, nil, unavailable(err)
	}
	if p.received++; at.Sequence.Consumer != p.received {
		return nil, nil, unavailable(fmt.Errorf("%w: number %d came as %d", errHole, p.received, at.Sequence.Consumer))
	}
	return m, at, nil
}

// close stops the reading and drops the consumer, if the server still answers.
func (p *puller) close() {
	p.messages.Stop()
	if p.ctx.Err() != nil && errors.Is(context.Cause(p.ctx), errSessionOver) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), drainWithin)
	defer cancel()
	// If it is not answered the server drops it by itself.
	_ = p.stream.DeleteConsumer(ctx, p.consumer)
}
