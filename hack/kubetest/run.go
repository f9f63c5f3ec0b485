package kubetest

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// Run runs the tests of a binary on a Plane, which ready gets before they start, and returns the exit code.
func Run(m *testing.M, opts Options, ready func(*Plane) error) int {
	p, err := Start(context.Background(), opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubetest:", err)
		return 1
	}
	code := 1
	if err := ready(p); err != nil {
		fmt.Fprintln(os.Stderr, "kubetest:", err)
	} else {
		code = m.Run()
	}
	if err := p.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "kubetest: stop:", err)
		return 1
	}
	return code
}
