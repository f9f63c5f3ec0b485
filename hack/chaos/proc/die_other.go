//go:build !linux

package proc

import "syscall"

// dieWithUs keeps the terminal's signals from a process: we stop it.
func dieWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
