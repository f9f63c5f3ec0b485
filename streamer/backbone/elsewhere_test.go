package backbone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/marketstream/marketstream/streamer/logs"
)

// hangs is a limit against hanging.
const hangs = time.Minute

// elsewhere is a NATS server on a port of its own.
type elsewhere struct {
	t       *testing.T
	options server.Options
	srv     *server.Server
	kept    string
	limits  map[string]server.JetStreamAccountLimits // of its account
}

// startElsewhere starts a server as one finds it: with change it may be another.
func startElsewhere(t *testing.T, change func(*elsewhere)) *elsewhere {
	t.Helper()
	s := &elsewhere{t: t, options: server.Options{ServerName: "elsewhere", Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: t.TempDir(), MaxPayload: logs.MaxEntry + headerRoom, SyncAlways: true, DisableJetStreamBanner: true}}
	if change != nil {
		change(s)
	}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *elsewhere) start() {
	s.t.Helper()
	o := s.options
	if s.limits != nil {
		s.configure(&o)
	}
	srv, err := server.NewServer(&o)
	if err != nil {
		s.t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(hangs) {
		s.t.Fatal("the server does not start")
	}
	s.srv, s.options.Port = srv, o.Port
}

// configure reads the account and its limits from a file, as a server's owner writes them: given
// after the start they come too late for what the others of a cluster say at once.
func (s *elsewhere) configure(o *server.Options) {
	s.t.Helper()
	l := s.limits[""]
	text := fmt.Sprintf(`accounts: { ours: { users: [ {user: us, password: secret} ], jetstream: { max_memory: %d, max_store: %d, max_streams: %d, max_consumers: %d,
	max_ack_pending: %d, memory_max_stream_bytes: %d, store_max_stream_bytes: %d } } }
`, l.MaxMemory, l.MaxStore, l.MaxStreams, l.MaxConsumers, l.MaxAckPending, l.MemoryMaxStreamBytes, l.StoreMaxStreamBytes)
	file := filepath.Join(s.t.TempDir(), "server.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	read, err := server.ProcessConfigFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	read.Users[0].Permissions = o.Users[0].Permissions
	o.Accounts, o.Users = read.Accounts, read.Users
}

func (s *elsewhere) stop() {
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
}

func (s *elsewhere) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", s.options.Port) }

// restart stops the server, calls fn and starts it.
func (s *elsewhere) restart(fn func()) {
	s.t.Helper()
	s.stop()
	if fn != nil {
		fn()
	}
	s.start()
}

func (s *elsewhere) copyAside() {
	s.kept = filepath.Join(s.t.TempDir(), "kept")
	if err := os.CopyFS(s.kept, os.DirFS(s.options.StoreDir)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *elsewhere) putBack() {
	if err := os.RemoveAll(s.options.StoreDir); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(s.kept, s.options.StoreDir); err != nil {
		s.t.Fatal(err)
	}
}

var streamsMade atomic.Int64

// connectOptions are for a stream that no other test has.
func connectOptions(url string) RemoteOptions {
	return RemoteOptions{Namespace: "default", Name: fmt.Sprintf("suite-%d", streamsMade.Add(1)), URLs: []string{url},
		MaxBytes: 256 << 20, TicksBytes: 64 << 20, WaitFor: hangs}
}

func mustConnect(t *testing.T, o RemoteOptions) *Backbone {
	t.Helper()
	b, err := Connect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// answers waits until an append succeeds.
func answers(t *testing.T, b *Backbone, key string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hangs)
	defer cancel()
	for {
		kv, err := b.Registry().Get(ctx, key)
		if err == nil || errors.Is(err, logs.ErrGone) {
			_, err = b.Registry().Put(ctx, key, kv.Revision, []byte("x"))
		}
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// wants reports what is missing in an error's text.
func wants(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in: %v", w, err)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %v", err)
	}
}
