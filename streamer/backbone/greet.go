package backbone

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	greetWithin = time.Second
	maxGreeting = 64 << 10
)

// clusterName names a generation. NATS joins nothing of another name, and says its own to
// whoever connects, before anything else: that is how nodes greet.
func clusterName(generation, replicas int) string {
	return fmt.Sprintf("marketstream-g%d-r%d", generation, replicas)
}

// ask returns what the nodes behind routes say, but self. Those that do not answer are left out.
func ask(ctx context.Context, routes []*url.URL, self string, t *nodeTLS) []greeting {
	answers := make([]*greeting, len(routes))
	var wait sync.WaitGroup
	for i, r := range routes {
		wait.Go(func() { answers[i] = askOne(ctx, r.Host, t) })
	}
	wait.Wait()
	var all []greeting
	for _, g := range answers {
		if g != nil && g.name != self {
			all = append(all, *g)
		}
	}
	return all
}

func askOne(ctx context.Context, address string, t *nodeTLS) *greeting {
	ctx, cancel := context.WithTimeout(ctx, greetWithin)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(greetWithin)); err != nil {
		return nil
	}
	if t != nil { // nodes speak TLS from the first byte on
		config := t.forNodes()
		if config.ServerName, _, err = net.SplitHostPort(address); err != nil {
			return nil
		}
		c = tls.Client(c, config)
	}
	in := bufio.NewScanner(c)
	in.Buffer(nil, maxGreeting)
	if !in.Scan() {
		return nil
	}
	return parseGreeting(in.Text())
}

// parseGreeting reads the first line that a node says; nil if it is none of ours.
func parseGreeting(line string) *greeting {
	text, ok := strings.CutPrefix(line, "INFO ")
	var info struct {
		Name    string `json:"server_name"`
		Cluster string `json:"cluster"`
	}
	if !ok || json.Unmarshal([]byte(text), &info) != nil {
		return nil
	}
	g := &greeting{name: info.Name}
	if n, err := fmt.Sscanf(info.Cluster, "marketstream-g%d-r%d", &g.generation, &g.replicas); n != 2 || err != nil {
		return nil
	}
	return g
}

// greeter says a greeting at the cluster port while no NATS server does.
type greeter struct {
	l     net.Listener
	ended chan struct{}
}

func startGreeter(address, name string, generation, replicas int, t *nodeTLS) (*greeter, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cluster port: %w", err)
	}
	if t != nil {
		l = tls.NewListener(l, t.forNodes())
	}
	line, err := json.Marshal(map[string]any{"server_id": name, "server_name": name, "version": "0.0.0", "proto": 1, "cluster": clusterName(generation, replicas)})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	g := &greeter{l: l, ended: make(chan struct{})}
	go func() {
		defer close(g.ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go greet(c, line) // for a second at most
		}
	}()
	return g, nil
}

func greet(c net.Conn, line []byte) {
	_ = c.SetDeadline(time.Now().Add(greetWithin))
	_, _ = fmt.Fprintf(c, "INFO %s\r\n", line)
	_ = c.Close()
}

func (g *greeter) stop() {
	if g != nil {
		_ = g.l.Close()
		<-g.ended
	}
}
