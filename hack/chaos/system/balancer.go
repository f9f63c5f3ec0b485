package system

import (
	"math/rand/v2"
	"net"
	"sync"

	"github.com/marketstream/marketstream/hack/chaos/link"
)

// served remembers which pod a client's connection reached.
type served struct {
	mu    sync.Mutex
	pods  map[string]string // by the client's address
	order []string
}

// mostServed is how many are remembered.
const mostServed = 20_000

// choose takes a connection to a pod that is ready, as a Service does.
func (s *System) choose(from net.Addr) (string, *link.Valve) {
	ready := s.Ready()
	if len(ready) == 0 {
		return "", nil
	}
	p := ready[rand.IntN(len(ready))]
	s.served.mu.Lock()
	defer s.served.mu.Unlock()
	if len(s.served.order) == mostServed {
		for _, a := range s.served.order[:mostServed/2] {
			delete(s.served.pods, a)
		}
		s.served.order = append(s.served.order[:0], s.served.order[mostServed/2:]...)
	}
	if _, known := s.served.pods[from.String()]; !known {
		s.served.order = append(s.served.order, from.String())
	}
	s.served.pods[from.String()] = p.Name()
	return p.public, p.Clients
}

// Pick returns the public port of a pod that is ready, for a client that connects without the balancer between; "": none is.
func (s *System) Pick() (address, pod string) {
	ready := s.Ready()
	if len(ready) == 0 {
		return "", ""
	}
	p := ready[rand.IntN(len(ready))]
	return p.public, p.Name()
}

// Served says which pod a connection from a client's address reached.
func (s *System) Served(client string) string {
	s.served.mu.Lock()
	defer s.served.mu.Unlock()
	return s.served.pods[client]
}
