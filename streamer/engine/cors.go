package engine

import (
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"

	"github.com/marketstream/marketstream/streamer/httperr"
)

// exposedHeaders are what a page of another origin may read of an answer.
const exposedHeaders = "X-Market-Source, X-Market-Reason, X-Epoch-Id, X-Market-Cursor, ETag, Retry-After"

// cors lets pages of the configured origins in, with credentials, and refuses those of any
// other: a request that names no origin (a script, a page of this host) passes. It may be
// configured while it serves.
type cors struct {
	origins atomic.Pointer[[]string]
	next    http.Handler
}

func (c *cors) configure(origins []string) {
	o := slices.Clone(origins)
	c.origins.Store(&o)
}

func (c *cors) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		c.next.ServeHTTP(w, r)
		return
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	switch {
	case slices.Contains(*c.origins.Load(), origin):
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
		h.Set("Access-Control-Expose-Headers", exposedHeaders)
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
	case !sameHost(origin, r.Host):
		httperr.New(http.StatusForbidden, "the origin %s is not one of spec.access.allowedOrigins", httperr.Clip(origin)).Write(w)
		return
	}
	c.next.ServeHTTP(w, r)
}

func sameHost(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host == host
}
