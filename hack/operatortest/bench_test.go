package operatortest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/marketstream/marketstream/hack/manifests"
)

// manyStreams is the variable that says how many streams TestBench makes.
const manyStreams = "MARKETSTREAM_STREAMS"

// TestBench prints what many streams cost an operator that is a process of its own, as it is shipped: `make
// bench-operator`. MARKETSTREAM_STREAMS says how many; without it there is nothing to do here.
func TestBench(t *testing.T) {
	text := os.Getenv(manyStreams)
	if text == "" {
		t.Skip("make bench-operator runs it")
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s %q: want a number above 0", manyStreams, text)
	}
	ns := plane.Namespace(t)
	op := process(t) // without a lease, which may be lost on a machine that is busy with all of this
	began := time.Now()
	for i := range n {
		apply(t, ns, fmt.Sprintf("us-%d", i), "{symbols: [A, B, C, D, E], feed: {synthetic: {}}}")
	}
	applied := time.Since(began)
	allReady(t, ns, n)
	took := time.Since(began)
	at := op.figures(t)
	t.Logf("%d streams × 5 symbols: applied within %s, all ready after %s; for each %.1f reconciles and %.1f API calls (%s)",
		n, applied.Round(time.Second), took.Round(time.Second), at.reconciles/float64(n), at.all()/float64(n), at.per(n))
	t.Logf("memory once they are ready: %s", op.memory(t))
	// A while of their reports, as ever after.
	settle := time.NewTimer(2 * time.Minute)
	defer settle.Stop()
	<-settle.C
	after := op.figures(t)
	t.Logf("in the 2 minutes after: %.2f reconciles and %.3f API calls for each; memory: %s",
		(after.reconciles-at.reconciles)/float64(n), (after.all()-at.all())/float64(n), op.memory(t))
}

// child is an operator that is a process of its own.
type child struct {
	pid     int
	metrics string
	token   string
}

// process starts the shipped binary as its own service account, and ends it with the test.
func process(t *testing.T, args ...string) *child {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "marketstream")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o", binary, "./cmd/marketstream")
	build.Dir = manifests.Root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	config, err := plane.ConfigForServiceAccount(t.Context(), system, account)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "kubeconfig")
	if err := clientcmd.WriteToFile(*kubeconfig(config), file); err != nil {
		t.Fatal(err)
	}
	c := &child{metrics: freeAddress(t), token: readerToken(t)}
	var log bytes.Buffer
	args = append([]string{"operator", "--image=marketstream:1", "--metrics-listen=" + c.metrics, "--health-listen=0"}, args...)
	run := exec.CommandContext(t.Context(), binary, args...)
	run.Env = []string{"KUBECONFIG=" + file, "POD_NAMESPACE=" + system, "GOMEMLIMIT=256MiB", "HOME=" + dir}
	run.Stderr = &log
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
	run.WaitDelay = hangs
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	c.pid = run.Process.Pid
	end := sync.OnceFunc(func() { _ = run.Wait() })
	t.Cleanup(func() {
		end() // the test's context has ended
		if t.Failed() {
			t.Log(string(log.Bytes()[max(0, log.Len()-4000):]))
		}
	})
	eventually(t, "it says its figures", func() error {
		_, err := c.scrape(t)
		return err
	})
	return c
}

func kubeconfig(c *rest.Config) *clientcmdapi.Config {
	out := clientcmdapi.NewConfig()
	out.Clusters["it"] = &clientcmdapi.Cluster{Server: c.Host, CertificateAuthorityData: c.CAData}
	out.AuthInfos["it"] = &clientcmdapi.AuthInfo{Token: c.BearerToken}
	out.Contexts["it"] = &clientcmdapi.Context{Cluster: "it", AuthInfo: "it"}
	out.CurrentContext = "it"
	return out
}

// freeAddress is one where nobody listened a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// readerToken is a token of an account that may read the operator's metrics, by the role that is shipped for it.
func readerToken(t *testing.T) string {
	t.Helper()
	ns := plane.Namespace(t)
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: ns},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "marketstream-operator-metrics-reader"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: ns, Name: "default"}}}
	if err := admin.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	config, err := plane.ConfigForServiceAccount(t.Context(), ns, "default")
	if err != nil {
		t.Fatal(err)
	}
	return config.BearerToken
}

