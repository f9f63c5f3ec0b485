package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/backbone"
	"github.com/marketstream/marketstream/streamer/logs"
)

// node is one run after the other of `marketstream backbone` on one store.
type node struct {
	*process // the present run; nil before the first
	t        testing.TB
	name     string
	store    string
	listen   string
	health   string
	args     []string    // beside those above, and replicas
	lines    chan string // of the present run
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// newNodes prepares three nodes that know each other. None runs.
func newNodes(t *testing.T, args ...string) []*node {
	t.Helper()
	token := write(t, "token", "the-token\n")
	var routes []string
	for range 3 {
		routes = append(routes, freePort(t))
	}
	nodes := make([]*node, 3)
	for i := range nodes {
		nodes[i] = &node{t: t, name: fmt.Sprintf("test-%d", i), store: filepath.Join(t.TempDir(), "store"), listen: freePort(t), health: freePort(t),
			args: append([]string{"--cluster-listen", routes[i], "--routes", strings.Join(routes, ","), "--credentials", token, "--max-store", "2Gi"}, args...)}
		t.Cleanup(nodes[i].kill)
	}
	return nodes
}

// alone prepares one node that knows no others.
func alone(t testing.TB, args ...string) *node {
	t.Helper()
	n := &node{t: t, name: "test-0", store: filepath.Join(t.TempDir(), "store"), listen: freePort(t), health: freePort(t),
		args: append([]string{"--credentials", write(t, "token", "the-token\n")}, args...)}
	t.Cleanup(n.kill)
	return n
}

// start runs the node; args come on top.
func (n *node) start(args ...string) {
	n.t.Helper()
	all := append([]string{"backbone", "--store", n.store, "--name", n.name, "--listen", n.listen, "--health-listen", n.health, "--log-level", "error"}, n.args...)
	lines := make(chan string, 1<<16)
	n.lines, n.process = lines, &process{name: n.name}
	begin(n.t, n.process, func(line string) { lines <- line }, append(all, args...)...)
}

// kill ends it as a crash does; a node that does not run stays so.
func (n *node) kill() {
	if n.process != nil {
		n.process.kill()
	}
}

// stop ends it as an orchestrator does.
func (n *node) stop() {
	n.t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		n.t.Fatal(err)
	}
	select {
	case <-n.ended:
	case <-time.After(guard):
		n.t.Fatalf("SIGTERM does not end it:\n%s", n.text())
	}
	if code := n.cmd.ProcessState.ExitCode(); code != 0 {
		n.t.Fatalf("exit code %d after SIGTERM:\n%s", code, n.text())
	}
}

// until waits for a line of the present run that holds one of these, and returns it.
func (n *node) until(what ...string) string {
	n.t.Helper()
	limit := time.After(guard)
	for {
		select {
		case line := <-n.lines:
			for _, w := range what {
				if strings.Contains(line, w) {
					return line
				}
			}
		case <-limit:
			n.t.Fatalf("it does not come to say one of %q:\n%s", what, n.text())
		}
	}
}

// credentials is the file with the token that it was given.
func (n *node) credentials() string {
	return n.args[slices.Index(n.args, "--credentials")+1]
}

// ready waits until the node's probe says so.
func (n *node) ready() {
	n.t.Helper()
	eventually(n.t, n.name+" is ready", func() bool {
		res, err := http.Get("http://" + n.health + "/readyz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

func (n *node) status() (s backbone.NodeStatus) {
	res, err := http.Get("http://" + n.health + "/status")
	if err != nil {
		return s
	}
	defer func() { _ = res.Body.Close() }()
	_ = json.NewDecoder(res.Body).Decode(&s)
	return s
}

// dialNodes opens the logs on nodes.
func dialNodes(t *testing.T, nodes []*node, change ...func(*backbone.RemoteOptions)) *backbone.Backbone {
	t.Helper()
	o := backbone.RemoteOptions{Namespace: "default", Name: "test", MaxBytes: 1 << 30, WaitFor: guard}
	o.Credentials = nodes[0].credentials()
	for _, n := range nodes {
		o.URLs = append(o.URLs, "nats://"+n.listen)
	}
	for _, c := range change {
		c(&o)
	}
	b, err := backbone.Connect(t.Context(), o)
	if err != nil {
		for _, n := range nodes {
			t.Log(n.text())
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// chain appends entries to one partition, each once, whatever happens beneath.
type chain struct {
	t    *testing.T
	log  logs.Log
	last uint64
	data [][]byte
	at   []uint64
	took []time.Duration // from the first attempt to the answer
}

func (c *chain) add(ctx context.Context, data []byte) error {
	began := time.Now()
	for {
		seq, err := c.log.Append(ctx, 1, c.last, data)
		if errors.Is(err, logs.ErrUnavailable) || errors.Is(err, logs.ErrConflict) {
			// It may have happened: what stands there now says so.
			e, e2 := c.log.Last(ctx, 1)
			switch {
			case e2 == nil && e.Seq != c.last && bytes.Equal(e.Data, data):
				seq, err = e.Seq, nil
			case e2 == nil && e.Seq == c.last, errors.Is(e2, logs.ErrUnavailable), errors.Is(e2, logs.ErrGone) && c.last == 0:
				select {
				case <-time.After(10 * time.Millisecond):
					continue
				case <-ctx.Done():
				}
			default:
				err = fmt.Errorf("after %d stands %d: %w", c.last, e.Seq, errors.Join(err, e2))
			}
		}
		if err != nil {
			return err
		}
		c.last = seq
		c.data, c.at, c.took = append(c.data, data), append(c.at, seq), append(c.took, time.Since(began))
		return nil
	}
}

// check reads the log: it must be what was added, under the same sequences.
func (c *chain) check(l logs.Log) {
	c.t.Helper()
	i := 0
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	defer cancel()
	for {
		i = 0
		err := l.Read(ctx, 1, func(e logs.Entry) error {
			if e.Partition != 1 {
				return nil
			}
			if i >= len(c.at) || e.Seq != c.at[i] || !bytes.Equal(e.Data, c.data[i]) {
				c.t.Errorf("entry %d of %d: sequence %d", i, len(c.at), e.Seq)
			}
			i++
			return nil
		})
		if err == nil {
			break
		}
		if !errors.Is(err, logs.ErrUnavailable) {
			c.t.Fatal(err)
		}
	}
	if i != len(c.at) {
		c.t.Errorf("%d entries, want %d", i, len(c.at))
	}
}

// worst is the longest that an append took.
func (c *chain) worst() (d time.Duration) {
	for _, t := range c.took {
		d = max(d, t)
	}
	return d
}

// stepOf is what the node's state file says of a move.
func (n *node) stepOf() string {
	data, err := os.ReadFile(filepath.Join(n.store, "node.json"))
	if err != nil {
		return err.Error()
	}
	var s struct {
		Generation int
		Move       *struct{ Step string }
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return err.Error()
	}
	if s.Move == nil {
		return fmt.Sprintf("at rest in generation %d", s.Generation)
	}
	return s.Move.Step
}
