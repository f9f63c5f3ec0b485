package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/marketstream/marketstream/api/podreport"
)

// probe asks a node, which may not answer yet.
func (n *node) probe(path string) (code int, body string) {
	n.t.Helper()
	eventually(n.t, n.name+" answers probes", func() bool {
		res, err := http.Get("http://" + n.health + path)
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return true
	})
	return ask(n.t, "http://"+n.health+path, "")
}

// instead replaces the value of a flag.
func (n *node) instead(flag, value string) {
	n.args[slices.Index(n.args, flag)+1] = value
}

// TestOneOfThree: a node that is wanted alone, and is told of two more that do not exist, is ready at its first start and at the next.
func TestOneOfThree(t *testing.T) {
	t.Parallel()
	n := alone(t)
	cluster := freePort(t)
	n.args = append(n.args, "--replicas", "1", "--cluster-listen", cluster, "--routes", cluster+",test-1.nowhere.invalid:6222,test-2.nowhere.invalid:6222")
	for range 2 {
		n.start()
		n.ready()
		if s := n.status(); s.Generation != 1 || s.Replicas != 1 || !s.Ready || s.Version != "dev" || len(s.Secrets) != 1 || s.Secrets[0] != (podreport.Secret{Name: n.credentials(), State: "loaded"}) {
			t.Errorf("%+v", s)
		}
		n.stop()
	}
}

// TestNodesWaitForCredentials: nodes whose credentials are not there yet wait for them, and keep them when they go.
func TestNodesWaitForCredentials(t *testing.T) {
	t.Parallel()
	token := filepath.Join(t.TempDir(), "backbone", "token")
	nodes := append(newNodes(t, "--replicas", "3", "--credentials-secret", "made-backbone"), alone(t, "--credentials-secret", "made-backbone"))
	for _, n := range nodes {
		n.instead("--credentials", token)
		n.start()
	}
	for _, n := range nodes {
		if code, text := n.probe("/healthz"); code != 200 {
			t.Errorf("/healthz: %d %s", code, text)
		}
		n.until("waiting: credentials: ")
		if code, text := n.probe("/readyz"); code != 503 || !strings.HasPrefix(text, "waiting: credentials: ") || strings.Count(text, "\n") != 1 {
			t.Errorf("/readyz: %d %q", code, text)
		}
		s := n.status()
		if len(s.Secrets) != 1 || s.Secrets[0] != (podreport.Secret{Name: "made-backbone", State: "missing", Reason: "token: there is no such file"}) || s.Reason == "" || s.Version != "dev" {
			t.Errorf("%+v", s)
		}
	}
	if err := os.MkdirAll(filepath.Dir(token), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, token, "the-token\n")
	for _, n := range nodes {
		n.ready()
	}
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	last := nodes[len(nodes)-1]
	eventually(t, "the file is missed", func() bool {
		s := last.status()
		return len(s.Secrets) == 1 && s.Secrets[0].State == "missing" && strings.HasSuffix(s.Secrets[0].Reason, "stays in use")
	})
	last.ready()
	put(t, token, "a line\nand another\n")
	eventually(t, "the file is bad", func() bool {
		s := last.status()
		return len(s.Secrets) == 1 && s.Secrets[0].State == "bad"
	})
	_, status := last.probe("/status")
	if text := status + last.text(); strings.Contains(text, "the-token") || strings.Contains(text, "and another") {
		t.Errorf("a content is told: %s", text)
	}
	for _, n := range nodes {
		n.kill()
	}
}

// TestNodeWaitsForCertificate: so it is with a certificate, and what waits ends when it is told to.
func TestNodeWaitsForCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := alone(t, "--tls-cert", filepath.Join(dir, "tls.crt"), "--tls-key", filepath.Join(dir, "tls.key"), "--tls-ca", filepath.Join(dir, "ca.crt"), "--tls-secret", "web")
	n.start()
	n.until("waiting: ")
	s := n.status()
	if i := slices.IndexFunc(s.Secrets, func(s podreport.Secret) bool { return s.Name == "web" && s.State == "missing" }); i < 0 || s.Ready {
		t.Errorf("%+v", s)
	}
	put(t, filepath.Join(dir, "ca.crt"), "no certificate")
	n.until("holds none in PEM form")
	n.stop()
}
