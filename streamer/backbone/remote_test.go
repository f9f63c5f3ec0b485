package backbone

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/logs/logtest"
)

// TestRemote runs the suites over a server elsewhere.
func TestRemote(t *testing.T) {
	t.Run("log", func(t *testing.T) {
		logtest.Run(t, func(t *testing.T) logtest.Subject {
			s := startElsewhere(t, nil)
			o := connectOptions(s.url())
			age := time.Duration(0)
			if filepath.Base(t.Name()) == "aged_out" {
				age = time.Second
				o.Retention = age
			}
			b := mustConnect(t, o)
			over := func(fn func()) func() logs.Log {
				return func() logs.Log {
					if err := b.Close(); err != nil {
						t.Error(err)
					}
					s.restart(fn)
					b = mustConnect(t, o)
					return b.Bars()
				}
			}
			return logtest.Subject{Log: b.Bars(), Reopen: over(nil), Keep: over(s.copyAside), Rewind: over(s.putBack), Age: age}
		})
	})
	t.Run("registry", func(t *testing.T) {
		logtest.RunRegistry(t, func(t *testing.T) logtest.RegistrySubject {
			s := startElsewhere(t, nil)
			return logtest.RegistrySubject{Registry: mustConnect(t, connectOptions(s.url())).Registry(), Restart: func() { s.restart(nil) },
				Keep: func() { s.restart(s.copyAside) }, Rewind: func() { s.restart(s.putBack) }}
		})
	})
	t.Run("ticks", func(t *testing.T) {
		logtest.RunTicks(t, func(t *testing.T) logtest.TicksSubject {
			s := startElsewhere(t, nil)
			return logtest.TicksSubject{Ticks: mustConnect(t, connectOptions(s.url())).Ticks(), Restart: func() { s.restart(nil) }}
		})
	})
	t.Run("peers", func(t *testing.T) {
		o := connectOptions(startElsewhere(t, nil).url())
		logtest.RunPeers(t, mustConnect(t, o).Peers(), mustConnect(t, o).Peers())
	})
}

// TestTailOverRestart: a tail goes on over a server that goes away, and says when that came back with less.
func TestTailOverRestart(t *testing.T) {
	s := startElsewhere(t, nil)
	b := mustConnect(t, connectOptions(s.url()))
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	defer cancel()
	last := uint64(0)
	add := func(text string) {
		t.Helper()
		for {
			seq, err := b.Bars().Append(ctx, 1, last, []byte(text))
			if err == nil {
				last = seq
				return
			}
			if !errors.Is(err, logs.ErrUnavailable) || ctx.Err() != nil {
				t.Fatal(err)
			}
		}
	}
	got, ended := make(chan string, 16), make(chan error, 1)
	go func() {
		ended <- b.Bars().Tail(ctx, 1, func(e logs.Entry) error { got <- string(e.Data); return nil })
	}()
	want := func(text string) {
		t.Helper()
		select {
		case g := <-got:
			if g != text {
				t.Fatalf("%q, want %q", g, text)
			}
		case <-ctx.Done():
			t.Fatalf("%q does not come", text)
		}
	}
	add("a")
	want("a")
	s.restart(s.copyAside)
	add("b")
	want("b")
	s.restart(s.putBack)
	select {
	case err := <-ended:
		if !errors.Is(err, logs.ErrRewound) {
			t.Error(err)
		}
	case <-ctx.Done():
		t.Error("the tail does not see that its log was rewound")
	}
}

// TestConnectWaits: Connect says what it waits for, goes on when it is there, and gives up in time.
func TestConnectWaits(t *testing.T) {
	s := startElsewhere(t, nil)
	s.stop()
	o := connectOptions(s.url())
	waiting := make(chan string, 16)
	o.Progress = func(what string) { waiting <- what }
	connected := make(chan *Backbone, 1)
	go func() {
		b, err := Connect(t.Context(), o)
		if err != nil {
			t.Error(err)
		}
		connected <- b
	}()
	if what := <-waiting; !strings.Contains(what, s.url()) {
		t.Errorf("%q does not name the server", what)
	}
	s.start()
	if b := <-connected; b != nil {
		answers(t, b, "a")
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	s.stop()
	o.Progress, o.WaitFor = nil, time.Millisecond
	_, err := Connect(t.Context(), o)
	wants(t, err, s.url(), "1ms")
	ctx, cancel := context.WithCancel(t.Context())
	o.WaitFor, o.Progress = 0, func(string) { cancel() }
	if _, err := Connect(ctx, o); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	s.start() // the cleanup stops it
}

// TestRemoteOptions: a wrong option is refused in one sentence, before anything is asked.
func TestRemoteOptions(t *testing.T) {
	for _, c := range []struct {
		change func(*RemoteOptions)
		want   []string
	}{
		{func(o *RemoteOptions) { o.Name = "A" }, []string{`name "A"`, "DNS label"}},
		{func(o *RemoteOptions) { o.URLs = nil }, []string{"no URL", "nats://host:port"}},
		{func(o *RemoteOptions) { o.URLs = []string{"http://a:1"} }, []string{`"http://a:1"`, "nats://host:port"}},
		{func(o *RemoteOptions) { o.URLs = []string{"nats://me:secret@a:1"} }, []string{"nats://me:xxxxx@a:1", "credentials file"}},
		{func(o *RemoteOptions) { o.Prefix = "a.b" }, []string{`prefix "a.b"`}},
		{func(o *RemoteOptions) { o.Replicas = 2 }, []string{"replicas 2", "1 or 3"}},
		{func(o *RemoteOptions) { o.MaxMessage = logs.MaxEntry + 1 }, []string{"8388609", "8388608"}},
		{func(o *RemoteOptions) { o.Cert = "a.pem" }, []string{`"a.pem"`, "both or neither"}},
		{func(o *RemoteOptions) { o.Retention = -1 }, []string{"retention -1"}},
		{func(o *RemoteOptions) { o.Credentials = "nothing.txt"; o.WaitFor = 1 }, []string{"nothing.txt", "no such file"}},
	} {
		o := connectOptions("nats://127.0.0.1:1")
		c.change(&o)
		_, err := Connect(t.Context(), o)
		wants(t, err, c.want...)
	}
}

// TestStreamTakenAway: streams that somebody removes are made again without a reconnect.
func TestStreamTakenAway(t *testing.T) {
	s := startElsewhere(t, nil)
	b := mustConnect(t, connectOptions(s.url()))
	for _, c := range []*conn{b.ticksConn, b.ctlConn} {
		if err := c.js.DeleteStream(t.Context(), c.config.Name); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "ticks are taken", func() error {
		ack, err := b.Ticks().Publish(t.Context(), 1, []byte("x"))
		if err == nil {
			err = ack.Wait(t.Context())
		}
		return err
	})
	answers(t, b, "a")
}
