package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketstream/marketstream/api/podreport"
)

// system is a backbone and the pods of one stream, each a process of the built binary.
type system struct {
	t           testing.TB
	dir         string // of the configuration
	backbone    string // nats://…
	credentials string
	pods        []*pod
}

// pod is one streamer.
type pod struct {
	*process
	name string
}

// startSystem starts a backbone for a document.
func startSystem(t testing.TB, doc string) *system {
	t.Helper()
	s := &system{t: t, dir: t.TempDir(), credentials: write(t, "token", "secret-token\n")}
	for name, text := range map[string]string{documentFile: doc, generationFile: `{"createdMs":1,"generation":1}`} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address, health := unused(t), unused(t)
	s.backbone = "nats://" + address
	p := &process{t: t, ended: make(chan struct{})}
	p.cmd = exec.Command(binary(t), "backbone", "--store", filepath.Join(t.TempDir(), "store"), "--name", "b-0", "--listen", address,
		"--health-listen", health, "--credentials", s.credentials, "--max-store", "8Gi", "--max-memory", "1Gi")
	run(p, nil)
	eventually(t, "the backbone is ready", func() bool {
		res, err := http.Get("http://" + health + "/readyz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return s
}

// unused is an address that nobody listens on now.
func unused(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// run starts a process and calls line with what it logs.
func run(p *process, line func(string)) {
	p.t.Helper()
	out, err := p.cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(p.kill)
	go func() {
		defer close(p.ended)
		for in := bufio.NewScanner(out); in.Scan(); {
			p.mu.Lock()
			p.output.WriteString(in.Text() + "\n")
			p.mu.Unlock()
			if line != nil {
				line(in.Text())
			}
		}
		p.err = p.cmd.Wait()
	}()
}

// podServes is the log line of a streamer that serves.
var podServes = regexp.MustCompile(`\tserving\t\{"public": "([^"]+)", "internal": "([^"]+)"\}`)

// launch starts a pod, and does not wait until it serves.
func (s *system) launch(name string, args ...string) (*pod, <-chan struct{}) {
	s.t.Helper()
	p := &pod{process: &process{t: s.t, ended: make(chan struct{})}, name: name}
	p.cmd = exec.Command(binary(s.t), append([]string{"streamer", "--config", s.dir, "--backbone", s.backbone, "--backbone-credentials", s.credentials,
		"--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0", "--pod", name, "--drain", "1s", "--log-format", "console"}, args...)...)
	serves := make(chan struct{})
	var once sync.Once
	run(p.process, func(line string) {
		if m := podServes.FindStringSubmatch(line); m != nil {
			p.url, p.internal = "http://"+m[1], "http://"+m[2]
			once.Do(func() { close(serves) })
		}
	})
	s.pods = append(s.pods, p)
	return p, serves
}

// pod starts a pod and waits until it serves.
func (s *system) pod(name string, args ...string) *pod {
	s.t.Helper()
	p, serves := s.launch(name, args...)
	select {
	case <-serves:
	case <-p.ended:
		s.t.Fatalf("%s ended before it served: %v\n%s", name, p.err, p.text())
	case <-time.After(guard):
		s.t.Fatalf("%s neither serves nor ends\n%s", name, p.text())
	}
	return p
}

// report reads what a pod says of itself.
func (p *pod) report() (r podreport.Report) {
	p.t.Helper()
	if err := json.Unmarshal(p.get(p.internal, "/status", http.StatusOK), &r); err != nil {
		p.t.Fatal(err)
	}
	return r
}

// spread waits until rings are as n pods are to have them.
func (s *system) spread(n int, rings int) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%d pods have %d rings together", n, rings), func() bool {
		held, sets := 0, map[string]bool{}
		for _, p := range s.alive() {
			r := p.report().Rings
			if r.Held != r.Wanted || r.Loaded != r.Set {
				return false
			}
			held += r.Held
			sets[r.Set] = true
		}
		return held == rings && len(sets) == 1 && len(s.alive()) == n
	})
}

// caughtUp waits until what every pod invents has come to the present, and has been read by all.
func (s *system) caughtUp() {
	s.t.Helper()
	last := uint64(0)
	eventually(s.t, "the invented past is there", func() bool {
		for _, p := range s.alive() {
			r := p.report()
			if len(r.Partitions) == 0 {
				return false
			}
			for _, x := range r.Partitions {
				last = max(last, x.LastSeq)
				if x.Symbols > 0 && time.Now().UnixMilli()-x.WatermarkMs > 60_000 {
					return false
				}
			}
		}
		return true
	})
	eventually(s.t, "every pod has read it", func() bool {
		for _, p := range s.alive() {
			if p.report().Log.AppliedSeq < last {
				return false
			}
		}
		return true
	})
}

// alive are the pods whose processes have not ended.
func (s *system) alive() (out []*pod) {
	for _, p := range s.pods {
		select {
		case <-p.ended:
		default:
			out = append(out, p)
		}
	}
	return out
}

// seed reads what a stream begins with: the bars up to the first bare id, as text.
func (p *pod) seed(query url.Values) (bars []string, err error) {
	c, err := connect(p.url, query, "")
	if err != nil {
		return nil, err
	}
	defer c.close()
	for {
		e, err := c.Next()
		if err != nil {
			return nil, err
		}
		switch {
		case e.Type == "bar" && e.ID == "":
			bars = append(bars, e.Data)
		case e.ID != "": // the first thing after the bare id
			return bars, nil
		}
	}
}

// metric is the sum of a metric's lines that contain some words.
func (p *pod) metric(name string, words ...string) (sum float64) {
	p.t.Helper()
lines:
	for line := range strings.SplitSeq(string(p.get(p.internal, "/metrics", http.StatusOK)), "\n") {
		if !strings.HasPrefix(line, name) {
			continue
		}
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue lines
			}
		}
		var v float64
		if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v); err == nil {
			sum += v
		}
	}
	return sum
}
