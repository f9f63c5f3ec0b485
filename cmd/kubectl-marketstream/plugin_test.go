package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

const stream = `{"apiVersion":"marketstream.dev/v1alpha1","kind":"MarketStream",
"metadata":{"name":"eq","namespace":"team","generation":3,"creationTimestamp":"2026-01-01T00:00:00Z","annotations":{%s}},
"spec":{"symbols":["SPY"],"shards":%d,"feed":{"synthetic":{}}%s},
"status":{"observedGeneration":3,"shards":2,"readyShards":2,"symbols":1,"feed":"synthetic","connections":120,"url":"https://md.example.com",
"conditions":[{"type":"Ready","status":"True","reason":"Serving","message":"all pods run generation 3","observedGeneration":%d,"lastTransitionTime":"2026-01-01T00:00:00Z"},
{"type":"FeedConnected","status":"True","reason":"Connected","message":"","observedGeneration":3,"lastTransitionTime":"2026-01-01T00:00:00Z"}],
"pods":[{"name":"eq-streamer-a","configRevision":"00ff","partitions":[5,0,1,2]},{"name":"eq-streamer-b","configRevision":"00ff"}]}}`

const pods = `{"kind":"PodList","apiVersion":"v1","items":[
{"metadata":{"name":"eq-streamer-b","namespace":"team","uid":"u-b"},"spec":{"nodeName":"n2"},"status":{"phase":"Running","containerStatuses":[{"name":"s","restartCount":2,"state":{"waiting":{"reason":"ImagePullBackOff"}}}]}},
{"metadata":{"name":"eq-streamer-a","namespace":"team","uid":"u-a"},"spec":{"nodeName":"n1"},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}]}`

// api is an API server of one stream, and what it was asked.
type api struct {
	mu      sync.Mutex
	answers map[string]func(w http.ResponseWriter, r *http.Request)
	asked   []string
	bodies  []string
}

func text(status int, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func failure(code int, reason, name, message string) func(http.ResponseWriter, *http.Request) {
	body, _ := json.Marshal(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
		"message": message, "details": map[string]any{"name": name}})
	return text(code, string(body))
}

const (
	streamPath = "GET /apis/marketstream.dev/v1alpha1/namespaces/team/marketstreams/eq"
	podsPath   = "GET /api/v1/namespaces/team/pods"
	evictPath  = "POST /api/v1/namespaces/team/pods/eq-streamer-a/eviction"
	podPath    = "GET /api/v1/namespaces/team/pods/eq-streamer-a"
	patchPath  = "PATCH /apis/marketstream.dev/v1alpha1/namespaces/team/marketstreams/eq"
	tailPath   = "GET /api/v1/namespaces/team/services/eq:http/proxy/stream/market"
	tlsPath    = "GET /api/v1/namespaces/team/services/https:eq:http/proxy/stream/market"
)

func usual() map[string]func(http.ResponseWriter, *http.Request) {
	return map[string]func(http.ResponseWriter, *http.Request){
		streamPath: text(200, fmt.Sprintf(stream, "", 2, "", 3)),
		podsPath:   text(200, pods),
		patchPath:  text(200, fmt.Sprintf(stream, "", 2, "", 3)),
	}
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	key := r.Method + " " + r.URL.Path
	a.mu.Lock()
	a.asked, a.bodies = append(a.asked, key+"?"+r.URL.RawQuery), append(a.bodies, string(body))
	answer := a.answers[key]
	a.mu.Unlock()
	if answer == nil {
		answer = failure(404, "NotFound", "eq", "not here")
	}
	answer(w, r)
}

// call runs a command line against an API server that answers so.
func call(ctx context.Context, t *testing.T, answers map[string]func(http.ResponseWriter, *http.Request), args ...string) (code int, out, errs string, a *api) {
	t.Helper()
	a = &api{answers: answers}
	server := httptest.NewServer(a)
	defer server.Close()
	open := func(to target) (*cluster, error) {
		if to.namespace == "" {
			to.namespace = "team"
		}
		return newCluster(&rest.Config{Host: server.URL}, to.namespace)
	}
	var o, e bytes.Buffer
	code = dispatch(ctx, open, args, &o, &e)
	return code, o.String(), e.String(), a
}

// has checks that a text has each of some parts.
func has(t *testing.T, got string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(got, p) {
			t.Errorf("lacks %q:\n%s", p, got)
		}
	}
}

