package backbone

import (
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// mute makes connections of which only the first is answered.
type mute struct {
	*nodeServer
	made chan net.Conn
}

func (m *mute) InProcessConn() (net.Conn, error) {
	select {
	case c := <-m.made: // the second and later ones
		m.mu.Lock()
		m.pipe = c
		m.mu.Unlock()
		return c, nil
	default:
		return m.nodeServer.InProcessConn()
	}
}

// TestStopWhileConnecting: the node's own connection is cut by the server that ends, and made again to one that does not answer
// any more: that does not hold the stop up until its time is out.
func TestStopWhileConnecting(t *testing.T) {
	o := testNodes(t, 1)[0]
	n := mustStart(t, o)
	eventually(t, "it is ready", n.Ready)
	s := n.serving()
	m := &mute{nodeServer: s, made: make(chan net.Conn, 1)}
	nc, err := nats.Connect("", nats.InProcessServer(m), nats.Token(n.gate.own), nats.Timeout(time.Hour), nats.FlusherTimeout(time.Hour), nats.MaxReconnects(-1), nats.ReconnectWait(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	first := s.pipe
	s.mu.Unlock()
	here, there := net.Pipe()
	m.made <- here
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = there.Write([]byte("INFO {\"max_payload\":1024}\r\n")) }() // and nothing more
	eventually(t, "it waits for an answer", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.pipe != here {
			return errNoPhase
		}
		return nil
	})
	own := s.nc
	s.nc = nc
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.hangUp()
	}()
	select {
	case <-done:
	case <-time.After(hangs):
		t.Error("the stop waits for an answer that does not come")
		_ = here.Close()
		<-done
	}
	own.Close()
}
