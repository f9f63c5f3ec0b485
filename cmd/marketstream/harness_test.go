package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/eventsource"
)

// guard is a limit against hanging, far above what anything here takes.
const guard = 3 * time.Minute

var built struct {
	sync.Once
	path string
	err  error
}

// binary builds the program once for all tests.
func binary(t testing.TB) string {
	t.Helper()
	built.Do(func() {
		dir, err := os.MkdirTemp("", "marketstream-test")
		if err != nil {
			built.err = err
			return
		}
		built.path = filepath.Join(dir, "marketstream")
		out, err := exec.Command("go", "build", "-o", built.path, ".").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.path != "" {
		_ = os.RemoveAll(filepath.Dir(built.path))
	}
	os.Exit(code)
}

// process is one run of the program.
type process struct {
	t        testing.TB
	name     string
	cmd      *exec.Cmd
	url      string // of the public port
	internal string // of the internal port
	doc      string // path of its document
	mu       sync.Mutex
	output   bytes.Buffer
	ended    chan struct{}
	err      error
}

// begin starts the program, and calls line with every line that it prints. It is
// killed at the end of the test; what it printed is logged if the test has failed.
func begin(t testing.TB, p *process, line func(string), args ...string) {
	t.Helper()
	p.t, p.ended = t, make(chan struct{})
	p.cmd = exec.Command(binary(t), args...)
	out := &lineWriter{all: p.say, line: line} // one for both: then they come by one pipe
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s %s\n%s", p.name, p.url, p.text())
		}
	})
	go func() {
		defer close(p.ended)
		p.err = p.cmd.Wait()
	}()
}

func (p *process) say(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = p.output.Write(b)
}

var (
	servingOn = regexp.MustCompile(`Serving on (http://[0-9.]+:[0-9]+)`)
	metricsOn = regexp.MustCompile(`curl .(http://[0-9.]+:[0-9]+)/metrics.`)
)

// start runs the program on a document and waits until it serves.
func start(t testing.TB, doc string, args ...string) *process {
	t.Helper()
	p := launch(t, doc, args...)
	if p.url == "" {
		t.Fatalf("the program ended before it served: %v\n%s", p.err, p.text())
	}
	return p
}

// launch runs the program on a document until it serves or ends.
func launch(t testing.TB, doc string, args ...string) *process {
	t.Helper()
	p := &process{doc: doc}
	serving := make(chan struct{})
	begin(t, p, func(line string) {
		if m := servingOn.FindStringSubmatch(line); m != nil {
			p.url = m[1]
		}
		if m := metricsOn.FindStringSubmatch(line); m != nil && p.internal == "" {
			p.internal = m[1]
			close(serving)
		}
	}, append([]string{"run", "-f", doc, "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0"}, args...)...)
	select {
	case <-serving:
	case <-p.ended:
	case <-time.After(guard):
		t.Fatalf("the program neither serves nor ends:\n%s", p.text())
	}
	return p
}

// lineWriter hands on what is written, and each line of it.
type lineWriter struct {
	all  func([]byte)
	line func(string)
	rest string // of a line that has not ended
}

func (w *lineWriter) Write(b []byte) (int, error) {
	w.all(b)
	lines := strings.SplitAfter(w.rest+string(b), "\n")
	w.rest = lines[len(lines)-1]
	for _, text := range lines[:len(lines)-1] {
		w.line(strings.TrimSuffix(text, "\n"))
	}
	return len(b), nil
}

// text is what the program printed so far.
func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// kill ends the program as a crash does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// stop ends the program as Ctrl-C does and wants exit code 0.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(guard):
		p.t.Fatalf("Ctrl-C does not end it:\n%s", p.text())
	}
	if p.err != nil {
		p.t.Fatalf("Ctrl-C: %v\n%s", p.err, p.text())
	}
}

