package history

import (
	"net/http"
	"time"
)

// patientBytes is what a client has to take within WriteTimeout.
const patientBytes = 64 << 10

// patient gives clients time to take their answers for as long as they do take them, but not
// for ever: a page of megabytes that nobody reads would stay with its goroutine.
func (s *Service) patient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &patientWriter{ResponseWriter: w, control: http.NewResponseController(w), each: s.opts.WriteTimeout,
			end: time.Now().Add(s.opts.Timeout + longestAnswer)}
		p.extend(s.opts.Timeout) // it has to be made first
		next.ServeHTTP(p, r)
	})
}

type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	each    time.Duration
	end     time.Time
}

// extend moves the deadline of what is written next. What is no connection has none.
func (p *patientWriter) extend(more time.Duration) {
	at := time.Now().Add(p.each + more)
	if at.After(p.end) {
		at = p.end
	}
	_ = p.control.SetWriteDeadline(at)
}

// Write implements http.ResponseWriter.
func (p *patientWriter) Write(b []byte) (n int, err error) {
	for {
		p.extend(0)
		m, err := p.ResponseWriter.Write(b[:min(len(b), patientBytes)])
		n += m
		if b = b[m:]; err != nil || len(b) == 0 {
			return n, err
		}
	}
}

// Unwrap is for http.ResponseController.
func (p *patientWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }
