package eventsource

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReader(t *testing.T) {
	const text = "\ufeff: comment\nretry: 1500\n\n" +
		"event: bar\nid: a.1\ndata: {\"x\":\ndata: 1}\n\n" +
		"id: a.2\n\n" + // a bare id moves the cursor and dispatches nothing
		"event: ping\r\ndata: {}\r\n\r\n" +
		"data:no space\nid: bad\x00id\n\n" +
		"event: nothing\n\n" +
		"id: lost\ndata: the stream ends inside this block\n"
	r := NewReader(strings.NewReader(text), "a.0")
	var got []Event
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	want := []Event{
		{Type: "bar", Data: "{\"x\":\n1}", ID: "a.1", HasID: true},
		{Type: "ping", Data: "{}", ID: "a.2"},
		{Type: "message", Data: "no space", ID: "a.2"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if r.LastID() != "a.2" || r.Retry() != 1500*time.Millisecond {
		t.Errorf("last id %q, retry %v", r.LastID(), r.Retry())
	}
}
