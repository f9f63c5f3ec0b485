package engine

import (
	"context"
	"fmt"
	"testing"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/history"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/metrics"
	"github.com/marketstream/marketstream/streamer/ring"
	"github.com/marketstream/marketstream/streamer/shard"
	"github.com/marketstream/marketstream/streamer/stream"
)

// stumbling does not answer in the middle of each of the first reads.
type stumbling struct {
	written
	stumbles int
	from     []uint64 // of the reads
}

func (l *stumbling) Read(ctx context.Context, seq uint64, fn func(logs.Entry) error) error {
	l.from = append(l.from, seq)
	return l.written.Read(ctx, seq, func(e logs.Entry) error {
		if l.stumbles > 0 && e.Seq == seq+2 {
			l.stumbles--
			return fmt.Errorf("a replica is behind: %w", logs.ErrUnavailable)
		}
		return fn(e)
	})
}

// TestLoadIsPatient: a backbone that does not answer while BARS is read ends no process: what is missing is read later.
func TestLoadIsPatient(t *testing.T) {
	log, symbols := &stumbling{stumbles: 2}, &market.SymbolTable{}
	log.write(t, 6, 100)
	reader := &logs.Reader{Log: log, Symbols: symbols}
	rings := ring.NewSet(100)
	v := &view{reader: reader, symbols: symbols, rings: rings, epoch: "e1", log: logr.Discard(), changed: make(chan struct{})}
	v.shard = shard.New(shard.Options{Rings: rings, Symbols: symbols, Frames: reader, Metrics: shardMetrics{metrics.New("test")}, Log: logr.Discard()})
	v.history = history.New(history.Options{Rings: rings, Frames: reader, Position: v.Position})
	v.hub = stream.NewHub(stream.Options{Log: logr.Discard(), Metrics: streamMetrics{metrics.New("test")}, Symbols: symbols, Frames: reader, Epoch: "e1"})
	defer v.hub.Close()
	if err := v.load(context.Background()); err != nil {
		t.Fatal(err)
	}
	if v.last() != 6 || fmt.Sprint(log.from) != "[1 3 5]" {
		t.Errorf("read to %d, from %v: want 6, from [1 3 5]", v.last(), log.from)
	}
}
