package secrets_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"

	"github.com/marketstream/marketstream/api/podreport"
	"github.com/marketstream/marketstream/streamer/secrets"
)

// place is a directory as Kubernetes mounts Secrets, and the log of a store that looks at it.
type place struct {
	t     *testing.T
	dir   string
	lines []string
	*secrets.Store
}

func newPlace(t *testing.T) *place {
	p := &place{t: t, dir: t.TempDir()}
	p.Store = secrets.New(p.dir, filepath.Join(p.dir, "salt"), funcr.New(func(_, args string) { p.lines = append(p.lines, args) }, funcr.Options{}))
	return p
}

func (p *place) write(path, text string) {
	p.t.Helper()
	path = filepath.Join(p.dir, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) is(what string, want podreport.Secret) {
	p.t.Helper()
	p.Look()
	got := p.Report()
	if len(got) != 1 || got[0] != want {
		p.t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

const key, salt = "k3y-that-nobody-may-see", "the-salt"

func printOf(salt, key string) string {
	m := hmac.New(sha256.New, []byte(salt))
	m.Write([]byte(key))
	return hex.EncodeToString(m.Sum(nil))[:16]
}

// TestLife: a vendor's key that comes, changes, is bad and goes.
func TestLife(t *testing.T) {
	p := newPlace(t)
	file := p.Path("polygon", "apiKey")
	p.Need([]secrets.Want{{Name: "polygon", Files: []string{file}, Fingerprint: file}})
	p.is("not there", podreport.Secret{Name: "polygon", State: "missing", Reason: "apiKey: there is no such file"})
	p.write("polygon/apiKey", key+"\n")
	p.is("no salt", podreport.Secret{Name: "polygon", State: "loaded"})
	p.write("salt", salt+"\n")
	p.is("there", podreport.Secret{Name: "polygon", State: "loaded", Fingerprint: printOf(salt, key)})
	p.write("polygon/apiKey", " \n")
	p.is("empty", podreport.Secret{Name: "polygon", State: "bad", Reason: "apiKey: it is empty; what was loaded of it before stays in use", Fingerprint: printOf(salt, key)})
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	p.is("gone", podreport.Secret{Name: "polygon", State: "missing", Reason: "apiKey: there is no such file; what was loaded of it before stays in use", Fingerprint: printOf(salt, key)})
	p.write("polygon/apiKey", strings.Repeat(key, 1<<16))
	p.is("too long", podreport.Secret{Name: "polygon", State: "bad", Reason: "apiKey: it is longer than 1048576 bytes; what was loaded of it before stays in use", Fingerprint: printOf(salt, key)})
	p.write("polygon/apiKey", "another")
	p.is("another", podreport.Secret{Name: "polygon", State: "loaded", Fingerprint: printOf(salt, "another")})
	if len(p.lines) != 7 {
		t.Errorf("%d changes are logged: %q", len(p.lines), p.lines)
	}
	if all := strings.Join(p.lines, "\n") + fmt.Sprint(p.Report()); strings.Contains(all, key) || strings.Contains(all, salt) || strings.Contains(all, "another") {
		t.Error("what is told holds a content: ", all)
	}
}

// TestSeveralFiles: of a Secret with several keys one that is missing is told before one that is bad.
func TestSeveralFiles(t *testing.T) {
	p := newPlace(t)
	p.write("alpaca/keyID", key)
	p.write("alpaca/bad", key)
	bad := func(content []byte) error {
		if strings.Contains(string(content), key) {
			return errors.New("it is not good")
		}
		return nil
	}
	p.Need([]secrets.Want{{Name: "alpaca", Files: []string{p.Path("alpaca", "bad"), p.Path("alpaca", "none"), p.Path("alpaca", "keyID")}, Check: bad}})
	p.is("one of each", podreport.Secret{Name: "alpaca", State: "missing", Reason: "none: there is no such file"})
	p.write("alpaca/none", "good")
	p.is("all there", podreport.Secret{Name: "alpaca", State: "bad", Reason: "bad: it is not good"})
}

// TestPathOutside: no name in a document leads out of the directory.
func TestPathOutside(t *testing.T) {
	p := newPlace(t)
	for _, n := range [][2]string{{"..", "salt"}, {"a", "../../salt"}, {"/etc", "passwd"}, {"a", "/salt"}, {"", "salt"}} {
		if path := p.Path(n[0], n[1]); path != "" {
			t.Errorf("%q: %s", n, path)
		}
	}
	if path := secrets.New("", "", funcr.New(func(string, string) {}, funcr.Options{})).Path("a", "b"); path != "" {
		t.Errorf("without a directory: %s", path)
	}
}
