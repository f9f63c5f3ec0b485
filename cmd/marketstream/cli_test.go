package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/marketstream/marketstream/streamer/httperr"
)

const demo = "../../config/samples/demo.yaml"

// TestSentences wants one clear sentence and a non-zero exit for what a person may get wrong.
func TestSentences(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := gone.Addr().String()
	_ = gone.Close()
	noTrades := replayDoc(t, t.TempDir(), "1", "", "SPY")
	badHeader := replayDoc(t, write(t, "trades.csv", "symbol,time,price,size\nSPY,1,2,3\n"), "1", "", "SPY")
	badRow := replayDoc(t, write(t, "trades.csv", "symbol,ts,price,size\nSPY,1,x,3\n"), "1", "", "SPY") // a later row may be met while it serves already, and then it goes on
	vendor := write(t, "vendor.yaml", "apiVersion: marketstream.dev/v1alpha1\nkind: MarketStream\nmetadata: {name: a}\nspec: {symbols: [SPY], feed: {kraken: {}}}\n")
	unknown := write(t, "unknown.yaml", "apiVersion: marketstream.dev/v1alpha1\nkind: MarketStream\nmetadata: {name: a}\nspec: {symbols: [SPY], feed: {synthetic: {}}, stream: {bufferCap: 5}}\n")
	several := write(t, "several.yaml", "apiVersion: marketstream.dev/v1alpha1\nkind: MarketStream\nmetadata: {name: a}\nspec: {symbols: [SPY], feed: {synthetic: {}}, stream: {bufferCap: 5, seedBars: 9999}}\n")
	pod := write(t, "pod.yaml", "apiVersion: v1\nkind: Pod\n")
	store := t.TempDir()
	p := start(t, demo)
	for _, c := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"busy port", []string{"run", "-f", demo, "--listen", busy.Addr().String()}, 1, []string{busy.Addr().String(), "in use", "--listen"}},
		{"busy internal port", []string{"run", "-f", demo, "--listen", "127.0.0.1:0", "--internal-listen", busy.Addr().String()}, 1, []string{busy.Addr().String(), "in use", "--internal-listen"}},
		{"no such file", []string{"run", "-f", "nothing.yaml"}, 1, []string{"run: nothing.yaml: there is no such file\n"}},
		{"a directory", []string{"run", "-f", store}, 1, []string{store + " is a directory; name a file in it\n"}},
		{"several mistakes", []string{"run", "-f", several}, 1, []string{"several.yaml has mistakes:\n  spec.stream.bufferCap: Invalid value: \"5\"", "\n  spec.stream.seedBars: Invalid value: 9999: want 0 to 5000\n"}},
		{"another object", []string{"run", "-f", pod}, 1, []string{"apiVersion: Invalid value: \"v1\": want marketstream.dev/v1alpha1\n", "kind: Invalid value: \"Pod\": want MarketStream\n"}},
		{"one port twice", []string{"run", "-f", demo, "--listen", free, "--internal-listen", free}, 1, []string{"--listen " + free + " and --internal-listen " + free + ": they are one port"}},
		{"streamer without a directory", []string{"streamer", "--backbone", "nats://127.0.0.1:1"}, 1, []string{"--config", "stream.yaml"}},
		{"streamer without a backbone", []string{"streamer", "--config", store}, 1, []string{"--backbone", "nats://host:4222"}},
		{"streamer with a wrong backbone", []string{"streamer", "--config", store, "--backbone", "127.0.0.1:4222,nats://b:4222"}, 1, []string{`"127.0.0.1:4222"`, "want nats://host:port"}},
		{"streamer with half a certificate", []string{"streamer", "--config", store, "--backbone", "nats://b:4222", "--backbone-cert", "a.pem"}, 1, []string{`"a.pem"`, "both or neither"}},
		{"streamer with a wrong revision", []string{"streamer", "--config", store, "--backbone", "nats://b:4222", "--template-revision", "-1"}, 1, []string{"--template-revision -1", "positive"}},
		{"streamer at a busy port", []string{"streamer", "--config", store, "--backbone", "nats://b:4222", "--listen", busy.Addr().String()}, 1, []string{busy.Addr().String(), "in use", "--listen"}},
		{"no file", []string{"run"}, 1, []string{"-f"}},
		{"unknown flag", []string{"run", "--port", "1"}, 2, []string{"-port"}},
		{"unknown command", []string{"serve"}, 2, []string{`"serve"`}},
		{"wrong level", []string{"run", "-f", demo, "--log-level", "loud"}, 1, []string{`"loud"`, "debug, info, error"}},
		{"unknown field", []string{"run", "-f", unknown}, 1, []string{"spec.stream.bufferCap", "bufferCapacity"}},
		{"vendor", []string{"run", "-f", vendor}, 1, []string{"spec.feed.kraken", "not available yet"}},
		{"no trades", []string{"run", "-f", noTrades}, 1, []string{"no "}},
		{"wrong header", []string{"run", "-f", badHeader}, 1, []string{"ts"}},
		{"wrong row", []string{"run", "-f", badRow}, 1, []string{"trades.csv", "2", "price", `"x"`}},
		{"unknown symbol", []string{"tail", "NOPE", "--url", p.url}, 1, []string{"404", "NOPE"}},
		{"nobody there", []string{"tail", "SPY", "--url", "http://127.0.0.1:1"}, 1, []string{"is `marketstream run` up?"}},
		{"backbone without a store", []string{"backbone", "--name", "a-0"}, 1, []string{"--store DIR"}},
		{"backbone without a name", []string{"backbone", "--store", store}, 1, []string{"--name NAME-0"}},
		{"backbone without a place", []string{"backbone", "--store", store, "--name", "a"}, 1, []string{`name "a"`, "-0, -1 or -2"}},
		{"backbone of two", []string{"backbone", "--store", store, "--name", "a-0", "--replicas", "2"}, 1, []string{"replicas 2", "1 or 3"}},
		{"backbone without routes", []string{"backbone", "--store", store, "--name", "a-0", "--replicas", "3"}, 1, []string{"0 routes", "all 3 nodes"}},
		{"backbone with few routes", []string{"backbone", "--store", store, "--name", "a-0", "--replicas", "3", "--routes", "a:1,b:1", "--cluster-listen", "127.0.0.1:0"}, 1, []string{"2 routes", "all 3 nodes"}},
		{"backbone with wrong routes", []string{"backbone", "--store", store, "--name", "a-0", "--replicas", "3", "--routes", "a:1,b,c:1", "--cluster-listen", "127.0.0.1:0"}, 1, []string{`route "b"`, "host:port"}},
		{"backbone without a cluster port", []string{"backbone", "--store", store, "--name", "a-0", "--replicas", "3", "--routes", "a:1,b:1,c:1"}, 1, []string{"cluster-listen"}},
		{"backbone with a wrong address", []string{"backbone", "--store", store, "--name", "a-0", "--listen", "4222"}, 1, []string{`listen "4222"`, "host:port"}},
		{"backbone with half a certificate", []string{"backbone", "--store", store, "--name", "a-0", "--tls-cert", "a.pem"}, 1, []string{`"a.pem"`, "both or neither"}},
		{"backbone with a wrong size", []string{"backbone", "--store", store, "--name", "a-0", "--max-store", "8G"}, 1, []string{`--max-store "8G"`, "8Gi"}},
		{"backbone with a small store", []string{"backbone", "--store", store, "--name", "a-0", "--max-store", "1Mi"}, 1, []string{"1048576", "134217728"}},
		{"backbone with little memory", []string{"backbone", "--store", store, "--name", "a-0", "--max-memory", "1Mi"}, 1, []string{"1048576", "268435456"}},
		{"second node alone", []string{"backbone", "--store", store, "--name", "a-1"}, 1, []string{`"a-1"`, "-0"}},
		{"busy port of probes", []string{"backbone", "--store", store, "--name", "a-0", "--health-listen", busy.Addr().String()}, 1, []string{"health-listen", busy.Addr().String()}},
		{"busy port of a backbone", []string{"backbone", "--store", store, "--name", "a-0", "--health-listen", "127.0.0.1:0", "--log-level", "error", "--listen", busy.Addr().String()}, 1, []string{busy.Addr().String(), "in use"}},
		{"no symbol", []string{"tail"}, 1, []string{"name a symbol"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := c.args
			if args[0] == "run" && !strings.Contains(strings.Join(args, " "), "listen") {
				args = append(args, "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0")
			}
			var out, errs bytes.Buffer
			if args[0] == "backbone" && !strings.Contains(strings.Join(args, " "), "health-listen") {
				args = append(args, "--health-listen", "127.0.0.1:0")
			}
			if code := dispatch(context.Background(), args, &out, &errs); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, w := range c.want {
				if !strings.Contains(errs.String(), w) {
					t.Errorf("%q is not in what it says: %s", w, errs.String())
				}
			}
			if strings.Contains(errs.String(), "goroutine") {
				t.Errorf("a stack trace: %s", errs.String())
			}
			if c.code == 1 && c.name != "wrong row" && c.name != "several mistakes" && c.name != "another object" && strings.Count(strings.TrimSpace(errs.String()), "\n") > 0 {
				t.Errorf("more than one line: %s", errs.String())
			}
		})
	}
}

