package replay

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// column is one of the columns of a recording.
type column int

const (
	colSymbol column = iota
	colTime
	colPrice
	colSize
	colSide
	colID
	colConditions
	columns
)

var columnNames = [columns]string{"symbol", "ts", "price", "size", "side", "id", "conditions"}

const wantHeader = "the first line must name symbol,ts,price,size and may name side,id,conditions, in any order (ts in Unix ms; ts_us or ts_ns for finer ones)"

// header is what a recording's first line says.
type header struct {
	place        [columns]int    // which field a column is, -1: none
	names        [columns]string // as the line has them
	columns      int
	lastRequired int   // the last field that a row must have
	unit         int64 // ns of one unit of ts
}

func (h *header) unitName() string {
	switch h.unit {
	case 1:
		return "nanoseconds"
	case 1e3:
		return "microseconds"
	}
	return "milliseconds"
}

func readHeader(r *records) (h header, err error) {
	if err := r.read(); err != nil {
		if errors.Is(err, errEnd) {
			err = fmt.Errorf("%s: it is empty; %s", r.name, wantHeader)
		}
		return h, err
	}
	for i := range h.place {
		h.place[i], h.names[i] = -1, columnNames[i]
	}
	h.columns = len(r.fields)
	var unknown []string
	for i, f := range r.fields {
		name := strings.ToLower(string(bytes.TrimSpace(f)))
		col, unit := lookupColumn(name)
		if col < 0 {
			unknown = append(unknown, quote([]byte(name)))
			continue
		}
		if h.place[col] >= 0 {
			return h, fmt.Errorf("%s line %d: the columns %q and %q are the same; %s", r.name, r.line, h.names[col], name, wantHeader)
		}
		h.place[col], h.names[col] = i, name
		if col == colTime {
			h.unit = unit
		}
	}
	var missing []string
	for _, c := range [...]column{colSymbol, colTime, colPrice, colSize} {
		if h.place[c] < 0 {
			missing = append(missing, columnNames[c])
		}
		h.lastRequired = max(h.lastRequired, h.place[c])
	}
	switch {
	case len(unknown) > 0 && len(missing) > 0:
		return h, fmt.Errorf("%s line %d: no column %s, and unknown column %s; %s", r.name, r.line, strings.Join(missing, ", "), strings.Join(unknown, ", "), wantHeader)
	case len(missing) > 0:
		return h, fmt.Errorf("%s line %d: no column %s; %s", r.name, r.line, strings.Join(missing, ", "), wantHeader)
	case len(unknown) > 0:
		return h, fmt.Errorf("%s line %d: unknown column %s; %s", r.name, r.line, strings.Join(unknown, ", "), wantHeader)
	}
	return h, nil
}

// lookupColumn returns the column of a name, -1 if there is none, and the unit of its times in ns.
func lookupColumn(name string) (col column, unit int64) {
	switch name {
	case "ts":
		return colTime, 1e6
	case "ts_us":
		return colTime, 1e3
	case "ts_ns":
		return colTime, 1
	}
	for c, known := range columnNames {
		if name == known {
			return column(c), 0
		}
	}
	return -1, 0
}
