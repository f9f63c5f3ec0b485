package podreport

import (
	"encoding/json"
	"net/http"
)

// Handler answers GET /status with what report returns. Whatever plays a pod in a test answers with it too.
func Handler(report func() Report) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		_ = enc.Encode(report()) // a broken connection is the reader's
	})
}
