package system

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/link"
	"github.com/marketstream/marketstream/hack/chaos/proc"
)

// Node is a node of the backbone.
type Node struct {
	sys                     *System
	i                       int
	client, cluster, health string
	Store                   string
	links                   []*link.Link  // to the other nodes
	Valves                  []*link.Valve // to node i, nil to itself
	routes                  []string

	mu   sync.Mutex
	proc *proc.Process
	said []string // by the present process
}

func newNode(s *System, i int, ports []int) *Node {
	return &Node{sys: s, i: i, client: local(ports[0]), cluster: local(ports[1]), health: local(ports[2]),
		Store: filepath.Join(s.Dir, "node"+strconv.Itoa(i))}
}

// connect makes the links to the other nodes, and the store.
func (n *Node) connect() error {
	if err := os.MkdirAll(n.Store, 0o700); err != nil {
		return err
	}
	if size := n.sys.StoreSize; size > 0 {
		if err := mount(n.Store, size); err != nil {
			return fmt.Errorf("mounting a file system of %d bytes at %s (run as root, or with --disk=false): %w", size, n.Store, err)
		}
		n.sys.mounts = append(n.sys.mounts, n.Store)
	}
	if len(n.sys.Nodes) == 1 {
		return nil
	}
	for _, o := range n.sys.Nodes {
		if o == n {
			n.Valves, n.routes = append(n.Valves, nil), append(n.routes, n.cluster)
			continue
		}
		v := link.NewValve(n.Name() + "–" + o.Name())
		l, err := link.New("127.0.0.1:0", o.cluster, v)
		if err != nil {
			return err
		}
		n.links, n.Valves, n.routes = append(n.links, l), append(n.Valves, v), append(n.routes, l.Addr())
	}
	return nil
}

// Name is the node's.
func (n *Node) Name() string { return "node-" + strconv.Itoa(n.i) }

// Start starts the process as one of all nodes, or as the only one there ever was.
func (n *Node) Start() error {
	if n.sys.FirstAlone {
		return n.start(1, false)
	}
	return n.StartAs(len(n.sys.Nodes))
}

// StartAs starts the process as one of so many nodes that there are to be.
func (n *Node) StartAs(replicas int) error { return n.start(replicas, len(n.routes) > 0) }

func (n *Node) start(replicas int, routes bool) error {
	args := []string{"backbone", "--store", n.Store, "--name", n.Name(), "--listen", n.client, "--health-listen", n.health,
		"--replicas", strconv.Itoa(replicas), "--credentials", n.sys.token, "--max-memory", "256Mi"}
	if routes {
		args = append(args, "--cluster-listen", n.cluster, "--routes", strings.Join(n.routes, ","))
	}
	n.mu.Lock()
	n.said = nil
	n.mu.Unlock()
	p, err := proc.Start(n.sys.Dir, n.Name(), n.sys.Binary, args, nil, func(line string) {
		n.sys.Timeline.Add(n.Name(), "| %s", line)
		n.mu.Lock()
		defer n.mu.Unlock()
		n.said = append(n.said, line)
	})
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.proc = p
	return nil
}

// Await waits until the present process has said one of these, and returns the line.
func (n *Node) Await(ctx context.Context, what ...string) (string, error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for at := 0; ; {
		n.mu.Lock()
		said := n.said
		n.mu.Unlock()
		for ; at < len(said); at++ {
			if slices.ContainsFunc(what, func(w string) bool { return strings.Contains(said[at], w) }) {
				return said[at], nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", fmt.Errorf("%s does not come to say one of %q: %w", n.Name(), what, ctx.Err())
		}
	}
}

// Running reports whether its process runs.
func (n *Node) Running() bool {
	p := n.process()
	return p != nil && p.Running()
}

func (n *Node) process() *proc.Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc
}

// Kill ends it as a crash does.
func (n *Node) Kill() {
	if p := n.process(); p != nil {
		p.Kill()
	}
}

// Stop ends it politely.
func (n *Node) Stop() {
	if p := n.process(); p != nil && !p.Stop(20*time.Second) {
		n.sys.Bad(n.Name(), "SIGTERM did not end it within 20 s")
	}
}

// Pause stops it from running, or lets it go on.
func (n *Node) Pause(on bool) {
	if p := n.process(); p != nil {
		p.Signal(pauseSignal(on))
	}
}

func pauseSignal(on bool) syscall.Signal {
	if on {
		return syscall.SIGSTOP
	}
	return syscall.SIGCONT
}

// Unready says why it does not serve; "": it does.
func (n *Node) Unready() string { return probe("http://" + n.health + "/readyz") }

func (n *Node) close() {
	for _, l := range n.links {
		l.Close()
	}
}

// probe asks for a page of probes and returns what it says if that is not 200.
func probe(url string) string {
	ctx, cancel := context.WithTimeout(context.Background(), probeWithin)
	defer cancel()
	body, code, err := fetch(ctx, url)
	switch {
	case err != nil:
		return err.Error()
	case code != http.StatusOK:
		return strings.TrimSpace(string(body))
	}
	return ""
}

const probeWithin = time.Second

var prober = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func fetch(ctx context.Context, url string) (body []byte, code int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, err
	}
	res, err := prober.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(res.Body, 4<<20))
	return body, res.StatusCode, err
}
