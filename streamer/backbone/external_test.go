package backbone

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/logs/logtest"
)

// startCluster starts three servers as somebody else would run them, with one account that has limits.
func startCluster(t *testing.T) []*elsewhere {
	t.Helper()
	var routes []*url.URL
	for range 3 {
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: freeAddress(t)})
	}
	limits := map[string]server.JetStreamAccountLimits{"": {MaxMemory: 16 << 30, MaxStore: 64 << 30, MaxStreams: 100, MaxConsumers: 200,
		MaxAckPending: -1, MemoryMaxStreamBytes: 1 << 30, StoreMaxStreamBytes: 1 << 30}}
	servers := make([]*elsewhere, 3)
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

// TestExternal runs the suites against three servers of somebody else, over streams that they gave.
func TestExternal(t *testing.T) {
	servers := startCluster(t)
	file := credentialsFile(t, "user: us\npassword: secret\n")
	open := func(t *testing.T) *Backbone {
		o := connectOptions(servers[0].url())
		for _, s := range servers[1:] {
			o.URLs = append(o.URLs, s.url())
		}
		o.Credentials, o.Streams, o.Replicas = file, GivenStreams, 3
		return mustConnect(t, o)
	}
	next := 0
	restart := func() {
		servers[next%3].restart(nil)
		next++
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
