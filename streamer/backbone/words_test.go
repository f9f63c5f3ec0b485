package backbone

import (
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
)

// TestMissed: who reads too slowly is told of what, and what becomes of it.
func TestMissed(t *testing.T) {
	n := newNames("default_demo")
	for subject, want := range map[string]string{
		n.state[3]:  "open bars of partition 3; the next message has the newest",
		n.ticks[12]: "single trades of partition 12; clients here miss these trades; bars do not",
		n.ask[0]:    "requests for the open bars of partition 0; who asked",
		n.pods:      "what the other pods say of themselves; they say it again",
		"other":     "other; they are lost here",
	} {
		what, then := missed(subject)
		if got := what + "; " + then; !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", subject, got, want)
		}
	}
}

// TestSlowClient: that the server cuts a connection off is said whatever the level, in words.
func TestSlowClient(t *testing.T) {
	var said []string
	l := &serverLogger{log: funcr.New(func(_, args string) { said = append(said, args) }, funcr.Options{})}
	l.Noticef("%s - Slow Consumer Detected: MaxPending of %d Exceeded", "10.0.0.1:1 - cid:7", 64)
	l.Noticef("Server is ready")
	if len(said) != 1 || !strings.Contains(said[0], "too slowly") || !strings.Contains(said[0], "cid:7 - Slow Consumer Detected: MaxPending of 64") {
		t.Error(said)
	}
}
