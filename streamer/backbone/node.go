package backbone

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

// NodeOptions say how a server of our own runs, alone or as one of three.
type NodeOptions struct {
	// Store is the directory that keeps everything; it is made if need be, and this process's alone.
	Store string
	// OnVolume refuses a store on the root file system: a volume that should be there is not.
	OnVolume bool
	// Name is the node's for ever; it ends in its place, -0, -1 or -2.
	Name string
	// Listen is the address for clients, host:port.
	Listen string
	// ClusterListen is the address for other nodes, host:port; "" for a node that is alone.
	ClusterListen string
	// HealthListen is the address for probes, host:port; "": none.
	HealthListen string
	// Routes are the cluster addresses of all three nodes, this one too, as host:port; none for a
	// node that is alone and always was.
	Routes []string
	// Replicas are the nodes that are wanted: 1 or 3.
	Replicas int
	// Credentials is a file with the token that clients and nodes show; "": whoever comes is let in. A node whose file is
	// not there waits for it; so it does for those of its certificate.
	Credentials string
	// Cert and Key are files with this node's certificate, CA one with those that the other
	// nodes' may be signed by; "": no TLS. The certificate is read again when it changes.
	Cert, Key, CA string
	// CredentialsSecret and TLSSecret are the names of the Secrets that these files are of, for [Node.Status]; "": not known.
	CredentialsSecret, TLSSecret string
	Version                      string
	// MaxStore bounds what is stored in files, in bytes; 0: 80 % of what the volume has for it, and never more.
	MaxStore int64
	// MaxMemory bounds what is stored in memory, in bytes; 0: 768 MiB.
	MaxMemory int64
	// Progress is told in a sentence, whenever that changes, what the node does; may be nil.
	Progress func(what string)
	Log      logr.Logger
}

const (
	defaultNodeMemory = 768 << 20
	lookEvery         = 250 * time.Millisecond
)

// Node is a running node. Its methods may be called at the same time.
type Node struct {
	o        NodeOptions
	ordinal  int
	routes   []*url.URL
	lock     *dirLock
	gate     *gate
	tls      *nodeTLS // nil: none, or not yet; the goroutine of run alone uses it
	maxStore int64
	free     func(dir string) (int64, error) // space of a volume
	health   *nodeHealth
	end      context.CancelFunc
	ended    chan struct{} // closes when run has returned
	watchers sync.WaitGroup
	once     sync.Once
	stopped  error

	mu       sync.Mutex
	state    nodeState
	current  *nodeServer // that listens, or nil
	said     string
	draining bool
	full     string // why nothing is stored; "": it is
	err      error  // why run has returned, before it was told to
	lacks    error  // a file that it waits for
}

// StartNode starts a node, or says in one sentence why not. Once it has returned the node
// answers probes; [Node.Ready] says when it serves.
func StartNode(ctx context.Context, o NodeOptions) (*Node, error) {
	return startNode(ctx, o, freeBytes)
}

func startNode(ctx context.Context, o NodeOptions, free func(dir string) (int64, error)) (*Node, error) {
	n := &Node{o: o, free: free, ended: make(chan struct{})}
	if err := n.check(); err != nil {
		return nil, err
	}
	if err := n.prepare(); err != nil {
		return nil, errors.Join(err, n.lock.release())
	}
	ctx, n.end = context.WithCancel(context.WithoutCancel(ctx))
	n.watchers.Go(func() { n.gate.watch(ctx.Done()) })
	n.watchers.Go(func() { n.guard(ctx) })
	go func() {
		defer close(n.ended)
		if err := n.run(ctx); err != nil && ctx.Err() == nil {
			n.mu.Lock()
			n.err = err
			n.mu.Unlock()
		}
	}()
	return n, nil
}

