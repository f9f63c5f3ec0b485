package backbone

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
)

// nodeState is what a node knows of itself over a restart: a file beside its stores. Each
// store is a generation: a move between one node and three begins a new one, and a node never
// joins a generation that it is not of.
type nodeState struct {
	// Generation is that of the store in use; 0: none yet.
	Generation int `json:"generation"`
	// Replicas are the nodes of that generation: 1 or 3.
	Replicas int `json:"replicas,omitempty"`
	// Old is a generation whose store is to be removed once the present one is ready; 0: none.
	Old int `json:"old,omitempty"`
	// Move is a change of the number of nodes that is under way, at the first node alone.
	Move *nodeMove `json:"move,omitempty"`
}

// nodeMove is a change to another generation. Until it is done the present one holds.
type nodeMove struct {
	To       int    `json:"to"`       // generation
	Replicas int    `json:"replicas"` // its nodes
	Step     string `json:"step"`     // for whoever reads the file: a start goes on by what it finds
	// Streams are the settings of the streams of three nodes before they were sealed.
	Streams []jetstream.StreamConfig `json:"streams,omitempty"`
}

const stateFile = "node.json"

func storeDir(dir string, generation int) string {
	return filepath.Join(dir, "g"+strconv.Itoa(generation))
}

// readState reads the state of a node; one that never was started has none.
func readState(dir string) (s nodeState, err error) {
	path := filepath.Join(dir, stateFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err == nil && (s.Generation < 0 || s.Replicas != 1 && s.Replicas != 3) {
		err = fmt.Errorf("generation %d of %d nodes: want 1 or 3 nodes", s.Generation, s.Replicas)
	}
	if err != nil {
		return s, fmt.Errorf("state of the node %s: %w", path, err)
	}
	return s, nil
}

// write replaces the state. It is on the disk when this returns.
func (s nodeState) write(dir string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, stateFile)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("state of the node: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("state of the node: %w", err)
	}
	return nil
}

// syncDir syncs a file or a directory.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// syncTree has everything below dir on the disk when it returns.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && (d.IsDir() || d.Type().IsRegular()) {
			err = syncDir(path)
		}
		if err != nil {
			return fmt.Errorf("sync %s: %w", path, err)
		}
		return nil
	})
}

// greeting is what a node says to whoever asks at its cluster port.
type greeting struct {
	name       string
	generation int // 0: it has no store yet
	replicas   int
}

// todo is what a node does next.
type todo uint8

const (
	wait  todo = iota // for others
	serve             // the present generation
	adopt             // become a member of another generation
	found             // begin the first generation
	idle              // the backbone has become one node, and this is another
	move              // to another number of nodes
)

func (t todo) String() string {
	return [...]string{"wait", "serve", "adopt", "found", "idle", "move"}[t]
}

// decision says what to do and why.
type decision struct {
	do  todo
	to  nodeState // adopt, found, move: what the state becomes
	why string
}

// decide says what a node does, from its state, its place, the number of nodes that is
// wanted and what the others say. alone: no others are known.
//
// The first node (ordinal 0) says which generation holds; the others follow. One that lost
// its disk learns from them, and founds a backbone only when every other node says that it has nothing.
func decide(s nodeState, ordinal, wanted int, others []greeting, alone bool) decision {
	if ordinal > 0 {
		return decideFollower(s, others)
	}
	newest := greeting{}
	for _, g := range others {
		if g.generation > newest.generation {
			newest = g
		}
	}
	switch {
	case s.Move != nil:
		return decision{do: move, to: s, why: "a move is under way"}
	case s.Generation > 0 && newest.generation > s.Generation && newest.replicas == 3:
		return decision{do: wait, why: fmt.Sprintf("%s is of generation %d and this node's store of %d: an old store was put in its place", newest.name, newest.generation, s.Generation)}
	case s.Generation > 0 && s.Replicas == wanted:
		return decision{do: serve}
	case s.Generation > 0 && wanted == 1 && alone:
		return decision{do: wait, why: "going from 3 nodes to 1 takes the others: name them with --routes"}
	case s.Generation > 0:
		s.Move = &nodeMove{To: s.Generation + 1, Replicas: wanted, Step: "begin"}
		return decision{do: move, to: s, why: fmt.Sprintf("%d nodes are wanted, there were %d", wanted, s.Replicas)}
	case newest.generation > 0 && newest.replicas == 3:
		return decision{do: adopt, to: nodeState{Generation: newest.generation, Replicas: 3}, why: newest.name + " knows a backbone"}
	case alone || len(others) == 2 || wanted == 1:
		// One node waits for no others that may not exist. If some come later that have a store, they keep it, and say so.
		return decision{do: found, to: nodeState{Generation: newest.generation + 1, Replicas: wanted}, why: "nobody has a store"}
	}
	return decision{do: wait, why: fmt.Sprintf("%d of 2 other nodes answer: a backbone is begun when all say that they have no store", len(others))}
}

func decideFollower(s nodeState, others []greeting) decision {
	first := greeting{}
	for _, g := range others {
		if n, err := ordinalOf(g.name); err == nil && n == 0 {
			first = g
		}
	}
	switch {
	case first.generation > s.Generation:
		return decision{do: adopt, to: nodeState{Generation: first.generation, Replicas: first.replicas, Old: s.Generation}, why: fmt.Sprintf("%s is of generation %d", first.name, first.generation)}
	case first.generation > 0 && first.generation < s.Generation:
		return decision{do: wait, why: fmt.Sprintf("%s is of generation %d, this node's store of %d: an old store was put in its place", first.name, first.generation, s.Generation)}
	case s.Generation == 0:
		return decision{do: wait, why: "the first node says what to join, and is not there or has nothing yet"}
	case s.Replicas == 1:
		return decision{do: idle, why: "the backbone is the first node alone"}
	}
	return decision{do: serve}
}

// ordinalOf reads the number at the end of a node's name.
func ordinalOf(name string) (int, error) {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '-' && i > 0 && i < len(name)-1 {
			n, err := strconv.Atoi(name[i+1:])
			if err == nil && n >= 0 && n < 3 && strconv.Itoa(n) == name[i+1:] {
				return n, nil
			}
			break
		}
	}
	return 0, fmt.Errorf("name %q: want it to end in -0, -1 or -2, the node's place", name)
}
