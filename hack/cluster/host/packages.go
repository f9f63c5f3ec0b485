package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// needed are the programs that a cluster wants of the machine, and Debian's packages that have them.
var needed = []struct{ path, pkg string }{
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

// Packages installs what lacks, by apt. It says what it does.
func Packages(ctx context.Context, log func(string)) error {
	var lacks []string
	for _, n := range needed {
		if _, err := exec.LookPath(n.path); err != nil {
			lacks = append(lacks, n.pkg)
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
