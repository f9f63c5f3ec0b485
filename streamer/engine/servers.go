package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/marketstream/marketstream/api/podreport"
	"github.com/marketstream/marketstream/streamer/httperr"
	"github.com/marketstream/marketstream/streamer/peer"
)

// servers are the two ports: one for browsers, one inside the cluster on which nothing
// changes state. The inner one answers from the start, so that probes see a process that
// loads a long log alive; the outer one once it is opened.
type servers struct {
	h                *host
	public, internal *http.Server // public is nil until it answers
	outer            atomic.Pointer[http.Handler]
}

const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	stopTimeout   = 2 * time.Second
	answerTimeout = 30 * time.Second
)

// serve starts the inner port.
func (h *host) serve() *servers {
	s := &servers{h: h, internal: newServer(h.internalMux(), answerTimeout)}
	var nothing http.Handler = http.HandlerFunc(h.postpone)
	s.outer.Store(&nothing)
	s.run(s.internal, h.opts.Internal, "internal")
	return s
}

// open has h answer at the outer port. Answers have a deadline, which history moves on while a client
// reads; streams take their connections from the server, and have deadlines of their own.
func (s *servers) open(h http.Handler) {
	s.outer.Store(&h)
	s.answer()
}

// answer starts the outer port, once: whoever asks before a document is served is told that there is nothing yet.
func (s *servers) answer() {
	if s.public == nil {
		s.public = newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*s.outer.Load()).ServeHTTP(w, r) }), answerTimeout)
		s.run(s.public, s.h.opts.Public, "public")
	}
}

func (s *servers) run(srv *http.Server, l net.Listener, which string) {
	go func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.h.fail(portError{fmt.Errorf("the %s port: %w", which, err)})
		}
	}()
}

// newServer makes a server whose answers have a time to be made and to be taken, and requests one for their bodies to come.
func newServer(h http.Handler, answer time.Duration) *http.Server {
	timed := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		by, c := time.Now().Add(answer), http.NewResponseController(w)
		_ = c.SetWriteDeadline(by) // a connection has one
		if r.Body != http.NoBody {
			_ = c.SetReadDeadline(by)
		}
		h.ServeHTTP(w, r)
	})
	return &http.Server{Handler: timed, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 64 << 10}
}

// stop lets requests that are under way end, but not for long.
func (s *servers) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if s.public == nil {
		_ = s.h.opts.Public.Close()
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

const streamPath = "/stream/market"

// publicMux is what browsers are answered by.
func (e *Engine) publicMux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(streamPath, e.hub)
	mux.Handle("/api/", e.history.Handler())
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		httperr.New(http.StatusNotFound, "there is nothing at %s; see /stream/market, /api/history, /api/symbols, /api/coverage, /api/market/status", httperr.Clip(r.URL.Path)).Write(w)
	})
	e.cors.next = mux
	return e.cors
}

// A client that finds nothing here yet is to come back after so many ms, and up to as many more.
const comeBackLeast, comeBackMore = 2000, 4000

// postpone answers while no document is served. Why is nothing to tell the world: /status does. An EventSource gives up for good at any status but 200, so it gets a
// stream that tells it when to come back, and ends.
func (h *host) postpone(w http.ResponseWriter, r *http.Request) {
	e := httperr.New(http.StatusServiceUnavailable, "this pod has nothing to serve yet; come back")
	after := comeBackLeast + rand.IntN(comeBackMore)
	w.Header().Set("Retry-After", strconv.Itoa((after+999)/1000))
	if r.URL.Path == streamPath {
		h.metrics.Rejected.WithLabelValues(strconv.Itoa(e.Code)).Inc()
	}
	if r.URL.Path != streamPath || r.URL.Query().Get("errors") == "http" || !strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		e.Write(w)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	body, _ := json.Marshal(map[string]any{"code": e.Code, "reason": e.Message}) // cannot fail
	_, _ = fmt.Fprintf(w, "retry: %d\n\nevent: status\ndata: %s\n\n", after, body)
}

func (h *host) internalMux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", h.metrics.Handler())
	mux.HandleFunc(peer.Path, h.serveRings)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := h.unready(); why != "" {
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.Handle("GET /status", podreport.Handler(h.report))
	return mux
}
