package replay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/marketstream/marketstream/streamer/market"
)

// windowSize is how much of a file is in memory, and the longest line that is read.
const windowSize = 256 << 10

// The columns of a row.
const (
	colSymbol = iota
	colTime
	colPrice
	colSize
	colSide
	colID
	colConditions
	columns
)

var columnNames = [columns]string{"symbol", "ts", "price", "size", "side", "id", "conditions"}

const header = "symbol,ts,price,size,side,id,conditions (side, id and conditions may be left out; ts in Unix ms, ts_us or ts_ns for finer ones)"

// rows reads the trades of one CSV text. The entry that next fills has neither Symbol nor
// Offset; symbol is the symbol's text, good until the next call.
type rows struct {
	name   string
	in     io.ReadCloser
	buf    []byte
	at, to int
	eof    bool
	line   int
	place  [columns]int // which field a column is, -1: none
	fields [][]byte
	unit   int64 // ns of one unit of ts
	parse  func(string) (uint64, error)
	symbol []byte
	plain  []byte // room for a quoted line
}

// openRows opens a part and reads its header.
func openRows(p part, parse func(string) (uint64, error)) (*rows, error) {
	in, err := p.open()
	if err != nil {
		return nil, err
	}
	r := &rows{name: p.name, in: in, buf: make([]byte, windowSize), parse: parse}
	if err := r.readHeader(); err != nil {
		_ = in.Close()
		return nil, err
	}
	return r, nil
}

func (r *rows) readHeader() error {
	line, err := r.readLine()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: empty; the first line must be %s", r.name, header)
	}
	if err != nil {
		return err
	}
	line = bytes.TrimPrefix(line, []byte("\ufeff"))
	if err := r.split(line); err != nil {
		return err
	}
	for i := range r.place {
		r.place[i] = -1
	}
	for i, f := range r.fields {
		name, col := strings.ToLower(strings.TrimSpace(string(f))), -1
		for c, known := range columnNames {
			if name == known {
				col = c
			}
		}
		unit := int64(1e6)
		switch name {
		case "ts_us":
			col, unit = colTime, 1e3
		case "ts_ns":
			col, unit = colTime, 1
		}
		if col < 0 {
			return fmt.Errorf("%s: unknown column %q in the first line; it must be %s", r.name, name, header)
		}
		if r.place[col] >= 0 {
			return fmt.Errorf("%s: column %q twice in the first line", r.name, name)
		}
		r.place[col] = i
		if col == colTime {
			r.unit = unit
		}
	}
	for _, c := range []int{colSymbol, colTime, colPrice, colSize} {
		if r.place[c] < 0 {
			return fmt.Errorf("%s: no column %q in the first line; it must be %s", r.name, columnNames[c], header)
		}
	}
	return nil
}

// readLine returns the next line that is not empty, without its end; io.EOF after the last.
func (r *rows) readLine() ([]byte, error) {
	for {
		if i := bytes.IndexByte(r.buf[r.at:r.to], '\n'); i >= 0 {
			line := r.buf[r.at : r.at+i]
			r.at += i + 1
			r.line++
			if line = bytes.TrimSuffix(line, []byte{'\r'}); len(line) > 0 {
				return line, nil
			}
			continue
		}
		if r.eof {
			if r.at == r.to {
				return nil, io.EOF
			}
			line := r.buf[r.at:r.to]
			r.at = r.to
			r.line++
			if line = bytes.TrimSuffix(line, []byte{'\r'}); len(line) > 0 {
				return line, nil
			}
			return nil, io.EOF
		}
		if r.at == 0 && r.to == len(r.buf) {
			return nil, fmt.Errorf("%s line %d: longer than %d bytes", r.name, r.line+1, windowSize)
		}
		r.to = copy(r.buf, r.buf[r.at:r.to])
		r.at = 0
		n, err := r.in.Read(r.buf[r.to:])
		r.to += n
		if errors.Is(err, io.EOF) {
			r.eof = true
		} else if err != nil {
			return nil, fmt.Errorf("%s line %d: %w", r.name, r.line+1, err)
		}
	}
}

// split cuts a line into r.fields.
func (r *rows) split(line []byte) error {
	r.fields = r.fields[:0]
	if bytes.IndexByte(line, '"') >= 0 {
		return r.splitQuoted(line)
	}
	for {
		i := bytes.IndexByte(line, ',')
		if i < 0 {
			r.fields = append(r.fields, line)
			return nil
		}
		r.fields = append(r.fields, line[:i])
		line = line[i+1:]
	}
}

