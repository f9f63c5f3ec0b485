package secrets

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/marketstream/marketstream/api/podreport"
)

const (
	// LookEvery is how often the files are looked at.
	LookEvery = time.Second
	// most is the longest that a file may be: no Secret is longer.
	most = 1 << 20
)

// Want is a Secret that is needed.
type Want struct {
	// Name of the Secret.
	Name string
	// Files of it that are read.
	Files []string
	// Fingerprint is the one of Files that says which account with a vendor it is; "": it is no vendor's.
	Fingerprint string
	// Check says what is wrong with the content of a file, without a word of it; nil: it must not be empty.
	Check func(content []byte) error
}

// Store knows the Secrets that are needed. Its methods may be called at the same time.
type Store struct {
	dir  string
	salt string // file
	log  logr.Logger

	mu     sync.Mutex
	wants  []Want
	loaded map[string]string // by file: the fingerprint of what was loaded, "" without one
	now    []podreport.Secret
}

// New makes a store. dir holds a directory for each Secret; salt is the file with the salt of fingerprints. Either may be "":
// then there are none.
func New(dir, salt string, log logr.Logger) *Store {
	return &Store{dir: dir, salt: salt, log: log, loaded: make(map[string]string), now: []podreport.Secret{}}
}

// Path is the file of a Secret's key; "" if the name leads out of the directory.
func (s *Store) Path(name, key string) string {
	local := filepath.Join(name, key)
	if s.dir == "" || !filepath.IsLocal(name) || !filepath.IsLocal(key) || !filepath.IsLocal(local) {
		return ""
	}
	return filepath.Join(s.dir, local)
}

// Need says which Secrets are needed from now on, and looks at them.
func (s *Store) Need(wants []Want) {
	s.mu.Lock()
	s.wants = wants
	s.mu.Unlock()
	s.Look()
}

// Watch looks again and again until ctx ends.
func (s *Store) Watch(ctx context.Context) {
	tick := time.NewTicker(LookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.Look()
		}
	}
}

// Look reads the files, and logs what has changed of what is told.
func (s *Store) Look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	salt, err := read(s.salt)
	if err != nil || s.salt == "" {
		salt = nil
	}
	now := make([]podreport.Secret, 0, len(s.wants))
	for i := range s.wants {
		told := s.look(&s.wants[i], bytes.TrimSpace(salt))
		now = append(now, told)
		if was := slices.IndexFunc(s.now, func(o podreport.Secret) bool { return o.Name == told.Name }); was >= 0 && s.now[was] == told {
			continue
		}
		s.log.Info("a Secret", "name", told.Name, "state", told.State, "reason", told.Reason, "fingerprint", told.Fingerprint)
	}
	s.now = now
}

// look reads the files of one; with s.mu held.
func (s *Store) look(w *Want, salt []byte) podreport.Secret {
	told := podreport.Secret{Name: w.Name, State: podreport.SecretLoaded}
	for _, file := range w.Files {
		content, err := read(file)
		state := podreport.SecretMissing
		if err == nil {
			state = podreport.SecretBad
			if err = check(w, content); err == nil {
				state = podreport.SecretLoaded
			}
		}
		if err == nil {
			if print := fingerprint(salt, content); file == w.Fingerprint && print != "" {
				s.loaded[file] = print
			} else if _, was := s.loaded[file]; !was {
				s.loaded[file] = ""
			}
		}
		if file == w.Fingerprint {
			told.Fingerprint = s.loaded[file]
		}
		if err == nil || told.State == podreport.SecretMissing || told.State == state {
			continue // of several the first is told, and one that is missing before one that is bad
		}
		told.State, told.Reason = state, fmt.Sprintf("%s: %s", filepath.Base(file), err)
		if _, was := s.loaded[file]; was {
			told.Reason += "; what was loaded of it before stays in use"
		}
	}
	return told
}

func check(w *Want, content []byte) error {
	switch {
	case len(content) > most:
		return fmt.Errorf("it is longer than %d bytes", most)
	case len(bytes.TrimSpace(content)) == 0:
		return errors.New("it is empty")
	case w.Check != nil:
		return w.Check(content)
	}
	return nil
}

// read reads a file, or enough of it to tell that it is too long. Its errors hold neither path nor content.
func read(file string) ([]byte, error) {
	if file == "" {
		return nil, errors.New("there is no place for it")
	}
	f, err := os.Open(file)
	if err == nil {
		defer func() { _ = f.Close() }()
		var content []byte
		if content, err = io.ReadAll(io.LimitReader(f, most+1)); err == nil {
			return content, nil
		}
	}
	var why *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("there is no such file")
	case errors.As(err, &why):
		return nil, why.Err
	}
	return nil, errors.New("it cannot be read")
}

// fingerprint is the same for the same key wherever the salt is the same; white space around the key is left out.
func fingerprint(salt, key []byte) string {
	if len(salt) == 0 {
		return ""
	}
	m := hmac.New(sha256.New, salt)
	m.Write(bytes.TrimSpace(key))
	return hex.EncodeToString(m.Sum(nil)[:8])
}

// Report is what is known of each that is needed.
func (s *Store) Report() []podreport.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.now)
}
