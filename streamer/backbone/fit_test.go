package backbone

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketstream/marketstream/streamer/logs"
)

// oldServer says that it is a version of NATS, and answers nothing but pings.
func oldServer(t *testing.T, version string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				_, _ = fmt.Fprintf(c, "INFO {\"server_id\":\"A\",\"version\":%q,\"proto\":1,\"headers\":true,\"max_payload\":9000000,\"jetstream\":true}\r\n", version)
				for in := bufio.NewScanner(c); in.Scan(); {
					if strings.HasPrefix(in.Text(), "PING") {
						_, _ = c.Write([]byte("PONG\r\n"))
					}
				}
			}()
		}
	}()
	return "nats://" + l.Addr().String()
}

// TestUnfitServer: what a server lacks is said in one sentence, with both figures.
func TestUnfitServer(t *testing.T) {
	limited := func(limits map[string]server.JetStreamAccountLimits) func(*elsewhere) {
		return func(s *elsewhere) { s.withAccount(limits) }
	}
	room := func(memory, store int64, streams, consumers int) map[string]server.JetStreamAccountLimits {
		return map[string]server.JetStreamAccountLimits{"": {MaxMemory: memory, MaxStore: store, MaxStreams: streams, MaxConsumers: consumers,
			MaxAckPending: -1, MemoryMaxStreamBytes: -1, StoreMaxStreamBytes: -1}}
	}
	for _, c := range []struct {
		name   string
		server func(*elsewhere)
		given  Streams
		want   []string
	}{
		{"payload", func(s *elsewhere) { s.options.MaxPayload = 1 << 20 }, OwnStreams, []string{"max_payload", "1048576", "8388864", "8388608"}},
		{"no JetStream", func(s *elsewhere) { s.options.JetStream = false }, GivenStreams, []string{"JetStream is not enabled", "store"}},
		{"account without JetStream", limited(nil), GivenStreams, []string{"JetStream is not enabled for this account"}},
		{"consumers", limited(room(-1, -1, -1, 10)), GivenStreams, []string{"10 consumers", "64"}},
		{"storage", limited(room(-1, 100<<20, -1, -1)), GivenStreams, []string{"BARS_default_suite", "cannot be made", "insufficient storage", "max_bytes 268435456"}},
		{"memory", limited(room(10<<20, -1, -1, -1)), GivenStreams, []string{"TICKS_default_suite", "cannot be made", "insufficient memory", "max_bytes 67108864"}},
		{"streams", limited(room(-1, -1, 2, -1)), GivenStreams, []string{"CTL_default_suite", "cannot be made", "maximum number of streams"}},
		{"permissions", func(s *elsewhere) {
			s.withAccount(room(-1, -1, -1, -1))
			s.options.Users[0].Permissions = &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"$JS.API.STREAM.CREATE.>"}}}
		}, GivenStreams, []string{"permissions violation", "$JS.API.STREAM.CREATE.BARS_default_suite", "default_suite"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := startElsewhere(t, c.server)
			o := connectOptions(s.url())
			o.Streams = c.given
			if len(s.options.Users) > 0 {
				o.Credentials = credentialsFile(t, "user: us\npassword: secret\n")
			}
			_, err := Connect(t.Context(), o)
			if !errors.Is(err, ErrUnfit) {
				t.Errorf("it does not wrap ErrUnfit: %v", err)
			}
			wants(t, err, c.want...)
		})
	}
}

// TestOldServer: a server that is too old is refused, and the version that would do is named.
func TestOldServer(t *testing.T) {
	for _, version := range []string{"2.10.27", "1.4.1", "x"} {
		_, err := Connect(t.Context(), connectOptions(oldServer(t, version)))
		wants(t, err, version, "2.11")
	}
}

