package httperr

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestWrite reads the exact answer; headers of the answer that failed are gone, others stay.
func TestWrite(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("ETag", `"x"`)
	w.Header().Set("Content-Length", "12345")
	w.Header().Set("X-Epoch-Id", "e")
	var err error = New(404, "symbol: this stream does not carry %q", "<NOPE>")
	var e *Error
	if !errors.As(err, &e) {
		t.Fatal("not an Error")
	}
	e.Write(w)
	const want = `{"error":{"code":404,"message":"symbol: this stream does not carry \"\u003cNOPE\u003e\""}}` + "\n"
	if w.Code != 404 || w.Body.String() != want {
		t.Errorf("%d %s, want %s", w.Code, w.Body, want)
	}
	h := w.Header()
	if h.Get("ETag") != "" || h.Get("Content-Length") != "" || h.Get("X-Epoch-Id") != "e" || h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", h)
	}
}

// TestClip cuts at 40 bytes, and never inside a character.
func TestClip(t *testing.T) {
	for s, want := range map[string]string{
		"":                                  "",
		strings.Repeat("x", 40):             strings.Repeat("x", 40),
		strings.Repeat("x", 41):             strings.Repeat("x", 40) + "…",
		strings.Repeat("x", 39) + "é" + "y": strings.Repeat("x", 39) + "…",
	} {
		if got := Clip(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}
