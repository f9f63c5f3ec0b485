package system

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/streamer/backbone"
	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/market"
)

const dumpWithin = 20 * time.Second

// Dump writes what TICKS and BARS hold of a symbol's partition to a file, as text: how a wrong bar came to be.
func (s *System) Dump(ctx context.Context, symbol string) (path string, err error) {
	ctx, cancel := context.WithTimeout(ctx, dumpWithin)
	defer cancel()
	b, err := s.connect(ctx)
	if err != nil {
		return "", fmt.Errorf("dump: %w", err)
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	path = filepath.Join(s.Dir, "dump-"+symbol+".txt")
	f, err := os.Create(path) //nolint:gosec // in our directory
	if err != nil {
		return "", err
	}
	w := bufio.NewWriter(f)
	partition := market.PartitionOf(symbol)
	fmt.Fprintf(w, "%s, partition %d\n\n== BARS\n", symbol, partition)
	err = b.Bars().Read(ctx, 1, func(e logs.Entry) error {
		if e.Partition != partition {
			return nil
		}
		frame, err := logs.DecodeFrame(e.Data)
		if err == nil {
			dumpFrame(w, e.Seq, frame, symbol)
		}
		return err
	})
	fmt.Fprintf(w, "\n== TICKS, as they lie there\n")
	err = errors.Join(err, b.Ticks().Read(ctx, partition, func(data []byte) error {
		var batch logs.Batch
		err := logs.DecodeBatch(data, &batch)
		if err == nil {
			dumpBatch(w, &batch, symbol)
		}
		return err
	}))
	return path, errors.Join(err, w.Flush(), f.Close())
}

// connect opens the logs, at a node that runs.
func (s *System) connect(ctx context.Context) (*backbone.Backbone, error) {
	var urls []string
	for _, n := range s.Nodes {
		if n.Running() {
			urls = append(urls, "nats://"+n.client)
		}
	}
	return backbone.Connect(ctx, backbone.RemoteOptions{Namespace: "test", Name: "chaos", URLs: urls,
		Credentials: s.token, Retention: 168 * time.Hour, Log: logr.Discard()})
}

// CursorAt is the cursor of whoever had everything that was closed at a time, and nothing after it.
func (s *System) CursorAt(ctx context.Context, epoch string, at time.Time) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, dumpWithin)
	defer cancel()
	b, err := s.connect(ctx)
	if err != nil {
		return "", fmt.Errorf("cursor: %w", err)
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	err = b.Bars().Read(ctx, 1, func(e logs.Entry) error {
		f, err := logs.DecodeFrame(e.Data)
		if err != nil {
			return err
		}
		if f.Kind != logs.FrameOwner && f.Watermark > at.UnixMilli() {
			return errFound
		}
		id = logs.Cursor{Epoch: epoch, Seq: e.Seq, Index: f.Events() - 1, Tag: f.Tag}.String()
		return nil
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return id, err
}

var errFound = errors.New("found")

func clock(ms int64) string {
	if ms <= 0 || ms >= market.EndOfFeed {
		return fmt.Sprint(ms)
	}
	return time.UnixMilli(ms).UTC().Format("15:04:05.000")
}

func place(p market.Position) string {
	return fmt.Sprintf("t%d.%d.%d ids %s", p.Tick.Token, p.Tick.Batch, p.Tick.Index, printable(p.Source.Opaque))
}

// printable shows names among bytes.
func printable(data []byte) string {
	var b strings.Builder
	for _, c := range data {
		if c >= ' ' && c < 127 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "<%d>", c)
		}
	}
	return b.String()
}

func dumpFrame(w io.Writer, seq uint64, f *logs.Frame, symbol string) {
	fmt.Fprintf(w, "%d: frame %d of token %d, kind %d, watermark %s\n   applied %s\n   open    %s\n", seq, f.Number, f.Token, f.Kind, clock(f.Watermark), place(f.Applied), place(f.Open))
	for i := range f.Records {
		if r := &f.Records[i]; f.Symbols[r.Symbol] == symbol {
			fmt.Fprintf(w, "   %v %s rev %d n %d flags %d\n", r.Timeframe, clock(r.StartMs), r.Rev, r.N, r.Flags)
		}
	}
	for _, g := range f.Gaps {
		if f.Symbols[g.Symbol] == symbol {
			fmt.Fprintf(w, "   gap %s to %s after %d before %d %s %s\n", clock(g.FromMs), clock(g.ToMs), g.AfterID, g.BeforeID, g.State, g.Reason)
		}
	}
}

func dumpBatch(w io.Writer, b *logs.Batch, symbol string) {
	fmt.Fprintf(w, "t%d.%d watermark %s, %d entries:", b.Token, b.Number, clock(b.Watermark), len(b.Entries))
	for i := range b.Entries {
		e := &b.Entries[i]
		mine := e.Symbol == market.AllSymbols || int(e.Symbol) < len(b.Symbols) && b.Symbols[e.Symbol] == symbol
		switch {
		case e.Kind == market.Mark:
			fmt.Fprintf(w, " %d:mark(%s)", i, clock(e.Time/1e6))
		case mine && e.Kind == market.Trade:
			fmt.Fprintf(w, " %d:#%d(%s)", i, e.ID, clock(e.Time/1e6))
		case mine && e.Kind == market.Hole:
			fmt.Fprintf(w, " %d:hole(%s to %s, after %d before %d, %s %s)", i, clock(e.Time/1e6), clock(e.Until/1e6), e.AfterID(), e.BeforeID(), e.State, e.Reason)
		}
	}
	fmt.Fprintln(w)
}