// withAccount gives the server one account, whose user is us with the password secret.
func (s *elsewhere) withAccount(limits map[string]server.JetStreamAccountLimits) {
	account := server.NewAccount("ours")
	s.options.Accounts = []*server.Account{account}
	s.options.Users = []*server.User{{Username: "us", Password: "secret", Account: account}}
	s.options.JetStreamMaxMemory, s.options.JetStreamMaxStore = 4<<30, 64<<30
	s.limits = limits
}

// TestGivenStreams: a stream that somebody else made is checked, used and never changed.
func TestGivenStreams(t *testing.T) {
	s := startElsewhere(t, nil)
	nc, err := nats.Connect(s.url())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		kind   string
		change func(*jetstream.StreamConfig)
		want   []string // none: it is good
	}{
		{"as we would make it", "BARS", func(*jetstream.StreamConfig) {}, nil},
		{"longer, and described", "BARS", func(c *jetstream.StreamConfig) {
			c.MaxAge, c.MaxBytes, c.Description = 0, -1, "bars of the equities desk"
		}, nil},
		{"retention of two days", "BARS", func(c *jetstream.StreamConfig) { c.MaxAge = 48 * time.Hour }, nil},
		{"retention of one day", "BARS", func(c *jetstream.StreamConfig) { c.MaxAge = 24 * time.Hour }, []string{"max_age is 24h0m0s", "48h"}},
		{"subjects", "BARS", func(c *jetstream.StreamConfig) { c.Subjects = []string{c.Subjects[0][:len(c.Subjects[0])-1] + ">"} }, []string{"subjects is", ".bars.>", ".bars.*"}},
		{"memory", "BARS", func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }, []string{"storage is Memory", "file"}},
		{"discard new", "BARS", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardNew }, []string{"discard is DiscardNew", "old"}},
		{"direct reads", "BARS", func(c *jetstream.StreamConfig) { c.AllowDirect = true }, []string{"allow_direct is true"}},
		{"work queue", "BARS", func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy }, []string{"retention is WorkQueue", "limits"}},
		{"one per subject", "BARS", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 }, []string{"max_msgs_per_subject is 1"}},
		{"few messages", "BARS", func(c *jetstream.StreamConfig) { c.MaxMsgs = 10 }, []string{"max_msgs is 10"}},
		{"few bytes", "BARS", func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 20 }, []string{"max_bytes is 1048576", "16"}},
		{"short messages", "BARS", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1 << 20 }, []string{"max_msg_size is 1048576"}},
		{"few consumers", "BARS", func(c *jetstream.StreamConfig) { c.MaxConsumers = 3 }, []string{"max_consumers is 3", "64"}},
		{"no acknowledgements", "TICKS", func(c *jetstream.StreamConfig) { c.NoAck = true }, []string{"no_ack is true"}},
		{"two things", "BARS", func(c *jetstream.StreamConfig) { c.MaxMsgs, c.AllowDirect = 10, true }, []string{"max_msgs is 10", "allow_direct is true"}},
		{"ticks in files", "TICKS", func(c *jetstream.StreamConfig) { c.Storage = jetstream.FileStorage }, nil},
		{"ticks of a minute", "TICKS", func(c *jetstream.StreamConfig) { c.MaxAge = time.Minute }, []string{"max_age is 1m0s", "5m"}},
		{"keys that age", "CTL", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, []string{"max_age is 1h0m0s"}},
		{"all values of keys", "CTL", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = -1 }, []string{"max_msgs_per_subject is -1", "1 for CTL"}},
		{"no deletes", "CTL", func(c *jetstream.StreamConfig) { c.DenyDelete = true }, []string{"deny_delete is true"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := connectOptions(s.url())
			o.Streams, o.Prefix = GivenStreams, "desk_"+strings.ReplaceAll(o.Name, "-", "_")
			r, err := newRemote(o)
			if err != nil {
				t.Fatal(err)
			}
			local := Options{Dir: "-", Retention: r.Retention, MaxBytes: r.MaxBytes, TicksAge: r.TicksAge, TicksBytes: r.TicksBytes}
			config := map[string]jetstream.StreamConfig{"BARS": r.names.barsStream(local), "TICKS": r.names.ticksStream(local), "CTL": r.names.ctlStream(local)}[c.kind]
			c.change(&config)
			made, err := js.CreateStream(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			before := made.CachedInfo().Config
			b, err := Connect(t.Context(), o)
			if len(c.want) > 0 {
				if !errors.Is(err, ErrUnfit) {
					t.Errorf("it does not wrap ErrUnfit: %v", err)
				}
				wants(t, err, append(c.want, config.Name)...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = b.Close() }()
			answers(t, b, "a")
			if _, err := b.Bars().Append(t.Context(), 1, 0, []byte("x")); err != nil {
				t.Error(err)
			}
			after, err := js.Stream(t.Context(), config.Name)
			if err != nil {
				t.Fatal(err)
			}
			if a := after.CachedInfo().Config; fmt.Sprintf("%+v", a) != fmt.Sprintf("%+v", before) {
				t.Errorf("the stream was changed: %+v, was %+v", a, before)
			}
		})
	}
}

