// Package archtest holds the tree against its import rules and habits, each with its reason.
package archtest

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/marketstream/marketstream/"

// rule forbids imports to packages, but those that except names.
type rule struct {
	from   string // a package, or a tree that ends in /...
	not    []string
	except []string // what may be imported all the same
	spared []string // packages that the rule does not bind
	reason string
}

// kube is what talks to a Kubernetes API.
var kube = []string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime"}

// rules are those of docs: one line each, with its reason.
var rules = []rule{
	{"streamer/market", []string{"ours", "net", "os"}, nil, nil, "values must be usable everywhere"},
	{"streamer/logs", []string{"ours", "net", "os"}, []string{"streamer/market"}, nil, "the bytes of the logs depend on values alone"},
	{"streamer/bars", []string{"ours", "net", "os", "time"}, []string{"streamer/market"}, nil, "the fold is pure: no clock, no disk, no network"},
	{"streamer/ring", []string{"ours", "net", "os"}, []string{"streamer/market"}, nil, "closed bars in memory depend on values alone"},
	{"streamer/feed/...", []string{"ours"}, []string{"streamer/market", "streamer/feed", "streamer/feed/scan", "streamer/feed/vendortest", "streamer/feed/vendortest/wire", "streamer/feed/socket", "streamer/feed/link", "streamer/feed/pages", "streamer/feed/account"}, nil, "a feed knows neither logs nor bars, nor another vendor's protocol"},
	{"streamer/httperr", []string{"ours"}, nil, nil, "an answer that says what is wrong depends on nothing of ours"},
	{"streamer/stream", []string{"ours"}, []string{"streamer/market", "streamer/logs", "streamer/httperr"}, nil, "streams read a log through a small interface"},
	{"streamer/history", []string{"ours"}, []string{"streamer/market", "streamer/logs", "streamer/ring", "streamer/httperr"}, nil, "history reads rings and a log through small interfaces"},
	{"streamer/pods", []string{"ours"}, []string{"streamer/market", "streamer/logs"}, nil, "who holds what is decided without knowing what it is"},
	{"streamer/peer", []string{"ours"}, []string{"streamer/market", "streamer/ring", "streamer/httperr"}, nil, "reads among pods know rings, not who is to hold them"},
	{"streamer/shard", []string{"ours"}, []string{"streamer/market", "streamer/logs", "streamer/ring", "streamer/pods", "streamer/peer"}, nil, "rings are spread without knowing who reads them"},
	{"streamer/ingest", []string{"ours"}, []string{"streamer/market", "streamer/logs", "streamer/bars", "streamer/feed", "streamer/metrics"}, nil, "ingest knows the logs as interfaces"},
	{"streamer/backbone", []string{"ours"}, []string{"streamer/market", "streamer/logs", "api/podreport"}, nil, "the backbone stores bytes"},
	{"streamer/secrets", []string{"ours"}, []string{"api/podreport"}, nil, "what is told of Secrets depends on no feed and no form of access"},
	{"api/podreport", []string{"ours"}, nil, nil, "both planes import it, so it imports neither"},
	{"...", []string{"streamer/engine"}, nil, []string{"cmd/marketstream"}, "nothing builds on the wiring"},
	{"...", []string{"github.com/nats-io/"}, nil, []string{"streamer/backbone"}, "NATS is a detail of the backbone"},
	{"streamer/...", kube, nil, nil, "the data plane has no Kubernetes API access"},
	{"api/...", kube, nil, []string{"api/v1alpha1/applyconfiguration/..."}, "the API types must not bring client-go into the streamer"},
	{"controllers/...", kube, []string{"k8s.io/client-go/applyconfigurations"}, []string{"controllers/marketstream"}, "one package alone talks to the Kubernetes API"},
	{"controllers/rollout", kube, nil, nil, "decisions need no client, nor its types"},
	{"controllers/conditions", kube, nil, nil, "conditions need no client, nor its types"},
	{"...", []string{"api/v1alpha1/applyconfiguration"}, nil, []string{"controllers/...", "api/v1alpha1/applyconfiguration/..."}, "apply configurations are the controllers' alone"},
	{"controllers/...", []string{"streamer"}, []string{"streamer/market"}, nil, "the control plane knows the data plane by its reports"},
	{"controllers/desired", []string{"net", "os", "time"}, nil, nil, "builders are pure"},
	{"controllers/rollout", []string{"net", "os", "time"}, nil, nil, "decisions are pure"},
	{"controllers/conditions", []string{"net", "os", "time"}, nil, nil, "conditions are pure"},
}

