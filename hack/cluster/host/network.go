package host

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Run runs a program to its end; what it printed is in the error.
func Run(ctx context.Context, name string, args ...string) error {
	_, err := Output(ctx, nil, name, args...)
	return err
}

// Output runs a program with an input, and gives what it prints.
func Output(ctx context.Context, in []byte, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // it is what we are for
	cmd.Stdin = bytes.NewReader(in)
	var out, bad bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &bad
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, strings.TrimSpace(bad.String()))
	}
	return out.Bytes(), nil
}

// NamespacePath is the file that keeps a network namespace.
func NamespacePath(name string) string { return filepath.Join("/run/netns", name) }

// Bridge is a switch of this machine, at which namespaces have a port each.
type Bridge struct {
	Name string
	At   netip.Prefix // the machine's own address, with the network
}

// Up makes the bridge.
func (b Bridge) Up(ctx context.Context) error {
	if !link(b.Name) {
		if err := Run(ctx, "ip", "link", "add", b.Name, "type", "bridge"); err != nil {
			return err
		}
	}
	if err := Run(ctx, "ip", "addr", "replace", b.At.String(), "dev", b.Name); err != nil {
		return err
	}
	return Run(ctx, "ip", "link", "set", b.Name, "up")
}

// Down removes it.
func (b Bridge) Down(ctx context.Context) error {
	if !link(b.Name) {
		return nil
	}
	return Run(ctx, "ip", "link", "del", b.Name)
}

// Namespace makes a network namespace with an address at the bridge.
func (b Bridge) Namespace(ctx context.Context, name string, ip netip.Addr) error {
	if !exists(NamespacePath(name)) {
		if err := Run(ctx, "ip", "netns", "add", name); err != nil {
			return err
		}
	}
	port := name + "-br"
	if !link(port) {
		if err := Run(ctx, "ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"ip", "link", "set", port, "master", b.Name, "up"},
		in(name, "ip", "link", "set", "lo", "up"),
		in(name, "ip", "addr", "replace", netip.PrefixFrom(ip, b.At.Bits()).String(), "dev", "eth0"),
		in(name, "ip", "link", "set", "eth0", "up"),
		in(name, "ip", "route", "replace", "default", "via", b.At.Addr().String()),
		in(name, "sysctl", "-qw", "net.ipv4.ip_forward=1"),
	} {
		if err := Run(ctx, args[0], args[1:]...); err != nil {
			return err
		}
	}
	// Traffic that a bridge of pods switches must pass iptables, where Services are made; some kernels always do.
	_ = Run(ctx, "nsenter", in(name, "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1")[1:]...)
	return nil
}

// Route has a namespace, or with an empty name this machine, reach a network by way of an address.
func (b Bridge) Route(ctx context.Context, name string, to netip.Prefix, via netip.Addr) error {
	args := []string{"ip", "route", "replace", to.String(), "via", via.String()}
	if name != "" {
		args = in(name, args...)
	}
	return Run(ctx, args[0], args[1:]...)
}

// DeleteNamespace removes a network namespace, and its port with it.
func DeleteNamespace(ctx context.Context, name string) error {
	if !exists(NamespacePath(name)) {
		return nil
	}
	return Run(ctx, "ip", "netns", "del", name)
}

// in is a command in a namespace.
func in(name string, args ...string) []string {
	return append([]string{"nsenter", "--net=" + NamespacePath(name), "--"}, args...)
}

func link(name string) bool { return exists(filepath.Join("/sys/class/net", name)) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
