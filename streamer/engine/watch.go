package engine

import (
	"bytes"
	"context"
	"os"
	"time"
)

// watchEvery is how often the document is looked at. A read of a few kilobytes, in place of
// file-system events: those are lost on the links that Kubernetes swaps under a mounted
// ConfigMap and on network file systems.
const watchEvery = 500 * time.Millisecond

// watch calls changed with the content of path whenever it differs from the last, until ctx
// ends. failed is called once when it cannot be read, and again only after it could.
func watch(ctx context.Context, path string, last []byte, changed func([]byte), failed func(error)) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	readable := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		data, err := os.ReadFile(path)
		if err != nil {
			if readable {
				failed(err)
			}
			readable = false
			continue
		}
		readable = true
		if !bytes.Equal(data, last) && len(bytes.TrimSpace(data)) > 0 { // an editor truncates first
			last = data
			changed(data)
		}
	}
}
