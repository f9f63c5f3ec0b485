//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/marketstream/marketstream/hack/manifests"
)

// report is what scenarios measured.
type report struct {
	began         time.Time
	commit        string
	way, scenario string
	since         time.Time
	rows          []string
	said          []string
}

func newReport() *report {
	commit, _ := exec.Command("git", "-C", manifests.Root(), "describe", "--always", "--dirty").Output()
	return &report{began: time.Now(), commit: strings.TrimSpace(string(commit))}
}

func (r *report) say(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

// begin begins a scenario, to which figures belong until it ends.
func (r *report) begin(way, scenario string) { r.way, r.scenario, r.since = way, scenario, time.Now() }

func (r *report) end(t *testing.T) {
	if !t.Failed() {
		r.figure(t, "seconds in all", "%.0f", time.Since(r.since).Seconds())
	}
}

// figure is one of the scenario that has begun.
func (r *report) figure(t *testing.T, what, format string, args ...any) {
	t.Helper()
	t.Logf("%s: "+format, append([]any{what}, args...)...)
	r.add(r.way, r.scenario, what, format, args...)
}

func (r *report) add(way, scenario, what, format string, args ...any) {
	r.rows = append(r.rows, fmt.Sprintf("| %s | %s | %s | %s |", way, scenario, what, fmt.Sprintf(format, args...)))
}

func (r *report) write(path string) error {
	var out strings.Builder
	fmt.Fprintf(&out, "# End to end, in a real cluster\n\nWritten by `make e2e` on %s at %s, %d CPUs, in %.0f s. Figures are of a machine that does other things too.\n\n",
		r.began.UTC().Format(time.DateOnly), r.commit, runtime.NumCPU(), time.Since(r.began).Seconds())
	for _, line := range r.said {
		fmt.Fprintf(&out, "%s\n", line)
	}
	fmt.Fprintf(&out, "\n| installed by | scenario | what | figure |\n|---|---|---|---|\n%s\n", strings.Join(r.rows, "\n"))
	return os.WriteFile(path, []byte(out.String()), 0o644)
}
