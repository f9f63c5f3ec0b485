package kubetest

import (
	"context"
	"net/http"
)

// Program plays what runs in a pod. Its methods are called from several goroutines.
type Program interface {
	// ServeHTTP answers on every port that the pod's probes name, and on the port called internal.
	http.Handler
	// Mounted is called before the pod serves, and each time that the files of its volumes have changed.
	Mounted()
	// Terminate is SIGTERM. It returns when the process would have ended. At the end of the grace period, ctx ends;
	// that is SIGKILL.
	Terminate(ctx context.Context)
}

// Idle is a program that is always ready and ends when it is told to.
type Idle struct{}

func (Idle) ServeHTTP(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) }

// Mounted does nothing.
func (Idle) Mounted() {}

// Terminate ends at once.
func (Idle) Terminate(context.Context) {}
