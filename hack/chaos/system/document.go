package system

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Carry changes the document: symbols and timeframes that come and go.
func (s *System) Carry(symbols, timeframes []string) error {
	s.docMu.Lock()
	s.symbols = append(slices.Clone(s.Always), symbols...)
	s.timeframes = append(slices.Clone(s.TimeframesAlways), timeframes...)
	s.docMu.Unlock()
	return s.publish()
}

// publish writes the document for every pod, as a mounted ConfigMap changes: at once.
func (s *System) publish() error {
	s.docMu.Lock()
	defer s.docMu.Unlock()
	s.generation++
	for _, p := range s.Slots {
		feed := s.Feed
		if feed == "" {
			feed = fmt.Sprintf("{coinbase: {endpoint: %q, restEndpoint: %q}}", p.ws, p.rest)
		}
		doc := fmt.Sprintf(`apiVersion: marketstream.dev/v1alpha1
kind: MarketStream
metadata: {name: chaos, namespace: test}
spec:
  symbols: [%s]
  timeframes: [%s]
  feed: %s
  stream: {heartbeatInterval: %s, %s}
`, strings.Join(s.symbols, ", "), strings.Join(s.timeframes, ", "), feed, Heartbeat, cmp.Or(s.Stream, "seedBars: 20"))
		dir := filepath.Join(p.dir, fmt.Sprintf("v%d", s.generation))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		generation := fmt.Sprintf("{\"createdMs\":%d,\"generation\":%d}\n", s.began.UnixMilli(), s.generation)
		for name, text := range map[string]string{"stream.yaml": doc, "configGeneration": generation} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				return err
			}
		}
		next := filepath.Join(p.dir, "next")
		if err := os.Symlink(dir, next); err != nil {
			return err
		}
		if err := os.Rename(next, filepath.Join(p.dir, "config")); err != nil {
			return err
		}
	}
	return nil
}

// Heartbeat is the time between pings of a stream.
const Heartbeat = 2 * time.Second
