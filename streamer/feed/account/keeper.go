package account

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Read reads the parts of a key, as they are now. Its errors hold nothing of them.
type Read func() ([]string, error)

// mostBytes is the longest that a part may be.
const mostBytes = 4096

// Files reads each part from a file, without the space around it.
func Files(paths ...string) Read {
	return func() ([]string, error) {
		parts := make([]string, len(paths))
		for i, path := range paths {
			if path == "" {
				return nil, errors.New("no directory of Secrets was named")
			}
			content, err := os.ReadFile(path)
			name := filepath.Base(path)
			switch text := bytes.TrimSpace(content); {
			case errors.Is(err, os.ErrNotExist):
				return nil, fmt.Errorf("%s: there is no such file", name)
			case err != nil:
				return nil, fmt.Errorf("%s: it can't be read", name)
			case len(text) == 0:
				return nil, fmt.Errorf("%s: it is empty", name)
			case len(text) > mostBytes || bytes.ContainsAny(text, "\x00\r\n"):
				return nil, fmt.Errorf("%s: it is no key: want one line of at most %d bytes", name, mostBytes)
			default:
				parts[i] = string(text)
			}
		}
		return parts, nil
	}
}

// Fixed is a key that does not change.
func Fixed(parts ...string) Read {
	return func() ([]string, error) {
		if slices.Contains(parts, "") {
			return nil, errors.New("it is empty")
		}
		return parts, nil
	}
}

// Keeper keeps one key. Its methods may be called at the same time.
type Keeper struct {
	read Read

	mu    sync.Mutex
	now   []string
	next  []string // another key that was read once
	hides []string // parts that were ever read, the longest first
}

// New makes a keeper that has read nothing yet.
func New(read Read) *Keeper { return &Keeper{read: read} }

// Key is the key of now; it is read if there is none yet. An error says why there is none.
func (k *Keeper) Key() ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.now == nil {
		parts, err := k.read()
		if err != nil {
			return nil, fmt.Errorf("the key: %w", err)
		}
		k.take(parts)
	}
	return k.now, nil
}

// Look reads the key again and reports whether it is another one than before. It must be read alike twice: a key of
// several files may be read while they change. A key that can't be read is no change: what was read before stays in use.
func (k *Keeper) Look() (changed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	parts, err := k.read()
	if err != nil || slices.Equal(parts, k.now) {
		k.next = nil
		return false
	}
	k.hide(parts)
	if !slices.Equal(parts, k.next) {
		k.next = slices.Clone(parts)
		return false
	}
	k.take(parts)
	return true
}

func (k *Keeper) take(parts []string) {
	k.now, k.next = slices.Clone(parts), nil
	k.hide(parts)
}

func (k *Keeper) hide(parts []string) {
	for _, p := range parts {
		if !slices.Contains(k.hides, p) {
			k.hides = append(k.hides, p)
		}
	}
	slices.SortFunc(k.hides, func(a, b string) int { return len(b) - len(a) })
}

// Hide returns a text with "…" in place of every part of a key that was ever read.
func (k *Keeper) Hide(text string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.hides {
		text = strings.ReplaceAll(text, p, "…")
	}
	return text
}

// hidden is an error without the key.
type hidden struct {
	error
	text string
}

func (h *hidden) Error() string { return h.text }

// Unwrap returns the error that may hold the key, for errors.Is and errors.As.
func (h *hidden) Unwrap() error { return h.error }

// Clean returns an error whose text has the key taken out of it; nil stays nil.
func (k *Keeper) Clean(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if clean := k.Hide(text); clean != text {
		return &hidden{err, clean}
	}
	return err
}
