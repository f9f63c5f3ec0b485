package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Program is one that is wanted of the machine, and Debian's package that has it.
type Program struct {
	Path    string // or a name to find in PATH
	Package string
}

// Cluster are the programs that a cluster wants of the machine.
var Cluster = []Program{
	{"containerd", "containerd"},
	{"runc", "runc"},
	{CNI + "/bridge", "containernetworking-plugins"},
	{"iptables", "iptables"},
	{"ip", "iproute2"},
	{"nsenter", "util-linux"},
	{"sysctl", "procps"},
	{"mount", "mount"},
}

// CNI is where Debian has the plugins of containers' networks.
const CNI = "/usr/lib/cni"

// Install installs what lacks, by apt. It says what it does.
func Install(ctx context.Context, log func(string), programs ...Program) error {
	var lacks []string
	for _, p := range programs {
		if _, err := exec.LookPath(p.Path); err != nil {
			lacks = append(lacks, p.Package)
		}
	}
	if len(lacks) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("this machine lacks %s, and has no apt-get to install them", strings.Join(lacks, ", "))
	}
	log("installing " + strings.Join(lacks, ", "))
	env := append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	install := func() error {
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{"install", "-y", "-qq", "--no-install-recommends"}, lacks...)...) //nolint:gosec // names of ours
		cmd.Env = env
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get install %s: %w\n%s", strings.Join(lacks, " "), err, out)
		}
		return nil
	}
	first := install()
	if first == nil {
		return nil
	}
	if err := Run(ctx, "apt-get", "update", "-qq"); err != nil { // the list may be old, or none
		return errors.Join(first, err)
	}
	return install()
}
