// Package timeline keeps what happened and when, so that a failure can be read: every entry goes to
// a file, the newest stay in memory to be printed.
package timeline

import (
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// most is how many entries are kept in memory.
const most = 50_000

// Entry is one thing that happened.
type Entry struct {
	At   time.Time
	Who  string
	What string
}

// Timeline is a list of entries. Its methods may be called at the same time.
type Timeline struct {
	began time.Time

	mu      sync.Mutex
	file    *os.File
	echo    io.Writer
	entries []Entry
}

// New returns a timeline that writes all of its entries to a file; echo gets those of Say, and may be nil.
func New(path string, echo io.Writer) (*Timeline, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("timeline: %w", err)
	}
	return &Timeline{began: time.Now(), file: f, echo: echo}, nil
}

// Add adds an entry of now.
func (t *Timeline) Add(who, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(who, format, args...)
}

// Say adds an entry and shows it.
func (t *Timeline) Say(who, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := t.add(who, format, args...)
	if t.echo != nil {
		fmt.Fprint(t.echo, line)
	}
}

func (t *Timeline) add(who, format string, args ...any) string {
	e := Entry{time.Now(), who, fmt.Sprintf(format, args...)}
	if len(t.entries) == most {
		t.entries = slices.Delete(t.entries, 0, most/4)
	}
	t.entries = append(t.entries, e)
	line := t.line(&e)
	_, _ = t.file.WriteString(line) // what cannot be written is still printed
	return line
}

func (t *Timeline) line(e *Entry) string {
	return fmt.Sprintf("%8.3f  %s  %-10s %s\n", e.At.Sub(t.began).Seconds(), e.At.UTC().Format("15:04:05.000"), e.Who, e.What)
}

// Print writes the entries between two times.
func (t *Timeline) Print(w io.Writer, from, to time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.entries {
		if e := &t.entries[i]; !e.At.Before(from) && !e.At.After(to) {
			fmt.Fprint(w, t.line(e))
		}
	}
}

// Close closes the file.
func (t *Timeline) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.file.Close()
}