// kubeFiles are the files of cmd that may import a Kubernetes client: they start what holds it.
var kubeFiles = []string{"cmd/marketstream/operator.go", "cmd/kubectl-marketstream/"}

// matches reports whether a package lies in a tree: "a/b", "a/...", "...".
func matches(tree, pkg string) bool {
	if tree == "..." {
		return true
	}
	if dir, ok := strings.CutSuffix(tree, "/..."); ok {
		return pkg == dir || strings.HasPrefix(pkg, dir+"/")
	}
	return tree == pkg
}

// within reports whether an import lies at or below a path; one that ends in / is a prefix.
func within(path, imported string) bool {
	return imported == path || strings.HasPrefix(imported, strings.TrimSuffix(path, "/")+"/")
}

// broken says which rule an import by a file breaks, or "".
func broken(file, imported string) string {
	pkg := filepath.ToSlash(filepath.Dir(file))
	own, ours := strings.CutPrefix(imported, module)
	if own == pkg {
		return ""
	}
	if strings.HasPrefix(file, "cmd/") && !slices.ContainsFunc(kubeFiles, func(k string) bool { return strings.HasPrefix(file, k) }) &&
		slices.ContainsFunc(kube, func(k string) bool { return within(k, imported) }) {
		return fmt.Sprintf("%s imports %s: only what starts the operator knows a client", file, imported)
	}
	for _, r := range rules {
		binds := matches(r.from, pkg) && !slices.ContainsFunc(r.spared, func(s string) bool { return matches(s, pkg) })
		forbidden := slices.ContainsFunc(r.not, func(n string) bool {
			return n == "ours" && ours || ours && within(n, own) || !ours && within(n, imported)
		})
		excepted := slices.ContainsFunc(r.except, func(e string) bool { return ours && e == own || !ours && within(e, imported) })
		if binds && forbidden && !excepted {
			return fmt.Sprintf("%s imports %s: %s", file, imported, r.reason)
		}
	}
	return ""
}