// TestOwnStreamsChange: our own streams get new settings at the next connect, and nobody
// takes them back by a reconnect.
func TestOwnStreamsChange(t *testing.T) {
	s := startElsewhere(t, nil)
	o := connectOptions(s.url())
	first := mustConnect(t, o)
	o.Retention = 72 * time.Hour
	second := mustConnect(t, o)
	s.restart(nil)
	answers(t, first, "a")
	answers(t, second, "b")
	var has jetstream.Stream
	eventually(t, "the connection for BARS is back too", func() (err error) {
		has, err = second.barsConn.js.Stream(t.Context(), second.barsConn.config.Name)
		return err
	})
	if age := has.CachedInfo().Config.MaxAge; age != 72*time.Hour {
		t.Errorf("retention %s, want 72h", age)
	}
}

// TestAccountTooSmall: an account that would be full before its streams make room is refused.
func TestAccountTooSmall(t *testing.T) {
	limits := func(store int64) map[string]server.JetStreamAccountLimits {
		return map[string]server.JetStreamAccountLimits{"": {MaxMemory: -1, MaxStore: store, MaxStreams: -1, MaxConsumers: -1,
			MaxAckPending: -1, MemoryMaxStreamBytes: -1, StoreMaxStreamBytes: -1}}
	}
	s := startElsewhere(t, func(s *elsewhere) { s.withAccount(limits(4 << 30)) })
	o := connectOptions(s.url())
	o.Streams, o.Credentials = GivenStreams, credentialsFile(t, "user: us\npassword: secret\n")
	if err := mustConnect(t, o).Close(); err != nil {
		t.Fatal(err)
	}
	s.restart(func() { s.limits = limits(100 << 20) })
	_, err := Connect(t.Context(), o)
	wants(t, err, "104857600 bytes of storage", "BARS_default_suite", "285212672")
	if !errors.Is(err, ErrUnfit) {
		t.Errorf("it does not wrap ErrUnfit: %v", err)
	}
	var r room
	r.add(jetstream.StreamConfig{Name: "BARS_a", Replicas: 3, MaxBytes: 10})
	for _, c := range []struct {
		limit int64
		flat  bool
		bad   bool
	}{{-1, true, false}, {29, true, true}, {30, true, false}, {10, false, false}, {9, false, true}} {
		if err := r.check("storage", c.limit, c.flat); (err != nil) != c.bad {
			t.Errorf("a limit of %d, flat %v: %v", c.limit, c.flat, err)
		}
	}
	r.add(jetstream.StreamConfig{Name: "CTL_a", MaxBytes: -1})
	wants(t, r.check("storage", 1000, true), "CTL_a has no max_bytes", "1000 bytes of storage")
}

// TestAccountFull: what an account refuses is ErrFull.
func TestAccountFull(t *testing.T) {
	err := refusal(&jetstream.APIError{ErrorCode: codeAccountExceeded})
	if !errors.Is(err, logs.ErrFull) {
		t.Error(err)
	}
}
