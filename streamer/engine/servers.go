package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/marketstream/marketstream/streamer/httperr"
)

// servers are the two ports: one for browsers, one inside the cluster on which nothing
// changes state.
type servers struct{ public, internal *http.Server }

const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	stopTimeout   = 2 * time.Second
	answerTimeout = 30 * time.Second
)

// serve starts both. Answers have a deadline, which history moves on while a client reads;
// streams take their connections from the server, and have deadlines of their own.
func (e *Engine) serve() *servers {
	s := &servers{public: newServer(e.cors, answerTimeout), internal: newServer(e.internalMux(), answerTimeout)}
	e.cors.next = e.publicMux()
	run := func(srv *http.Server, l net.Listener, which string) {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			e.fail(fmt.Errorf("the %s port: %w", which, err))
		}
	}
	go run(s.public, e.opts.Public, "public")
	go run(s.internal, e.opts.Internal, "internal")
	return s
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
		httperr.New(http.StatusNotFound, "there is nothing at %s; see /stream/market, /api/history, /api/symbols, /api/coverage, /api/market/status", httperr.Clip(r.URL.Path)).Write(w)
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
		_ = enc.Encode(e.report())
	})
	return mux
}
