package kubetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/marketstream/marketstream/api/podreport"
	"github.com/marketstream/marketstream/api/v1alpha1"
)

// Streamer plays a streamer: it reads what is mounted as docs/contracts/operator.md says, runs each document that it
// can, waits for what it lacks, and reports by the real handler of /status.
type Streamer struct {
	pod *Pod
	mux *http.ServeMux

	mu       sync.Mutex
	report   podreport.Report
	changes  []func(*podreport.Report)
	hold     string          // why it is not ready, by a test
	lacks    string          // what is missing
	had      map[string]bool // Secrets that were loaded
	draining bool
	drain    time.Duration
}

// NewStreamer plays a pod as a streamer.
func NewStreamer(pod *Pod) *Streamer {
	s := &Streamer{pod: pod, mux: http.NewServeMux(), had: map[string]bool{}}
	s.report = podreport.Report{
		Version: "kubetest", TemplateRevision: pod.Flag("template-revision"), Epoch: "1",
		Secrets: []podreport.Secret{}, Partitions: []podreport.Partition{}, Moves: []podreport.Move{},
	}
	s.mux.Handle("GET /status", podreport.Handler(s.Report))
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	s.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if r, why := s.current(); !r.Ready {
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	return s
}

func (s *Streamer) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Report is what it says of itself.
func (s *Streamer) Report() podreport.Report {
	r, _ := s.current()
	return r
}

// current is the report, and why it is not ready.
func (s *Streamer) current() (r podreport.Report, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.draining:
		why = "draining"
	case s.lacks != "":
		why = "starting: " + s.lacks
	case s.hold != "":
		why = "holding: " + s.hold
	}
	r = s.report
	r.Ready, r.Draining = why == "", s.draining
	for _, change := range s.changes {
		change(&r)
	}
	return r, why
}

// Change changes what it says from now on; the last change has the last word.
func (s *Streamer) Change(change func(*podreport.Report)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes = append(s.changes, change)
}

// Hold keeps it from being ready, and says why; an empty reason lets it go.
func (s *Streamer) Hold(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = why
}

// Drain is how long it drains after SIGTERM.
func (s *Streamer) Drain(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drain = d
}

// Mounted reads its document and its Secrets.
func (s *Streamer) Mounted() {
	dir := s.pod.Flag("config")
	document, there := s.pod.File(path.Join(dir, "stream.yaml"))
	generation, _ := s.pod.File(path.Join(dir, "configGeneration"))
	m, err := v1alpha1.Decode(document)
	secrets := append(s.secrets(), s.credentials(m)...)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Secrets = secrets
	s.lacks = ""
	for _, secret := range secrets {
		if secret.State == podreport.SecretLoaded {
			s.had[secret.Name] = true
		} else if !s.had[secret.Name] { // what was loaded stays in use
			s.lacks = "no Secret " + secret.Name
		}
	}
	if !there {
		s.lacks = "no document at " + dir
		return
	}
	if err != nil {
		s.report.ConfigError = err.Error() // what ran goes on
		if s.report.ConfigRevision == "" {
			s.lacks = "no document that it can run"
		}
		return
	}
	var g struct{ Generation int64 }
	if err := json.Unmarshal(generation, &g); err == nil {
		s.report.ConfigGeneration = g.Generation
	}
	sum := sha256.Sum256(document)
	s.report.ConfigRevision, s.report.ConfigError = hex.EncodeToString(sum[:8]), ""
	s.report.Symbols = len(m.Spec.Symbols)
	s.report.Feed = podreport.Feed{Name: m.Spec.Feed.FeedName()}
	if s.lacks == "" {
		s.report.Feed.State = "connected"
	}
}

// secrets are the states of those below --secrets, by the volumes that are mounted there.
func (s *Streamer) secrets() []podreport.Secret {
	out := []podreport.Secret{}
	dir := s.pod.Flag("secrets")
	for _, m := range s.pod.Mounts() {
		name, below := strings.CutPrefix(m, dir+"/")
		if dir == "" || !below {
			continue
		}
		state := "missing"
		if len(s.pod.Files(m)) > 0 {
			state = "loaded"
		}
		out = append(out, podreport.Secret{Name: name, State: state})
	}
	return out
}

// credentials is the state of the backbone's Secret: the flag names it, or the document names an external one's.
func (s *Streamer) credentials(m *v1alpha1.MarketStream) []podreport.Secret {
	file := s.pod.Flag("backbone-credentials")
	if file == "" {
		return nil
	}
	name := s.pod.Flag("backbone-secret")
	if name == "" && m != nil && m.Spec.Backbone != nil && m.Spec.Backbone.External != nil && m.Spec.Backbone.External.CredentialsSecretRef != nil {
		name = m.Spec.Backbone.External.CredentialsSecretRef.Name
	}
	state := podreport.SecretMissing
	if _, ok := s.pod.File(file); ok {
		state = podreport.SecretLoaded
	}
	return []podreport.Secret{{Name: name, State: state}}
}

// Terminate fails readiness, and drains.
func (s *Streamer) Terminate(ctx context.Context) {
	s.mu.Lock()
	s.draining = true
	d := s.drain
	s.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// String names it in a test's output.
func (s *Streamer) String() string {
	r, why := s.current()
	return fmt.Sprintf("%s: revision %s ready %v (%s) error %q", s.pod.Name, r.ConfigRevision, r.Ready, why, r.ConfigError)
}