func TestStatus(t *testing.T) {
	code, out, errs, _ := call(t.Context(), t, usual(), "status", "eq")
	if code != 0 {
		t.Fatal(code, errs)
	}
	has(t, out, "team/eq", "yes, Serving", "2 of 2 ready", "about 120", "https://md.example.com", "FeedConnected")

	old := usual()
	old[streamPath] = text(200, fmt.Sprintf(stream, `"marketstream.dev/paused":"true"`, 0, "", 2))
	_, out, _, _ = call(t.Context(), t, old, "status", "-n", "team", "eq")
	has(t, out, "not known yet: the last change", "hibernated", "resume eq", "of generation 2; the object is at 3")

	stalled := usual()
	stalled[streamPath] = text(200, `{"apiVersion":"marketstream.dev/v1alpha1","kind":"MarketStream","metadata":{"name":"eq","namespace":"team","generation":1},"spec":{"feed":{}},"status":{"conditions":[
		{"type":"Ready","status":"False","reason":"NotReady","message":"m","observedGeneration":1},{"type":"Stalled","status":"True","reason":"BadDocument","message":"words of the pod","observedGeneration":1}]}}`)
	_, out, _, _ = call(t.Context(), t, stalled, "status", "eq")
	has(t, out, "no, and it won't be by itself: BadDocument: words of the pod")

	fresh := usual()
	fresh[streamPath] = text(200, `{"apiVersion":"marketstream.dev/v1alpha1","kind":"MarketStream","metadata":{"name":"eq","namespace":"team"},"spec":{"feed":{}}}`)
	_, out, _, _ = call(t.Context(), t, fresh, "status", "eq")
	has(t, out, "no operator has looked at it")
}

func TestShards(t *testing.T) {
	code, out, errs, a := call(t.Context(), t, usual(), "shards", "eq")
	if code != 0 {
		t.Fatal(code, errs)
	}
	lines := strings.Split(out, "\n")
	has(t, lines[1], "eq-streamer-a", "Ready", "0-2,5", "00ff", "n1")
	has(t, lines[2], "eq-streamer-b", "ImagePullBackOff", "none", "2", "n2")
	has(t, a.asked[1], "labelSelector=app.kubernetes.io%2Fcomponent%3Dstreamer%2Capp.kubernetes.io%2Finstance%3Deq%2Capp.kubernetes.io%2Fname%3Dmarketstream")
}

func TestPauseAndResume(t *testing.T) {
	for command, want := range map[string]string{
		"pause":  `{"metadata":{"annotations":{"marketstream.dev/paused":"true"}}}`,
		"resume": `{"metadata":{"annotations":{"marketstream.dev/paused":null}}}`,
	} {
		code, out, errs, a := call(t.Context(), t, usual(), command, "eq")
		if code != 0 || len(a.bodies) != 1 || a.bodies[0] != want {
			t.Errorf("%s: %d, %q, %s", command, code, a.bodies, errs)
		}
		has(t, out, "eq is")
	}
}

func TestDrain(t *testing.T) {
	answers := usual()
	answers[evictPath] = text(201, `{"kind":"Status","apiVersion":"v1","status":"Success"}`)
	looks := 0
	answers[podPath] = func(w http.ResponseWriter, r *http.Request) {
		if looks++; looks == 1 {
			text(200, `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"eq-streamer-a","uid":"u-a"}}`)(w, r)
			return
		}
		failure(404, "NotFound", "eq-streamer-a", "gone")(w, r)
	}
	code, out, errs, a := call(t.Context(), t, answers, "drain", "eq", "eq-streamer-a")
	if code != 0 || looks != 2 {
		t.Fatal(code, looks, errs)
	}
	has(t, out, "drains", "eq-streamer-a is gone")
	has(t, a.bodies[2], `"uid":"u-a"`)

	answers[evictPath] = failure(429, "TooManyRequests", "eq-streamer-a", "Cannot evict pod as it would violate the pod's disruption budget.")
	code, _, errs, _ = call(t.Context(), t, answers, "drain", "eq", "eq-streamer-a")
	if code != 1 {
		t.Error(code)
	}
	has(t, errs, "not now", "another pod", "disruption budget")

	code, _, errs, _ = call(t.Context(), t, answers, "drain", "eq", "other")
	if code != 1 {
		t.Error(code)
	}
	has(t, errs, `no pod "other"`, "eq-streamer-a", "eq-streamer-b")
}

