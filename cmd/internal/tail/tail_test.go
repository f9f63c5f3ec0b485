package tail

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// firstLine is a writer that ends a tail with the first thing that is written to it.
type firstLine struct {
	strings.Builder
	end context.CancelFunc
}

func (f *firstLine) Write(p []byte) (int, error) {
	f.end()
	return f.Builder.Write(p)
}

// TestComesBackWhenAsked: the time that a stream asks for as it ends, without an event, is waited
// for, whether it ends in order or is cut off.
func TestComesBackWhenAsked(t *testing.T) {
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprint("cut ", cut), func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = fmt.Fprint(w, "id: 7\n\nretry: 4000\n\n")
				_ = http.NewResponseController(w).Flush()
				if cut {
					panic(http.ErrAbortHandler)
				}
			}))
			defer s.Close()
			ctx, end := context.WithTimeout(t.Context(), time.Minute)
			defer end()
			errs := &firstLine{end: end}
			tailer := Tailer{URL: s.URL, Client: s.Client(), Out: &strings.Builder{}, Errs: errs}
			if err := tailer.Run(ctx); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(errs.String(), "trying again in 4s") || tailer.lastID != "7" {
				t.Errorf("it says %q, and is at %q", errs.String(), tailer.lastID)
			}
		})
	}
}
