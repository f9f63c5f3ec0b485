package pods

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

// deadRegistry refuses everything at once, as a connection that is lost does.
type deadRegistry struct {
	logs.Registry
	calls atomic.Int64
}

func (r *deadRegistry) Get(context.Context, string) (logs.KeyValue, error) {
	r.calls.Add(1)
	return logs.KeyValue{}, logs.ErrUnavailable
}

func (r *deadRegistry) Put(context.Context, string, uint64, []byte) (uint64, error) {
	r.calls.Add(1)
	return 0, logs.ErrUnavailable
}

func (r *deadRegistry) Watch(ctx context.Context, _ func(logs.KeyValue) error) error {
	<-ctx.Done()
	return ctx.Err()
}

// echo gives a pod its own announcements.
type echo struct {
	fn   func([]byte)
	told chan struct{}
}

func (e *echo) Announce(data []byte) error {
	copied := append([]byte(nil), data...)
	go e.fn(copied)
	select {
	case e.told <- struct{}{}:
	default:
	}
	return nil
}

func (e *echo) Listen(fn func([]byte)) (func(), error) {
	e.fn = fn
	return func() {}, nil
}

// TestAwayIsQuiet: a registry that refuses at once is asked again by and by, not as fast as it refuses.
func TestAwayIsQuiet(t *testing.T) {
	r, e := &deadRegistry{}, &echo{told: make(chan struct{}, 1)}
	k := NewKeeper(Options{Pod: "a", Registry: r, Peers: e, Holder: &fakeHolder{pod: "a", ledger: &ledger{writes: make(map[string]int)}}, Log: logr.Discard()})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx, guard, nil) }()
	k.Set(ctx, Warm, market.Partitions)
	limit := time.After(guard)
	const announcements = 4
	for range announcements {
		select {
		case <-e.told:
		case <-limit:
			t.Fatal("it announces nothing")
		}
	}
	// Each partition at most twice as often as the keeper looks around by itself.
	most := int64(2 * announcements * int(AnnounceEvery/lookAround) * market.Partitions)
	if n := r.calls.Load(); n == 0 || n > most {
		t.Errorf("%d requests in %d announcements: want at most %d", n, announcements, most)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
