package operatortest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/marketstream/marketstream/api/podreport"
	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/controllers/desired"
	"github.com/marketstream/marketstream/controllers/marketstream"
	"github.com/marketstream/marketstream/hack/kubetest"
	"github.com/marketstream/marketstream/hack/manifests"
)

const (
	system  = "marketstream-system"
	account = "marketstream-operator"
	image   = "marketstream:1"
	// hangs is a guard against hanging, not a deadline.
	hangs = 2 * time.Minute
)

var (
	plane *kubetest.Plane
	nodes *kubetest.Nodes
	admin client.Client
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(kubetest.Run(m, kubetest.Options{CRDs: []string{"../../config/crd/bases"}}, setUp))
}

// setUp plays nodes, and installs what the operator is installed with but its Deployment.
func setUp(p *kubetest.Plane) (err error) {
	ctx := context.Background()
	plane = p
	played := kubetest.NodesOptions{Program: play}
	if os.Getenv(manyStreams) != "" { // kubelets that are thousands are not to be what is measured
		played.Step, played.ConfigDelay = time.Second, 24*time.Hour
	}
	if nodes, err = p.StartNodes(ctx, played); err != nil {
		return err
	}
	scheme, err := marketstream.Scheme()
	if err != nil {
		return err
	}
	if admin, err = client.New(p.Admin, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	if err := admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: system}}); err != nil {
		return err
	}
	for _, dir := range []string{"rbac", "policy"} {
		objects, err := manifests.Build(dir)
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		for _, o := range objects {
			if o.GetKind() == "ServiceAccount" || o.GetKind() == "Role" || o.GetKind() == "RoleBinding" {
				o.SetNamespace(system)
			}
			if err := admin.Create(ctx, o); err != nil && !apierrors.IsAlreadyExists(err) {
				return fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err)
			}
		}
	}
	return nil
}

// play is the program of a pod: our streamers and nodes, and nothing else.
func play(p *kubetest.Pod) kubetest.Program {
	if p.Object().Labels[desired.LabelComponent] == desired.ComponentBackbone {
		return &node{pod: p}
	}
	return kubetest.Play(p)
}

// node plays a node of a backbone: it serves as soon as it has its token, and says what it is told to be.
type node struct {
	kubetest.Idle
	pod *kubetest.Pod
	mu  sync.Mutex
	say func(*podreport.Node)
}

func (n *node) report() podreport.Node {
	r := podreport.Node{Name: n.pod.Name, Version: "kubetest", Ready: true, Replicas: 1, Doing: "serves"}
	if n.pod.Flag("replicas") == "3" {
		r.Replicas = 3
	}
	token, ok := n.pod.File("/etc/marketstream/backbone/token")
	secret := podreport.Secret{Name: secretOf(n.pod.Object(), "/etc/marketstream/backbone"), State: "loaded"}
	if !ok || len(token) == 0 {
		secret.State, r.Ready, r.Reason = "missing", false, "it waits for its token"
	}
	r.Secrets = []podreport.Secret{secret}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.say != nil {
		n.say(&r)
	}
	return r
}

// secretOf names the Secret that is mounted somewhere in a pod.
func secretOf(p *corev1.Pod, path string) string {
	for _, m := range p.Spec.Containers[0].VolumeMounts {
		for _, v := range p.Spec.Volumes {
			if m.MountPath == path && v.Name == m.Name && v.Secret != nil {
				return v.Secret.SecretName
			}
		}
	}
	return ""
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	report := n.report()
	switch r.URL.Path {
	case "/status":
		_ = json.NewEncoder(w).Encode(report)
	case "/readyz":
		if !report.Ready {
			http.Error(w, report.Reason, http.StatusServiceUnavailable)
		}
	default:
		_, _ = io.WriteString(w, "ok\n")
	}
}

// calls counts what goes to the API server.
type calls struct {
	next http.RoundTripper
	mu   sync.Mutex
	made []string // method and path of each that writes
	read int

	forbidden notes // what the roles do not allow: nothing may be
}

func (c *calls) RoundTrip(r *http.Request) (*http.Response, error) {
	own := strings.Contains(r.URL.Path, "/leases") || strings.Contains(r.URL.Path, "/tokenreviews") || strings.Contains(r.URL.Path, "/subjectaccessreviews") || strings.Contains(r.URL.Path, "/events")
	c.mu.Lock()
	switch {
	case own:
	case r.Method == http.MethodGet:
		c.read++
	default:
		c.made = append(c.made, r.Method+" "+r.URL.Path)
	}
	c.mu.Unlock()
	answer, err := c.next.RoundTrip(r)
	if err == nil && answer.StatusCode == http.StatusForbidden {
		body, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		answer.Body = io.NopCloser(bytes.NewReader(body))
		if bytes.Contains(body, []byte(" cannot ")) && bytes.Contains(body, []byte(" resource ")) { // roles, not a quota
			c.forbidden.note(r.Method + " " + r.URL.Path + ": " + string(body))
		}
	}
	return answer, err
}

