package backbone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const moveRetry = time.Second

// move brings everything to another generation, and is done when the state says so. Killed
// anywhere, it begins again with what it finds: until the state is written the present store
// holds, and afterwards the new one, which was compared with it message by message.
//
//	1 → 3  the old store is opened without a port; three nodes start, and take no clients; what
//	       is missing there is copied
//	3 → 1  the nodes let their clients go, the streams are sealed, so that nobody can write, and
//	       copied into a new store without a port
func (n *Node) move(ctx context.Context, state nodeState) error {
	if err := n.setState(state); err != nil {
		return err
	}
	same := map[string]bool{} // streams that were found to be the same at three nodes
	for {
		err := n.tryMove(ctx, state, same)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		n.say(fmt.Sprintf("the move to %d nodes waits: %v", state.Move.Replicas, err))
		select {
		case <-time.After(moveRetry):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (n *Node) tryMove(ctx context.Context, state nodeState, same map[string]bool) error {
	m := state.Move
	if m.Replicas == 1 {
		clear(same)
		if err := os.RemoveAll(storeDir(n.o.Store, m.To)); err != nil { // what a start before this one left
			return fmt.Errorf("the new store: %w", err)
		}
	}
	if err := n.roomToMove(state); err != nil {
		return err
	}
	var old, fresh *nodeServer
	var err error
	hidden := func(s *nodeServer) {
		if s != nil && s.hidden {
			s.stop()
		}
	}
	if m.Replicas == 3 {
		if fresh, err = n.listening(m.To, 3); err != nil {
			return err
		}
		if err := fresh.assembled(ctx); err != nil {
			return err
		}
		if old, err = n.startServer(state.Generation, 1, true); err != nil {
			return err
		}
		defer hidden(old)
	} else {
		if old, err = n.listening(state.Generation, 3); err != nil {
			return err
		}
		if err := old.assembled(ctx); err != nil {
			return err
		}
		if err := n.closeAll(ctx, old, &state); err != nil {
			return err
		}
		if fresh, err = n.startServer(m.To, 1, true); err != nil {
			return err
		}
		defer hidden(fresh)
	}
	if err := n.copyAll(ctx, old, fresh, &state, same); err != nil {
		return err
	}
	n.step(&state, "verified")
	after := nodeState{Generation: m.To, Replicas: m.Replicas, Old: state.Generation}
	if m.Replicas == 1 {
		n.setServing(nil)
		fresh.stop()
		if err := syncTree(storeDir(n.o.Store, m.To)); err != nil { // all is on the disk before the state says so
			return err
		}
		defer old.stop()
	}
	if err := n.setState(after); err != nil {
		return err
	}
	n.say(fmt.Sprintf("moved to generation %d of %d nodes", after.Generation, after.Replicas))
	return nil
}

// listening returns the node's server of three nodes, with the gate shut.
func (n *Node) listening(generation, replicas int) (*nodeServer, error) {
	n.gate.set(false)
	if s := n.serving(); s != nil {
		return s, nil
	}
	n.say(fmt.Sprintf("starts generation %d of %d nodes", generation, replicas))
	s, err := n.startServer(generation, replicas, false)
	if err != nil {
		return nil, err
	}
	n.setServing(s)
	return s, nil
}

// assembled returns an error as long as the three nodes have not found each other.
func (s *nodeServer) assembled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, phaseWithin)
	defer cancel()
	if _, err := s.js.AccountInfo(ctx); err != nil {
		return fmt.Errorf("the nodes have not found each other: %w", unavailable(err))
	}
	return nil
}

// step says how far the move is.
func (n *Node) step(state *nodeState, what string) {
	state.Move.Step = what
	if err := n.setState(*state); err != nil {
		n.o.Log.Info("the step is not in the state", "step", what, "reason", err.Error())
	}
	n.say(fmt.Sprintf("move to %d nodes: %s", state.Move.Replicas, what))
}

// closeAll has all nodes let their clients go, and seals the streams: whoever is still
// connected somewhere can no longer write.
func (n *Node) closeAll(ctx context.Context, s *nodeServer, state *nodeState) error {
	n.step(state, "close")
	asking, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := s.tell(asking, phase{Generation: s.generation}); err != nil {
		return err
	}
	n.gate.kick(s.server())
	list, err := s.streams(asking)
	if err != nil {
		return err
	}
	if len(state.Move.Streams) == 0 {
		state.Move.Streams = list
	}
	n.step(state, "seal")
	for _, c := range list {
		if c.Sealed {
			continue
		}
		c.Sealed = true
		if _, err := s.js.UpdateStream(asking, c); err != nil {
			return fmt.Errorf("seal %s: %w", c.Name, unavailable(err))
		}
	}
	return nil
}

// copyAll copies what fresh does not have, and compares all of it.
func (n *Node) copyAll(ctx context.Context, old, fresh *nodeServer, state *nodeState, same map[string]bool) error {
	list := state.Move.Streams
	if state.Move.Replicas == 3 {
		var err error
		if list, err = old.streams(ctx); err != nil {
			return err
		}
	}
	for _, c := range list {
		c.Replicas = state.Move.Replicas
		if most := n.barsBytes(); kindOf(&c) == "BARS" && c.MaxBytes > most {
			c.MaxBytes = most
		}
		if same[c.Name] {
			continue
		}
		n.step(state, "verify "+c.Name)
		err := sameStream(ctx, old, fresh, c.Name)
		if same[c.Name] = err == nil; err == nil {
			continue
		}
		if errors.Is(err, errDiffers) {
			n.say("what was copied before is not whole, and is copied again: " + err.Error())
			if err := fresh.js.DeleteStream(ctx, c.Name); err != nil {
				return fmt.Errorf("copy %s again: %w", c.Name, unavailable(err))
			}
		} else if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return err
		}
		n.step(state, "copy "+c.Name)
		if err := copyStream(ctx, old, fresh, c, n.copied(c.Name)); err != nil {
			return err
		}
		n.step(state, "compare "+c.Name)
		if err := sameStream(ctx, old, fresh, c.Name); err != nil {
			return err
		}
		same[c.Name] = true
	}
	return nil
}

// copied says how far a copy is, every 64 MiB.
func (n *Node) copied(stream string) func(int64) {
	const every = 64 << 20
	said := int64(0)
	return func(bytes int64) {
		if bytes-said >= every {
			said = bytes
			n.say(fmt.Sprintf("copied %d MiB of %s", bytes>>20, stream))
		}
	}
}
