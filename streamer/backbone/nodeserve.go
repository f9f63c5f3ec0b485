package backbone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	nodesSubject = "marketstream.nodes"
	// askFirstEvery is how often a node looks whether the first one has gone to another generation.
	askFirstEvery = time.Second
	phaseWithin   = time.Second
)

// phase is what the nodes of a generation know together: the last message of NODES.
type phase struct {
	Generation int `json:"generation"`
	// Open: clients are let in. Closed once and for all when a move leaves the generation.
	Open bool `json:"open"`
}

// serve runs the server of the present generation until ctx ends, or the first node goes to another one.
func (n *Node) serve(ctx context.Context, state nodeState) error {
	s := n.serving()
	if s == nil {
		n.say(fmt.Sprintf("starts generation %d of %d nodes", state.Generation, state.Replicas))
		var err error
		if s, err = n.startServer(state.Generation, state.Replicas, false); err != nil {
			return err
		}
		n.setServing(s)
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var asked time.Time
	for {
		open, err := n.look(ctx, s)
		if n.gate.set(open) && !open {
			n.gate.kick(s.server())
		}
		switch {
		case err != nil:
			n.say(fmt.Sprintf("serves generation %d; waiting: %v", s.generation, err))
		case !open:
			n.say(fmt.Sprintf("generation %d takes no clients any more: the backbone moves", s.generation))
		default:
			n.say(fmt.Sprintf("serves generation %d of %d nodes", s.generation, s.replicas))
			if err := n.settle(ctx, s); err != nil {
				return err
			}
		}
		if n.ordinal > 0 && time.Since(asked) > askFirstEvery {
			asked = time.Now()
			if d := decide(n.getState(), n.ordinal, n.o.Replicas, ask(ctx, n.routes, n.o.Name, n.tls), false); d.do == adopt && ctx.Err() == nil {
				n.gate.set(false)
				n.setServing(nil)
				s.stop()
				return nil
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// settle removes the store of the generation before, once every node has what it held.
func (n *Node) settle(ctx context.Context, s *nodeServer) error {
	state := n.getState()
	if state.Old == 0 || s.current() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := s.replicated(ctx); err != nil {
		n.o.Log.V(1).Info("the store before stays", "generation", state.Old, "reason", err.Error())
		return nil
	}
	return n.removeOld(state)
}

// look returns whether clients may come in: what NODES says, which the first node makes.
func (n *Node) look(ctx context.Context, s *nodeServer) (open bool, err error) {
	p, err := s.phase(ctx)
	if n.ordinal == 0 && !s.opened && (errors.Is(err, errNoPhase) || err == nil && p.Open) {
		err = s.openNodes(ctx) // with the settings that this start found
		s.opened = err == nil
		p = phase{Generation: s.generation, Open: err == nil}
	}
	if err != nil {
		// Without an answer nobody could be served; who is in may stay.
		was, _ := n.gate.state()
		return was, err
	}
	return p.Open && p.Generation == s.generation, nil
}

var errNoPhase = errors.New("the nodes have not opened this generation yet")

// phase asks for the last message of NODES.
func (s *nodeServer) phase(ctx context.Context) (p phase, err error) {
	ctx, cancel := context.WithTimeout(ctx, phaseWithin)
	defer cancel()
	stream, err := s.js.Stream(ctx, nodesStream)
	if err == nil {
		var m *jetstream.RawStreamMsg
		if m, err = stream.GetLastMsgForSubject(ctx, nodesSubject); err == nil {
			err = json.Unmarshal(m.Data, &p)
		}
	}
	if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrMsgNotFound) {
		return p, errNoPhase
	}
	if err != nil {
		return p, fmt.Errorf("ask the other nodes: %w", err)
	}
	return p, nil
}

// openNodes makes NODES and says in it that clients may come.
func (s *nodeServer) openNodes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	_, err := s.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: nodesStream, Subjects: []string{nodesSubject}, Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
		MaxMsgs: -1, MaxMsgsPerSubject: 1, MaxBytes: 1 << 20, MaxConsumers: -1, Replicas: s.replicas,
		Metadata: map[string]string{
			barsBytesKey:  strconv.FormatInt(s.n.barsBytes(), 10),
			ticksBytesKey: strconv.FormatInt((s.n.o.MaxMemory-slack)/2, 10),
		},
	})
	if err != nil {
		return fmt.Errorf("make %s: %w", nodesStream, err)
	}
	return s.tell(ctx, phase{Generation: s.generation, Open: true})
}

// tell says to all nodes whether clients are let in.
func (s *nodeServer) tell(ctx context.Context, p phase) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if _, err = s.js.Publish(ctx, nodesSubject, data); err != nil {
		return fmt.Errorf("tell the other nodes: %w", err)
	}
	return nil
}