// splitQuoted is split for lines with quotes, as RFC 4180 has them; a field does not span lines.
func (r *rows) splitQuoted(line []byte) error {
	r.plain = r.plain[:0]
	if cap(r.plain) < len(line) {
		r.plain = make([]byte, 0, len(line)) // one piece: fields point into it
	}
	for i := 0; ; i++ {
		start := len(r.plain)
		if i < len(line) && line[i] == '"' {
			for i++; ; i++ {
				if i >= len(line) {
					return fmt.Errorf("%s line %d: a quote is opened and not closed", r.name, r.line)
				}
				if line[i] == '"' {
					if i+1 < len(line) && line[i+1] == '"' {
						i++
					} else {
						i++
						break
					}
				}
				r.plain = append(r.plain, line[i])
			}
			if i < len(line) && line[i] != ',' {
				return fmt.Errorf("%s line %d: %q after a closing quote; want a comma", r.name, r.line, line[i:i+1])
			}
		} else {
			for i < len(line) && line[i] != ',' {
				if line[i] == '"' {
					return fmt.Errorf("%s line %d: a quote inside a field that is not quoted", r.name, r.line)
				}
				r.plain = append(r.plain, line[i])
				i++
			}
		}
		r.fields = append(r.fields, r.plain[start:len(r.plain):len(r.plain)])
		if i >= len(line) {
			return nil
		}
	}
}

func (r *rows) field(col int) []byte {
	if p := r.place[col]; p >= 0 && p < len(r.fields) {
		return r.fields[p]
	}
	return nil
}

func (r *rows) wrong(col int, value []byte, want string) error {
	shown := string(value)
	if len(shown) > 40 {
		shown = shown[:40] + "…"
	}
	return fmt.Errorf("%s line %d: %s %q: want %s", r.name, r.line, columnNames[col], shown, want)
}

// next reads the next trade into e, or returns io.EOF.
func (r *rows) next(e *market.Entry) error {
	line, err := r.readLine()
	if err != nil {
		return err
	}
	if err := r.split(line); err != nil {
		return err
	}
	if n := len(r.fields); n > columns {
		return fmt.Errorf("%s line %d: %d fields; want at most %d", r.name, r.line, n, columns)
	}
	for _, c := range [...]int{colSymbol, colTime, colPrice, colSize} {
		if r.place[c] >= len(r.fields) {
			return fmt.Errorf("%s line %d: %d fields, so there is no %s", r.name, r.line, len(r.fields), columnNames[c])
		}
	}
	*e = market.Entry{Kind: market.Trade}
	if r.symbol = r.field(colSymbol); len(r.symbol) == 0 || len(r.symbol) > 32 {
		return r.wrong(colSymbol, r.symbol, "1 to 32 characters")
	}
	ts, ok := parseInt(r.field(colTime))
	if !ok || ts <= 0 || ts > (1<<62)/r.unit {
		return r.wrong(colTime, r.field(colTime), "a whole number of Unix "+map[int64]string{1e6: "milliseconds", 1e3: "microseconds", 1: "nanoseconds"}[r.unit])
	}
	e.Time = ts * r.unit
	if e.Price, err = market.ParseDecimal(r.field(colPrice)); err != nil {
		return r.wrong(colPrice, r.field(colPrice), "a decimal number of at most 18 digits")
	}
	if e.Size, err = market.ParseDecimal(r.field(colSize)); err != nil || e.Size.Coef <= 0 {
		return r.wrong(colSize, r.field(colSize), "a decimal number above 0 of at most 18 digits")
	}
	if e.Side, ok = parseSide(r.field(colSide)); !ok {
		return r.wrong(colSide, r.field(colSide), "buy, sell or nothing")
	}
	if id := r.field(colID); len(id) > 0 {
		if n, ok := parseInt(id); ok && n > 0 {
			e.ID, e.Order = uint64(n), uint64(n)
		} else {
			e.ID = xxhash.Sum64(id) | 1
		}
	}
	if c := r.field(colConditions); len(c) > 0 {
		if e.Conditions, err = r.parse(string(c)); err != nil {
			return fmt.Errorf("%s line %d: conditions %q: %w", r.name, r.line, c, err)
		}
	}
	return nil
}

// parseInt reads a whole number of at most 18 digits without allocating.
func parseInt(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	if len(b) == 19 {
		n, err := strconv.ParseInt(string(b), 10, 64)
		return n, err == nil && b[0] != '-' && b[0] != '+'
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

func parseSide(b []byte) (market.Side, bool) {
	if len(b) == 0 {
		return market.SideUnknown, true
	}
	switch string(b) { // compares without allocating
	case "buy", "b":
		return market.SideBuy, true
	case "sell", "s":
		return market.SideSell, true
	}
	switch strings.ToLower(string(b)) {
	case "b", "buy":
		return market.SideBuy, true
	case "s", "sell":
		return market.SideSell, true
	}
	return 0, false
}
