package pods

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestLeases runs testdata/*.txt: commands, and what the leases of one partition come to.
//
//	saw REV HOLDER TOKEN [next=POD]     a watch told it
//	read REV HOLDER TOKEN [next=POD]    an answered read showed it; "read gone": it is not there
//	stored REV HOLDER TOKEN [next=POD]  a put of ours was confirmed
//	unanswered                          the registry did not answer
//	steps [to=POD] [overlap] [covers] [sole] [leave] [stopping|stopped]
//	+MS                                 time passes
//
// REWRITE=1 writes what comes out.
func TestLeases(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := leaseScript(t, string(text))
			if os.Getenv("REWRITE") != "" {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				t.Errorf("got\n%s\nwant\n%s", got, text)
			}
		})
	}
}

func leaseScript(t *testing.T, script string) string {
	t.Helper()
	l, now := NewLeases("me"), time.Unix(1000, 0)
	var out strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(script, "\n"), "\n") {
		if strings.HasPrefix(line, "    ") {
			continue // what came out last time
		}
		fmt.Fprintln(&out, line)
		if line == "" || line[0] == '#' {
			continue
		}
		for _, r := range leaseCommand(t, l, &now, strings.Fields(line)) {
			fmt.Fprintln(&out, "    "+r)
		}
	}
	return out.String()
}

func leaseCommand(t *testing.T, l *Leases, now *time.Time, f []string) (out []string) {
	t.Helper()
	has := func(word string) bool { return slices.Contains(f, word) }
	value := func(key string) string {
		for _, x := range f {
			if v, ok := strings.CutPrefix(x, key+"="); ok {
				return v
			}
		}
		return ""
	}
	parse := func() (uint64, Lease) {
		rev, err := strconv.ParseUint(f[1], 10, 64)
		if err != nil {
			t.Fatalf("%v: %v", f, err)
		}
		token, err := strconv.ParseUint(f[3], 10, 64)
		if err != nil {
			t.Fatalf("%v: %v", f, err)
		}
		return rev, Lease{Holder: strings.Trim(f[2], "-"), Token: token, Next: value("next")}
	}
	switch {
	case strings.HasPrefix(f[0], "+"):
		ms, err := strconv.Atoi(f[0][1:])
		if err != nil {
			t.Fatal(err)
		}
		*now = now.Add(time.Duration(ms) * time.Millisecond)
	case f[0] == "unanswered":
		l.Unanswered()
	case f[0] == "read" && f[1] == "gone":
		l.Saw(0, *now, *now, 0, Lease{}, false)
	case f[0] == "saw", f[0] == "read":
		asked := time.Time{}
		if f[0] == "read" {
			asked = *now
		}
		rev, lease := parse()
		if l.Saw(0, asked, *now, rev, lease, true) {
			out = append(out, "lost")
		}
	case f[0] == "stored":
		rev, lease := parse()
		l.Stored(0, *now, *now, rev, lease)
	case f[0] == "steps":
		in := Input{Now: *now, Overlap: has("overlap"), Sole: has("sole"), Leave: has("leave"),
			Covers: func(string, int) bool { return has("covers") }}
		in.Assigned[0] = value("to")
		switch {
		case has("stopping"):
			in.Writers[0] = Stopping
		case has("stopped"):
			in.Writers[0] = Stopped
		}
		for _, s := range l.Steps(in) {
			text := string(s.Kind)
			if s.Kind == Take || s.Kind == Renew || s.Kind == Give {
				text += fmt.Sprintf(" expect=%d holder=%q", s.Expect, s.Lease.Holder)
				if s.Lease.Next != "" {
					text += " next=" + s.Lease.Next
				}
			}
			out = append(out, text+": "+s.Why)
		}
		if len(out) == 0 {
			out = append(out, "nothing")
		}
	default:
		t.Fatalf("unknown command %v", f)
	}
	return out
}
