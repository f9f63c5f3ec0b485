package account

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestKeeper: a key counts when it was read alike twice, and one that is gone stays in use.
func TestKeeper(t *testing.T) {
	dir := t.TempDir()
	id, secret := filepath.Join(dir, "keyID"), filepath.Join(dir, "secretKey")
	k := New(Files(id, secret))
	if _, err := k.Key(); err == nil || err.Error() != "the key: keyID: there is no such file" {
		t.Error(err)
	}
	write(t, id, "one\n")
	write(t, secret, "  1111 ")
	is := func(want string) {
		t.Helper()
		if got, err := k.Key(); fmt.Sprint(got) != want || err != nil {
			t.Errorf("%v, %v; want %s", got, err, want)
		}
	}
	look := func(want bool) {
		t.Helper()
		if got := k.Look(); got != want {
			t.Errorf("changed: %v", got)
		}
	}
	is("[one 1111]")
	look(false)
	write(t, id, "two") // half of it
	look(false)
	write(t, secret, "2222")
	look(false)
	is("[one 1111]")
	look(true)
	is("[two 2222]")
	if err := os.Remove(secret); err != nil {
		t.Fatal(err)
	}
	look(false)
	look(false)
	is("[two 2222]")
	for _, text := range []string{"", " \n", "a\nb", strings.Repeat("x", mostBytes+1)} {
		write(t, secret, text)
		look(false)
		look(false)
	}
	is("[two 2222]")
	if got := k.Hide("one 1111 two 2222 three"); got != "… … … … three" {
		t.Error(got)
	}
}

// TestClean: an error says what it said without the key, and wraps what it wrapped.
func TestClean(t *testing.T) {
	k := New(Fixed("s3cret", "s3cret-longer"))
	if _, err := k.Key(); err != nil {
		t.Fatal(err)
	}
	why := errors.New("inner")
	err := k.Clean(fmt.Errorf("GET https://x?key=s3cret-longer s3cret: %w", why))
	if err.Error() != "GET https://x?key=… …: inner" || !errors.Is(err, why) {
		t.Error(err)
	}
	if plain := k.Clean(why); !errors.Is(plain, why) || plain.Error() != "inner" || k.Clean(nil) != nil {
		t.Error("an error without the key is another one")
	}
	if _, err := New(Fixed("")).Key(); err == nil {
		t.Error("an empty key is a key")
	}
}
