package backbone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/marketstream/marketstream/api/podreport"
)

const probeWithin = 5 * time.Second

// nodeHealth answers probes on a port of its own.
type nodeHealth struct {
	n     *Node
	l     net.Listener // nil: no port was asked for
	srv   *http.Server
	ended chan struct{}
}

func startHealth(n *Node) (*nodeHealth, error) {
	h := &nodeHealth{n: n, ended: make(chan struct{})}
	if n.o.HealthListen == "" {
		close(h.ended)
		return h, nil
	}
	var err error
	if h.l, err = net.Listen("tcp", n.o.HealthListen); err != nil {
		return nil, fmt.Errorf("health-listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", h.healthz)
	mux.HandleFunc("GET /readyz", h.readyz)
	mux.HandleFunc("GET /status", h.status)
	mux.Handle("GET /metrics", nodeMetrics(n))
	h.srv = &http.Server{Handler: mux, ReadHeaderTimeout: probeWithin, WriteTimeout: probeWithin, IdleTimeout: time.Minute}
	go func() {
		defer close(h.ended)
		if err := h.srv.Serve(h.l); !errors.Is(err, http.ErrServerClosed) {
			n.o.Log.Error(err, "probes are not answered any more")
		}
	}()
	return h, nil
}

func (h *nodeHealth) addr() string {
	if h.l == nil {
		return ""
	}
	return h.l.Addr().String()
}

func (h *nodeHealth) close() error {
	if h == nil || h.srv == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainWithin)
	defer cancel()
	err := h.srv.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = h.srv.Close()
	}
	<-h.ended
	return err
}

// healthz: the process is up. A node that waits for others or for space is, too.
func (h *nodeHealth) healthz(w http.ResponseWriter, _ *http.Request) {
	answerProbe(w, h.n.Err())
}

// readyz: clients are let in, and this node has what the others have.
func (h *nodeHealth) readyz(w http.ResponseWriter, _ *http.Request) {
	answerProbe(w, h.n.Ready())
}

func answerProbe(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintln(w, err)
		return
	}
	_, _ = fmt.Fprintln(w, "ok")
}

// NodeStatus is what a node says of itself at /status.
type NodeStatus struct {
	podreport.Node
	StoreBytes int64 `json:"storeBytes"`
	MaxBytes   int64 `json:"maxBytes"`
	FreeBytes  int64 `json:"freeBytes"`
	Memory     int64 `json:"memoryBytes"`
}

// Status says what the node does and holds.
func (n *Node) Status() NodeStatus {
	n.mu.Lock()
	st := NodeStatus{MaxBytes: n.maxStore, Node: podreport.Node{Name: n.o.Name, Version: n.o.Version, Generation: n.state.Generation,
		Replicas: n.state.Replicas, Doing: n.said}}
	if n.state.Move != nil {
		st.Moving = n.state.Move.Step
	}
	s := n.current
	n.mu.Unlock()
	if err := n.Ready(); err != nil {
		st.Reason = err.Error()
	}
	st.Ready, st.Secrets = st.Reason == "", n.secrets()
	if free, err := n.free(n.o.Store); err == nil {
		st.FreeBytes = free
	}
	if s == nil {
		return st
	}
	if srv := s.server(); srv != nil {
		st.Clients = srv.NumClients()
		if js, err := srv.Jsz(nil); err == nil {
			st.StoreBytes, st.Memory = int64(js.Store), int64(js.Memory) //nolint:gosec // bytes of one machine
		}
	}
	return st
}

// secrets says of the files that the node is known by whether they are there.
func (n *Node) secrets() (all []podreport.Secret) {
	n.mu.Lock()
	lacks := n.lacks
	n.mu.Unlock()
	add := func(name string, err error, files ...string) {
		s := podreport.Secret{Name: name, State: podreport.SecretLoaded}
		if name == "" {
			s.Name = files[0]
		}
		for _, f := range files {
			if _, gone := os.Stat(f); f != "" && errors.Is(gone, os.ErrNotExist) {
				s.State, s.Reason = podreport.SecretMissing, filepath.Base(f)+": there is no such file"
			}
		}
		if s.State == podreport.SecretLoaded && err != nil {
			s.State, s.Reason = podreport.SecretBad, err.Error()
		}
		if s.State != podreport.SecretLoaded && lacks == nil {
			s.Reason += "; what was loaded of it before stays in use"
		}
		all = append(all, s)
	}
	if n.o.Credentials != "" {
		add(n.o.CredentialsSecret, n.gate.trouble(), n.o.Credentials)
	}
	if n.o.Cert != "" {
		_, waits := n.gate.state()
		var err error
		if waits == "" {
			err = lacks
		}
		add(n.o.TLSSecret, err, n.o.Cert, n.o.Key, n.o.CA)
	}
	return all
}

func (h *nodeHealth) status(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(h.n.Status())
}
