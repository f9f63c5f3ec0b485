package replay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	// maxRecord is the longest record that is read, and so the least window. A trade takes
	// a hundred bytes.
	maxRecord = 16 << 10
	// windowSize is how much of a file is in memory while few are open.
	windowSize = 256 << 10
)

// errEnd is the end of a text. Not io.EOF, which a damaged archive may wrap.
var errEnd = errors.New("the text has ended")

var (
	byteOrderMark = []byte("\ufeff")
	quoteMark     = []byte{'"'}
	carriage      = []byte{'\r'}
)

// records splits one CSV text as RFC 4180 has it and encoding/csv does: empty lines are
// passed over, \n and \r\n end a line, a quoted field may hold both. Fields point into the
// window; nothing is allocated for a record that has no quotes.
type records struct {
	name   string
	in     io.Reader
	buf    []byte // the window: buf[at:to] is read and not split
	at, to int
	err    error // why there is no more to read
	line   int   // of the current record, counted from 1
	lines  int   // lines passed so far
	fields [][]byte
	plain  []byte // room for a record with quotes
}

// read goes to the next record; errEnd after the last. Good until the next call: fields.
func (r *records) read() error {
	for {
		record, err := r.record()
		if err != nil {
			return err
		}
		if r.line == 1 {
			record = bytes.TrimPrefix(record, byteOrderMark)
		}
		if len(record) == 0 {
			continue
		}
		if bytes.IndexByte(record, '"') >= 0 {
			return r.splitQuoted(record)
		}
		r.split(record)
		return nil
	}
}

// record returns the next record without the end of its last line.
func (r *records) record() ([]byte, error) {
	r.line = r.lines + 1
	for looked := 0; ; {
		if i := bytes.IndexByte(r.buf[r.at+looked:r.to], '\n'); i >= 0 {
			record := r.buf[r.at : r.at+looked+i]
			looked += i + 1
			if open(record) && looked <= maxRecord { // the end of the line is inside quotes
				r.lines++
				continue
			}
			r.at += looked
			r.lines++
			return r.ended(record)
		}
		looked = r.to - r.at
		if looked >= maxRecord {
			return r.ended(r.buf[r.at:r.to])
		}
		if r.err != nil {
			record := r.buf[r.at:r.to]
			if !errors.Is(r.err, io.EOF) {
				return nil, fmt.Errorf("%s line %d: the file cannot be read on: %w", r.name, r.lines+1, r.err)
			}
			if len(record) == 0 {
				return nil, errEnd
			}
			r.at = r.to
			r.lines++
			return r.ended(record)
		}
		r.fill()
	}
}

// ended cuts what belongs to the end of a line, and refuses what is too long.
func (r *records) ended(record []byte) ([]byte, error) {
	if len(record) < maxRecord {
		return bytes.TrimSuffix(record, carriage), nil
	}
	if open(record) {
		if err := r.splitQuoted(record); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s line %d: longer than %d bytes", r.name, r.line, maxRecord)
}

// open reports whether a record ends inside quotes.
func open(record []byte) bool {
	return bytes.IndexByte(record, '"') >= 0 && bytes.Count(record, quoteMark)&1 == 1
}

// fill reads on. What came before an error is worked off before the error is said.
func (r *records) fill() {
	r.to = copy(r.buf, r.buf[r.at:r.to])
	r.at = 0
	for range 100 { // as bufio does: a reader that neither reads nor fails is broken
		n, err := r.in.Read(r.buf[r.to:])
		r.to += n
		r.err = err
		if n > 0 || err != nil {
			return
		}
	}
	r.err = io.ErrNoProgress
}

// split cuts a record without quotes into fields.
func (r *records) split(record []byte) {
	r.fields = r.fields[:0]
	for {
		i := bytes.IndexByte(record, ',')
		if i < 0 {
			r.fields = append(r.fields, record)
			return
		}
		r.fields = append(r.fields, record[:i])
		record = record[i+1:]
	}
}

// splitQuoted is split for records with quotes.
func (r *records) splitQuoted(record []byte) error {
	r.fields = r.fields[:0]
	if cap(r.plain) < len(record) { // one piece: fields point into it
		r.plain = make([]byte, 0, max(2*len(record), 256))
	}
	plain := r.plain[:0]
	for i := 0; ; i++ {
		start := len(plain)
		if i < len(record) && record[i] == '"' {
			for i++; ; i++ {
				if i >= len(record) {
					return fmt.Errorf("%s line %d: a quote is opened and not closed", r.name, r.line)
				}
				c := record[i]
				if c == '"' {
					if i++; i >= len(record) || record[i] != '"' {
						break
					}
				} else if c == '\r' && i+1 < len(record) && record[i+1] == '\n' {
					continue // a line ends alike, however it is written
				}
				plain = append(plain, c)
			}
			if i < len(record) && record[i] != ',' {
				return fmt.Errorf("%s line %d: %s after a closing quote; want a comma", r.name, r.line, quote(record[i:i+1]))
			}
		} else {
			for ; i < len(record) && record[i] != ','; i++ {
				if record[i] == '"' {
					return fmt.Errorf("%s line %d: a quote inside a field that is not quoted; write such a field in quotes and the quote twice", r.name, r.line)
				}
				plain = append(plain, record[i])
			}
		}
		r.fields = append(r.fields, plain[start:len(plain):len(plain)])
		if i >= len(record) {
			return nil
		}
	}
}
