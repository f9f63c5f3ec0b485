package proc

import "syscall"

// dieWithUs has the kernel end a process when ours does, however it does.
func dieWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
