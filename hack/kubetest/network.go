package kubetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
)

// network gives pods their addresses and opens their ports.
type network struct {
	prefix   netip.Prefix
	loopback bool

	mu   sync.Mutex
	next netip.Addr
	at   map[netip.AddrPort]string // where a port of a pod is really, if its address is none of this machine
}

func newNetwork(cidr string) (*network, error) {
	if cidr == "" {
		// Another test binary has pods too, and perhaps something listens at 127.0.x.x.
		start := netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(250)), byte(rand.IntN(256)), 1})
		return &network{prefix: netip.MustParsePrefix("127.0.0.0/8"), loopback: true, next: start}, nil
	}
	p, err := netip.ParsePrefix(cidr)
	if err != nil {
		return nil, fmt.Errorf("PodCIDR: %w", err)
	}
	return &network{prefix: p, next: p.Masked().Addr().Next(), at: map[netip.AddrPort]string{}}, nil
}

// open gives a pod an address of its own and listens at its ports there.
func (n *network) open(ports []int32) (netip.Addr, []net.Listener, error) {
	for range 100 {
		ip := n.take()
		listeners, err := n.listen(ip, ports)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue // another test binary's pod
		}
		return ip, listeners, err
	}
	return netip.Addr{}, nil, errors.New("no free address for a pod after 100")
}

func (n *network) take() netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	ip := n.next
	if n.next = ip.Next(); !n.prefix.Contains(n.next) {
		n.next = n.prefix.Masked().Addr().Next()
	}
	return ip
}

func (n *network) listen(ip netip.Addr, ports []int32) (out []net.Listener, err error) {
	for _, port := range ports {
		at := "127.0.0.1:0"
		if n.loopback {
			at = net.JoinHostPort(ip.String(), strconv.Itoa(int(port)))
		}
		l, err := net.Listen("tcp", at)
		if err != nil {
			for _, l := range out {
				_ = l.Close()
			}
			return nil, err
		}
		out = append(out, l)
		if !n.loopback {
			n.mu.Lock()
			n.at[netip.AddrPortFrom(ip, uint16(port))] = l.Addr().String()
			n.mu.Unlock()
		}
	}
	return out, nil
}

// close forgets where a pod's ports were.
func (n *network) close(ip netip.Addr, ports []int32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, port := range ports {
		delete(n.at, netip.AddrPortFrom(ip, uint16(port)))
	}
}

// Dial connects to a pod's address as a cluster's network would, and to any other address as net does.
func (n *Nodes) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if a, err := netip.ParseAddrPort(address); err == nil && !n.net.loopback && n.net.prefix.Contains(a.Addr()) {
		n.net.mu.Lock()
		at, open := n.net.at[a]
		n.net.mu.Unlock()
		if !open {
			return nil, &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(a), Err: syscall.ECONNREFUSED}
		}
		address = at
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}