// check looks at the options, one by one.
func (n *Node) check() (err error) {
	o := &n.o
	if o.Log.GetSink() == nil {
		o.Log = logr.Discard()
	}
	if n.ordinal, err = ordinalOf(o.Name); err != nil {
		return err
	}
	switch {
	case o.Store == "":
		return errors.New("no store: want a directory on a volume of its own")
	case o.Replicas != 1 && o.Replicas != 3:
		return fmt.Errorf("replicas %d: want 1 or 3", o.Replicas)
	case o.Replicas == 1 && n.ordinal > 0 && len(o.Routes) == 0:
		return fmt.Errorf("name %q with replicas 1: want the one node to be the one that ends in -0", o.Name)
	case o.Replicas == 3 && len(o.Routes) != 3, len(o.Routes) != 0 && len(o.Routes) != 3:
		return fmt.Errorf("%d routes: want those of all 3 nodes, this one too", len(o.Routes))
	case len(o.Routes) > 0 && o.ClusterListen == "":
		return errors.New("routes without a cluster-listen: want the address at which other nodes find this one")
	case (o.Cert == "") != (o.Key == ""):
		return fmt.Errorf("certificate %q, key %q: want both or neither", o.Cert, o.Key)
	case o.CA != "" && o.Cert == "":
		return fmt.Errorf("certificates to trust %q without a certificate: want both or neither", o.CA)
	case o.MaxStore < 0, o.MaxMemory < 0:
		return fmt.Errorf("most to store %d, in memory %d: want them positive, or 0 for the default", o.MaxStore, o.MaxMemory)
	}
	for flag, address := range map[string]string{"listen": o.Listen, "cluster-listen": o.ClusterListen, "health-listen": o.HealthListen} {
		if address == "" && flag != "listen" {
			continue
		}
		if _, _, err := splitAddress(flag, address); err != nil {
			return err
		}
	}
	for _, r := range o.Routes {
		if _, port, err := splitAddress("route", r); err != nil || port <= 0 {
			return fmt.Errorf("route %q: want host:port", r)
		}
		n.routes = append(n.routes, &url.URL{Scheme: "nats-route", Host: r})
	}
	if o.MaxMemory == 0 {
		o.MaxMemory = defaultNodeMemory
	}
	if o.MaxMemory < 4*slack {
		return fmt.Errorf("most to store in memory %d: want at least %d bytes", o.MaxMemory, 4*slack)
	}
	return nil
}

// prepare makes the store ready and opens the port for probes.
func (n *Node) prepare() (err error) {
	if n.o.Store, err = filepath.Abs(n.o.Store); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := os.MkdirAll(n.o.Store, 0o700); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if n.o.OnVolume {
		if err := onVolume(n.o.Store); err != nil {
			return err
		}
	}
	if n.lock, err = lockDir(n.o.Store); err != nil {
		return err
	}
	if n.state, err = readState(n.o.Store); err != nil {
		return err
	}
	if n.maxStore, err = n.fitStore(); err != nil {
		return err
	}
	n.gate = newGate(n.o.Credentials, n.o.Log)
	n.gate.changed = func(token string) {
		if s := n.serving(); s != nil {
			s.newToken(token)
		}
	}
	n.health, err = startHealth(n)
	return err
}

