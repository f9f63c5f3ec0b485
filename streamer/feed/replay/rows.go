package replay

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/marketstream/marketstream/streamer/feed"
	"github.com/marketstream/marketstream/streamer/market"
)

// maxConditions bounds how many different texts of the column conditions are remembered.
const maxConditions = 4096

// rows reads the trades of one CSV text in two strokes, for most rows of a large recording
// are only passed over: next finds a row's symbol and time, trade reads the rest.
type rows struct {
	records
	file   io.Closer
	head   header
	symbol []byte // of the current row, good until next
	time   int64  // of the current row, Unix ns
	// parse reads conditions; known are those that it has read.
	parse func(string) (uint64, error)
	known map[string]uint64
}

// openRows opens a part and reads its header. It reads through window, which is the
// caller's again when the rows are closed.
func openRows(p part, window []byte, parse func(string) (uint64, error)) (*rows, error) {
	in, err := p.open()
	if err != nil {
		return nil, err
	}
	r := &rows{records: records{name: p.name, in: in, buf: window}, file: in, parse: parse}
	if r.head, err = readHeader(&r.records); err != nil {
		_ = in.Close()
		return nil, err
	}
	return r, nil
}

func (r *rows) close() error { return r.file.Close() }

func (r *rows) field(col column) []byte {
	if at := r.head.place[col]; at >= 0 && at < len(r.fields) {
		return r.fields[at]
	}
	return nil
}

// wrong says which value of the current row is wrong, and what would be right.
func (r *rows) wrong(col column, want string) error {
	return fmt.Errorf("%s line %d: %s %s: want %s", r.name, r.line, r.head.names[col], quote(r.field(col)), want)
}

// quote is text as an error shows it.
func quote(text []byte) string {
	if len(text) > 40 {
		return fmt.Sprintf("%q", string(text[:40])+"…")
	}
	return fmt.Sprintf("%q", text)
}

// next goes to the next row; errEnd after the last.
func (r *rows) next() error {
	if err := r.read(); err != nil {
		return err
	}
	switch n := len(r.fields); {
	case n > r.head.columns:
		return fmt.Errorf("%s line %d: %d fields; the first line names %d columns", r.name, r.line, n, r.head.columns)
	case n <= r.head.lastRequired:
		for _, c := range [...]column{colSymbol, colTime, colPrice, colSize} {
			if r.head.place[c] >= n {
				return fmt.Errorf("%s line %d: only %d of %d fields, so there is no %s", r.name, r.line, n, r.head.columns, r.head.names[c])
			}
		}
	}
	if r.symbol = r.field(colSymbol); len(r.symbol) == 0 {
		return r.wrong(colSymbol, "a symbol")
	}
	ts, ok := parseUint(r.field(colTime))
	if !ok || ts == 0 || ts > uint64(feed.MaxTime)/uint64(r.head.unit) {
		return r.wrong(colTime, "a whole number of Unix "+r.head.unitName()+", from 1 to "+fmt.Sprint(feed.MaxTime/r.head.unit))
	}
	r.time = int64(ts) * r.head.unit
	if r.time >= coarseFrom && r.time < coarseTo {
		return r.coarse(ts)
	}
	return nil
}

// Times of today in a unit a thousand times too coarse for their column lie between these, in Unix
// ns: in the first months of 1970, of which there are no recordings.
const (
	coarseFrom = int64(1e14) // from seconds of the year 1973
	coarseTo   = int64(1e16) // to seconds of the year 2286
)

// coarse says that the times are in a unit too coarse for their column, and how they would be right.
func (r *rows) coarse(ts uint64) error {
	units := map[int64]string{1e6: "seconds; want Unix milliseconds: multiply by 1000",
		1e3: "milliseconds; want Unix microseconds, or the column's name ts", 1: "microseconds; want Unix nanoseconds, or the column's name ts_us"}
	return fmt.Errorf("%s line %d: %s %d is %s if it is %s; it looks like %s", r.name, r.line, r.head.names[colTime], ts,
		time.Unix(0, r.time).UTC().Format("2 January 2006"), r.head.unitName(), units[r.head.unit])
}

// trade reads the current row into e, all of which it sets but for Symbol and Offset. Order
// is 0 where the row has no numeric id.
func (r *rows) trade(e *market.Entry) (err error) {
	*e = market.Entry{Kind: market.Trade, Time: r.time}
	if e.Price, err = market.ParseDecimal(r.field(colPrice)); err != nil {
		return r.wrong(colPrice, "a decimal number of at most 18 digits")
	}
	if e.Size, err = market.ParseDecimal(r.field(colSize)); err != nil || e.Size.Coef <= 0 {
		return r.wrong(colSize, "a decimal number above 0, of at most 18 digits")
	}
	var ok bool
	if e.Side, ok = parseSide(r.field(colSide)); !ok {
		return r.wrong(colSide, "buy, sell, b, s or nothing")
	}
	e.ID, e.Order = parseID(r.field(colID))
	if c := r.field(colConditions); len(c) > 0 {
		e.Conditions, err = r.conditions(c)
	}
	return err
}

// conditions reads a set of conditions. Recordings have few different ones: each text is
// parsed once.
func (r *rows) conditions(text []byte) (uint64, error) {
	if set, ok := r.known[string(text)]; ok {
		return set, nil
	}
	set, err := r.parse(string(text))
	if err != nil {
		return 0, fmt.Errorf("%s line %d: conditions %s: %w", r.name, r.line, quote(text), err)
	}
	if r.known == nil {
		r.known = make(map[string]uint64)
	}
	if len(r.known) < maxConditions {
		r.known[string(text)] = set
	}
	return set, nil
}

// parseUint reads a whole decimal number of 64 bits.
func parseUint(b []byte) (n uint64, ok bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	for i, c := range b {
		c -= '0'
		if c > 9 {
			return 0, false
		}
		if i == 19 && (n > (1<<64-1)/10 || n*10 > 1<<64-1-uint64(c)) {
			return 0, false
		}
		n = n*10 + uint64(c)
	}
	return n, true
}

// parseID returns the id and the order of a trade. A number is both. 0 is no id: recordings
// have it where there is none, and as an id it would make every trade but one a duplicate.
func parseID(b []byte) (id, order uint64) {
	if len(b) == 0 {
		return 0, 0
	}
	if n, ok := parseUint(b); ok {
		return n, n
	}
	return max(1, xxhash.Sum64(b)), 0
}

func parseSide(b []byte) (market.Side, bool) {
	switch {
	case len(b) == 0:
		return market.SideUnknown, true
	case bytes.EqualFold(b, []byte("buy")), bytes.EqualFold(b, []byte("b")):
		return market.SideBuy, true
	case bytes.EqualFold(b, []byte("sell")), bytes.EqualFold(b, []byte("s")):
		return market.SideSell, true
	}
	return market.SideUnknown, false
}
