// Package archtest holds the tree against its import rules and habits, each with its reason.
package archtest

import (
	"bufio"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
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
	except []string
	reason string
}

// rules are those of docs: one line each, with its reason.
var rules = []rule{
	{"streamer/market", []string{"ours"}, nil, "values must be usable everywhere"},
	{"streamer/logs", []string{"ours"}, []string{"streamer/market"}, "the bytes of the logs depend on values alone"},
	{"streamer/bars", []string{"ours", "net", "os", "time"}, []string{"streamer/market"}, "the fold is pure: no clock, no disk, no network"},
	{"streamer/ring", []string{"ours"}, []string{"streamer/market"}, "closed bars in memory depend on values alone"},
	{"streamer/feed/...", []string{"ours"}, []string{"streamer/market", "streamer/feed"}, "a feed knows neither logs nor bars"},
	{"streamer/stream", []string{"ours"}, []string{"streamer/market", "streamer/logs"}, "streams read a log through a small interface"},
	{"streamer/history", []string{"ours"}, []string{"streamer/market", "streamer/logs", "streamer/ring"}, "history reads rings and a log through small interfaces"},
	{"streamer/ingest", []string{"ours"}, []string{"streamer/market", "streamer/logs", "streamer/bars", "streamer/feed", "streamer/metrics"}, "ingest knows the logs as interfaces"},
	{"streamer/backbone", []string{"ours"}, []string{"streamer/market", "streamer/logs"}, "the backbone stores bytes"},
	{"...", []string{"streamer/engine"}, []string{"cmd/marketstream"}, "nothing builds on the wiring"},
	{"...", []string{"github.com/nats-io/"}, []string{"streamer/backbone"}, "NATS is a detail of the backbone"},
	{"streamer/...", []string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime"}, nil, "the data plane has no Kubernetes API access"},
	{"api/...", []string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime"}, []string{"api/v1alpha1/applyconfiguration/..."}, "the API types must not bring client-go into the streamer"},
	{"...", []string{module + "api/v1alpha1/applyconfiguration"}, []string{"controllers/...", "api/v1alpha1/applyconfiguration/..."}, "apply configurations are the controllers' alone"},
	{"controllers/...", []string{"streamer"}, []string{"streamer/market"}, "the control plane knows the data plane by its reports"},
	{"controllers/desired", []string{"net", "os", "time"}, nil, "builders are pure"},
	{"controllers/rollout", []string{"net", "os", "time"}, nil, "decisions are pure"},
	{"controllers/conditions", []string{"net", "os", "time"}, nil, "conditions are pure"},
}

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

// broken says which rule an import of a package breaks, or "".
func broken(pkg, imported string) string {
	for _, r := range rules {
		if !matches(r.from, pkg) {
			continue
		}
		own, ours := strings.CutPrefix(imported, module)
		forbidden := slices.ContainsFunc(r.not, func(n string) bool {
			switch {
			case n == "ours":
				return ours
			case ours:
				return own == n || strings.HasPrefix(own, n+"/") || strings.HasPrefix(imported, n)
			}
			return imported == n || strings.HasPrefix(imported, n+"/") || strings.HasSuffix(n, "/") && strings.HasPrefix(imported, n)
		})
		excepted := slices.ContainsFunc(r.except, func(e string) bool { return ours && matches(e, own) || matches(e, pkg) })
		if forbidden && !excepted && own != pkg {
			return fmt.Sprintf("%s imports %s: %s", pkg, imported, r.reason)
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
		{"streamer/market", module + "streamer/logs", true},
		{"streamer/bars", module + "streamer/market", false},
		{"streamer/bars", "time", true},
		{"streamer/stream", module + "streamer/ring", true},
		{"streamer/history", module + "streamer/ring", false},
		{"streamer/history", "github.com/nats-io/nats.go", true},
		{"streamer/backbone", "github.com/nats-io/nats.go", false},
		{"streamer/metrics", module + "streamer/engine", true},
		{"cmd/marketstream", module + "streamer/engine", false},
		{"streamer/engine", "k8s.io/client-go/kubernetes", true},
		{"streamer/feed/replay", module + "streamer/feed", false},
		{"streamer/feed/replay", module + "streamer/bars", true},
		{"controllers/desired", "os", true},
		{"controllers/marketstream", module + "streamer/ring", true},
	} {
		if got := broken(c.pkg, c.imported); (got != "") != c.want {
			t.Errorf("%s imports %s: %q", c.pkg, c.imported, got)
		}
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
			if imported == "time" && strings.HasPrefix(path, "streamer/bars/") {
				t.Errorf("%s imports time: the fold is pure", path)
			}
			if s := broken(filepath.ToSlash(filepath.Dir(path)), imported); s != "" {
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

// TestHabits holds files against the habits that can be checked by looking.
func TestHabits(t *testing.T) {
	documented, packages := map[string]bool{}, map[string]string{}
	goFiles(t, func(path string) {
		dir := filepath.Dir(path)
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", path), nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		name := f.Name.Name
		if badPackage.MatchString(name) {
			t.Errorf("%s: package %s: name the thing", path, name)
		}
		file, err := os.Open(filepath.Join("..", "..", path))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		lines, generated := 0, false
		for in := bufio.NewScanner(file); in.Scan(); {
			lines++
			text := in.Text()
			generated = generated || strings.HasPrefix(text, "// Code generated")
			if badLine.MatchString(text) {
				t.Errorf("%s:%d: a promise: do it now or say so in the closing note", path, lines)
			}
			if sleeps.MatchString(text) && (strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "controllers/")) {
				t.Errorf("%s:%d: sleeping is no way to wait: slow on a good day, red on a bad one", path, lines)
			}
			if places.MatchString(text) {
				t.Errorf("%s:%d: a path of one machine", path, lines)
			}
		}
		if lines > 600 && !generated {
			t.Errorf("%s has %d lines; at most 600", path, lines)
		}
		if !strings.HasSuffix(path, "_test.go") && !generated {
			packages[dir] = path
			documented[dir] = documented[dir] || f.Doc != nil
		}
	})
	for dir := range packages {
		if !documented[dir] {
			t.Errorf("%s: no package comment", dir)
		}
	}
}