// run does what decide says, until ctx ends or something fails that trying again does not mend.
func (n *Node) run(ctx context.Context) error {
	defer func() { n.gate.set(false) }()
	n.equip(ctx)
	var g *greeter
	defer func() { g.stop() }()
	for ctx.Err() == nil {
		state := n.getState()
		others := ask(ctx, n.routes, n.o.Name, n.tls)
		d := decide(state, n.ordinal, n.o.Replicas, others, len(n.routes) == 0)
		n.o.Log.V(1).Info("decided", "do", d.do.String(), "why", d.why)
		// While no NATS server does, the cluster port says which generation holds.
		if g == nil && d.do != move && (d.do != serve || state.Replicas == 1) && len(n.routes) > 0 {
			var err error
			if g, err = startGreeter(n.o.ClusterListen, n.o.Name, state.Generation, max(state.Replicas, 1), n.tls); err != nil {
				return err
			}
		}
		var err error
		switch d.do {
		case wait, idle:
			n.say("waiting: " + d.why)
			err = n.rest(ctx, state, d.do == idle)
		case adopt, found:
			n.say(fmt.Sprintf("joins generation %d of %d nodes: %s", d.to.Generation, d.to.Replicas, d.why))
			err = n.setState(d.to)
			g.stop()
			g = nil
		case serve:
			if state.Replicas == 3 {
				g.stop()
				g = nil
			}
			err = n.serve(ctx, state)
		case move:
			g.stop()
			g = nil
			n.say(fmt.Sprintf("moves to %d nodes: %s", d.to.Move.Replicas, d.why))
			err = n.move(ctx, d.to)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// equip waits for the files that the node is known by: the Secrets that they are of may come later than it.
func (n *Node) equip(ctx context.Context) {
	for ctx.Err() == nil {
		var err error
		if _, failure := n.gate.state(); failure != "" {
			err = errors.New(failure)
		} else if n.o.Cert != "" {
			n.tls, err = newNodeTLS(n.o.Cert, n.o.Key, n.o.CA, n.o.Log)
		}
		n.mu.Lock()
		n.lacks = err
		n.mu.Unlock()
		if err == nil {
			return
		}
		n.say("waiting: " + err.Error())
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
		}
	}
}

// rest waits for others. A node that the backbone has left needs its store no more.
func (n *Node) rest(ctx context.Context, state nodeState, left bool) error {
	if left && state.Old != 0 {
		if err := n.removeOld(state); err != nil {
			return err
		}
	}
	select {
	case <-time.After(2 * lookEvery):
	case <-ctx.Done():
	}
	return nil
}

// removeOld removes the store of the generation before.
func (n *Node) removeOld(state nodeState) error {
	if err := os.RemoveAll(storeDir(n.o.Store, state.Old)); err != nil {
		return fmt.Errorf("remove the store of generation %d: %w", state.Old, err)
	}
	n.say(fmt.Sprintf("removed the store of generation %d", state.Old))
	state.Old = 0
	return n.setState(state)
}

func (n *Node) getState() nodeState {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state
}

func (n *Node) setState(s nodeState) error {
	if err := s.write(n.o.Store); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state = s
	return nil
}

// serving returns the server that listens, nil if there is none.
func (n *Node) serving() *nodeServer {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.current
}

func (n *Node) setServing(s *nodeServer) {
	n.mu.Lock()
	n.current = s
	n.mu.Unlock()
	if s == nil {
		return
	}
	if token := n.gate.newest(); token != s.shown() { // it has changed since the server was given its routes
		s.newToken(token)
	}
}

// say tells what the node does, once.
func (n *Node) say(what string) {
	n.mu.Lock()
	was := n.said
	n.said = what
	n.mu.Unlock()
	if what == was {
		return
	}
	n.o.Log.V(1).Info(what)
	if n.o.Progress != nil {
		n.o.Progress(what)
	}
}

// Ready returns nil while the node takes clients and has what the others have, else why not.
func (n *Node) Ready() error {
	n.mu.Lock()
	s, state, said, draining, full, err := n.current, n.state, n.said, n.draining, n.full, n.err
	n.mu.Unlock()
	open, failure := n.gate.state()
	switch {
	case err != nil:
		return err
	case draining:
		return errors.New("it is stopping")
	case full != "":
		return errors.New(full)
	case s == nil, state.Move != nil:
		return errors.New(said)
	case failure != "":
		return errors.New(failure)
	case !open:
		return fmt.Errorf("clients are not let in yet: %s", said)
	}
	return s.current()
}

// URL is the address for clients as it turned out; "" while nothing listens.
func (n *Node) URL() string {
	s := n.serving()
	if s == nil {
		return ""
	}
	srv := s.server()
	if srv == nil {
		return ""
	}
	return srv.ClientURL()
}

// HealthAddr is the address for probes as it turned out.
func (n *Node) HealthAddr() string { return n.health.addr() }

// Done closes when the node has ended, by itself or by Stop; Err says why if it was by itself.
func (n *Node) Done() <-chan struct{} { return n.ended }

// Err is why the node ended by itself.
func (n *Node) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

// Stop lets the others take over what this node leads, lets clients go and ends the node,
// after ten seconds at most; without all that once hurry closes.
// A second call does nothing more.
func (n *Node) Stop(hurry <-chan struct{}) error {
	n.once.Do(func() { n.stopped = n.stop(hurry) })
	return n.stopped
}

func (n *Node) stop(hurry <-chan struct{}) error {
	n.mu.Lock()
	n.draining = true
	n.mu.Unlock()
	n.end()
	<-n.ended
	n.watchers.Wait()
	if s := n.serving(); s != nil {
		s.duck(hurry)
		n.setServing(nil)
	}
	return errors.Join(n.health.close(), n.lock.release())
}
