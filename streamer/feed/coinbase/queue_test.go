package coinbase

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// TestQueue: frames come out as they went in, answers at their place, and the reason at the end.
func TestQueue(t *testing.T) {
	q := newQueue(1 << 20)
	var want []string
	for i := range 50 {
		text := fmt.Sprintf("frame %d", i)
		q.push([]byte(text), int64(i))
		if want = append(want, text); i%10 == 9 {
			q.answer(int64(i), int64(i)+1000)
			want = append(want, fmt.Sprint("pong ", i+1000))
		}
	}
	ended := errors.New("ended")
	q.fail(ended)
	q.fail(errors.New("later"))
	b, err := q.take(&block{})
	if b == nil || err != nil {
		t.Fatal(b, err)
	}
	var got []string
	from := 0
	for _, it := range b.items {
		text := string(b.data[from:it.end])
		from = it.end
		if it.sent != 0 {
			text = fmt.Sprint("pong ", it.sent)
		}
		got = append(got, text)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("took %q", got)
	}
	if b, err := q.take(b); b != nil || !errors.Is(err, ended) {
		t.Errorf("took %v, %v", b, err)
	}
}

// TestQueueIsBounded: the reader waits while it is full, takes one frame whatever its size, and is let go.
func TestQueueIsBounded(t *testing.T) {
	q := newQueue(1000)
	if !q.push(make([]byte, 5000), 1) { // longer than the bound, alone
		t.Fatal("refused")
	}
	pushed := make(chan bool)
	go func() {
		for range 3 {
			pushed <- q.push(make([]byte, 600), 1)
		}
	}()
	held := func() {
		for !q.isHeld() { // the other goroutine gets there
			select {
			case <-pushed:
				t.Fatal("pushed beyond the bound")
			default:
			}
		}
	}
	held()
	q.answer(2, 1) // never waits
	b, _ := q.take(&block{})
	if len(b.items) != 2 || len(b.data) != 5000 {
		t.Errorf("took %d items, %d bytes", len(b.items), len(b.data))
	}
	if !<-pushed {
		t.Error("refused")
	}
	held()
	b.reset()
	if b, _ = q.take(b); len(b.data) != 600 {
		t.Errorf("took %d bytes", len(b.data))
	}
	if !<-pushed {
		t.Error("refused")
	}
	held()
	q.close()
	if <-pushed {
		t.Error("pushed where nobody takes")
	}
}

func TestQueueAllocates(t *testing.T) {
	q, spare := newQueue(1<<20), &block{}
	frame := bytes.Repeat([]byte("x"), 300)
	turn := func() {
		for range 100 {
			q.push(frame, 1)
		}
		b, _ := q.take(spare)
		b.reset()
		spare = b
	}
	turn()
	turn()
	if n := testing.AllocsPerRun(100, turn); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