// get asks for the metrics; without a token for nobody's.
func (c *child) get(t *testing.T, token string) (int, []byte, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+c.metrics+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	at := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // it signs for itself
	answer, err := at.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	var body bytes.Buffer
	_, err = body.ReadFrom(answer.Body)
	return answer.StatusCode, body.Bytes(), err
}

func (c *child) scrape(t *testing.T) ([]byte, error) {
	t.Helper()
	code, body, err := c.get(t, c.token)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("%d: %s", code, body)
	}
	return body, err
}

// figures are what an operator counted.
type figures struct {
	reconciles float64
	calls      map[string]float64 // by method
}

func (f *figures) all() (n float64) {
	for _, c := range f.calls {
		n += c
	}
	return n
}

func (f *figures) per(n int) string {
	var out []string
	for _, method := range []string{"GET", "PATCH", "POST", "PUT", "DELETE"} {
		out = append(out, fmt.Sprintf("%s %.1f", method, f.calls[method]/float64(n)))
	}
	return strings.Join(out, ", ")
}

func (c *child) figures(t *testing.T) *figures {
	t.Helper()
	body, err := c.scrape(t)
	if err != nil {
		t.Fatal(err)
	}
	f := &figures{calls: map[string]float64{}}
	lines := bufio.NewScanner(bytes.NewReader(body))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "} ")
		v, _ := strconv.ParseFloat(value, 64)
		switch {
		case strings.HasPrefix(name, "controller_runtime_reconcile_total{"):
			f.reconciles += v
		case strings.HasPrefix(name, "rest_client_requests_total{"):
			_, rest, _ := strings.Cut(name, `method="`)
			method, _, _ := strings.Cut(rest, `"`)
			f.calls[method] += v
		}
	}
	return f
}

// memory is what the kernel says of the process.
func (c *child) memory(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.pid))
	if err != nil {
		return err.Error() // no Linux
	}
	var out []string
	for _, field := range []string{"VmRSS", "VmHWM", "RssAnon", "RssFile"} {
		_, rest, ok := strings.Cut(string(text), field+":")
		if !ok {
			continue
		}
		line, _, _ := strings.Cut(rest, "\n")
		kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(line), " kB"))
		if err != nil {
			t.Error(err)
		}
		out = append(out, fmt.Sprintf("%s %d MiB", map[string]string{"VmRSS": "RSS", "VmHWM": "at most", "RssAnon": "of it its own", "RssFile": "of it the program's file"}[field], kib>>10))
	}
	return strings.Join(append(out, c.heap(t)), ", ")
}

// heap is what the process says of its heap.
func (c *child) heap(t *testing.T) string {
	t.Helper()
	body, err := c.scrape(t)
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]float64{}
	lines := bufio.NewScanner(bytes.NewReader(body))
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok && strings.HasPrefix(name, "go_memstats_") {
			said[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	mib := func(name string) int { return int(said[name]) >> 20 }
	return fmt.Sprintf("heap %d MiB in use and %d MiB before it is collected again, stacks %d MiB", mib("go_memstats_heap_alloc_bytes"), mib("go_memstats_next_gc_bytes"), mib("go_memstats_stack_inuse_bytes"))
}

// TestMetrics: figures are for who may get them, by the role that is shipped, and for nobody else.
func TestMetrics(t *testing.T) {
	t.Parallel()
	op := process(t, "--namespace="+plane.Namespace(t))
	if code, body, err := op.get(t, ""); err != nil || code != http.StatusUnauthorized {
		t.Errorf("nobody in particular is answered %d %.80s %v", code, body, err)
	}
	other, err := plane.ConfigForServiceAccount(t.Context(), plane.Namespace(t), "default")
	if err != nil {
		t.Fatal(err)
	}
	if code, body, err := op.get(t, other.BearerToken); err != nil || code != http.StatusForbidden {
		t.Errorf("somebody without a right is answered %d %.80s %v", code, body, err)
	}
}
