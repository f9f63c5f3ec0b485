package backbone

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/nats-io/nats-server/v2/server"
)

// tokenEvery is how often the credentials file is compared with what was read of it.
const tokenEvery = time.Second

// gate decides who may connect to a node. Clients are let in while it is open and their token
// is one of the last two that the file held; other nodes with the same tokens at any time. It implements
// server.Authentication for clients; see routeGate for nodes.
type gate struct {
	file    string // "": whoever comes is let in while it is open
	log     logr.Logger
	own     string // the token of this process
	changed func(newest string)

	mu      sync.Mutex
	open    bool
	tokens  [2]string // the newest first; "": none
	failure string    // why there is none
	mine    map[uint64]bool
}

func newGate(file string, log logr.Logger) *gate {
	g := &gate{file: file, log: log, own: rand.Text(), mine: map[uint64]bool{}}
	g.load()
	return g
}

// load reads the file, and reports whether its token is another one than before.
func (g *gate) load() bool {
	if g.file == "" {
		return false
	}
	c, err := ReadCredentials(g.file)
	if err == nil && c.Token == "" {
		err = errors.New("credentials " + g.file + ": want one token, on one line")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		if text := err.Error(); text != g.failure {
			g.log.Info("the credentials stay as they were", "reason", text)
			g.failure = text
		}
		return false
	}
	if g.failure = ""; c.Token == g.tokens[0] {
		return false
	}
	g.tokens = [2]string{c.Token, g.tokens[0]}
	return true
}

// watch reads the file again and again until done closes.
func (g *gate) watch(done <-chan struct{}) {
	tick := time.NewTicker(tokenEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			if g.load() {
				g.log.Info("the credentials have changed: the last two values are taken")
				g.changed(g.newest())
			}
		}
	}
}

func (g *gate) newest() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tokens[0]
}

// set opens or closes the gate.
func (g *gate) set(open bool) (changed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	changed, g.open = g.open != open, open
	return changed
}

// state returns whether clients are let in, and why not if the credentials are the reason.
func (g *gate) state() (open bool, failure string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.file != "" && g.tokens[0] == "" {
		return false, g.failure
	}
	return g.open, ""
}

// trouble is what is wrong with the file as it is; nil: nothing.
func (g *gate) trouble() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failure == "" {
		return nil
	}
	return errors.New(g.failure)
}

func sameToken(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// knows reports whether a token is one of the last two; with g.mu held.
func (g *gate) knows(token string) bool {
	if g.file == "" {
		return true
	}
	return token != "" && (sameToken(token, g.tokens[0]) || sameToken(token, g.tokens[1]))
}

// Check implements server.Authentication for clients.
func (g *gate) Check(c server.ClientAuthentication) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	token := c.GetOpts().Token
	if sameToken(token, g.own) {
		g.mine[c.GetID()] = true
		return true
	}
	return g.open && g.knows(token)
}

// kick closes the connections of clients, but this process's own.
func (g *gate) kick(srv *server.Server) {
	conns, err := srv.Connz(&server.ConnzOptions{Limit: 1 << 20})
	if err != nil {
		g.log.Info("the clients are not disconnected", "reason", err.Error())
		return
	}
	for _, c := range conns.Conns {
		g.mu.Lock()
		mine := g.mine[c.Cid]
		g.mu.Unlock()
		if !mine {
			_ = srv.DisconnectClientByID(c.Cid) // it may have gone by itself
		}
	}
}

// routeGate lets other nodes in.
type routeGate struct{ *gate }

// routeUser is what nodes call themselves to each other.
const routeUser = "node"

// Check implements server.Authentication for nodes.
func (g routeGate) Check(c server.ClientAuthentication) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := c.GetOpts()
	return o.Username == routeUser && g.knows(o.Password)
}

// forget drops the numbers of this process's connections: another server counts anew.
func (g *gate) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.mine)
}
