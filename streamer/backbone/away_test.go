package backbone

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
)

// TestAwayCostsNothing: what is asked while the server is away is refused and leaves nothing behind.
// (The client keeps the answer's place of a request that it could not send, for ever.)
func TestAwayCostsNothing(t *testing.T) {
	s := startElsewhere(t, nil)
	b := mustConnect(t, connectOptions(s.url()))
	s.stop()
	limit := time.After(hangs)
	for b.barsConn.nc.IsConnected() || b.registry.nc.IsConnected() || b.ticks.nc.IsConnected() {
		select {
		case <-time.After(time.Millisecond):
		case <-limit:
			t.Fatal("the loss of the server is not seen")
		}
	}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	ask := map[string]func() error{
		"get":      func() error { _, err := b.Registry().Get(t.Context(), "token"); return err },
		"put":      func() error { _, err := b.Registry().Put(t.Context(), "token", 0, []byte("x")); return err },
		"append":   func() error { _, err := b.Bars().Append(t.Context(), 1, 0, []byte("x")); return err },
		"last":     func() error { _, err := b.Bars().Last(t.Context(), 1); return err },
		"bounds":   func() error { _, err := b.Bars().Bounds(t.Context()); return err },
		"last bat": func() error { _, err := b.Ticks().Last(t.Context(), 1); return err },
	}
	for what, fn := range ask {
		const times = 20_000
		before := heap()
		for range times {
			if err := fn(); !errors.Is(err, logs.ErrUnavailable) {
				t.Fatalf("%s: %v, want that it is unavailable", what, err)
			}
		}
		if grown := heap() - before; grown > 20*times {
			t.Errorf("%s: %d bytes are kept of a request that is refused", what, grown/times)
		}
	}
}
