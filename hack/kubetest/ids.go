package kubetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// The programs that envtest starts for us, by their names.
const (
	apiServer = "kube-apiserver"
	etcd      = "etcd"
)

// ids knows the processes that envtest starts. It keeps their ids to itself, and they would outlive a test binary that
// is killed. So it is given links to the test binary under their names: started by one, our init (below) writes its id
// down, asks the kernel to end it with its parent, and becomes the real program.
type ids struct {
	dir string
}

// real is the link to where the programs are, beside the links.
const real = "real"

// lay makes the directory of links.
func (i *ids) lay(dir, assets string) (string, error) {
	i.dir = dir
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	for link, to := range map[string]string{real: assets, apiServer: self, etcd: self} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func init() {
	dir, name := filepath.Split(os.Args[0])
	if name != apiServer && name != etcd {
		return
	}
	err := os.WriteFile(filepath.Join(dir, name+".pid"), []byte(strconv.Itoa(os.Getpid())), 0o600)
	if err == nil {
		err = endWithParent()
	}
	if err == nil {
		err = syscall.Exec(filepath.Join(dir, real, name), os.Args, os.Environ())
	}
	fmt.Fprintf(os.Stderr, "become %s: %v\n", name, err)
	os.Exit(1)
}

// signal reaches a program that was started last under a name.
func (i *ids) signal(name string, s syscall.Signal) error {
	text, err := os.ReadFile(filepath.Join(i.dir, name+".pid"))
	if err != nil {
		return fmt.Errorf("id of %s: %w", name, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("id of %s: %w", name, err)
	}
	return syscall.Kill(pid, s)
}

func (i *ids) pause(name string) error  { return i.signal(name, syscall.SIGSTOP) }
func (i *ids) resume(name string) error { return i.signal(name, syscall.SIGCONT) }
func (i *ids) kill(name string) error   { return i.signal(name, syscall.SIGKILL) }
