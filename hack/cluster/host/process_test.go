package host

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestProcess(t *testing.T) {
	p := Processes{Dir: t.TempDir()}
	if err := p.Start("cat", "", "sh", "-c", "echo hello; exec sleep 600"); err != nil {
		t.Skip("no shell here: ", err)
	}
	t.Cleanup(func() { _ = p.Stop(context.Background(), "cat", time.Second) })
	pid, ok := p.find("cat")
	if !ok || !p.Running("cat") {
		t.Fatal("it does not run")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := Until(ctx, func() error {
		if log, _ := os.ReadFile(p.Log("cat")); string(log) != "hello\n" {
			return errors.New("log: " + string(log))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := p.Start("cat", "", "sleep", "600"); err != nil {
		t.Fatal(err)
	}
	if again, _ := p.find("cat"); again != pid {
		t.Error("it was started twice")
	}
	if err := p.Stop(t.Context(), "cat", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if p.Running("cat") || len(p.Names()) != 0 {
		t.Errorf("it was stopped, and there is %q", p.Names())
	}
}

// TestAnothersIsLeftAlone: an id that was written down may be another process's by now.
func TestAnothersIsLeftAlone(t *testing.T) {
	other := exec.Command("sleep", "600")
	if err := other.Start(); err != nil {
		t.Skip("no sleep here: ", err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	s, err := look(other.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	s.At = "1" + s.At
	text, _ := json.Marshal(s)
	p := Processes{Dir: t.TempDir()}
	if err := os.WriteFile(p.file("x"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if p.Running("x") || strings.Join(p.Names(), "") != "x" {
		t.Error("taken for ours")
	}
	if err := p.Stop(t.Context(), "x", time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := look(other.Process.Pid); err != nil {
		t.Error("another's process was stopped")
	}
}
