package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/marketstream/marketstream/api/podreport"
	"github.com/marketstream/marketstream/streamer/httperr"
	"github.com/marketstream/marketstream/streamer/peer"
)

// servers are the two ports: one for browsers, one inside the cluster on which nothing
// changes state. The inner one answers from the start, so that probes see a process that
// loads a long log alive; the outer one once it is opened.
type servers struct {
	public, internal *http.Server // public is nil until it is opened
	e                *Engine
}

const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	stopTimeout   = 2 * time.Second
	answerTimeout = 30 * time.Second
)

// serve starts the inner port.
func (e *Engine) serve() *servers {
	s := &servers{e: e, internal: newServer(e.internalMux(), answerTimeout)}
	s.run(s.internal, e.opts.Internal, "internal")
	return s
}

// open starts the outer port. Answers have a deadline, which history moves on while a client
// reads; streams take their connections from the server, and have deadlines of their own.
func (s *servers) open(h http.Handler) {
	s.e.cors.next = h
	s.public = newServer(s.e.cors, answerTimeout)
	s.run(s.public, s.e.opts.Public, "public")
}

func (s *servers) run(srv *http.Server, l net.Listener, which string) {
	go func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.e.fail(fmt.Errorf("the %s port: %w", which, err))
		}
	}()
}

// newServer makes a server whose answers have a time to be made and to be taken.
func newServer(h http.Handler, answer time.Duration) *http.Server {
	timed := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answer)) // a connection has one
		h.ServeHTTP(w, r)
	})
	return &http.Server{Handler: timed, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 64 << 10}
}

// stop lets requests that are under way end, but not for long.
func (s *servers) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if s.public == nil {
		_ = s.e.opts.Public.Close()
	}
	for _, srv := range []*http.Server{s.public, s.internal} {
		if srv == nil {
			continue
		}
		if err := srv.Shutdown(ctx); err != nil {
			_ = srv.Close()
		}
	}
}

func (e *Engine) publicMux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/stream/market", e.hub)
	mux.Handle("/api/", e.history.Handler())
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		httperr.New(http.StatusNotFound, "there is nothing at %s; see /stream/market, /api/history, /api/symbols, /api/coverage, /api/market/status", httperr.Clip(r.URL.Path)).Write(w)
	})
	return mux
}

func (e *Engine) internalMux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", e.metrics.Handler())
	mux.HandleFunc(peer.Path, e.serveRings)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case e.draining.Load():
			http.Error(w, "draining", http.StatusServiceUnavailable)
		case !e.serving.Load():
			http.Error(w, "starting", http.StatusServiceUnavailable)
		case !e.ready.Load():
			http.Error(w, "holding: "+e.pods.Load().Hold, http.StatusServiceUnavailable)
		default:
			_, _ = w.Write([]byte("ok\n"))
		}
	})
	mux.Handle("GET /status", podreport.Handler(e.report))
	return mux
}
