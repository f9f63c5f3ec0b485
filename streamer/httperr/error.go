package httperr

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Error is an answer with a status of 400 or above.
type Error struct {
	Code    int
	Message string
}

// New makes an error; the message is formatted as fmt does.
func New(code int, format string, args ...any) *Error {
	return &Error{code, fmt.Sprintf(format, args...)}
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Write answers with e. What w's headers said of an answer that did not come about goes.
func (e *Error) Write(w http.ResponseWriter) {
	body, _ := json.Marshal(map[string]any{"error": map[string]any{"code": e.Code, "message": e.Message}}) // cannot fail
	h := w.Header()
	h.Del("ETag")
	h.Del("Content-Length")
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(e.Code)
	_, _ = w.Write(append(body, '\n'))
}

// Clip shortens a value that a client sent, for a message.
func Clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
