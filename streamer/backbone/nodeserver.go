package backbone

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketstream/marketstream/streamer/logs"
)

const (
	duckGrace = 300 * time.Millisecond
	duckFor   = 2 * time.Second
	// stopFor is what a server gets that did not end by itself.
	stopFor    = 3 * time.Second
	tlsTimeout = 5 // seconds
	// routeReports: of so many attempts to reach another node one is said to have failed.
	routeReports = 60
)

// nodeServer is a NATS server of one generation: the node's, which listens, or one hidden in the
// process, from which or into which a move copies.
type nodeServer struct {
	n          *Node
	generation int
	replicas   int
	hidden     bool
	logger     *serverLogger
	options    *server.Options

	mu    sync.Mutex
	srv   *server.Server // nil while it is stopped
	shows string         // the last token that the routes were given to show
	nc    *nats.Conn
	js    jetstream.JetStream
	pipe  net.Conn // the node's own connection
	bye   bool     // neither it nor the server is made again

	opened bool // NODES has this node's settings; the goroutine of run alone uses it
}

// startServer starts the server of a generation and connects to it.
func (n *Node) startServer(generation, replicas int, hidden bool) (*nodeServer, error) {
	s := &nodeServer{n: n, generation: generation, replicas: replicas, hidden: hidden,
		logger: &serverLogger{log: n.o.Log.WithName("nats").WithValues("generation", generation)}}
	dir := storeDir(n.o.Store, generation)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s.options = &server.Options{
		ServerName: n.o.Name, NoSigs: true, MaxPayload: logs.MaxEntry + headerRoom, MaxControlLine: 4096,
		JetStream: true, StoreDir: dir, DisableJetStreamBanner: true,
		SyncAlways:         !hidden, // what a move copies is synced as a whole
		JetStreamMaxMemory: n.o.MaxMemory, JetStreamMaxStore: n.maxStore,
		CustomClientAuthentication: n.gate, PingInterval: 20 * time.Second, MaxPingsOut: 2,
		LameDuckGracePeriod: duckGrace, LameDuckDuration: duckFor,
		NoSystemAccount: replicas == 1, DontListen: hidden,
	}
	if !hidden {
		if err := s.listen(); err != nil {
			return nil, err
		}
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	var err error
	if s.nc, err = nats.Connect("", nats.InProcessServer(s), nats.Token(n.gate.own), nats.Name(n.o.Name), nats.MaxReconnects(-1),
		nats.Timeout(serverStart), nats.ReconnectWait(reconnectWait), nats.ReconnectBufSize(-1), nats.IgnoreAuthErrorAbort(), nats.ErrorHandler(s.complain)); err == nil {
		s.js, err = jetstream.New(s.nc)
	}
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("connect to the node's own server: %w", err)
	}
	return s, nil
}

// listen adds to the options what is for others: the client port, TLS, and for three nodes the routes.
func (s *nodeServer) listen() error {
	o := s.options
	var err error
	if o.Host, o.Port, err = splitAddress("listen", s.n.o.Listen); err != nil {
		return err
	}
	o.Cluster.NoAdvertise = true // clients are given every address
	o.ConnectErrorReports, o.ReconnectErrorReports = routeReports, routeReports
	if s.n.tls != nil {
		o.TLSConfig, o.TLSTimeout = s.n.tls.forClients(), tlsTimeout
	}
	if s.replicas == 1 {
		return nil
	}
	if o.Cluster.Host, o.Cluster.Port, err = splitAddress("cluster-listen", s.n.o.ClusterListen); err != nil {
		return err
	}
	o.Cluster.Name = clusterName(s.generation, s.replicas)
	o.Cluster.Compression.Mode = server.CompressionOff
	o.CustomRouterAuthentication = routeGate{s.n.gate}
	if s.n.tls != nil {
		o.Cluster.TLSConfig, o.Cluster.TLSTimeout = s.n.tls.forNodes(), tlsTimeout
	}
	s.shows = s.n.gate.newest()
	o.Routes = s.n.routesWith(s.shows)
	return nil
}

// routesWith are the routes to all nodes, with what they know us by.
func (n *Node) routesWith(token string) []*url.URL {
	routes := make([]*url.URL, len(n.routes))
	for i, r := range n.routes {
		u := *r
		u.User = url.UserPassword(routeUser, token)
		routes[i] = &u
	}
	return routes
}

func splitAddress(flag, address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%s %q: want host:port", flag, address)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

func (s *nodeServer) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bye { // the guard may look at it while it is stopped
		return errors.New("the server stops")
	}
	options := s.options.Clone()
	srv, err := server.NewServer(options)
	if err != nil {
		return fmt.Errorf("start the NATS server: %w", err)
	}
	s.logger.forget()
	srv.SetLoggerV2(s.logger, false, false, false)
	s.n.gate.forget()
	srv.Start()
	if !s.logger.ready(srv) {
		srv.Shutdown()
		srv.WaitForShutdown()
		if why := s.logger.fatal(); why != "" {
			return fmt.Errorf("start the NATS server on %s: %s", s.options.StoreDir, why)
		}
		return fmt.Errorf("start the NATS server on %s: not ready in %s", s.options.StoreDir, serverStart)
	}
	if want := filepath.Join(s.options.StoreDir, server.JetStreamStoreDir); srv.JetStreamConfig().StoreDir != want {
		srv.Shutdown()
		srv.WaitForShutdown()
		return fmt.Errorf("the NATS server keeps its files in %s, not in %s", srv.JetStreamConfig().StoreDir, want)
	}
	if a, ok := srv.Addr().(*net.TCPAddr); ok && !s.hidden {
		s.options.Port = a.Port // the same one if it is started again
	}
	s.srv = srv
	return nil
}

