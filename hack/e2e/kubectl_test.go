//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kubectlDoes: what kubectl shows and does is what its users expect.
func kubectlDoes(t *testing.T, s *suite) {
	ns, k := s.namespace(t, "kubectl"), s.kube
	text := stream("shown", "")
	k.apply(t, ns, text)
	says(t, k.do(t, "wait", "--for=condition=Ready", "marketstream/shown", "-n", ns, "--timeout="+hangs.String()), "condition met")
	eventually(t, hangs, func() string {
		if got := k.do(t, "get", "ms", "-n", ns); !strings.Contains(got, "shown") || strings.Join(strings.Fields(got)[:6], " ") != "NAME READY SHARDS SYMBOLS FEED URL" ||
			strings.Join(strings.Fields(got)[7:13], " ") != "shown True 1 3 synthetic https://shown.e2e.example.test" {
			return got
		}
		return ""
	})
	says(t, k.do(t, "describe", "marketstream/shown", "-n", ns), "Conditions:", "Observed Generation:", "BackboneReady", "ReadyTrue", "streamer ready")
	says(t, k.do(t, "explain", "marketstream.spec.stream.bufferCapacity"), "FIELD: bufferCapacity", "DESCRIPTION:")
	says(t, k.do(t, "get", "all", "-n", ns), "marketstream.marketstream.dev/shown", "statefulset.apps/shown-backbone", "deployment.apps/shown-streamer")

	// The same again changes nothing, and a difference is shown before it is made.
	if out, err := k.try(t.Context(), text, "diff", "-n", ns, "-f", "-"); err != nil || out != "" {
		t.Errorf("diff of what was applied: %v\n%s", err, out)
	}
	out, err := k.try(t.Context(), strings.Replace(text, "AAPL", "MSFT", 1), "diff", "-n", ns, "-f", "-")
	if err == nil {
		t.Error("diff of a change says that there is none")
	}
	says(t, out, "-  - AAPL", "+  - MSFT")

	edit := k.command(t.Context(), "", "edit", "marketstream/shown", "-n", ns)
	edit.Env = append(edit.Env, "EDITOR=sed -i s/AAPL/MSFT/")
	if out, err := edit.CombinedOutput(); err != nil {
		t.Errorf("edit: %v\n%s", err, out)
	}
	k.ready(t, ns, "shown")
	if got := k.field(t.Context(), ns, "marketstream/shown", "{.spec.symbols}"); !strings.Contains(got, "MSFT") {
		t.Errorf("after edit the symbols are %s", got)
	}
	out, err = k.try(t.Context(), strings.Replace(text, "SPY, QQQ", "SPY, spy", 1), "apply", "-n", ns, "-f", "-")
	if err == nil {
		t.Error("a symbol that is there twice was taken")
	} else {
		says(t, err.Error(), "spec.symbols")
	}
	out, err = k.try(t.Context(), strings.Replace(text, "timeframes: [1m, 5m]", "timeframes: [1m, 7m]", 1), "apply", "-n", ns, "-f", "-")
	if err == nil {
		t.Errorf("a timeframe of 7m was taken: %s", out)
	} else {
		says(t, err.Error(), "7m")
	}

	k.do(t, "scale", "marketstream/shown", "-n", ns, "--replicas=2")
	k.ready(t, ns, "shown")
	says(t, k.do(t, "get", "ms", "shown", "-n", ns), " 2 ")
	plugin(t, s, ns)
	says(t, k.do(t, "delete", "marketstream", "shown", "-n", ns), "deleted")
	s.report.figure(t, "get, describe, explain, wait, diff, edit, scale, delete, the plugin's six", "as expected")
}

// plugin runs the subcommands of kubectl-marketstream.
func plugin(t *testing.T, s *suite, ns string) {
	t.Helper()
	k := s.kube
	says(t, k.do(t, "marketstream", "status", "shown", "-n", ns), "Ready", "synthetic", "https://shown.e2e.example.test")
	shards := k.do(t, "marketstream", "shards", "shown", "-n", ns)
	pods := k.pods(t, ns, streamers)
	for _, p := range pods {
		says(t, shards, p.Metadata.Name)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	tail := k.command(ctx, "", "marketstream", "tail", "shown", "SPY", "-n", ns)
	out, err := tail.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tail.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || !strings.Contains(lines.Text(), "SPY") {
		t.Errorf("tail printed %q", lines.Text())
	}
	stop()
	_ = tail.Wait() // it was killed
	says(t, k.do(t, "marketstream", "pause", "shown", "-n", ns), "paused")
	eventually(t, hangs, func() string {
		if got := k.field(t.Context(), ns, "marketstream/shown", `{.status.conditions[?(@.type=="Paused")].status}`); got != "True" {
			return "Paused is " + got
		}
		return ""
	})
	says(t, k.do(t, "marketstream", "resume", "shown", "-n", ns), "not paused")
	k.ready(t, ns, "shown")
	if len(pods) > 0 {
		says(t, k.do(t, "marketstream", "drain", "shown", pods[0].Metadata.Name, "-n", ns), "is gone")
		k.ready(t, ns, "shown")
	}
}

// says fails if a text lacks something.
func says(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("want %q in:\n%s", w, text)
		}
	}
}

// write puts a text in a file of the test.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
