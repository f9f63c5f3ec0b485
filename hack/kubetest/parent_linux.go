package kubetest

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// endWithParent has the kernel end us when our parent ends. It stays so in the program that we become.
func endWithParent() error {
	return unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0)
}
