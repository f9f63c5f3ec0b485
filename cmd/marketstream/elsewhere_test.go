package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketstream/marketstream/api/podreport"
	"github.com/marketstream/marketstream/streamer/eventsource"
)

// somebodys starts a NATS server as one finds it: nobody has configured more than JetStream and a user.
func somebodys(t *testing.T, maxPayload int32) (at string) {
	t.Helper()
	o := server.Options{ServerName: "somebodys", Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(),
		DisableJetStreamBanner: true, MaxPayload: maxPayload, Username: "us", Password: "s3cret-of-theirs", JetStreamMaxMemory: 4 << 30, JetStreamMaxStore: 32 << 30}
	srv, err := server.NewServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	if !srv.ReadyForConnections(guard) {
		t.Fatal("the server does not start")
	}
	return srv.ClientURL()
}

// external is a document in whose cluster somebody has NATS.
func external(name, url, prefix, rest string) string {
	return ofUID("1b2c", fewDoc(name, fmt.Sprintf("%s  backbone: {external: {url: %q, prefix: %q, credentialsSecretRef: {name: their-nats, key: us.conf}}}\n", rest, url, prefix)))
}

// ofUID is a document as the operator writes it for somebody's NATS.
func ofUID(uid, document string) string {
	return strings.Replace(document, "metadata: {", "metadata: {uid: "+uid+", ", 1)
}

// TestExternalNATS: pods of one stream share a log on somebody else's NATS, as it comes, under the prefix that the document says. Another stream
// under that prefix is refused, and so is a server that does not take what the stream needs.
func TestExternalNATS(t *testing.T) {
	t.Parallel()
	at := somebodys(t, server.MAX_PAYLOAD_SIZE)
	secrets := t.TempDir()
	if err := os.Mkdir(filepath.Join(secrets, "their-nats"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(secrets, "their-nats", "us.conf"), "user: us\npassword: s3cret-of-theirs\n")
	dir := configured(t, external("theirs", at, "team-a_md", invented))
	// The operator's way is --backbone-credentials; the other is found among --secrets.
	first := pending(t, dir, at, "--backbone-credentials", filepath.Join(secrets, "their-nats", "us.conf"))
	second := pending(t, dir, at, "--secrets", secrets)
	for _, p := range []*process{first, second} {
		p.isReady()
		c := mustConnect(t, p.url, url.Values{"symbols": {"SPY,QQQ"}}, "")
		c.until(t, "a bar", func(e eventsource.Event) bool { return e.Type == "bar" && e.ID != "" })
		c.close()
		r := p.report()
		if s := secret(&r, "their-nats"); s.State != podreport.SecretLoaded {
			t.Errorf("%s: %+v", p.name, r.Secrets)
		}
	}
	if a, b := first.epoch(), second.epoch(); a != b {
		t.Errorf("two logs: %s and %s", a, b)
	}
	has := streamsAt(t, at)
	if want := []string{"BARS_team-a_md", "CTL_team-a_md", "TICKS_team-a_md"}; !slices.Equal(has, want) {
		t.Errorf("streams %v, want %v", has, want)
	}

	configure(t, dir, external("theirs", at, "team-b_md", invented))
	if r := first.refuses(podreport.ConfigNeedsRestart); !strings.HasPrefix(r.ConfigError, "spec.backbone.external: ") {
		t.Errorf("another prefix: %q", r.ConfigError)
	}
	other := pending(t, configured(t, external("others", at, "team-a_md", invented)), at, "--secrets", secrets)
	if r := other.refuses(podreport.ConfigForeignLog); !strings.Contains(r.ConfigError, "belongs to MarketStream default/theirs, this one is default/others") {
		t.Errorf("another stream's prefix: %q", r.ConfigError)
	}
	again := pending(t, configured(t, strings.Replace(external("theirs", at, "team-a_md", invented), "uid: 1b2c", "uid: 9d8e", 1)), at, "--secrets", secrets)
	if r := again.refuses(podreport.ConfigForeignLog); !strings.Contains(r.ConfigError, "default/theirs of UID 1b2c, this one has 9d8e") {
		t.Errorf("a stream made again under its name: %q", r.ConfigError)
	}
	small := somebodys(t, 64<<10)
	p := pending(t, configured(t, external("small", small, "", invented)), small, "--secrets", secrets)
	if r := p.refuses(podreport.ConfigBackboneUnfit); !strings.Contains(r.ConfigError, "max_payload is 65536 bytes: at least 524544 are wanted") {
		t.Errorf("a server that takes short messages: %q", r.ConfigError)
	}
	if text := first.text() + second.text() + other.text() + again.text() + p.text(); strings.Contains(text, "s3cret-of-theirs") {
		t.Error("a password is logged")
	}
	if len(streamsAt(t, small)) > 0 || !slices.Equal(streamsAt(t, at), has) {
		t.Error("a stream was made for who is refused")
	}
}

func streamsAt(t *testing.T, at string) (names []string) {
	t.Helper()
	nc, err := nats.Connect(at, nats.UserInfo("us", "s3cret-of-theirs"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	list := js.StreamNames(t.Context())
	for name := range list.Name() {
		names = append(names, name)
	}
	if list.Err() != nil {
		t.Fatal(list.Err())
	}
	slices.Sort(names)
	return names
}

// TestRecordings: what is replayed lies where recordings are mounted, and nowhere else: what is said to be wrong with a file tells what is in it.
func TestRecordings(t *testing.T) {
	t.Parallel()
	n := running(t)
	root := t.TempDir()
	recordings := filepath.Join(root, "recordings")
	if err := os.Mkdir(recordings, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(root, "secret.csv"), "a-secret,that,nobody\n")
	if err := os.Symlink(filepath.Join(root, "secret.csv"), filepath.Join(recordings, "link.csv")); err != nil {
		t.Fatal(err)
	}
	replayed := func(path string) string {
		return fewDoc("recorded", fmt.Sprintf("  feed: {replay: {path: %q, speed: Max, configMap: {name: trades}}}\n", path))
	}
	dir := configured(t, replayed("day.csv"))
	p := pending(t, dir, n.url(), "--backbone-credentials", n.credentials(), "--recordings", recordings)
	p.refuses(podreport.ConfigStartFailed)
	within := func(name, says string) string { return filepath.Join(recordings, name) + ": " + says }
	for _, c := range []struct{ path, want string }{
		{"../secret.csv", filepath.Join(root, "secret.csv") + ": want it in " + recordings},
		{"link.csv", within("link.csv", "want it in "+recordings)},
		{filepath.Join(recordings, "other"), within("other", "there is no such file or directory")},
		{".", within("link.csv", "want it in "+recordings)},
		{filepath.Join(root, "secret.csv"), filepath.Join(root, "secret.csv") + ": want it in " + recordings},
	} {
		configure(t, dir, replayed(c.path))
		eventually(t, c.path+" is refused", func() bool { return strings.Contains(p.report().ConfigError, c.want) })
	}
	if strings.Contains(p.text(), "a-secret") {
		t.Error("what is in another file is told")
	}
	configure(t, dir, replayed("day.csv"))
	put(t, filepath.Join(recordings, "day.csv"), "symbol,ts,price,size\nSPY,1709640000256,52.87,200\nSPY,1709640090000,52.9,1\n")
	p.isReady() // without another document
	eventually(t, "the recording is in", func() bool { return p.report().Feed.State == "ended" })
	if strings.Contains(p.text(), "ignored") {
		t.Error("the configMap is not ignored: ", p.text())
	}
}
