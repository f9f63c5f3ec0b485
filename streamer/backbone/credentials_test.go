package backbone

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

func credentialsFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func userKey(t *testing.T) (seed, public string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	s, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return string(s), public
}

// TestReadCredentials: each kind is told by its form; an error quotes nothing of the file.
func TestReadCredentials(t *testing.T) {
	seed, _ := userKey(t)
	for _, c := range []struct {
		text string
		want Credentials
		err  string
	}{
		{"s3cr3t", Credentials{Token: "s3cr3t"}, ""},
		{" s3cr3t\r\n", Credentials{Token: "s3cr3t"}, ""},
		{"user: me\npassword: a: b\n", Credentials{User: "me", Password: "a: b"}, ""},
		{seed + "\n", Credentials{Seed: seed}, ""},
		{"", Credentials{}, "empty"},
		{"secret one\n", Credentials{}, "spaces"},
		{"secret\nsecret\n", Credentials{}, "2 lines"},
		{"user: secret\n", Credentials{}, "user: NAME"},
		{"-----BEGIN NATS USER JWT-----\nsecret\n------END NATS USER JWT------\n", Credentials{}, "NKEY"},
	} {
		got, err := ReadCredentials(credentialsFile(t, c.text))
		if (err != nil) != (c.err != "") || err != nil && (!strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%q: %v", c.text, err)
		}
		if err == nil && got != c.want {
			t.Errorf("%q: %+v, want %+v", c.text, got, c.want)
		}
	}
}

// TestRefusedClientReadsAgain: a client whose credentials the server no longer takes goes on
// once its file has those that it does take.
func TestRefusedClientReadsAgain(t *testing.T) {
	oldSeed, oldKey := userKey(t)
	newSeed, newKey := userKey(t)
	for _, c := range []struct {
		name     string
		old, new string // of the file
		first    func(*server.Options)
		second   func(*server.Options)
	}{
		{"token", "old", "new", func(o *server.Options) { o.Authorization = "old" }, func(o *server.Options) { o.Authorization = "new" }},
		{"password", "user: me\npassword: old", "user: me\npassword: new",
			func(o *server.Options) { o.Username, o.Password = "me", "old" }, func(o *server.Options) { o.Password = "new" }},
		{"token to password", "old", "user: me\npassword: new",
			func(o *server.Options) { o.Authorization = "old" },
			func(o *server.Options) { o.Authorization, o.Username, o.Password = "", "me", "new" }},
		{"NKEY", oldSeed, newSeed, func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: oldKey}} },
			func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: newKey}} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startElsewhere(t, func(s *elsewhere) { c.first(&s.options) })
			o := connectOptions(s.url())
			o.Credentials = credentialsFile(t, c.old)
			b := mustConnect(t, o)
			answers(t, b, "a")
			s.restart(func() { c.second(&s.options) })
			// It is refused now: its file changes only after the server has said so.
			o.WaitFor = 1
			_, err := Connect(t.Context(), o)
			wants(t, err, "Authorization Violation")
			if err := os.WriteFile(o.Credentials, []byte(c.new), 0o600); err != nil {
				t.Fatal(err)
			}
			answers(t, b, "b")
		})
	}
}
