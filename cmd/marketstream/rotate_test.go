package main

import (
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/marketstream/marketstream/api/podreport"
	"github.com/marketstream/marketstream/streamer/eventsource"
)

// relay passes connections on to an address, and can cut them all.
type relay struct {
	l  net.Listener
	to string

	mu    sync.Mutex
	conns []net.Conn
	made  int
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{l: l, to: to}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", r.to)
			if err != nil {
				_ = in.Close()
				continue
			}
			r.mu.Lock()
			r.made++
			r.conns = append(r.conns, in, out)
			r.mu.Unlock()
			for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
				work.Go(func() {
					_, _ = io.Copy(pair[0], pair[1])
					_ = pair[0].Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		r.cut()
		work.Wait()
	})
	return r
}

// cut ends every connection, and returns how many there have been.
func (r *relay) cut() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
	return r.made
}

func (r *relay) connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.made
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTokenRotates: the backbone's token is changed in the node's file and in the streamer's. Nothing restarts and the stream
// goes on: who is connected stays; who is cut off in between is refused, reads its file again and is let in once the
// new value is there; and a newcomer has the new value.
func TestTokenRotates(t *testing.T) {
	t.Parallel()
	n := running(t, "--log-level", "info")
	r := newRelay(t, n.listen)
	own := write(t, "token", "the-token\n")
	dir := configured(t, fewDoc("rotates", invented))
	args := []string{"--backbone-credentials", own, "--backbone-secret", "rotates-backbone", "--log-level", "debug"}
	p := pending(t, dir, "nats://"+r.l.Addr().String(), args...)
	p.isReady()
	c := mustConnect(t, p.url, url.Values{"symbols": {"SPY"}, "events": {"bar"}, "seed": {"0"}}, "")
	last := int64(0)
	bar := func(what string) {
		t.Helper()
		e := c.until(t, what, func(e eventsource.Event) bool { return e.Type == "bar" && e.ID != "" || e.Type == "reset" })
		if e.Type == "reset" {
			t.Fatal("a reset")
		}
		if b := parseBar(t, e.Data); b.Rev == 0 {
			if last != 0 && b.Seq != last+1 || b.Partial {
				t.Fatalf("%s: bar %d after %d, partial %v", what, b.Seq, last, b.Partial)
			}
			last = b.Seq
		}
	}
	bar("a bar")
	said := func(n *node, times int) { // that it has taken a new value
		t.Helper()
		eventually(t, "the node has the new token", func() bool { return strings.Count(n.text(), "the credentials have changed") == times })
	}
	put(t, n.credentials(), "the-second\n")
	said(n, 1)
	bar("a bar after a new token")

	put(t, n.credentials(), "the-third\n")
	said(n, 2)
	before := r.cut()
	eventually(t, "it is refused", func() bool {
		return r.connections() >= before+6 && strings.Contains(p.text(), "authorization violation")
	})
	p.get(p.internal, "/readyz", 200)
	put(t, own, "the-third\n")
	for range 3 {
		bar("a bar under the new token")
	}
	second := pending(t, dir, n.url(), args...)
	second.isReady()
	if err := os.Remove(own); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the file is missed", func() bool {
		r := p.report()
		s := secret(&r, "rotates-backbone")
		return s.State == podreport.SecretMissing && strings.Contains(s.Reason, "what was loaded of it before stays in use")
	})
	bar("a bar without a file")
	for _, text := range []string{n.text(), p.text(), second.text(), string(p.get(p.internal, "/status", 200)), string(n.get("http://"+n.health, "/status", 200))} {
		for _, token := range []string{"the-token", "the-second", "the-third"} {
			if strings.Contains(text, token) {
				t.Errorf("a token is told: %s", text)
			}
		}
	}
}

// TestSecretsComeAndGo: a streamer waits for its credentials and says so by name; of a vendor's key it tells a fingerprint and
// nothing else.
func TestSecretsComeAndGo(t *testing.T) {
	t.Parallel()
	n := running(t)
	const key = "v3ndor-key-that-nobody-may-see"
	secrets, config := t.TempDir(), t.TempDir()
	credentials := filepath.Join(t.TempDir(), "backbone", "token")
	vendor := fewDoc("secrets", "  feed: {polygon: {apiKeySecretRef: {name: polygon, key: apiKey}}}\n  access: {auth: {pin: {secretRef: {name: pin, key: pin}}}, tlsSecretName: web}\n")
	configure(t, config, vendor)
	put(t, filepath.Join(config, saltFile), "the-uid-of-a-namespace")
	p := pending(t, config, n.url(), "--backbone-credentials", credentials, "--secrets", secrets)
	r := p.refuses(podreport.ConfigNotAvailable)
	for _, name := range []string{credentials, "polygon", "pin", "web"} {
		if s := secret(&r, name); s.State != podreport.SecretMissing || s.Fingerprint != "" {
			t.Errorf("%s: %+v", name, s)
		}
	}
	for path, text := range map[string]string{"polygon/apiKey": key + "\n", "pin/pin": "1234567", "web/tls.crt": "a certificate"} {
		if err := os.MkdirAll(filepath.Join(secrets, filepath.Dir(path)), 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(secrets, path), text)
	}
	eventually(t, "the key is loaded", func() bool {
		r = p.report()
		return secret(&r, "polygon").State == podreport.SecretLoaded && secret(&r, "pin").State == podreport.SecretLoaded
	})
	// printf v3ndor-key-that-nobody-may-see | openssl dgst -sha256 -hmac the-uid-of-a-namespace
	if s := secret(&r, "polygon"); s.Fingerprint != "37841fd17ef29934" {
		t.Errorf("the fingerprint: %+v", s)
	}
	if s := secret(&r, "web"); s.State != podreport.SecretMissing || !strings.HasPrefix(s.Reason, "tls.key: ") {
		t.Errorf("a certificate without its key: %+v", s)
	}
	configure(t, config, fewDoc("secrets", invented))
	eventually(t, "it waits for its credentials, and says so", func() bool {
		r = p.report()
		_, text := ask(t, p.internal+"/readyz", "")
		return len(r.Secrets) == 1 && secret(&r, credentials).State == podreport.SecretMissing && strings.Contains(text, "starting: waiting for NATS")
	})
	if err := os.MkdirAll(filepath.Dir(credentials), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, credentials, "two words\n")
	eventually(t, "they are bad", func() bool {
		r = p.report()
		return secret(&r, credentials).State == podreport.SecretBad
	})
	put(t, credentials, "the-token\n")
	p.isReady()
	eventually(t, "they are loaded", func() bool {
		r = p.report()
		return secret(&r, credentials).State == podreport.SecretLoaded
	})
	all := p.text() + string(p.get(p.internal, "/status", 200))
	if i := slices.IndexFunc([]string{key, "1234567", "a certificate", "two words", "the-token", "the-uid-of-a-namespace"}, func(s string) bool { return strings.Contains(all, s) }); i >= 0 {
		t.Errorf("content %d is told", i)
	}
}