// TestRulesCanFail: the checker finds what it is for.
func TestRulesCanFail(t *testing.T) {
	for _, c := range []struct {
		pkg, imported string
		want          bool
	}{
		{"streamer/feed", module + "streamer/bars", true},
		{"streamer/feed/kraken", module + "streamer/feed/polygon", true},
		{"streamer/market", "net/http", true},
		{"streamer/market", "netip.example/x", false},
		{"controllers/rollout", "sigs.k8s.io/controller-runtime/pkg/client", true},
		{"controllers/rollout", "k8s.io/client-go/applyconfigurations/core/v1", true},
		{"controllers/desired", "k8s.io/client-go/kubernetes", true},
		{"controllers/desired", "k8s.io/client-go/applyconfigurations/core/v1", false},
		{"controllers/marketstream", "sigs.k8s.io/controller-runtime/pkg/client", false},
		{"controllers/desired", module + "streamer/market", false},
		{"controllers/desired", module + "api/v1alpha1/applyconfiguration/api/v1alpha1", false},
		{"cmd/marketstream", "k8s.io/client-go/kubernetes", true},
		{"api/podreport", module + "streamer/market", true},
		{"api/v1alpha1", "k8s.io/client-go/kubernetes", true},
		{"streamer/metrics", module + "api/v1alpha1/applyconfiguration/api/v1alpha1", true},
		{"hack/bench", "github.com/nats-io/nats.go", true},
		{"streamer/market", module + "streamer/logs", true},
		{"streamer/bars", module + "streamer/market", false},
		{"streamer/bars", "time", true},
		{"streamer/stream", module + "streamer/ring", true},
		{"streamer/history", module + "streamer/ring", false},
		{"streamer/history", module + "streamer/httperr", false},
		{"streamer/httperr", module + "streamer/market", true},
		{"streamer/history", "github.com/nats-io/nats.go", true},
		{"streamer/backbone", "github.com/nats-io/nats.go", false},
		{"streamer/metrics", module + "streamer/engine", true},
		{"streamer/peer", module + "streamer/pods", true},
		{"streamer/shard", module + "streamer/history", true},
		{"cmd/marketstream", module + "streamer/engine", false},
		{"streamer/engine", "k8s.io/client-go/kubernetes", true},
		{"streamer/feed/replay", module + "streamer/feed", false},
		{"streamer/feed/replay", module + "streamer/bars", true},
		{"controllers/desired", "os", true},
		{"controllers/marketstream", module + "streamer/ring", true},
	} {
		if got := broken(c.pkg+"/x.go", c.imported); (got != "") != c.want {
			t.Errorf("%s imports %s: %q", c.pkg, c.imported, got)
		}
	}
	if got := broken("cmd/marketstream/operator.go", "k8s.io/client-go/rest"); got != "" {
		t.Errorf("the operator's file is refused a client: %s", got)
	}
}

// goFiles calls fn for every Go file of the module.
func goFiles(t *testing.T, fn func(path string)) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "bin" || strings.HasPrefix(d.Name(), ".") && path != root) {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			fn(filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestImports holds every import against the rules; tests may import what they need to.
func TestImports(t *testing.T) {
	seen := 0
	goFiles(t, func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", path), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			imported, _ := strconv.Unquote(i.Path.Value)
			seen++
			if s := broken(path, imported); s != "" {
				t.Error(s)
			}
		}
	})
	if seen < 100 {
		t.Errorf("only %d imports were looked at", seen)
	}
}

var (
	badPackage = regexp.MustCompile(`^(util|utils|common|helpers|misc)$`)
	badLine    = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX)\b`)
	sleeps     = regexp.MustCompile(`\btime\.Sle` + `ep\(`)
	places     = regexp.MustCompile(`(^|[\s"'=(])/(ro` + `ot|wo` + `rk|ho` + `me)/\w`)
)

// hosts are package registries; a file that names one works in one place only.
var hosts = regexp.MustCompile(`(proxy\.golang|registry\.npm|deb\.deb` + `ian|pypi|crates)\.(org|io|js\.org)`)

// source is what the habits look at in one Go file.
type source struct {
	path, text string
	name       string // of the package
}

// habits says what is wrong with a Go file.
func habits(s source) (wrong []string) {
	say := func(line int, what string) { wrong = append(wrong, fmt.Sprintf("%s:%d: %s", s.path, line, what)) }
	if badPackage.MatchString(s.name) {
		say(1, "package "+s.name+": name the thing")
	}
	lines := strings.Split(strings.TrimSuffix(s.text, "\n"), "\n")
	generated := slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "// Code generated") })
	for i, l := range lines {
		if badLine.MatchString(l) {
			say(i+1, "a promise: do it now or say so in the closing note")
		}
		if sleeps.MatchString(l) && (strings.HasSuffix(s.path, "_test.go") || strings.HasPrefix(s.path, "controllers/")) {
			say(i+1, "sleeping is no way to wait: slow on a good day, red on a bad one")
		}
	}
	if len(lines) > 600 && !generated {
		say(601, fmt.Sprintf("%d lines; at most 600", len(lines)))
	}
	return wrong
}

