package replay

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
)

var errStop = errors.New("stop")

// sink keeps what a source says, and fails with errStop after so many entries.
type sink struct {
	entries []market.Entry
	walls   []time.Time
	status  []feed.Status
	flushes int
	after   int              // 0: never
	onPut   func(n int)      // called after the n-th entry
	pending map[int]struct{} // entries at which Flush was called
}

func (s *sink) Put(e *market.Entry) error {
	s.entries = append(s.entries, *e)
	s.walls = append(s.walls, time.Now())
	if s.onPut != nil {
		s.onPut(len(s.entries))
	}
	if s.after > 0 && len(s.entries) >= s.after {
		return errStop
	}
	return nil
}

func (s *sink) Flush() error {
	s.flushes++
	if s.pending == nil {
		s.pending = make(map[int]struct{})
	}
	s.pending[len(s.entries)] = struct{}{}
	return nil
}

func (s *sink) Status(st feed.Status) { s.status = append(s.status, st) }

func (s *sink) trades() (out []market.Entry) {
	for _, e := range s.entries {
		if e.Kind == market.Trade {
			out = append(out, e)
		}
	}
	return out
}

func named(symbols ...string) (out []feed.Symbol) {
	for i, name := range symbols {
		out = append(out, feed.Symbol{Number: uint32(i), Name: name})
	}
	return out
}

func opened(t *testing.T, opts Options, symbols ...string) *Source {
	t.Helper()
	s, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.SetSymbols(named(symbols...))
	return s
}

// replayed runs a source as fast as it goes, to its end.
func replayed(t *testing.T, opts Options, from uint64, symbols ...string) *sink {
	t.Helper()
	opts.Speed = feed.Max
	out := &sink{}
	if err := opened(t, opts, symbols...).Run(context.Background(), market.SourcePosition{Offset: from}, 0, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func file(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const two = "symbol,ts,price,size,side,id,conditions\nSPY,1000,1.5,10,buy,7,\nqqq,1150,2.25,3,SELL,,\nSPY,1149,1.4,1,,x1,\nNOPE,1200,1,1,,,\nSPY,1350,1.6,2,b,9,\n"
