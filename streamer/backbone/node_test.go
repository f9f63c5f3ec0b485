package backbone

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/logs/logtest"
)

// freeAddress is one that nobody listens on now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// nodeOptions are those of n nodes on this machine.
func testNodes(t *testing.T, n int) []NodeOptions {
	t.Helper()
	var routes []string
	for range 3 {
		routes = append(routes, freeAddress(t))
	}
	token := credentialsFile(t, "secret-token\n")
	all := make([]NodeOptions, n)
	for i := range all {
		all[i] = NodeOptions{Store: filepath.Join(t.TempDir(), "store"), Name: fmt.Sprintf("test-%d", i), Listen: freeAddress(t), ClusterListen: routes[i],
			HealthListen: "127.0.0.1:0", Replicas: n, Credentials: token, MaxStore: 16 << 30, MaxMemory: 8 << 30,
			Progress: func(what string) { t.Log(i, what) }}
		if n == 3 {
			all[i].Routes = routes
		}
	}
	return all
}

func startNode(t *testing.T, o NodeOptions) *Node {
	t.Helper()
	n, err := StartNode(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		hurry := make(chan struct{})
		close(hurry)
		if err := n.Stop(hurry); err != nil {
			t.Error(err)
		}
	})
	return n
}

// eventually polls until cond returns nil.
func eventually(t *testing.T, what string, cond func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(2 * hangs)
	for {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited in vain until %s: %v", what, err)
		}
	}
}

func probe(n *Node, path string) error {
	res, err := http.Get("http://" + n.HealthAddr() + path)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, res.Status)
	}
	return nil
}

func nodeURLs(all []NodeOptions) (urls []string) {
	for _, o := range all {
		urls = append(urls, "nats://"+o.Listen)
	}
	return urls
}

// TestNode runs the suites over one node of our own.
func TestNode(t *testing.T) {
	o := testNodes(t, 1)[0]
	n := startNode(t, o)
	eventually(t, "it is ready", func() error { return probe(n, "/readyz") })
	remote := func() RemoteOptions {
		r := connectOptions("nats://" + o.Listen)
		r.Credentials = o.Credentials
		return r
	}
	logtest.Run(t, func(t *testing.T) logtest.Subject { return logtest.Subject{Log: mustConnect(t, remote()).Bars()} })
	logtest.RunRegistry(t, func(t *testing.T) logtest.RegistrySubject {
		return logtest.RegistrySubject{Registry: mustConnect(t, remote()).Registry()}
	})
	logtest.RunTicks(t, func(t *testing.T) logtest.TicksSubject {
		return logtest.TicksSubject{Ticks: mustConnect(t, remote()).Ticks()}
	})
	if s := n.Status(); !s.Ready || s.Generation != 1 || s.Replicas != 1 || s.StoreBytes == 0 {
		t.Errorf("%+v", s)
	}
}

// TestThreeNodes: three nodes find each other, and streams get three replicas.
func TestThreeNodes(t *testing.T) {
	all := testNodes(t, 3)
	var nodes []*Node
	for _, o := range all {
		nodes = append(nodes, startNode(t, o))
	}
	for i, n := range nodes {
		eventually(t, fmt.Sprint(i, " is ready"), func() error { return probe(n, "/readyz") })
	}
	r := connectOptions("")
	r.URLs, r.Credentials = nodeURLs(all), all[0].Credentials
	b := mustConnect(t, r)
	if got := b.barsConn.config.Replicas; got != 3 {
		t.Errorf("%d replicas", got)
	}
	answers(t, b, "a")
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	defer cancel()
	seq, err := b.Bars().Append(ctx, 1, 0, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if e, err := b.Bars().Get(ctx, seq); err != nil || string(e.Data) != "x" {
		t.Errorf("%+v %v", e, err)
	}
	if err := b.Bars().Read(ctx, 1, func(logs.Entry) error { return nil }); err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(nodes[1].URL(), "nats://") {
		t.Error(nodes[1].URL())
	}
}
