package backbone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketstream/marketstream/streamer/logs"
)

const (
	// deletedHeader marks a message that says that its key is not there.
	deletedHeader = "Marketstream-Deleted"
	maxKey        = 128
	maxValue      = 64 << 10
)

// registry is CTL over a connection. It implements logs.Registry.
type registry struct {
	*conn
	names       *names
	forgetAfter time.Duration // how long the mark of a deleted key is kept: whoever watches has seen it by then
}

func newRegistry(c *conn, n *names) *registry {
	return &registry{conn: c, names: n, forgetAfter: time.Hour}
}

// Put implements logs.Registry.
func (r *registry) Put(ctx context.Context, key string, expect uint64, value []byte) (uint64, error) {
	subject, err := r.subject(key)
	if err != nil {
		return 0, fmt.Errorf("put: %w", err)
	}
	if len(value) > maxValue {
		return 0, fmt.Errorf("put %s: %w: %d bytes, at most %d", key, logs.ErrTooLarge, len(value), maxValue)
	}
	send := func(expect uint64) (uint64, error) {
		return r.append(ctx, &nats.Msg{Subject: subject, Data: value, Header: nats.Header{}}, expect)
	}
	revision, err := send(expect)
	if expect == 0 && errors.Is(err, logs.ErrConflict) { // the mark of a deleted key may be in the way
		if last, e := r.last(ctx, key); e == nil && last.Deleted {
			revision, err = send(last.Revision)
		} else if e != nil && !errors.Is(e, logs.ErrGone) {
			err = e
		}
	}
	if err != nil {
		return 0, fmt.Errorf("put %s: %w", key, err)
	}
	return revision, nil
}

// Delete implements logs.Registry.
func (r *registry) Delete(ctx context.Context, key string, expect uint64) error {
	subject, err := r.subject(key)
	if err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	if last, err := r.Get(ctx, key); errors.Is(err, logs.ErrGone) || err == nil && last.Revision != expect {
		return fmt.Errorf("delete %s: %w: revision %d, expected %d", key, logs.ErrConflict, last.Revision, expect)
	} else if err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	m := &nats.Msg{Subject: subject, Header: nats.Header{deletedHeader: {"1"}}}
	revision, err := r.append(ctx, m, expect)
	if err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	r.forget(ctx, revision)
	return nil
}

// forget removes old marks of deleted keys: every start of a pod leaves one. What fails here
// is done at the next delete. Age is told by the times that the server gave.
func (r *registry) forget(ctx context.Context, newest uint64) {
	var marks []*jetstream.MsgMetadata
	var now time.Time
	err := r.all(ctx, func(kv logs.KeyValue, at *jetstream.MsgMetadata) {
		if kv.Deleted {
			marks = append(marks, at)
		}
		if at.Sequence.Stream == newest {
			now = at.Timestamp
		}
	})
	for _, at := range marks {
		if err == nil && at.Sequence.Stream != newest && now.Sub(at.Timestamp) > r.forgetAfter {
			err = r.handle().DeleteMsg(ctx, at.Sequence.Stream)
		}
	}
	if err != nil {
		r.log.V(1).Info("old marks of deleted keys stay for now", "reason", err.Error())
	}
}

// Get implements logs.Registry.
func (r *registry) Get(ctx context.Context, key string) (logs.KeyValue, error) {
	if _, err := r.subject(key); err != nil {
		return logs.KeyValue{}, fmt.Errorf("get: %w", err)
	}
	kv, err := r.last(ctx, key)
	if err == nil && kv.Deleted {
		err = fmt.Errorf("%w: it was deleted", logs.ErrGone)
	}
	if err != nil {
		return logs.KeyValue{}, fmt.Errorf("get %s: %w", key, err)
	}
	return kv, nil
}

// last returns what stands under key, be it the mark of a deleted one.
func (r *registry) last(ctx context.Context, key string) (logs.KeyValue, error) {
	if err := r.connected(); err != nil {
		return logs.KeyValue{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	m, err := r.handle().GetLastMsgForSubject(ctx, r.names.ctl+key)
	if err != nil {
		return logs.KeyValue{}, r.gone(err)
	}
	return keyValue(key, m.Sequence, m.Header, m.Data), nil
}

func keyValue(key string, revision uint64, header nats.Header, data []byte) logs.KeyValue {
	kv := logs.KeyValue{Key: key, Revision: revision, Deleted: header.Get(deletedHeader) != "" && len(data) == 0}
	if kv.Value = data; kv.Deleted {
		kv.Value = nil
	} else if data == nil {
		kv.Value = []byte{}
	}
	return kv
}

// List implements logs.Registry.
func (r *registry) List(ctx context.Context) ([]logs.KeyValue, error) {
	var list []logs.KeyValue
	err := r.all(ctx, func(kv logs.KeyValue, _ *jetstream.MsgMetadata) { list = append(list, kv) })
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return newestOf(list), nil
}

// newestOf leaves what is there, sorted by key: a key that changed meanwhile came more than once.
func newestOf(list []logs.KeyValue) []logs.KeyValue {
	newest := make(map[string]uint64, len(list))
	for _, kv := range list {
		newest[kv.Key] = kv.Revision
	}
	list = slices.DeleteFunc(list, func(kv logs.KeyValue) bool { return kv.Deleted || newest[kv.Key] != kv.Revision })
	slices.SortFunc(list, func(a, b logs.KeyValue) int { return cmp.Compare(a.Key, b.Key) })
	return list
}

// all calls fn with what stands under every key, in order of revisions. A key that changes
// meanwhile comes again.
func (r *registry) all(ctx context.Context, fn func(logs.KeyValue, *jetstream.MsgMetadata)) error {
	bounds, err := r.bounds(ctx)
	if err != nil || bounds.Last < bounds.First {
		return err
	}
	p, err := r.newPuller(ctx, 1, "")
	if err != nil {
		return err
	}
	defer p.close()
	return r.load(ctx, p, bounds.Last, func(kv logs.KeyValue, at *jetstream.MsgMetadata) error {
		fn(kv, at)
		return nil
	})
}

// load calls fn with what p reads until that is everything: the leader's end is reached, and
// nothing is left to come. (The message at the end may be replaced by one beyond.)
func (r *registry) load(ctx context.Context, p *puller, end uint64, fn func(logs.KeyValue, *jetstream.MsgMetadata) error) error {
	for {
		m, at, err := r.await(ctx, p, end)
		if err != nil || m == nil {
			return err
		}
		if err := fn(keyValue(r.key(m.Subject()), at.Sequence.Stream, m.Headers(), m.Data()), at); err != nil {
			return err
		}
		if at.NumPending == 0 && at.Sequence.Stream >= end {
			return nil
		}
	}
}

func (r *registry) key(subject string) string { return strings.TrimPrefix(subject, r.names.ctl) }

// subject checks a key and returns the subject that it is on.
func (r *registry) subject(key string) (string, error) {
	good := key != "" && len(key) <= maxKey && key[0] != '.' && key[len(key)-1] != '.' && !strings.Contains(key, "..")
	for i := 0; good && i < len(key); i++ {
		c := key[i]
		good = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.'
	}
	if !good {
		return "", fmt.Errorf("key %q: want 1 to %d of a-z, 0-9, '-' and, between others, '.'", key, maxKey)
	}
	return r.names.ctl + key, nil
}
