// Command recording writes a recording of INVENTED trades, of the synthetic feed, in the form that
// the replay feed reads: for samples and for trying things out. The same flags write the same file.
//
//	cd hack && go run ./recording > ../config/samples/synthetic-trades.csv
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/feed/synthetic"
	"github.com/marketstream/marketstream/streamer/market"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "recording:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("recording", flag.ContinueOnError)
	symbols := fs.String("symbols", "DEMO-A,DEMO-B", "names, with commas between them; no real ones, for the trades are not")
	seed := fs.Int64("seed", 1, "the same seed invents the same trades")
	rate := fs.Float64("rate", 1, "mean trades a second of each symbol; half of it at noon UTC, twice at midnight")
	from := fs.String("from", "2024-03-05T12:00:00Z", "time of the beginning")
	minutes := fs.Int64("minutes", 10, "how long it is")
	if err := fs.Parse(args); err != nil {
		return err
	}
	begin, err := time.Parse(time.RFC3339, *from)
	if err != nil || begin.UnixMilli() < 1 || begin.After(time.Now()) {
		return fmt.Errorf("-from %q: want a time in the past, as 2024-03-05T12:00:00Z", *from)
	}
	names := strings.Split(*symbols, ",")
	carried := make([]feed.Symbol, len(names))
	for i, name := range names {
		carried[i] = feed.Symbol{Number: uint32(i), Name: name}
	}
	opts := synthetic.Options{Seed: *seed, TicksPerSecond: *rate, Speed: feed.Max}
	source := synthetic.New(opts)
	source.SetSymbols(carried)
	w := &writer{out: bufio.NewWriter(out), names: names, end: begin.Add(time.Duration(*minutes) * time.Minute).UnixNano()}
	_, _ = w.out.WriteString("symbol,ts,price,size,side,id\n") // Flush has the error
	if err := source.Run(context.Background(), synthetic.New(opts).Begin(begin), 0, w); !errors.Is(err, errFull) {
		return err
	}
	return w.out.Flush()
}

// errFull ends the source: the recording is as long as it is to be.
var errFull = errors.New("the recording is full")

// writer writes each trade as a row.
type writer struct {
	out   *bufio.Writer
	names []string
	end   int64 // ns
	rows  int
}

func (w *writer) Put(e *market.Entry) error {
	switch {
	case e.Time >= w.end:
		return errFull
	case e.Kind != market.Trade:
		return nil
	}
	w.rows++
	_, err := fmt.Fprintf(w.out, "%s,%d,%s,%s,%s,%d\n", w.names[e.Symbol], e.Time/1e6, e.Price, e.Size, e.Side, w.rows)
	return err
}

func (w *writer) Flush() error { return nil }

func (w *writer) Status(feed.Status) {}
