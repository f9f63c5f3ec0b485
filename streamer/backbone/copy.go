package backbone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketstream/marketstream/streamer/logs"
)

// Bounds of a copy: chunks on their way, and how long one may take.
const (
	chunkBytes  = 512 << 10
	windowBytes = 8 << 20
	chunkWithin = 30 * time.Second
	apiPrefix   = "$JS.API."
	firstTries  = 20
	digestTries = 5
)

// copyStream makes a stream of one server at another, with the same sequences and times. The
// stream must not be there. said is told how far it is.
func copyStream(ctx context.Context, from, to *nodeServer, config jetstream.StreamConfig, said func(bytes int64)) error {
	state, chunks, stop, err := snapshot(ctx, from, config.Name)
	if err != nil {
		return fmt.Errorf("back %s up: %w", config.Name, err)
	}
	defer stop()
	subject, err := beginRestore(ctx, to, config, state)
	if err != nil {
		return fmt.Errorf("restore %s: %w", config.Name, err)
	}
	var done int64
	for {
		data, ack, err := next(ctx, chunks)
		if err != nil {
			return fmt.Errorf("back %s up: %w", config.Name, err)
		}
		// An empty one ends the snapshot, and the restore.
		reply, err := request(ctx, to, subject, data)
		for wait := range firstTries { // the node that restores may be another one, which has only begun to listen
			if done > 0 || !errors.Is(err, nats.ErrNoResponders) {
				break
			}
			select {
			case <-time.After(time.Duration(wait+1) * retryFirst):
			case <-ctx.Done():
				return ctx.Err()
			}
			reply, err = request(ctx, to, subject, data)
		}
		if err != nil {
			return fmt.Errorf("restore %s: %w", config.Name, err)
		}
		var answer struct {
			Error *jetstream.APIError `json:"error"`
		}
		if len(reply) > 0 {
			if err := json.Unmarshal(reply, &answer); err != nil {
				return fmt.Errorf("restore %s: answer %q: %w", config.Name, reply, err)
			}
		}
		if answer.Error != nil {
			return fmt.Errorf("restore %s: %w", config.Name, answer.Error)
		}
		if len(data) == 0 {
			return nil
		}
		if done += int64(len(data)); ack != "" {
			if err := from.nc.Publish(ack, nil); err != nil {
				return fmt.Errorf("back %s up: %w", config.Name, err)
			}
		}
		said(done)
	}
}

// snapshot asks for a stream, which then comes in chunks.
func snapshot(ctx context.Context, s *nodeServer, name string) (state json.RawMessage, chunks *nats.Subscription, stop func(), err error) {
	inbox := s.nc.NewInbox()
	if chunks, err = s.nc.SubscribeSync(inbox); err != nil {
		return nil, nil, nil, err
	}
	stop = func() { _ = chunks.Unsubscribe() } // the server ends what nobody takes
	ask, err := json.Marshal(map[string]any{"deliver_subject": inbox, "no_consumers": true, "chunk_size": chunkBytes, "window_size": windowBytes, "jsck": true})
	if err != nil {
		stop()
		return nil, nil, nil, err
	}
	var answer struct {
		Error *jetstream.APIError `json:"error"`
		State json.RawMessage     `json:"state"`
	}
	reply, err := request(ctx, s, apiPrefix+"STREAM.SNAPSHOT."+name, ask)
	if err == nil {
		err = json.Unmarshal(reply, &answer)
	}
	if err == nil && answer.Error != nil {
		err = answer.Error
	}
	if err != nil {
		stop()
		return nil, nil, nil, err
	}
	return answer.State, chunks, stop, nil
}

// next returns the next chunk and where to acknowledge it; no data at the end.
func next(ctx context.Context, chunks *nats.Subscription) (data []byte, ack string, err error) {
	ctx, cancel := context.WithTimeout(ctx, chunkWithin)
	defer cancel()
	m, err := chunks.NextMsgWithContext(ctx)
	if err != nil {
		return nil, "", err
	}
	if status := m.Header.Get("Status"); len(m.Data) == 0 && status != "" && status != "204" {
		return nil, "", fmt.Errorf("it was broken off: %s %s", status, m.Header.Get("Description"))
	}
	return m.Data, m.Reply, nil
}

func beginRestore(ctx context.Context, s *nodeServer, config jetstream.StreamConfig, state json.RawMessage) (subject string, err error) {
	ask, err := json.Marshal(map[string]any{"config": config, "state": state})
	if err != nil {
		return "", err
	}
	reply, err := request(ctx, s, apiPrefix+"STREAM.RESTORE."+config.Name, ask)
	if err != nil {
		return "", err
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Deliver string              `json:"deliver_subject"`
	}
	if err := json.Unmarshal(reply, &answer); err != nil {
		return "", fmt.Errorf("answer %q: %w", reply, err)
	}
	if answer.Error != nil {
		return "", answer.Error
	}
	return answer.Deliver, nil
}

func request(ctx context.Context, s *nodeServer, subject string, data []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, chunkWithin)
	defer cancel()
	m, err := s.nc.RequestWithContext(ctx, subject, data)
	if err != nil {
		return nil, unavailable(err)
	}
	return m.Data, nil
}

// errDiffers says that a copy is not what it was made from.
var errDiffers = errors.New("the copy differs")

// sameStream compares all messages of a stream at two servers. What aged out at one of them
// meanwhile does not count. An error that wraps errDiffers, or that of a request.
func sameStream(ctx context.Context, a, b *nodeServer, name string) error {
	of := func(s *nodeServer) (*conn, jetstream.StreamState, error) {
		asking, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		stream, err := s.js.Stream(asking, name)
		if err != nil {
			return nil, jetstream.StreamState{}, err
		}
		c := &conn{nc: s.nc, js: s.js, config: jetstream.StreamConfig{Name: name}, log: s.n.o.Log, session: newSession(), stream: stream}
		return c, stream.CachedInfo().State, nil
	}
	ca, sa, err := of(a)
	if err != nil {
		return fmt.Errorf("verify %s: %w", name, err)
	}
	cb, sb, err := of(b)
	if err != nil {
		return fmt.Errorf("verify %s: %w", name, err)
	}
	if sa.LastSeq != sb.LastSeq {
		return fmt.Errorf("verify %s: %w: it ends at %d, not at %d", name, errDiffers, sb.LastSeq, sa.LastSeq)
	}
	first := max(sa.FirstSeq, sb.FirstSeq)
	na, suma, err := digest(ctx, ca, first)
	if err != nil {
		return fmt.Errorf("verify %s: %w", name, err)
	}
	nb, sumb, err := digest(ctx, cb, first)
	if err != nil {
		return fmt.Errorf("verify %s: %w", name, err)
	}
	if na != nb || suma != sumb {
		return fmt.Errorf("verify %s: %w from %d on: %d messages of CRC %08x, not %d of %08x", name, errDiffers, first, nb, sumb, na, suma)
	}
	return nil
}

// digest sums sequences, subjects, headers and data up. A replica that is behind is given time, or another one is read.
func digest(ctx context.Context, c *conn, first uint64) (n int, sum uint32, err error) {
	for range digestTries {
		n, sum, err = digestOnce(ctx, c, first)
		if !errors.Is(err, logs.ErrUnavailable) || ctx.Err() != nil {
			break
		}
	}
	return n, sum, err
}

func digestOnce(ctx context.Context, c *conn, first uint64) (n int, sum uint32, err error) {
	err = c.read(ctx, first, "", func(seq uint64, m jetstream.Msg) error {
		n++
		sum = crc32.Update(sum, castagnoli, fmt.Appendf(nil, "%d %s %v ", seq, m.Subject(), m.Headers()))
		sum = crc32.Update(sum, castagnoli, m.Data())
		return nil
	})
	return n, sum, err
}
