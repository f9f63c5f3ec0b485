package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/marketstream/marketstream/streamer/httperr"
	"github.com/marketstream/marketstream/streamer/market"
	"github.com/marketstream/marketstream/streamer/ring"
)

// Path is where rings are read, on the internal port.
const Path = "/internal/rings"

const (
	// appliedWithin is how long a request waits for its position.
	appliedWithin = 2 * time.Second
	// atOnce is how many requests are answered at the same time; others wait.
	atOnce = 8
)

var errBusy = errors.New("too many requests")

// ServerOptions are what a server is made with.
type ServerOptions struct {
	Keys    *Keys
	Rings   *ring.Set
	Symbols *market.SymbolTable
	Epoch   string // of BARS
	// Tag returns the tag of the frame at a position that is applied; 0: not known.
	Tag func(seq uint64) uint32
	// Sent is told how many bytes an answer has; may be nil.
	Sent func(bytes int)
}

// Server answers other pods.
type Server struct {
	ServerOptions
	slots chan struct{}
}

// NewServer returns a server.
func NewServer(o ServerOptions) *Server {
	return &Server{ServerOptions: o, slots: make(chan struct{}, atOnce)}
}

// ServeHTTP answers POST /internal/rings.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		httperr.New(http.StatusMethodNotAllowed, "method %s: want POST", r.Method).Write(w)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		httperr.New(http.StatusRequestEntityTooLarge, "body: want at most %d bytes", maxBody).Write(w)
		return
	}
	by, signature, err := s.Keys.verify(r, body)
	if errors.Is(err, errBusy) {
		httperr.New(http.StatusServiceUnavailable, "%s", err.Error()).Write(w)
		return
	}
	if err != nil {
		httperr.New(http.StatusUnauthorized, "%s", err.Error()).Write(w)
		return
	}
	q, err := decodeRequest(body)
	if err != nil {
		httperr.New(http.StatusBadRequest, "body: %s", err.Error()).Write(w)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), appliedWithin)
	defer cancel()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		httperr.New(http.StatusServiceUnavailable, "%d requests are being answered; come back", atOnce).Write(w)
		return
	}
	answer, e := s.answer(ctx, q)
	if e != nil {
		e.Write(w)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	n, _ := w.Write(append(answer, by.seal(signature, answer)...)) // a broken connection is the asker's
	if s.Sent != nil {
		s.Sent(n)
	}
}

// answer makes the body of the answer.
func (s *Server) answer(ctx context.Context, q *Request) ([]byte, *httperr.Error) {
	if q.Epoch != s.Epoch {
		return nil, httperr.New(http.StatusConflict, "epoch: %q: this pod has %q", q.Epoch, s.Epoch)
	}
	if err := s.Rings.WaitApplied(ctx, q.Seq); err != nil {
		return nil, httperr.New(http.StatusServiceUnavailable, "position: %d is not applied yet, only %d", q.Seq, s.Rings.Applied())
	}
	applied := s.Rings.Applied() // before any ring is read
	if tag := s.Tag(q.Seq); q.Tag != 0 && tag != 0 && tag != q.Tag {
		return nil, httperr.New(http.StatusConflict, "position: at %d stands another frame here", q.Seq)
	}
	dst := binary.AppendUvarint([]byte{version}, applied)
	var bars []market.Bar
	given := 0
	for i := range q.Asks {
		a := &q.Asks[i]
		number, ok := s.Symbols.ID(a.Symbol)
		if !ok {
			dst = append(dst, byte(Lacks))
			continue
		}
		if given > 0 && len(dst) >= softAnswer {
			dst = append(dst, byte(Later))
			continue
		}
		var info ring.Info
		bars, info = s.Rings.Read(number, a.Timeframe, a.Query, bars[:0])
		if info.Missing {
			dst = append(dst, byte(Lacks))
			continue
		}
		dst = appendAnswer(dst, bars, info, a.Unless != 0 && a.Unless == info.Version)
		given++
	}
	return dst, nil
}
