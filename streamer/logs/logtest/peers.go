package logtest

import (
	"context"
	"testing"

	"github.com/marketstream/marketstream/streamer/logs"
)

// RunPeers runs the suite of [logs.Peers] with two processes, a and b, of one stream.
func RunPeers(t *testing.T, a, b logs.Peers) {
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	defer cancel()
	heard := func(p logs.Peers) (<-chan string, func()) {
		c := make(chan string, 64)
		stop, err := p.Listen(func(data []byte) { c <- string(data) })
		if err != nil {
			t.Fatal(err)
		}
		return c, stop
	}
	own, _ := heard(a)
	other, stop := heard(b)
	want := func(c <-chan string, text string) {
		t.Helper()
		select {
		case got := <-c:
			if got != text {
				t.Errorf("heard %q, want %q", got, text)
			}
		case <-ctx.Done():
			t.Fatalf("%q is not heard", text)
		}
	}
	data := []byte("one")
	for _, text := range []string{"one", "two"} {
		copy(data, text)
		if err := a.Announce(data); err != nil {
			t.Fatal(err)
		}
		copy(data, "xxx") // it is the caller's again
		want(own, text)
		want(other, text)
	}
	stop()
	if err := a.Announce([]byte("three")); err != nil {
		t.Fatal(err)
	}
	want(own, "three")
	if err := b.Announce([]byte("four")); err != nil {
		t.Fatal(err)
	}
	want(own, "four")
	select {
	case got := <-other:
		t.Errorf("heard %q after the end", got)
	default:
	}
}
