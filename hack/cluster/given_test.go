package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGiven(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	script := func(name, text string) {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var said string
	log := func(s string) { said = s }
	script("kubectl", "exit 0")
	script("kind", `case "$2" in clusters) cat "$0.clusters" ;; kubeconfig) echo "config of $4" ;; esac`)
	clusters := func(text string) {
		if err := os.WriteFile(filepath.Join(bin, "kind.clusters"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	clusters("")

	t.Setenv("KUBECONFIG", "/mine")
	if path, err := given(t.Context(), log, "/own"); path != "/mine" || err != nil || !strings.Contains(said, "KUBECONFIG") {
		t.Errorf("%q, %v, said %q", path, err, said)
	}
	script("kubectl", "echo no route; exit 1")
	if _, err := given(t.Context(), log, "/own"); err == nil || !strings.Contains(err.Error(), "no route") {
		t.Errorf("a cluster that does not answer: %v", err)
	}
	if path, err := given(t.Context(), log, "/mine"); path != "" || err != nil {
		t.Errorf("our own is brought up: %q, %v", path, err)
	}
	t.Setenv("KUBECONFIG", "")
	if path, err := given(t.Context(), log, "/own"); path != "" || err != nil || !strings.Contains(said, "runs no cluster") {
		t.Errorf("%q, %v, said %q", path, err, said)
	}
	clusters("one\ntwo\n")
	path, err := given(t.Context(), log, "/own")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); string(text) != "config of one\n" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}
