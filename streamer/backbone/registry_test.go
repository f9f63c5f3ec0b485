package backbone

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/marketstream/marketstream/streamer/logs"
	"github.com/marketstream/marketstream/streamer/logs/logtest"
)

// beneath are hooks that change the server under an open backbone.
type beneath struct {
	t    *testing.T
	b    *Backbone
	dir  string
	kept string
}

func (s *beneath) restart() { s.keep(nil) }

// keep restarts the server, and calls fn while it is stopped.
func (s *beneath) keep(fn func()) {
	s.t.Helper()
	s.b.server.stop()
	if fn != nil {
		fn()
	}
	if err := s.b.server.start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *beneath) copyAside() {
	s.kept = filepath.Join(s.t.TempDir(), "kept")
	if err := os.CopyFS(s.kept, os.DirFS(filepath.Join(s.dir, "jetstream"))); err != nil {
		s.t.Fatal(err)
	}
}

func (s *beneath) putBack() {
	live := filepath.Join(s.dir, "jetstream")
	if err := os.RemoveAll(live); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(s.kept, live); err != nil {
		s.t.Fatal(err)
	}
}

func openEmbedded(t *testing.T, dir string) *Backbone {
	t.Helper()
	b, err := Open(context.Background(), Options{Namespace: "default", Name: "suite", Dir: dir, MaxBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// TestRegistry runs the suites of what processes share against NATS, in memory and in files.
func TestRegistry(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		logtest.RunRegistry(t, func(t *testing.T) logtest.RegistrySubject {
			s := &beneath{t: t, b: openEmbedded(t, "")}
			// In memory nothing is left: the state at Keep cannot be put back.
			return logtest.RegistrySubject{Registry: s.b.Registry()}
		})
	})
	t.Run("files", func(t *testing.T) {
		logtest.RunRegistry(t, func(t *testing.T) logtest.RegistrySubject {
			dir := filepath.Join(t.TempDir(), "data")
			s := &beneath{t: t, b: openEmbedded(t, dir), dir: dir}
			return logtest.RegistrySubject{Registry: s.b.Registry(), Restart: s.restart,
				Keep: func() { s.keep(s.copyAside) }, Rewind: func() { s.keep(s.putBack) }}
		})
	})
}

// TestPeers runs the suite of announcements; a process hears itself too.
func TestPeers(t *testing.T) {
	b := openEmbedded(t, "")
	logtest.RunPeers(t, b.Peers(), b.Peers())
}

// TestTicks runs the suite of TICKS, which is gone after a restart of its server.
func TestTicks(t *testing.T) {
	logtest.RunTicks(t, func(t *testing.T) logtest.TicksSubject {
		s := &beneath{t: t, b: openEmbedded(t, "")}
		return logtest.TicksSubject{Ticks: s.b.Ticks(), Restart: s.restart}
	})
}

// TestForgottenMarks: the marks of deleted keys do not stay for ever, and what was put
// under such a key again does.
func TestForgottenMarks(t *testing.T) {
	ctx := t.Context()
	r := openEmbedded(t, "").registry
	put := func(key string) uint64 {
		t.Helper()
		revision, err := r.Put(ctx, key, 0, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		return revision
	}
	for _, key := range []string{"a", "b", "c"} {
		if err := r.Delete(ctx, key, put(key)); err != nil {
			t.Fatal(err)
		}
	}
	put("b")
	r.forgetAfter = -1
	if err := r.Delete(ctx, "d", put("d")); err != nil {
		t.Fatal(err)
	}
	bounds, err := r.bounds(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.js.Stream(ctx, r.config.Name)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Msgs; n != 2 { // b, and the newest mark
		t.Errorf("%d messages, want 2", n)
	}
	if kv, err := r.Get(ctx, "b"); err != nil || kv.Revision > bounds.Last {
		t.Errorf("%+v %v", kv, err)
	}
	put("a")
}

// TestNewestOf: of a key that changed while it was listed the newest value stands.
func TestNewestOf(t *testing.T) {
	got := newestOf([]logs.KeyValue{{Key: "b", Revision: 1}, {Key: "a", Revision: 2}, {Key: "c", Revision: 3}, {Key: "b", Revision: 4}, {Key: "c", Revision: 5, Deleted: true}})
	if fmt.Sprint(got) != "[{a 2 [] false} {b 4 [] false}]" {
		t.Error(got)
	}
}
