package logtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/marketstream/marketstream/streamer/logs"
)

// TicksSubject is a [logs.Ticks] under test.
type TicksSubject struct {
	Ticks logs.Ticks
	// Restart, if not nil, ends what keeps the ticks as a crash does, and starts it again, with
	// or without what it had.
	Restart func()
}

// RunTicks runs the suite of [logs.Ticks]; open opens an empty one for each test.
func RunTicks(t *testing.T, open func(t *testing.T) TicksSubject) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, context.Context, TicksSubject)
	}{{"publish", testPublish}, {"subscribe", testSubscribe}, {"asked", testAsked}, {"lost", testTicksRestart}} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), guard)
			defer cancel()
			c.run(t, ctx, open(t))
		})
	}
}

func publish(ctx context.Context, s logs.Ticks, partition int, text string) error {
	ack, err := s.Publish(ctx, partition, []byte(text))
	if err != nil {
		return err
	}
	return ack.Wait(ctx)
}

func readTicks(t *testing.T, ctx context.Context, s logs.Ticks, partition int) (out []string) {
	t.Helper()
	if err := s.Read(ctx, partition, func(data []byte) error { out = append(out, string(data)); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// testPublish: batches stand on their partition in the order of their publishing.
func testPublish(t *testing.T, ctx context.Context, s TicksSubject) {
	if _, err := s.Ticks.Last(ctx, 3); !errors.Is(err, logs.ErrGone) {
		t.Errorf("the last of an empty partition: %v", err)
	}
	same(t, "an empty partition", readTicks(t, ctx, s.Ticks, 3), nil)
	var acks []logs.Ack
	var want []string
	for i := range 500 { // more than may be under way
		text := fmt.Sprint("batch ", i)
		ack, err := s.Ticks.Publish(ctx, 3, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		acks, want = append(acks, ack), append(want, text)
		if _, err := s.Ticks.Publish(ctx, 4, []byte("another")); err != nil {
			t.Fatal(err)
		}
	}
	for i, ack := range acks {
		if err := ack.Wait(ctx); err != nil {
			t.Fatalf("batch %d: %v", i, err)
		}
	}
	same(t, "all", readTicks(t, ctx, s.Ticks, 3), want)
	if last, err := s.Ticks.Last(ctx, 3); err != nil || string(last) != want[len(want)-1] {
		t.Errorf("last: %q %v", last, err)
	}
	if _, err := s.Ticks.Publish(ctx, 3, bytes.Repeat([]byte("x"), logs.MaxEntry+1)); !errors.Is(err, logs.ErrTooLarge) {
		t.Errorf("a batch that is too long: %v", err)
	}
	if err := publish(ctx, s.Ticks, 16, "x"); err == nil {
		t.Error("partition 16 was taken")
	}
}

// testSubscribe: batches and states come to whoever listens, by partition.
func testSubscribe(t *testing.T, ctx context.Context, s TicksSubject) {
	heard := make(chan string, 64)
	listen := func(what string, subscribe func(int, func([]byte)) (func(), error)) {
		for _, p := range []int{1, 2} {
			stop, err := subscribe(p, func(data []byte) { heard <- fmt.Sprint(what, " ", p, " ", string(data)) })
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(stop)
		}
	}
	listen("batch", s.Ticks.Subscribe)
	listen("state", s.Ticks.SubscribeState)
	want := func(text string) {
		t.Helper()
		select {
		case got := <-heard:
			if got != text {
				t.Errorf("heard %q, want %q", got, text)
			}
		case <-ctx.Done():
			t.Fatalf("%q is not heard", text)
		}
	}
	for _, p := range []int{1, 2} {
		if err := publish(ctx, s.Ticks, p, "a"); err != nil {
			t.Fatal(err)
		}
		want(fmt.Sprintf("batch %d a", p))
		if err := s.Ticks.PublishState(p, []byte("b")); err != nil {
			t.Fatal(err)
		}
		want(fmt.Sprintf("state %d b", p))
	}
}

// testAsked: who writes a partition hears that its states are asked for, by each who subscribes to
// them and after each loss of the connection.
func testAsked(t *testing.T, ctx context.Context, s TicksSubject) {
	asked := make(chan int, 1024)
	stop, err := s.Ticks.Asked(func(p int) {
		select {
		case asked <- p:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	want := func(want int) {
		t.Helper()
		for {
			select {
			case got := <-asked:
				if got == want {
					return
				}
				if s.Restart == nil {
					t.Fatalf("asked for %d, want %d", got, want)
				}
			case <-ctx.Done():
				t.Fatalf("nobody asks for %d", want)
			}
		}
	}
	var last func()
	for range 2 {
		if last, err = s.Ticks.SubscribeState(3, func([]byte) {}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(last)
		want(3)
	}
	if s.Restart != nil {
		s.Restart()
		want(3)
		want(9)
	}
	stop()
	for len(asked) > 0 {
		<-asked
	}
	if last, err = s.Ticks.SubscribeState(4, func([]byte) {}); err != nil {
		t.Fatal(err)
	}
	last()
	if len(asked) > 0 {
		t.Error("it is told after its end")
	}
}

// testTicksRestart: after a restart batches are taken again, whether or not older ones are left.
func testTicksRestart(t *testing.T, ctx context.Context, s TicksSubject) {
	if s.Restart == nil {
		t.Skip("it cannot be restarted")
	}
	if err := publish(ctx, s.Ticks, 5, "before"); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	eventually(t, ctx, func() (struct{}, error) { return struct{}{}, publish(ctx, s.Ticks, 5, "after") })
	got := readTicks(t, ctx, s.Ticks, 5)
	if n := len(got); n == 0 || got[n-1] != "after" {
		t.Errorf("%q", got)
	}
}
