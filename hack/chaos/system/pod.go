package system

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/marketstream/marketstream/hack/chaos/link"
	"github.com/marketstream/marketstream/hack/chaos/proc"
)

// endsAfter is how long after its drain a pod has ended at the latest.
const endsAfter = 25 * time.Second

// Pod is a place for a streamer: its ports, and its links to everything else.
type Pod struct {
	sys              *System
	i                int
	public, internal string
	dir              string
	links            []*link.Link
	backbone         []string // addresses of the links to the nodes
	ws, rest, reach  string   // of those to the vendor, and of that at which other pods reach it

	Clients *link.Valve
	Nodes   []*link.Valve
	Vendor  *link.Valve // the socket
	REST    *link.Valve
	Peers   *link.Valve

	ready  atomic.Bool
	paused atomic.Bool
	misses int

	mu   sync.Mutex
	proc *proc.Process
	name string // of the run, among pods
	said string // by /status
}

func newPod(s *System, i int, ports []int) (*Pod, error) {
	p := &Pod{sys: s, i: i, public: local(ports[0]), internal: local(ports[1]), dir: filepath.Join(s.Dir, "pod"+strconv.Itoa(i))}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, err
	}
	p.Clients = link.NewValve("clients–" + p.Name())
	var err error
	open := func(to, far string) (string, *link.Valve) {
		v := link.NewValve(p.Name() + "–" + far)
		l, lerr := link.New("127.0.0.1:0", to, v)
		if lerr != nil {
			err = lerr
			return "", v
		}
		p.links = append(p.links, l)
		return l.Addr(), v
	}
	for _, n := range s.Nodes {
		addr, v := open(n.client, n.Name())
		p.backbone, p.Nodes = append(p.backbone, "nats://"+addr), append(p.Nodes, v)
	}
	var addr string
	addr, p.Vendor = open(host(s.Vendor.URL()), "vendor")
	p.ws = "ws://" + addr
	addr, p.REST = open(host(s.Vendor.RESTURL()), "vendor's REST")
	p.rest = "http://" + addr
	p.reach, p.Peers = open(p.internal, "pods")
	return p, err
}

func host(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	return u.Host
}

// Name is the place's.
func (p *Pod) Name() string { return "pod-" + strconv.Itoa(p.i) }

// Process names the process that is in the place, or was last.
func (p *Pod) Process() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.name
}

// URL is its public port, without a link.
func (p *Pod) URL() string { return "http://" + p.public }

// Start starts a process in the place.
func (p *Pod) Start() error {
	const letters = "abcdefghijkmnpqrstvwxyz0123456789"
	id := make([]byte, 8)
	for i := range id {
		id[i] = letters[rand.IntN(len(letters))]
	}
	name := p.Name() + "-" + string(id)
	args := []string{"streamer", "--config", filepath.Join(p.dir, "config"), "--backbone", strings.Join(p.backbone, ","), "--backbone-credentials", p.sys.token,
		"--listen", p.public, "--internal-listen", p.internal, "--address", p.reach, "--pod", name, "--drain", p.sys.Drain.String()}
	started, err := proc.Start(p.sys.Dir, p.Name(), p.sys.Binary, args, []string{fmt.Sprintf("GOMEMLIMIT=%d", p.sys.PodBytes/4*3)}, func(line string) {
		p.sys.Timeline.Add(p.Name(), "| %s", line)
	})
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.proc, p.name = started, name
	p.paused.Store(false)
	return nil
}

func (p *Pod) process() *proc.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.proc
}

// Running reports whether a process is in the place.
func (p *Pod) Running() bool {
	x := p.process()
	return x != nil && x.Running()
}

// Kill ends it as a crash does.
func (p *Pod) Kill() {
	if x := p.process(); x != nil {
		x.Kill()
	}
	p.ready.Store(false)
}

// Stop ends it politely.
func (p *Pod) Stop() {
	if x := p.process(); x != nil && x.Running() && !x.Stop(p.sys.Drain+endsAfter) {
		p.sys.Bad(p.Name(), fmt.Sprintf("SIGTERM did not end it within %s", p.sys.Drain+endsAfter))
	}
	p.ready.Store(false)
}

// Terminate tells it to end, and returns what closes when it has.
func (p *Pod) Terminate() <-chan struct{} {
	x := p.process()
	x.Signal(syscall.SIGTERM)
	return x.Ended()
}

// Ready reports whether clients are sent to it.
func (p *Pod) Ready() bool { return p.ready.Load() }

// Unready says why its probe fails; "": it does not.
func (p *Pod) Unready() string { return probe("http://" + p.internal + "/readyz") }

// Usage is what its process used so far: seconds of the CPU, and bytes of memory at most.
func (p *Pod) Usage() (cpu float64, peak int64) {
	if x := p.process(); x != nil {
		return x.CPU(), x.HighWater()
	}
	return 0, 0
}

// Pause stops it from running, or lets it go on.
func (p *Pod) Pause(on bool) {
	p.paused.Store(on)
	if x := p.process(); x != nil {
		x.Signal(pauseSignal(on))
	}
}

func (p *Pod) close() {
	for _, l := range p.links {
		l.Close()
	}
}

// MendLinks undoes what was done to its links.
func (p *Pod) MendLinks() {
	for _, v := range append([]*link.Valve{p.Clients, p.Vendor, p.REST, p.Peers}, p.Nodes...) {
		v.Mend()
	}
}