// InProcessConn implements nats.InProcessConnProvider.
func (s *nodeServer) InProcessConn() (net.Conn, error) {
	srv := s.server()
	if srv == nil {
		return nil, errors.New("the server is stopped")
	}
	c, err := srv.InProcessConn()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bye || s.srv != srv {
		_ = c.Close()
		return nil, errors.New("the server stops")
	}
	s.pipe = c
	return c, nil
}

// hangUp ends the node's own connection for good, before its server ends. One that is just being made to a server that ends is
// not answered, and its Close would wait for that until its time is up.
func (s *nodeServer) hangUp() {
	s.mu.Lock()
	s.bye = true
	pipe := s.pipe
	s.mu.Unlock()
	if pipe != nil {
		_ = pipe.Close()
	}
	if s.nc != nil {
		s.nc.Close()
	}
}

func (s *nodeServer) complain(_ *nats.Conn, _ *nats.Subscription, err error) {
	s.n.o.Log.V(1).Info("trouble on the node's own connection", "reason", err.Error())
}

func (s *nodeServer) server() *server.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.srv
}

// halt ends the server and keeps the connection, for another start.
func (s *nodeServer) halt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv != nil {
		s.srv.Shutdown()
		s.srv.WaitForShutdown()
		s.srv = nil
		if s.pipe != nil {
			_ = s.pipe.Close() // it may wait for an answer
		}
	}
}

func (s *nodeServer) stop() {
	if s == nil {
		return
	}
	s.hangUp()
	s.halt()
}

// duck hands over what this node leads, lets clients go, and ends the server; at once when hurry closes.
func (s *nodeServer) duck(hurry <-chan struct{}) {
	srv := s.server()
	if srv == nil || s.replicas == 1 { // nobody to hand over to
		s.stop()
		return
	}
	s.hangUp()
	gone, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		srv.LameDuckShutdown()
	}()
	limit := time.NewTimer(2*duckFor + 3*time.Second)
	defer limit.Stop()
	select {
	case <-gone:
	case <-hurry:
	case <-limit.C:
	}
	go func() {
		s.stop()
		<-gone
		close(stopped)
	}()
	last := time.NewTimer(stopFor)
	defer last.Stop()
	select {
	case <-stopped:
	case <-last.C:
		s.n.o.Log.Error(nil, "the NATS server does not end: the process ends without it, as by a crash; what was acknowledged is on the disk")
	}
}

// newToken has the routes say another token.
func (s *nodeServer) newToken(token string) {
	srv := s.server()
	if srv == nil || s.hidden || s.replicas == 1 {
		return
	}
	s.mu.Lock()
	s.options.Routes = s.n.routesWith(token)
	options := s.options.Clone()
	s.mu.Unlock()
	if err := srv.ReloadOptions(options); err != nil {
		s.n.o.Log.Error(err, "the routes keep the former credentials")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shows = token
}

// shown is the token that the routes show.
func (s *nodeServer) shown() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shows
}

// current returns an error that says what keeps this server from being current.
func (s *nodeServer) current() error {
	srv := s.server()
	if srv == nil {
		return errors.New("the NATS server is stopped")
	}
	h := srv.Healthz(nil)
	if h.Status != "ok" {
		return errors.New(h.Error)
	}
	return nil
}

// replicated returns an error as long as a copy of a stream is behind its leader.
func (s *nodeServer) replicated(ctx context.Context) error {
	list := s.js.ListStreams(ctx)
	var behind error
	for info := range list.Info() {
		if s.replicas == 1 || info.Config.Storage != jetstream.FileStorage {
			continue
		}
		if info.Cluster == nil || len(info.Cluster.Replicas) != s.replicas-1 {
			behind = fmt.Errorf("%s does not have %d copies yet", info.Config.Name, s.replicas)
			continue
		}
		for _, r := range info.Cluster.Replicas {
			if !r.Current || r.Offline {
				behind = fmt.Errorf("the copy of %s at %s is behind", info.Config.Name, r.Name)
			}
		}
	}
	return errors.Join(behind, list.Err())
}

// streams are the settings of the streams in files, but what nodes know of each other.
func (s *nodeServer) streams(ctx context.Context) ([]jetstream.StreamConfig, error) {
	var all []jetstream.StreamConfig
	list := s.js.ListStreams(ctx)
	for info := range list.Info() {
		if info.Config.Storage == jetstream.FileStorage && info.Config.Name != nodesStream {
			all = append(all, info.Config)
		}
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("list streams: %w", unavailable(err))
	}
	slices.SortFunc(all, func(a, b jetstream.StreamConfig) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) })
	return all, nil
}
