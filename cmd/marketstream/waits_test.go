package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/marketstream/marketstream/api/podreport"
	"github.com/marketstream/marketstream/streamer/eventsource"
)

// fewDoc is a document of a quick invented market with a name.
func fewDoc(name, rest string) string {
	return fmt.Sprintf("apiVersion: marketstream.dev/v1alpha1\nkind: MarketStream\nmetadata: {name: %s}\nspec:\n  symbols: [SPY, QQQ]\n%s", name, rest)
}

const invented = "  feed: {synthetic: {seed: 1, ticksPerSecond: 2, speed: \"60\"}}\n  stream: {seedBars: 5}\n"

var probesAt = regexp.MustCompile(`\tprobes\t\{"internal": "([^"]+)", "public": "([^"]+)"\}`)

// pending starts a streamer and waits until it answers probes, whether it serves or not.
func pending(t testing.TB, dir, backbone string, args ...string) *process {
	t.Helper()
	p := &process{name: filepath.Base(dir)}
	probed := make(chan struct{})
	var once sync.Once
	begin(t, p, func(line string) {
		if m := probesAt.FindStringSubmatch(line); m != nil {
			once.Do(func() {
				p.internal, p.url = "http://"+m[1], "http://"+m[2]
				close(probed)
			})
		}
	}, append([]string{"streamer", "--config", dir, "--backbone", backbone, "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0",
		"--drain", "0s", "--log-format", "console"}, args...)...)
	select {
	case <-probed:
	case <-p.ended:
		t.Fatalf("it ended: %v\n%s", p.err, p.text())
	}
	return p
}

