package socket

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// TestQueue: frames come out as they went in, answers at their place, and the reason at the end.
func TestQueue(t *testing.T) {
	q := NewQueue(1 << 20)
	var want []string
	for i := range 50 {
		text := fmt.Sprintf("frame %d", i)
		q.Push([]byte(text), int64(i))
		if want = append(want, text); i%10 == 9 {
			q.Answer(int64(i), int64(i)+1000)
			want = append(want, fmt.Sprint("pong ", i+1000))
		}
	}
	ended := errors.New("ended")
	q.fail(ended)
	q.fail(errors.New("later"))
	b, err := q.Take(&Block{})
	if b == nil || err != nil {
		t.Fatal(b, err)
	}
	var got []string
	from := 0
	for _, it := range b.Items {
		text := string(b.Data[from:it.End])
		from = it.End
		if it.Sent != 0 {
			text = fmt.Sprint("pong ", it.Sent)
		}
		got = append(got, text)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("took %q", got)
	}
	if b, err := q.Take(b); b != nil || !errors.Is(err, ended) {
		t.Errorf("took %v, %v", b, err)
	}
}

// TestQueueIsBounded: the reader waits while it is full, takes one frame whatever its size, and is let go.
func TestQueueIsBounded(t *testing.T) {
	q := NewQueue(1000)
	if !q.Push(make([]byte, 5000), 1) { // longer than the bound, alone
		t.Fatal("refused")
	}
	pushed := make(chan bool)
	go func() {
		for range 3 {
			pushed <- q.Push(make([]byte, 600), 1)
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
	q.Answer(2, 1) // never waits
	b, _ := q.Take(&Block{})
	if len(b.Items) != 2 || len(b.Data) != 5000 {
		t.Errorf("took %d items, %d bytes", len(b.Items), len(b.Data))
	}
	if !<-pushed {
		t.Error("refused")
	}
	held()
	b.Reset()
	if b, _ = q.Take(b); len(b.Data) != 600 {
		t.Errorf("took %d bytes", len(b.Data))
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
	q, spare := NewQueue(1<<20), &Block{}
	frame := bytes.Repeat([]byte("x"), 300)
	turn := func() {
		for range 100 {
			q.Push(frame, 1)
		}
		b, _ := q.Take(spare)
		b.Reset()
		spare = b
	}
	turn()
	turn()
	if n := testing.AllocsPerRun(100, turn); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
