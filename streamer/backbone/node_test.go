package backbone

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
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

func mustStart(t *testing.T, o NodeOptions) *Node {
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
	n := mustStart(t, o)
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
		nodes = append(nodes, mustStart(t, o))
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

// TestNodeGuard: below its reserve a node refuses appends to files and goes on with all else;
// with space again it takes them.
func TestNodeGuard(t *testing.T) {
	o := testNodes(t, 1)[0]
	var free atomic.Int64
	free.Store(100 << 30)
	n, err := startNode(t.Context(), o, func(string) (int64, error) { return free.Load(), nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Stop(nil) })
	r := connectOptions("nats://" + o.Listen)
	r.Credentials = o.Credentials
	b := mustConnect(t, r)
	last, err := b.Bars().Append(t.Context(), 1, 0, []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	free.Store(1 << 20)
	eventually(t, "appends are refused", func() error {
		seq, err := b.Bars().Append(t.Context(), 1, last, []byte("b"))
		if err == nil {
			last = seq
		}
		if !errors.Is(err, logs.ErrFull) {
			return fmt.Errorf("not full: %w", err)
		}
		return nil
	})
	if e, err := b.Bars().Last(t.Context(), 1); err != nil || e.Seq != last {
		t.Errorf("reads while it is full: %+v %v", e, err)
	}
	if ack, err := b.Ticks().Publish(t.Context(), 1, []byte("x")); err != nil || ack.Wait(t.Context()) != nil {
		t.Errorf("ticks while it is full: %v", err)
	}
	wants(t, n.Ready(), "1 MiB free", "appends are refused")
	if err := probe(n, "/healthz"); err != nil {
		t.Error(err)
	}
	free.Store(100 << 30)
	eventually(t, "appends are taken", func() error {
		_, err := b.Bars().Append(t.Context(), 1, last, []byte("c"))
		return err
	})
	eventually(t, "it is ready", n.Ready)
}

// TestNodeCredentials: the last two tokens that the file held are taken, and no older one; a
// client whose file follows never notices.
func TestNodeCredentials(t *testing.T) {
	o := testNodes(t, 1)[0]
	n := mustStart(t, o)
	r := connectOptions("nats://" + o.Listen)
	enters := func(token string) error {
		r := r
		r.Credentials, r.WaitFor = credentialsFile(t, token), 1
		b, err := Connect(t.Context(), r)
		if err != nil {
			return err
		}
		return b.Close()
	}
	eventually(t, "it is ready", n.Ready)
	set := func(token string) {
		t.Helper()
		if err := os.WriteFile(o.Credentials, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		eventually(t, token+" is taken", func() error { return enters(token) })
	}
	set("second")
	if err := enters("secret-token"); err != nil {
		t.Errorf("the value before: %v", err)
	}
	set("third")
	if err := enters("second"); err != nil {
		t.Errorf("the value before: %v", err)
	}
	wants(t, enters("secret-token"), "Authorization Violation")
	wants(t, enters("guess"), "Authorization Violation")
	if err := os.Remove(o.Credentials); err != nil {
		t.Fatal(err)
	}
	if err := enters("third"); err != nil {
		t.Errorf("after the file has gone: %v", err)
	}
}

// TestNodesCredentials: three nodes whose token changes twice find each other again.
func TestNodesCredentials(t *testing.T) {
	all := testNodes(t, 3)
	var nodes []*Node
	for _, o := range all {
		nodes = append(nodes, mustStart(t, o))
	}
	ready := func(what string) {
		t.Helper()
		for i, n := range nodes {
			eventually(t, fmt.Sprint(i, " is ready ", what), n.Ready)
		}
	}
	ready("at first")
	for _, token := range []string{"second", "third"} {
		if err := os.WriteFile(all[0].Credentials, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		for i, n := range nodes {
			eventually(t, fmt.Sprint(i, " has read ", token), func() error {
				if n.gate.newest() != token {
					return errors.New(n.gate.newest())
				}
				return nil
			})
		}
		ready("with " + token)
		for i, n := range nodes { // what they show when a route breaks
			eventually(t, fmt.Sprint(i, " shows ", token), func() error {
				if shown := n.serving().shown(); shown != token {
					return errors.New(shown)
				}
				return nil
			})
		}
	}
	if err := nodes[2].Stop(nil); err != nil {
		t.Fatal(err)
	}
	nodes[2] = mustStart(t, all[2])
	ready("after a restart")
	r := connectOptions("")
	r.URLs, r.Credentials = nodeURLs(all), all[0].Credentials
	answers(t, mustConnect(t, r), "a")
}

// TestNodeTLS: clients and nodes see certificates, and a new one without a restart.
func TestNodeTLS(t *testing.T) {
	a := newAuthority(t)
	all := testNodes(t, 3)
	var nodes []*Node
	for i := range all {
		dir := t.TempDir()
		o := &all[i]
		o.Cert, o.Key, o.CA = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), a.file
		a.issue(o.Cert, o.Key, int64(100+i))
		nodes = append(nodes, mustStart(t, *o))
	}
	for i, n := range nodes {
		eventually(t, fmt.Sprint(i, " is ready"), n.Ready)
	}
	r := connectOptions("")
	r.URLs, r.Credentials, r.CA = nodeURLs(all), all[0].Credentials, a.file
	b := mustConnect(t, r)
	answers(t, b, "a")
	serial := func() (int64, error) {
		nc, err := net.Dial("tcp", all[0].Listen)
		if err != nil {
			return 0, err
		}
		defer func() { _ = nc.Close() }()
		if _, err := bufio.NewReader(nc).ReadString('\n'); err != nil { // INFO comes in the clear
			return 0, err
		}
		c := tls.Client(nc, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // its number is all that is looked at
		if err := c.Handshake(); err != nil {
			return 0, err
		}
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
	}
	a.issue(all[0].Cert, all[0].Key, 200)
	if err := os.Chtimes(all[0].Cert, time.Now(), time.Now().Add(time.Hour)); err != nil { // whatever the clock's grain
		t.Fatal(err)
	}
	if got, err := serial(); err != nil || got != 200 {
		t.Errorf("certificate %d, want 200: %v", got, err)
	}
	r.CA = newAuthority(t).file
	r.WaitFor = 1
	_, err := Connect(t.Context(), r)
	wants(t, err, "certificate")
}