// TestDrainIsLeft: who interrupts it is told that the pod still drains.
func TestDrainIsLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	answers := usual()
	answers[evictPath] = text(201, `{"kind":"Status","apiVersion":"v1","status":"Success"}`)
	answers[podPath] = func(w http.ResponseWriter, r *http.Request) {
		text(200, `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"eq-streamer-a","uid":"u-a"}}`)(w, r)
		cancel()
	}
	if code, _, errs, _ := call(ctx, t, answers, "drain", "eq", "eq-streamer-a"); code != 1 || errs == "" {
		t.Error(code, errs)
	}
}

func TestTail(t *testing.T) {
	for path, access := range map[string]string{tailPath: "", tlsPath: `,"access":{"tlsSecretName":"tls"}`} {
		answers := usual()
		answers[streamPath] = text(200, fmt.Sprintf(stream, "", 2, access, 3))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		connections := 0
		answers[path] = func(w http.ResponseWriter, r *http.Request) {
			connections++
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "event: bar\nid: e.1.0.ff\ndata: {\"symbol\":\"SPY\",\"timeframe\":\"1m\",\"bar_start\":0,\"ohlcv\":{\"o\":1,\"h\":2,\"l\":1,\"c\":2,\"v\":3}}\n\n")
			if r.Header.Get("Last-Event-ID") == "e.1.0.ff" {
				cancel() // it came back from where it was
			}
		}
		code, out, errs, a := call(ctx, t, answers, "tail", "eq", "SPY", "QQQ")
		if code != 0 || connections != 2 {
			t.Errorf("%d, %d connections: %s", code, connections, errs)
		}
		has(t, out, "SPY", "1970-01-01 00:00")
		has(t, a.asked[1], "symbols=SPY%2CQQQ")
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	none := map[string]func(http.ResponseWriter, *http.Request){}
	noCRD := map[string]func(http.ResponseWriter, *http.Request){streamPath: text(404, "404 page not found\n")}
	forbidden := map[string]func(http.ResponseWriter, *http.Request){streamPath: failure(403, "Forbidden", "eq", `marketstreams "eq" is forbidden: User "dev" cannot get it`)}
	hibernated, guarded, unready := usual(), usual(), usual()
	hibernated[streamPath] = text(200, fmt.Sprintf(stream, "", 0, "", 3))
	guarded[streamPath] = text(200, fmt.Sprintf(stream, "", 1, `,"access":{"auth":{"pin":{"secretRef":{"name":"a","key":"b"}}}}`, 3))
	unready[tailPath] = failure(404, "NotFound", "eq", `services "eq" not found`)
	for _, c := range []struct {
		name    string
		answers map[string]func(http.ResponseWriter, *http.Request)
		args    []string
		code    int
		want    []string
	}{
		{"no such stream", none, []string{"status", "eq"}, 1, []string{`no MarketStream "eq" in namespace "team"`}},
		{"no CRD", noCRD, []string{"status", "eq"}, 1, []string{"install the operator"}},
		{"forbidden", forbidden, []string{"shards", "eq"}, 1, []string{"cannot get it"}},
		{"hibernated", hibernated, []string{"tail", "eq", "SPY"}, 1, []string{"hibernated", "--replicas=1"}},
		{"guarded", guarded, []string{"tail", "eq", "SPY"}, 1, []string{"spec.access.auth", "https://md.example.com"}},
		{"no Service", unready, []string{"tail", "eq", "SPY"}, 1, []string{"404", `services "eq" not found`}},
		{"no name", none, []string{"status"}, 2, []string{"want: kubectl marketstream status NAME"}},
		{"too many names", none, []string{"pause", "a", "b"}, 2, []string{"want:"}},
		{"no symbol", none, []string{"tail", "eq"}, 2, []string{"NAME SYMBOL"}},
		{"unknown command", none, []string{"stats"}, 2, []string{`no command "stats"`}},
		{"unknown flag", none, []string{"status", "eq", "--wide"}, 2, []string{"wide"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, _, errs, _ := call(t.Context(), t, c.answers, c.args...)
			if code != c.code {
				t.Errorf("code %d, want %d", code, c.code)
			}
			has(t, errs, c.want...)
		})
	}
	if code, out, _, _ := call(t.Context(), t, none, "help"); code != 0 || !strings.Contains(out, "drain NAME POD") {
		t.Error(code, out)
	}
}