// located says which lines of a text file name a place of one machine or a registry.
func located(path, text string) (wrong []string) {
	for i, l := range strings.Split(text, "\n") {
		if places.MatchString(l) {
			wrong = append(wrong, fmt.Sprintf("%s:%d: a path of one machine", path, i+1))
		}
		if hosts.MatchString(l) {
			wrong = append(wrong, fmt.Sprintf("%s:%d: a registry's host", path, i+1))
		}
	}
	return wrong
}

// TestHabits holds files against the habits that can be checked by looking.
func TestHabits(t *testing.T) {
	documented, seen := map[string]bool{}, map[string]bool{}
	goFiles(t, func(path string) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", path), nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join("..", "..", path))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range habits(source{path, string(text), f.Name.Name}) {
			t.Error(w)
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		if strings.HasSuffix(path, "_test.go") || strings.Contains(string(text), "// Code generated") {
			return
		}
		seen[dir] = true
		if f.Doc != nil && (!strings.HasPrefix(dir, "streamer") || filepath.Base(path) == "doc.go") {
			documented[dir] = true
		}
	})
	for dir := range seen {
		if !documented[dir] {
			t.Errorf("%s: no package comment (in doc.go, in streamer)", dir)
		}
	}
}

// TestPlaces looks at every text file that git would keep.
func TestPlaces(t *testing.T) {
	root := filepath.Join("..", "..")
	out, err := exec.Command("git", "-C", root, "ls-files", "-z", "-co", "--exclude-standard").Output()
	if err != nil {
		t.Skip("no git, or no repository: ", err)
	}
	n := 0
	for _, path := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil || slices.Contains(text, 0) {
			continue // removed in the work tree, or no text
		}
		n++
		for _, w := range located(path, string(text)) {
			t.Error(w)
		}
	}
	if n < 50 {
		t.Errorf("only %d files were looked at", n)
	}
}

// TestDataPlaneDependencies: what a rule on imports can't see, a client that comes by way of a dependency.
func TestDataPlaneDependencies(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "./streamer/...", "./api/podreport", "./api/v1alpha1")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 100 {
		t.Errorf("only %d dependencies were looked at", len(deps))
	}
	for _, w := range clients(deps) {
		t.Errorf("the data plane depends on %s: it has no Kubernetes API access", w)
	}
}

// clients are the packages that talk to a Kubernetes API.
func clients(deps []string) (found []string) {
	for _, d := range deps {
		if slices.ContainsFunc(kube, func(k string) bool { return within(k, d) }) {
			found = append(found, d)
		}
	}
	return found
}

// TestHabitsCanFail: each check finds what it is for, and only that.
func TestHabitsCanFail(t *testing.T) {
	sleep := "\ttime.Sle" + "ep(1)\n"
	for _, c := range []struct {
		s    source
		want int
	}{
		{source{path: "streamer/x/x.go", text: "package x\n", name: "x"}, 0},
		{source{path: "streamer/utils/x.go", text: "package utils\n", name: "utils"}, 1},
		{source{path: "streamer/x/x.go", text: "// TO" + "DO later\n", name: "x"}, 1},
		{source{path: "streamer/x/x_test.go", text: sleep, name: "x"}, 1},
		{source{path: "controllers/x/x.go", text: sleep, name: "x"}, 1},
		{source{path: "streamer/x/x.go", text: sleep, name: "x"}, 0},
		{source{path: "streamer/x/x.go", text: strings.Repeat("\n", 601), name: "x"}, 1},
		{source{path: "streamer/x/x.go", text: "// Code generated\n" + strings.Repeat("\n", 601), name: "x"}, 0},
	} {
		if got := habits(c.s); len(got) != c.want {
			t.Errorf("%s: %q", c.s.path, got)
		}
	}
	for text, want := range map[string]int{
		"see /wo" + "rk/main": 1, "a /network": 0, "https://proxy.golang" + ".org": 1, "GOPROXY=off": 0,
	} {
		if got := located("README.md", text); len(got) != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	if got := clients([]string{"k8s.io/client-go/rest", "k8s.io/client-gopher", "os"}); len(got) != 1 {
		t.Errorf("clients: %q", got)
	}
}