// TestVersion: --version is what people try first.
func TestVersion(t *testing.T) {
	for _, arg := range []string{"version", "--version", "-version"} {
		var out, errs bytes.Buffer
		if code := dispatch(context.Background(), []string{arg}, &out, &errs); code != 0 || out.String() != "marketstream "+version+"\n" {
			t.Errorf("%s: exit code %d, %q %q", arg, code, out.String(), errs.String())
		}
	}
}

// TestDataDirInUse starts a second program on the same log.
func TestDataDirInUse(t *testing.T) {
	data := t.TempDir()
	start(t, demo, "--data", data)
	p := launch(t, demo, "--data", data)
	<-p.ended
	if p.err == nil || !strings.Contains(p.text(), data) {
		t.Errorf("%v: %s", p.err, p.text())
	}
}

// TestOtherLog starts another stream, and another kind of data, on a log.
func TestOtherLog(t *testing.T) {
	data := t.TempDir()
	start(t, demo, "--data", data).stop()
	text, err := os.ReadFile(demo)
	if err != nil {
		t.Fatal(err)
	}
	other := write(t, "other.yaml", strings.Replace(string(text), "name: demo", "name: other", 1))
	trades := write(t, "trades.csv", "symbol,ts,price,size\nSPY,1,2,3\n")
	replay := strings.Replace(filepath.ToSlash(string(replayText(t, trades))), "name: test", "name: demo", 1)
	for name, c := range map[string]struct{ doc, want string }{
		"name": {other, "belongs to"},
		"data": {write(t, "replay.yaml", replay), "synthetic data"},
	} {
		t.Run(name, func(t *testing.T) {
			p := launch(t, c.doc, "--data", data)
			<-p.ended
			if p.err == nil || !strings.Contains(p.text(), c.want) {
				t.Errorf("%v: %s", p.err, p.text())
			}
		})
	}
}

