package vendortest

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"
)

// DropAll cuts every connection without a word.
func (s *Server) DropAll() {
	for _, c := range s.Clients() {
		c.Abort()
	}
}

// RefuseFor refuses connections for a while: with an HTTP status, or, with 0, by hanging up.
func (s *Server) RefuseFor(d time.Duration, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse.until, s.refuse.status = s.opts.Now().Add(d), status
}

// Die makes every open connection half open: nothing comes from it any more and nothing is answered, and nobody is told.
// It counts no longer; new connections live.
func (s *Server) Die() {
	s.mu.Lock()
	dying := s.clients
	s.dead, s.clients = append(s.dead, dying...), nil
	for _, c := range dying {
		c.wire.Die()
	}
	s.mu.Unlock()
	for _, c := range dying {
		s.script.Closed(c)
	}
}

// CutAfter ends each of the next connections once it was sent n bytes, those of TLS and of the handshake counted.
func (s *Server) CutAfter(n int64, connections int) {
	s.sockets.CutAfter(n, connections, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.counts.Cut++
	})
}

// Pongs turns answers to pings on or off.
func (s *Server) Pongs(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pongless = !on
}

// Raw sends every connection a text frame.
func (s *Server) Raw(text []byte) {
	for _, c := range s.Clients() {
		c.Send(text)
	}
}

// RESTFault is how REST goes wrong.
type RESTFault struct {
	// Times is how many requests go wrong; 0: all until the next call.
	Times int
	// After is how many requests go well before.
	After int
	// Status is answered instead of a page, with RetryAfter if that is not 0.
	Status     int
	RetryAfter time.Duration
	// Body is answered instead of the vendor's words.
	Body string
	// Delay comes before every answer.
	Delay time.Duration
	// Cut ends the body in its middle.
	Cut bool
	// Empty answers a page without anything in it, though there is something.
	Empty bool
}

// REST makes REST go wrong; the zero value mends it.
func (s *Server) REST(f RESTFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest = f
}

// EmptyPage is the header of a request whose answer is to be a page without anything in it.
const EmptyPage = "X-Vendortest-Empty"

// serveREST answers a request, or does with it what a fault wants.
func (s *Server) serveREST(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.counts.Requests++
	f := RESTFault{}
	if s.rest != f {
		switch {
		case s.rest.After > 0:
			s.rest.After--
		default:
			f = s.rest
			s.counts.Faulty++
			if s.rest.Times == 1 {
				s.rest = RESTFault{}
			} else if s.rest.Times > 1 {
				s.rest.Times--
			}
		}
	}
	s.mu.Unlock()
	if f.Delay > 0 {
		t := time.NewTimer(f.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.Context().Done():
			return
		case <-s.stop:
			return
		}
	}
	if f.Status != 0 {
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int((f.RetryAfter+time.Second-1)/time.Second)))
		}
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte(f.Body))
		return
	}
	r.Header.Del(EmptyPage)
	if f.Empty {
		r.Header.Set(EmptyPage, "1")
	}
	if !f.Cut {
		s.script.REST(w, r)
		return
	}
	whole := httptest.NewRecorder()
	s.script.REST(whole, r)
	body := bytes.Clone(whole.Body.Bytes())
	for name, values := range whole.Header() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(whole.Code)
	_, _ = w.Write(body[:len(body)/2])
}
