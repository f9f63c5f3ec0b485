package stream

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/marketstream/marketstream/streamer/httperr"
	"github.com/marketstream/marketstream/streamer/market"
)

// ServeHTTP answers GET /stream/market.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		h.refuse(w, httperr.New(http.StatusMethodNotAllowed, "method %s: want GET", r.Method))
		return
	}
	set := h.settings.Load()
	q, err := parseQuery(r, set)
	switch {
	case h.draining.Load():
		h.postpone(w, r, q, httperr.New(http.StatusServiceUnavailable, "this pod is draining; come back"))
		return
	case err != nil:
		h.refuse(w, err)
		return
	case r.Method == http.MethodHead:
		h.streamHeaders(w.Header())
		return
	}
	if n := h.open.Add(1); n > int64(set.MaxConnections) {
		h.open.Add(-1)
		h.postpone(w, r, q, httperr.New(http.StatusTooManyRequests, "this pod has its %d streams; come back", set.MaxConnections))
		return
	}
	h.opts.Metrics.Connections(int(h.open.Load()))
	h.begin(w, r, q, set)
}

// refuse answers with an error that a retry does not mend.
func (h *Hub) refuse(w http.ResponseWriter, e *httperr.Error) {
	h.opts.Metrics.Rejected(e.Code)
	e.Write(w)
}

// postpone answers 429 or 503. An EventSource gives up for good at any status but 200, so
// it gets a stream that tells it when to come back, and ends.
func (h *Hub) postpone(w http.ResponseWriter, r *http.Request, q *query, e *httperr.Error) {
	after := retryMs()
	w.Header().Set("Retry-After", strconv.FormatInt((after+999)/1000, 10))
	if q.httpErrors || !strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		h.refuse(w, e)
		return
	}
	h.opts.Metrics.Rejected(e.Code)
	h.streamHeaders(w.Header())
	w.WriteHeader(http.StatusOK)
	body, _ := json.Marshal(map[string]any{"source": h.settings.Load().Source, "code": e.Code, "reason": e.Message})
	_, _ = fmt.Fprintf(w, "retry: %d\n\nevent: status\ndata: %s\n\n", after, body)
}

func (h *Hub) streamHeaders(head http.Header) {
	head.Set("Content-Type", "text/event-stream")
	head.Set("Cache-Control", "no-store")
	head.Set("X-Accel-Buffering", "no")
	head.Set("X-Market-Source", h.settings.Load().Source)
	head.Set("X-Market-Reason", h.status.Load().Reason)
	head.Set("X-Epoch-Id", h.opts.Epoch)
}

// begin takes the connection over and writes what comes before live events.
func (h *Hub) begin(w http.ResponseWriter, r *http.Request, q *query, set *settings) {
	h.streamHeaders(w.Header())
	conn, finished, err := takeOver(w, r)
	if err != nil {
		h.leave()
		h.opts.Log.V(1).Info("a connection could not be taken over", "reason", err.Error())
		return
	}
	c := h.newClient(conn, q, set)
	if err := h.preface(r.Context(), c, q, set); err != nil {
		h.drop(c)
	} else {
		h.hand(c)
	}
	if finished != nil {
		select { // HTTP/2: the stream lives as long as the handler
		case <-finished:
		case <-r.Context().Done():
			if p, ok := conn.(*pipeConn); ok {
				p.gone()
			}
			<-finished
		}
	}
}

// hand gives a client to a loop.
func (h *Hub) hand(c *client) {
	l := h.loops[h.nextLoop.Add(1)%uint64(len(h.loops))]
	select {
	case l.add <- c:
	case <-h.closed:
		h.drop(c)
	}
}

func (h *Hub) newClient(conn conn, q *query, set *settings) *client {
	now := time.Now()
	c := &client{conn: conn, want: q.want, phase: uint8(h.nextLoop.Load() / uint64(len(h.loops)) % 200), status: h.status.Load().version,
		cut: h.cut.Load().n, nextPing: now.Add(set.HeartbeatInterval), nextID: now.Add(min(quietID, set.HeartbeatInterval))}
	for _, sym := range q.symbols {
		c.symbols = append(c.symbols, sym.Number)
		c.mask |= 1 << market.PartitionOf(sym.Name)
	}
	slices.Sort(c.symbols)
	for _, tf := range q.timeframes {
		c.tfs |= 1 << tf
	}
	c.adopt(set, &h.ticks)
	h.demand.add(c, 1)
	return c
}

// takeOver takes the connection from net/http, after which nothing of that server is left,
// or makes a pipe to it where it cannot be taken (HTTP/2).
func takeOver(w http.ResponseWriter, r *http.Request) (conn, <-chan struct{}, error) {
	control := http.NewResponseController(w)
	head := w.Header().Clone()
	if r.ProtoMajor == 1 {
		if raw, _, err := control.Hijack(); err == nil { // what is buffered is nothing of a client that only reads
			c, err := hijacked(raw)
			if err != nil {
				_ = raw.Close()
				return nil, nil, err
			}
			if err := c.Write(responseHead(head), prefaceTimeout); err != nil {
				c.Close()
				return nil, nil, err
			}
			return c, nil, nil
		}
	}
	_ = control.SetWriteDeadline(time.Time{}) // what a server sets for answers that end; a recorder has none
	w.WriteHeader(http.StatusOK)
	if err := control.Flush(); err != nil {
		return nil, nil, err
	}
	finished := make(chan struct{})
	return newPipeConn(w, control.Flush, func() { close(finished) }), finished, nil
}

func hijacked(raw net.Conn) (conn, error) {
	if tcp, ok := raw.(*net.TCPConn); ok {
		return newTCPConn(tcp)
	}
	if err := raw.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return newPipeConn(raw, func() error { return nil }, func() { _ = raw.Close() }), nil
}

// responseHead is the head of an HTTP/1.1 answer whose body ends with the connection.
func responseHead(head http.Header) []byte {
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\nDate: " + time.Now().UTC().Format(http.TimeFormat) + "\r\nConnection: close\r\n")
	_ = head.Write(&b) // a Builder takes everything
	b.WriteString("\r\n")
	return []byte(b.String())
}