type notes struct {
	mu  sync.Mutex
	all []string
}

func (n *notes) note(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, s)
}

// writes are those to a namespace since the last call, by what they wrote.
func (c *calls) writes(namespace string) (objects, status, touches []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var keep []string
	for _, w := range c.made {
		switch {
		case !strings.Contains(w, "/namespaces/"+namespace+"/"):
			keep = append(keep, w)
		case strings.HasSuffix(w, "/status"):
			status = append(status, w)
		case strings.Contains(w, "/pods/"):
			touches = append(touches, w)
		default:
			objects = append(objects, w)
		}
	}
	c.made = keep
	return objects, status, touches
}

// operator is one that runs.
type operator struct {
	calls *calls
	stop  func()
	log   *notes
	// lenient: an API server that has just started knows no roles yet, and refuses what they allow.
	lenient bool
	// ends: it may end by itself, having lost its lease.
	ends  atomic.Bool
	ended atomic.Bool
}

func (o *operator) running() bool { return !o.ended.Load() }

// start starts an operator of one namespace's streams, so that tests do not meet, and stops it with the test.
func start(t *testing.T, namespace string, change func(*marketstream.Options)) *operator {
	t.Helper()
	config, err := plane.ConfigForServiceAccount(t.Context(), system, account)
	if err != nil {
		t.Fatal(err)
	}
	op := &operator{calls: &calls{}, log: &notes{}}
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = 500, 1000
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { op.calls.next = next; return op.calls })
	o := marketstream.Options{Config: config, Image: image, Namespace: namespace, OwnNamespace: system, MetricsListen: "0", HealthListen: "0",
		PollEvery: 200 * time.Millisecond, Least: time.Millisecond, LookEvery: 200 * time.Millisecond,
		Log: funcr.New(func(_, args string) { op.log.note(args) }, funcr.Options{Verbosity: 1})}
	if change != nil {
		change(&o)
	}
	m, err := marketstream.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := m.Start(ctx)
		op.ended.Store(true)
		done <- err
	}()
	op.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil && !op.ends.Load() {
				t.Error("the operator ends with", err)
			}
		case <-time.After(hangs):
			t.Error("the operator does not end")
		}
	})
	t.Cleanup(func() {
		op.stop()
		op.calls.forbidden.mu.Lock()
		defer op.calls.forbidden.mu.Unlock()
		if all := op.calls.forbidden.all; len(all) > 0 && !op.lenient {
			t.Errorf("the roles do not allow:\n%s", strings.Join(all, "\n"))
		}
		if t.Failed() {
			op.log.mu.Lock()
			defer op.log.mu.Unlock()
			t.Log("the operator's log:\n" + strings.Join(op.log.all[max(0, len(op.log.all)-60):], "\n"))
		}
	})
	return op
}

// eventually waits until so says nothing.
func eventually(t *testing.T, what string, so func() error) {
	t.Helper()
	deadline := time.After(hangs)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := so()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("waited in vain until %s: %v", what, err)
		case <-tick.C:
		}
	}
}

// make makes a stream from the spec in YAML.
func apply(t *testing.T, namespace, name, spec string) *v1alpha1.MarketStream {
	t.Helper()
	objects, err := manifests.Read([]byte(fmt.Sprintf("apiVersion: marketstream.dev/v1alpha1\nkind: MarketStream\nmetadata: {name: %s, namespace: %s}\nspec: %s\n", name, namespace, spec)))
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(objects[0]), client.FieldOwner("tester"), client.ForceOwnership); err != nil {
		t.Fatal(err)
	}
	return get(t, namespace, name)
}

func get(t *testing.T, namespace, name string) *v1alpha1.MarketStream {
	t.Helper()
	m := &v1alpha1.MarketStream{}
	if err := admin.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, m); err != nil {
		t.Fatal(err)
	}
	return m
}

// says waits until a condition has a status and a reason, at the newest generation; empty: any reason.
func says(t *testing.T, m *v1alpha1.MarketStream, kind, status, reason string) *v1alpha1.MarketStream {
	t.Helper()
	var now *v1alpha1.MarketStream
	eventually(t, kind+" is "+status+" "+reason, func() error {
		now = get(t, m.Namespace, m.Name)
		for _, c := range now.Status.Conditions {
			if c.Type == kind && string(c.Status) == status && (reason == "" || c.Reason == reason) && c.ObservedGeneration == now.Generation {
				return nil
			}
		}
		return fmt.Errorf("it is %s", conditions(now))
	})
	return now
}

func conditions(m *v1alpha1.MarketStream) string {
	var b strings.Builder
	for _, c := range m.Status.Conditions {
		fmt.Fprintf(&b, "\n  %s %s %s: %s (generation %d of %d)", c.Type, c.Status, c.Reason, c.Message, c.ObservedGeneration, m.Generation)
	}
	return b.String()
}

// reconciles is how many there were in this process.
func reconciles(t *testing.T) (n float64) {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "controller_runtime_reconcile_total" {
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}
