package backbone

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDecide: what a node does, by what it has, what is wanted and what the others say.
func TestDecide(t *testing.T) {
	one, three := nodeState{Generation: 1, Replicas: 1}, nodeState{Generation: 2, Replicas: 3}
	moving := nodeState{Generation: 2, Replicas: 3, Move: &nodeMove{To: 3, Replicas: 1}}
	first := func(generation, replicas int) greeting { return greeting{"a-0", generation, replicas} }
	empty := []greeting{{"a-1", 0, 1}, {"a-2", 0, 1}}
	for _, c := range []struct {
		what            string
		state           nodeState
		ordinal, wanted int
		others          []greeting
		alone           bool
		do              todo
		generation      int // of the state that follows, or of the move
		why             string
	}{
		{"the first start of one node", nodeState{}, 0, 1, nil, true, found, 1, ""},
		{"the first start of three", nodeState{}, 0, 3, empty, false, found, 1, ""},
		{"the first start of three, one is not there", nodeState{}, 0, 3, empty[:1], false, wait, 0, "1 of 2"},
		{"the first start of one node that may become three", nodeState{}, 0, 1, nil, false, found, 1, ""},
		{"the first start of one node, another is there", nodeState{}, 0, 1, empty[:1], false, found, 1, ""},
		{"one node again that may become three", one, 0, 1, nil, false, serve, 0, ""},
		{"one node again", one, 0, 1, nil, true, serve, 0, ""},
		{"three nodes again", three, 0, 3, nil, false, serve, 0, ""},
		{"the first node lost its disk", nodeState{}, 0, 3, []greeting{{"a-1", 2, 3}}, false, adopt, 2, "a-1"},
		{"the first node lost its disk, and one is wanted", nodeState{}, 0, 1, []greeting{{"a-1", 2, 3}}, false, adopt, 2, ""},
		{"the one node lost its disk", nodeState{}, 0, 3, []greeting{{"a-1", 3, 1}, {"a-2", 3, 1}}, false, found, 4, ""},
		{"an old disk at the first node", one, 0, 3, []greeting{{"a-1", 2, 3}}, false, wait, 0, "old store"},
		{"one to three", one, 0, 3, empty, false, move, 2, "3 nodes are wanted"},
		{"three to one", three, 0, 1, nil, false, move, 3, "1 nodes are wanted"},
		{"three to one without the others", three, 0, 1, nil, true, wait, 0, "--routes"},
		{"a move under way", moving, 0, 1, nil, false, move, 3, ""},
		{"a move under way that is no longer wanted", moving, 0, 3, nil, false, move, 3, ""},
		{"another node's first start", nodeState{}, 1, 3, empty[1:], false, wait, 0, "first node"},
		{"it hears of the first", nodeState{}, 1, 3, []greeting{first(2, 3)}, false, adopt, 2, "a-0"},
		{"another node again", three, 1, 3, nil, false, serve, 0, ""},
		{"another node again, with the first", three, 1, 3, []greeting{first(2, 3)}, false, serve, 0, ""},
		{"the first is new, without a store", three, 1, 3, []greeting{first(0, 1)}, false, serve, 0, ""},
		{"the first went on alone", three, 1, 1, []greeting{first(3, 1)}, false, adopt, 3, ""},
		{"it is not needed", nodeState{Generation: 3, Replicas: 1}, 1, 1, []greeting{first(3, 1)}, false, idle, 0, ""},
		{"three again", nodeState{Generation: 3, Replicas: 1}, 1, 3, []greeting{first(4, 3)}, false, adopt, 4, ""},
		{"the first has an old store", three, 1, 3, []greeting{first(1, 1)}, false, wait, 0, "old store"},
	} {
		d := decide(c.state, c.ordinal, c.wanted, c.others, c.alone)
		got := d.to.Generation
		if d.do == move {
			got = d.to.Move.To
		}
		if d.do != c.do || got != c.generation || !strings.Contains(d.why, c.why) {
			t.Errorf("%s: %s to %d (%s), want %s to %d (%s)", c.what, d.do, got, d.why, c.do, c.generation, c.why)
		}
	}
}

// TestOrdinals: a node's place stands at the end of its name.
func TestOrdinals(t *testing.T) {
	for name, want := range map[string]int{"a-0": 0, "us-equities-backbone-2": 2, "a-3": -1, "a": -1, "-1": -1, "a-": -1, "a-01": -1, "a-x": -1, "": -1} {
		got, err := ordinalOf(name)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d %v, want %d", name, got, err, want)
		}
	}
}

// TestState: a state is read as it was written; a damaged one is refused by name.
func TestState(t *testing.T) {
	dir := t.TempDir()
	if s, err := readState(dir); err != nil || s.Generation != 0 {
		t.Errorf("%+v %v", s, err)
	}
	want := nodeState{Generation: 2, Replicas: 3, Old: 1, Move: &nodeMove{To: 3, Replicas: 1, Step: "seal"}}
	if err := want.write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := readState(dir)
	if err != nil || got.Generation != 2 || got.Old != 1 || got.Move == nil || got.Move.Step != "seal" {
		t.Errorf("%+v %v", got, err)
	}
	for _, text := range []string{"", "{", `{"generation":1,"replicas":2}`} {
		if err := os.WriteFile(filepath.Join(dir, stateFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readState(dir)
		wants(t, err, stateFile)
	}
}

// TestGreetings: what NATS and a waiting node say first is understood; nothing else is.
func TestGreetings(t *testing.T) {
	address := freeAddress(t)
	g, err := startGreeter(address, "a-1", 7, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer g.stop()
	if got := askOne(t.Context(), address, nil); got == nil || *got != (greeting{"a-1", 7, 3}) {
		t.Errorf("%+v", got)
	}
	for _, line := range []string{"", "INFO", "INFO {", `INFO {"server_name":"a-1"}`, `INFO {"server_name":"a-1","cluster":"other"}`, "+OK"} {
		if got := parseGreeting(line); got != nil {
			t.Errorf("%q: %+v", line, got)
		}
	}
}
