package backbone

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/logs/logtest"
)

// startCluster starts n servers as somebody else would run them, with one account that has limits.
func startCluster(t *testing.T, n int) []*elsewhere {
	t.Helper()
	var routes []*url.URL
	for range n {
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: freeAddress(t)})
	}
	limits := map[string]server.JetStreamAccountLimits{"": {MaxMemory: 16 << 30, MaxStore: 64 << 30, MaxStreams: 100, MaxConsumers: 200,
		MaxAckPending: -1, MemoryMaxStreamBytes: 1 << 30, StoreMaxStreamBytes: 1 << 30}}
	servers := make([]*elsewhere, n)
	for i := range servers {
		s := &elsewhere{t: t, options: server.Options{ServerName: fmt.Sprintf("theirs-%d", i), Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: t.TempDir(), MaxPayload: 8<<20 + headerRoom, DisableJetStreamBanner: true, Routes: routes}}
		host, port, err := net.SplitHostPort(routes[i].Host)
		if err != nil {
			t.Fatal(err)
		}
		s.options.Cluster.Name, s.options.Cluster.Host = "theirs", host
		s.options.Cluster.Port, _ = strconv.Atoi(port)
		s.withAccount(limits)
		servers[i] = s
		s.start()
		t.Cleanup(s.stop)
	}
	return servers
}

// optionsFor returns options for a stream of three replicas that no other test has.
func optionsFor(t *testing.T, servers []*elsewhere) func() RemoteOptions {
	file := credentialsFile(t, "user: us\npassword: secret\n")
	return func() RemoteOptions {
		o := connectOptions(servers[0].url())
		for _, s := range servers[1:] {
			o.URLs = append(o.URLs, s.url())
		}
		o.Credentials, o.Replicas = file, 3
		return o
	}
}

// TestOrphan: TICKS that has lost most of its members is made anew on servers that are there, while
// its writer goes on trying; where the streams are somebody else's it is not touched.
func TestOrphan(t *testing.T) {
	servers := startCluster(t, 5) // of which three may lose two of theirs, and the five still agree
	options := optionsFor(t, servers)
	ctx, cancel := context.WithTimeout(t.Context(), 2*hangs)
	defer cancel()
	o := options()
	b := mustConnect(t, o)
	var said atomic.Bool
	o.Streams, o.Log = GivenStreams, funcr.New(func(_, args string) {
		if strings.Contains(args, "delete it, and it is made again") {
			said.Store(true)
		}
	}, funcr.Options{})
	theirs := mustConnect(t, o)
	for _, b := range []*Backbone{b, theirs} {
		b.ticksConn.mu.Lock()
		b.ticksConn.orphanedAfter = time.Second
		b.ticksConn.mu.Unlock()
	}
	publish := func(b *Backbone) error {
		ack, err := b.Ticks().Publish(ctx, 3, []byte("x"))
		if err != nil {
			return err
		}
		return ack.Wait(ctx)
	}
	if err := publish(b); err != nil {
		t.Fatal(err)
	}
	info, err := b.ticksConn.handle().Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	left := 2
	for _, s := range servers {
		if left > 0 && (s.options.ServerName == info.Cluster.Leader || s.options.ServerName == info.Cluster.Replicas[0].Name) {
			s.stop()
			left--
		}
	}
	eventually(t, "somebody else's TICKS is said to have no leader", func() error {
		if publish(theirs) == nil {
			t.Fatal("it was made anew")
		}
		if !said.Load() {
			return errors.New("it is not said")
		}
		return nil
	})
	eventually(t, "TICKS is taken again", func() error { return publish(b) })
}

// TestExternal runs the suites against three servers of somebody else, over streams that they gave.
func TestExternal(t *testing.T) {
	servers := startCluster(t, 3)
	options := optionsFor(t, servers)
	open := func(t *testing.T) *Backbone {
		o := options()
		o.Streams = GivenStreams
		return mustConnect(t, o)
	}
	next := 0
	restart := func() { // one, as whoever runs them does: the others have all, and it gets it again
		s := servers[next%3]
		s.restart(nil)
		next++
		eventually(t, "it has what the others have", func() error {
			if h := s.srv.Healthz(nil); h.StatusCode != http.StatusOK {
				return errors.New(h.Error)
			}
			return nil
		})
	}
	t.Run("log", func(t *testing.T) {
		logtest.Run(t, func(t *testing.T) logtest.Subject {
			b := open(t)
			return logtest.Subject{Log: b.Bars(), Reopen: func() logs.Log {
				restart()
				eventually(t, "they answer again", func() error { _, err := b.Bars().Bounds(t.Context()); return err })
				return b.Bars()
			}}
		})
	})
	t.Run("registry", func(t *testing.T) {
		logtest.RunRegistry(t, func(t *testing.T) logtest.RegistrySubject {
			return logtest.RegistrySubject{Registry: open(t).Registry(), Restart: restart}
		})
	})
	t.Run("ticks", func(t *testing.T) {
		logtest.RunTicks(t, func(t *testing.T) logtest.TicksSubject {
			return logtest.TicksSubject{Ticks: open(t).Ticks(), Restart: func() { // the one that we are connected to is among them
				for range servers {
					restart()
				}
			}}
		})
	})
}