// get returns the body of a GET, which must answer with code.
func (p *process) get(base, path string, code int) []byte {
	p.t.Helper()
	res, err := http.Get(base + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if res.StatusCode != code {
		p.t.Fatalf("GET %s: %s, want %d: %s", path, res.Status, code, body)
	}
	return body
}

// bar is a bar as it comes over the wire; its numbers are kept as text.
type bar struct {
	Symbol    string `json:"symbol"`
	Timeframe string `json:"timeframe"`
	Seq       int64  `json:"seq"`
	Start     int64  `json:"bar_start"`
	End       int64  `json:"bar_end"`
	OHLCV     struct {
		O, H, L, C, V json.Number
	} `json:"ohlcv"`
	VWAP    json.Number `json:"vwap"`
	N       int64       `json:"n"`
	Rev     int         `json:"rev"`
	Partial bool        `json:"partial"`
	Void    bool        `json:"void"`
}

// key names a bar, and one revision of it.
func (b *bar) key() string { return fmt.Sprintf("%s %s %d", b.Symbol, b.Timeframe, b.Seq) }

func (b *bar) values() string {
	return fmt.Sprintf("o %s h %s l %s c %s v %s n %d vwap %s rev %d partial %v void %v",
		b.OHLCV.O, b.OHLCV.H, b.OHLCV.L, b.OHLCV.C, b.OHLCV.V, b.N, b.VWAP, b.Rev, b.Partial, b.Void)
}

func parseBar(t testing.TB, data string) bar {
	t.Helper()
	var b bar
	if err := json.Unmarshal([]byte(data), &b); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	return b
}

// history reads /api/history.
func (p *process) history(query url.Values) []bar {
	p.t.Helper()
	var bars []bar
	if err := json.Unmarshal(p.get(p.url, "/api/history?"+query.Encode(), http.StatusOK), &bars); err != nil {
		p.t.Fatal(err)
	}
	return bars
}

// epoch is the incarnation of the program's log.
func (p *process) epoch() string {
	p.t.Helper()
	res, err := http.Get(p.url + "/api/market/status")
	if err != nil {
		p.t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.Header.Get("X-Epoch-Id") == "" {
		p.t.Fatal("no X-Epoch-Id on /api/market/status")
	}
	return res.Header.Get("X-Epoch-Id")
}

// conn is one open stream.
type conn struct {
	*eventsource.Reader
	response *http.Response
	cancel   context.CancelFunc
}

func (c *conn) close() {
	c.cancel()
	_ = c.response.Body.Close()
}

// connect opens a stream.
func connect(base string, query url.Values, lastID string) (*conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/stream/market?"+query.Encode(), nil)
	if err != nil {
		cancel()
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		cancel()
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		cancel()
		return nil, fmt.Errorf("%s: %s", res.Status, body)
	}
	return &conn{Reader: eventsource.NewReader(res.Body, lastID), response: res, cancel: cancel}, nil
}

func mustConnect(t testing.TB, base string, query url.Values, lastID string) *conn {
	t.Helper()
	c, err := connect(base, query, lastID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

// until reads events until one satisfies done, which it returns.
func (c *conn) until(t testing.TB, what string, done func(eventsource.Event) bool) eventsource.Event {
	t.Helper()
	for {
		e, err := c.Next()
		if err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		if done(e) {
			return e
		}
	}
}

// eventually polls until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(guard)
	for !cond() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("waited in vain until ", what)
		}
	}
}

// write makes a file in the test's directory.
func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// replayDoc is a document that replays path.
func replayDoc(t testing.TB, path, speed, rest string, symbols ...string) string {
	t.Helper()
	return write(t, "stream.yaml", fmt.Sprintf(`apiVersion: marketstream.dev/v1alpha1
kind: MarketStream
metadata: {name: test}
spec:
  symbols: [%s]
  feed: {replay: {path: %q, speed: %q, rebase: Keep}}
%s`, strings.Join(symbols, ", "), path, speed, rest))
}

// shared returns a file of the data that tests read beside the project.
func shared(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("MARKETSTREAM_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	path := filepath.Join(root, "data", name)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing", name)
		}
		t.Skipf("%s is not here", name)
	}
	return path
}
