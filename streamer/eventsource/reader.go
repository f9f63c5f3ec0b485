package eventsource

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"time"
)

// Event is one dispatched event.
type Event struct {
	Type string // "message" where the stream names none
	Data string
	// ID is the last event ID at the event: its own, or the one before.
	ID string
	// HasID says that the event named an ID itself.
	HasID bool
}

// Reader reads events; not safe for use at the same time.
type Reader struct {
	in      *bufio.Reader
	pending string // of the block that is being read
	lastID  string // of the last complete block
	retry   time.Duration
	began   bool
}

// NewReader reads from in. lastID is the ID that an earlier connection ended with.
func NewReader(in io.Reader, lastID string) *Reader {
	return &Reader{in: bufio.NewReader(in), lastID: lastID, pending: lastID}
}

// LastID is the last event ID: what a reconnect sends as Last-Event-ID.
func (r *Reader) LastID() string { return r.lastID }

// Retry is the reconnection time that the stream asked for; 0: none.
func (r *Reader) Retry() time.Duration { return r.retry }

// Next returns the next event, or the error that ended the stream: io.EOF at its end. What
// came of an incomplete block before it is not dispatched and moves no ID.
func (r *Reader) Next() (Event, error) {
	var e Event
	var data strings.Builder
	hasData := false
	r.pending = r.lastID
	for {
		line, err := r.in.ReadString('\n')
		if err != nil {
			return Event{}, err
		}
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if !r.began {
			line, r.began = strings.TrimPrefix(line, "\ufeff"), true
		}
		if line == "" {
			r.lastID = r.pending
			if !hasData {
				e, r.pending = Event{}, r.lastID
				continue
			}
			if e.Type == "" {
				e.Type = "message"
			}
			e.Data, e.ID = strings.TrimSuffix(data.String(), "\n"), r.lastID
			return e, nil
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			e.Type = value
		case "data":
			hasData = true
			data.WriteString(value)
			data.WriteByte('\n')
		case "id":
			if !strings.Contains(value, "\x00") {
				r.pending, e.HasID = value, true
			}
		case "retry":
			if ms, err := strconv.ParseUint(value, 10, 31); err == nil {
				r.retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
}
