package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// servers are the two ports: one for browsers, one inside the cluster on which nothing
// changes state. The inner one answers from the start, so that probes see a process that
// loads a long log alive; the outer one once it is opened.
type servers struct {
	public, internal *http.Server
	e                *Engine
	opened           bool
}

const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	stopTimeout   = 2 * time.Second
)

// serve starts the inner port.
func (e *Engine) serve() *servers {
	s := &servers{e: e, public: newServer(nil), internal: newServer(e.internalMux())}
	s.run(s.internal, e.opts.Internal, "internal")
	return s
}

// open starts the outer port. It has no write timeout: streams stay open, and history has a deadline of its own.
func (s *servers) open(h http.Handler) {
	s.e.cors.next = h
	s.public.Handler = s.e.cors
	s.opened = true
	s.run(s.public, s.e.opts.Public, "public")
}

func (s *servers) run(srv *http.Server, l net.Listener, which string) {
	go func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.e.fail(fmt.Errorf("the %s port: %w", which, err))
		}
	}()
}

func newServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 64 << 10}
}

// stop lets requests that are under way end, but not for long.
func (s *servers) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if !s.opened {
		_ = s.e.opts.Public.Close()
	}
	for _, srv := range []*http.Server{s.public, s.internal} {
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
		writeError(w, http.StatusNotFound, "there is nothing at "+r.URL.Path+"; see /stream/market, /api/history, /api/symbols, /api/coverage, /api/market/status")
	})
	return mux
}

func (e *Engine) internalMux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", e.metrics.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case e.draining.Load():
			http.Error(w, "draining", http.StatusServiceUnavailable)
		case !e.ready.Load():
			http.Error(w, "starting", http.StatusServiceUnavailable)
		default:
			_, _ = w.Write([]byte("ok\n"))
		}
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		_ = enc.Encode(e.report()) // a broken connection is the reader's
	})
	return mux
}