func replayText(t *testing.T, trades string) []byte {
	t.Helper()
	text, err := os.ReadFile(replayDoc(t, trades, "1", "", "SPY"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestRun starts the demo, reads the three things that it offers to paste, and stops it.
func TestRun(t *testing.T) {
	p := start(t, demo)
	bars := p.history(map[string][]string{"symbol": {"SPY"}, "timeframe": {"1m"}, "limit": {"5"}})
	if len(bars) != 5 {
		t.Errorf("%d bars of history at once, want 5", len(bars))
	}
	for _, b := range bars {
		if b.Partial || b.Rev != 0 {
			t.Errorf("a seeded bar is not whole: %s %s", b.key(), b.values())
		}
	}
	for _, name := range []string{"sse_connections", "feed_ticks_total", "bars_closed_total", "ring_size", "config_generation"} {
		if !bytes.Contains(p.get(p.internal, "/metrics", 200), []byte("\n"+name)) {
			t.Errorf("no metric %s", name)
		}
	}
	p.get(p.internal, "/healthz", 200)
	p.get(p.internal, "/readyz", 200)
	if !bytes.Contains(p.get(p.internal, "/status", 200), []byte(`"partitions"`)) {
		t.Error("no partitions in /status")
	}
	c := mustConnect(t, p.url, map[string][]string{"symbols": {"SPY"}}, "")
	if got := c.response.Header.Get("X-Market-Source"); got != "synthetic" {
		t.Errorf("X-Market-Source %q: invented data must say so", got)
	}
	c.close()
	p.stop()
	if text := p.text(); !strings.Contains(text, "draining …") || !strings.HasSuffix(text, "stopped\n") || strings.Contains(text, "ended before") {
		t.Errorf("of its end it says\n%s", text)
	}
}

// TestSampleReplay: the sample of a replay runs as it stands, from the root of the project.
func TestSampleReplay(t *testing.T) {
	text, err := os.ReadFile("../../config/samples/replay.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const path = "path: config/samples/"
	root, err := filepath.Abs("../..")
	if err != nil || strings.Count(string(text), path) != 1 {
		t.Fatal(err, string(text))
	}
	p := start(t, write(t, "replay.yaml", strings.NewReplacer(path, "path: "+root+"/config/samples/", `speed: "10"`, `speed: "1000"`).Replace(string(text))))
	for _, symbol := range []string{"DEMO-A", "DEMO-B"} {
		eventually(t, symbol+" has two rounds of the recording", func() bool {
			return len(p.history(map[string][]string{"symbol": {symbol}, "timeframe": {"5m"}})) >= 4
		})
	}
	p.stop()
}

// TestSignals: the first ends it politely, a second at once, unless it is the first once more.
func TestSignals(t *testing.T) {
	at := time.Unix(0, 0)
	for _, c := range []struct {
		after []time.Duration
		want  string
	}{
		{[]time.Duration{0}, "first"},
		{[]time.Duration{0, time.Millisecond, sameSignal - 1}, "first"}, // `timeout` sends it to the process and to its group
		{[]time.Duration{0, sameSignal}, "first then"},
		{[]time.Duration{0, time.Millisecond, time.Second}, "first then"},
	} {
		signals, ended := make(chan os.Signal), make(chan struct{})
		times := make(chan time.Time, 1)
		var said []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			followSignals(signals, ended, func() time.Time { return <-times }, func() { said = append(said, "first") }, func() { said = append(said, "then") })
		}()
		for _, d := range c.after {
			select {
			case times <- at.Add(time.Hour + d):
			case <-done:
			}
			select {
			case signals <- os.Interrupt:
			case <-done: // it took another for the second
			}
		}
		close(ended)
		<-done
		if got := strings.Join(said, " "); got != c.want {
			t.Errorf("signals after %v: %q, want %q", c.after, got, c.want)
		}
	}
}

// TestTailWaits: a server that is full is one that answers, and says when to come back.
func TestTailWaits(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch asked++; asked {
		case 1:
			w.Header().Set("Retry-After", "2")
			httperr.New(http.StatusTooManyRequests, "this pod has its 1 streams; come back").Write(w)
		case 2:
			_, _ = io.WriteString(w, "event: gap\ndata: {}\n\n")
		default:
			httperr.New(http.StatusNotFound, "it is gone").Write(w)
		}
	}))
	defer server.Close()
	var out, errs bytes.Buffer
	err := tailCommand(context.Background(), []string{"--url", server.URL, "SPY"}, &out, &errs)
	if err == nil || !strings.Contains(err.Error(), "it is gone") || !strings.HasPrefix(out.String(), "gap") {
		t.Errorf("%v, printed %s", err, out.String())
	}
	lines := strings.Split(errs.String(), "\n")
	if want := "the server answers 429 Too Many Requests: this pod has its 1 streams; come back; trying again in 2s"; lines[0] != want {
		t.Errorf("%q, want %q", lines[0], want)
	}
	if !strings.HasPrefix(lines[1], "connection lost") || len(lines) != 3 {
		t.Errorf("%q", lines)
	}
}

// TestReachedAt: every IP may be in brackets, as the template of pods has it.
func TestReachedAt(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": "", "[10.1.2.3]:9090": "10.1.2.3:9090", "10.1.2.3:9090": "10.1.2.3:9090", "[2001:db8::1]:9090": "[2001:db8::1]:9090", "pod-0.n:9090": "pod-0.n:9090"} {
		if got, err := reachedAt(in); got != want || err != nil {
			t.Errorf("%q is %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"2001:db8::1:9090", "10.1.2.3", "[]:9090", ":9090", "a:"} {
		if got, err := reachedAt(in); err == nil {
			t.Errorf("%q is taken for %q", in, got)
		}
	}
}