// configure puts a document in place.
func configure(t testing.TB, dir, doc string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, generationFile), []byte(`{"createdMs":1,"generation":1}`), 0o600),
		os.WriteFile(filepath.Join(dir, documentFile), []byte(doc), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// configured is a directory with a document.
func configured(t testing.TB, doc string) string {
	dir := filepath.Join(t.TempDir(), "config")
	configure(t, dir, doc)
	return dir
}

// refuses waits until /status has a reason why the document is not run, and returns the report.
func (p *process) refuses(reason string) (r podreport.Report) {
	p.t.Helper()
	eventually(p.t, "configReason is "+reason, func() bool {
		r, _ = p.reported()
		return r.ConfigReason == reason
	})
	return r
}

// isReady waits until a load balancer would send it clients.
func (p *process) isReady() {
	p.t.Helper()
	eventually(p.t, "it is ready", func() bool {
		code, _ := ask(p.t, p.internal+"/readyz", "")
		return code == http.StatusOK
	})
}

// ask is a GET that may be refused.
func ask(t testing.TB, at, accept string) (code int, body string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// secret is what a pod says of a Secret.
func secret(r *podreport.Report, name string) podreport.Secret {
	if i := slices.IndexFunc(r.Secrets, func(s podreport.Secret) bool { return s.Name == name }); i >= 0 {
		return r.Secrets[i]
	}
	return podreport.Secret{}
}

// running is a node that is ready.
func running(t *testing.T, args ...string) *node {
	t.Helper()
	n := alone(t, args...)
	n.start()
	n.ready()
	return n
}

func (n *node) url() string { return "nats://" + n.listen }

// TestWaitsForDocument: a streamer stays up whatever it finds, says why it serves nothing, and serves once it can.
func TestWaitsForDocument(t *testing.T) {
	t.Parallel()
	n := running(t)
	dir := filepath.Join(t.TempDir(), "config")
	p := pending(t, dir, n.url(), "--backbone-credentials", n.credentials(), "--backbone-secret", "waits-backbone", "--template-revision", "3")

	r := p.refuses(podreport.ConfigUnreadable)
	if !strings.Contains(r.ConfigError, documentFile+": there is no such file") || r.Ready || r.ConfigRevision != "" || r.TemplateRevision != "3" || r.Schema != 1 {
		t.Errorf("without a directory: %+v", r)
	}
	p.get(p.internal, "/healthz", 200)
	p.get(p.internal, "/metrics", 200)
	if code, text := ask(t, p.internal+"/readyz", ""); code != 503 || !strings.HasPrefix(text, "the document is not run: ") || strings.Count(text, "\n") != 1 {
		t.Errorf("/readyz: %d %q", code, text)
	}
	for path, want := range map[string]string{"/api/symbols": `{"error":{"code":503,"message":"this pod has nothing to serve yet; come back"}}`,
		"/stream/market?symbols=SPY&errors=http": `{"error":{"code":503,`} {
		if code, text := ask(t, p.url+path, "text/event-stream"); code != 503 || !strings.HasPrefix(text, want) {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	if code, text := ask(t, p.url+"/stream/market?symbols=SPY", "text/event-stream"); code != 200 ||
		!strings.HasPrefix(text, "retry: ") || !strings.Contains(text, "\n\nevent: status\ndata: {\"code\":503,") {
		t.Errorf("an EventSource would give up: %d %s", code, text)
	}

	configure(t, dir, fewDoc("waits", invented+"  history: {ringCapacity: 0}\n  shard: 3\n"))
	if r := p.refuses(podreport.ConfigInvalid); strings.Count(r.ConfigError, "\n") != 1 || !strings.Contains(r.ConfigError, "spec.shard: ") || !strings.Contains(r.ConfigError, "spec.history.ringCapacity: ") {
		t.Errorf("of two mistakes it says %q", r.ConfigError)
	}
	configure(t, dir, fewDoc("waits", "  feed: {kraken: {}}\n"))
	if r := p.refuses(podreport.ConfigNotAvailable); !strings.HasPrefix(r.ConfigError, "spec.feed.kraken: not available yet") {
		t.Errorf("of a feed to come it says %q", r.ConfigError)
	}
	configure(t, dir, fewDoc("waits", invented))
	p.isReady()
	if r := p.report(); r.ConfigError != "" || r.ConfigReason != "" || !r.Ready || r.ConfigRevision == "" || r.Schema != 1 || r.TemplateRevision != "3" || secret(&r, "waits-backbone").State != "loaded" {
		t.Errorf("serving: %+v", r)
	}
	c := mustConnect(t, p.url, url.Values{"symbols": {"SPY"}}, "")
	c.until(t, "a bar", func(e eventsource.Event) bool { return e.Type == "bar" && e.ID != "" })

	configure(t, dir, "nonsense")
	p.refuses(podreport.ConfigInvalid)
	p.get(p.internal, "/readyz", 200)
	c.until(t, "a bar under the last good document", func(e eventsource.Event) bool { return e.Type == "bar" && e.ID != "" })
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	p.refuses(podreport.ConfigUnreadable)
	p.get(p.internal, "/readyz", 200)
	c.close()
	p.stop()
}

// TestEndsWhileWaiting: what waits ends when it is told to, with exit code 0. Flags that are wrong end it with one sentence.
func TestEndsWhileWaiting(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{"no document": t.TempDir(), "no backbone": configured(t, fewDoc("ends", invented))} {
		p := pending(t, dir, "nats://"+freePort(t))
		eventually(t, "it waits: "+name, func() bool {
			code, text := ask(t, p.internal+"/readyz", "")
			return code == 503 && (strings.HasPrefix(text, "the document is not run") || strings.HasPrefix(text, "starting: waiting for NATS"))
		})
		configure(t, dir, "nonsense") // a newer document ends an attempt to run the one before
		p.refuses(podreport.ConfigInvalid)
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if <-p.ended; p.err != nil {
			t.Errorf("%s: %v\n%s", name, p.err, p.text())
		}
	}
}

// TestOtherData: a log of another kind of data, and one of another stream, are never written: the pod waits, and says why.
func TestOtherData(t *testing.T) {
	t.Parallel()
	n := running(t)
	dir := configured(t, fewDoc("data", invented))
	args := []string{"--backbone-credentials", n.credentials()}
	first := pending(t, dir, n.url(), args...)
	first.isReady()
	trades := write(t, "trades.csv", "symbol,ts,price,size\nSPY,1,2,3\n")
	recorded := fewDoc("data", fmt.Sprintf("  feed: {replay: {path: %q}}\n", trades))
	configure(t, dir, recorded)
	first.refuses(podreport.ConfigDataOfAnotherFeed)
	first.get(first.internal, "/readyz", 200) // it goes on with the one before
	first.stop()

	p := pending(t, dir, n.url(), args...)
	r := p.refuses(podreport.ConfigDataOfAnotherFeed)
	if !strings.Contains(r.ConfigError, "synthetic data") || r.Ready {
		t.Errorf("%+v", r)
	}
	if code, _ := ask(t, p.internal+"/readyz", ""); code != 503 {
		t.Errorf("/readyz: %d", code)
	}
	configure(t, dir, fewDoc("data", invented))
	p.isReady()
	configure(t, dir, fewDoc("data", strings.Replace(invented, "seed: 1", "seed: 2", 1)))
	if r := p.refuses(podreport.ConfigNeedsRestart); !strings.HasPrefix(r.ConfigError, "spec.feed: ") {
		t.Errorf("another feed of the same kind: %q", r.ConfigError)
	}
	p.stop()
}
