//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/marketstream/marketstream/hack/manifests"
)

const (
	system   = "marketstream-system"
	crd      = "marketstreams.marketstream.dev"
	operator = "deployment/marketstream-operator"
	ours     = "marketstream.dev/e2e=true" // on namespaces of scenarios
)

// way is one to install the operator.
type way struct {
	name            string
	install, remove func(*testing.T, *suite)
	stays           string // what stays of the operator's own objects, by design
}

var ways = []way{
	{
		"install.yaml",
		func(t *testing.T, s *suite) { s.kube.do(t, "apply", "--server-side", "-f", file("dist/install.yaml")) },
		func(t *testing.T, s *suite) { s.kube.do(t, "delete", "-f", file("dist/install.yaml")) },
		"",
	},
	{
		"chart",
		func(t *testing.T, s *suite) {
			s.kube.with(t, restricted(system), "apply", "-f", "-")
			s.helm(t, "install", "marketstream", file("config/chart"), "-n", system)
		},
		func(t *testing.T, s *suite) {
			s.helm(t, "uninstall", "marketstream", "-n", system, "--wait")
			s.kube.do(t, "delete", "namespace", system)
		},
		crd, // resource-policy: keep
	},
	{
		"kustomize",
		func(t *testing.T, s *suite) { s.kube.do(t, "apply", "--server-side", "-k", file("config/default")) },
		func(t *testing.T, s *suite) { s.kube.do(t, "delete", "-k", file("config/default")) },
		"",
	},
}

// file is the path of one of the project's.
func file(name string) string { return filepath.Join(manifests.Root(), name) }

// restricted is a namespace that enforces Pod Security `restricted`.
func restricted(name string) string {
	label, value, _ := strings.Cut(ours, "=")
	return fmt.Sprintf(`{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": %q, "labels": {"pod-security.kubernetes.io/enforce": "restricted", %q: %q}}}`, name, label, value)
}

// helm is Helm of the module that renders the chart in other tests.
func (s *suite) helm(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"tool", "helm"}, args...)...)
	cmd.Dir = filepath.Join(manifests.Root(), "hack")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.kube.config)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (s *suite) install(t *testing.T, w way) {
	t.Helper()
	w.install(t, s)
	s.kube.do(t, "rollout", "status", "-n", system, operator, "--timeout", hangs.String())
	s.kube.do(t, "wait", "--for=condition=Established", "crd/"+crd, "--timeout", hangs.String())
}

// namespace makes one for a scenario, with a certificate, and removes it in the end.
func (s *suite) namespace(t *testing.T, name string) string {
	t.Helper()
	name = "e2e-" + name
	s.kube.with(t, restricted(name), "apply", "-f", "-")
	s.kube.with(t, s.tls.secret("example-tls"), "apply", "-n", name, "-f", "-")
	t.Cleanup(func() {
		if t.Failed() {
			s.dump(t, name)
		}
		// Streams first: their pods drain while the operator and the namespace are there.
		ctx, cancel := context.WithTimeout(context.Background(), hangs)
		defer cancel()
		for _, args := range [][]string{{"delete", "marketstreams", "--all", "-n", name}, {"delete", "namespace", name}} {
			if out, err := s.kube.try(ctx, "", args...); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		}
	})
	return name
}

// dump logs what there is of a namespace.
func (s *suite) dump(t *testing.T, namespace string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, args := range [][]string{
		{"get", "all,pvc,ingress,configmaps", "-n", namespace, "-o", "wide"},
		{"get", "events", "-n", namespace},
		{"describe", "marketstreams", "-n", namespace},
		{"logs", "-n", namespace, "-l", "app.kubernetes.io/name=marketstream", "--tail=60", "--prefix"},
		{"logs", "-n", system, operator, "--tail=60"},
	} {
		out, err := s.kube.try(ctx, "", args...)
		t.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// tidy removes what an earlier run left, of a cluster that is ours. In another it must not be there.
func (s *suite) tidy(t *testing.T) {
	t.Helper()
	there := s.kube.do(t, "get", "crd", crd, "--ignore-not-found")
	if there != "" && !s.kube.own {
		t.Fatal("the operator is installed in this cluster already: these tests install and remove it")
	}
	if there != "" {
		s.kube.do(t, "delete", "marketstreams", "--all", "-A")
	}
	s.kube.do(t, "delete", "namespaces", "-l", ours)
	if there != "" {
		_, _ = s.kube.try(t.Context(), "", "delete", "--ignore-not-found", "-f", file("dist/install.yaml"))
	}
}

// uninstall removes a stream and the operator, and looks at what is left.
func (s *suite) uninstall(t *testing.T, w way) {
	t.Helper()
	ns := s.namespace(t, "uninstall")
	s.kube.apply(t, ns, stream("kept", ""))
	s.kube.apply(t, ns, stream("gone", `backbone: {storage: {whenDeleted: Delete}}`))
	s.kube.ready(t, ns, "kept")
	s.kube.ready(t, ns, "gone")
	s.kube.do(t, "delete", "marketstreams", "--all", "-n", ns)
	const kinds = "deployments,statefulsets,services,configmaps,secrets,serviceaccounts,ingresses,networkpolicies,poddisruptionbudgets,pods,pvc"
	const want = "persistentvolumeclaim/data-kept-backbone-0"
	took := eventually(t, hangs, func() string {
		if got := s.left(t, ns, kinds); got != want {
			return "left of the streams:\n" + got
		}
		return ""
	})
	s.report.figure(t, "seconds until nothing is left of two streams but the claim that was to stay", "%.1f", took.Seconds())
	w.remove(t, s)
	left := s.kube.do(t, "get", "crd,clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings,namespaces", "-o", "name")
	var names []string
	for line := range strings.Lines(left) {
		if _, name, _ := strings.Cut(strings.TrimSpace(line), "/"); strings.Contains(name, "marketstream") {
			names = append(names, name)
		}
	}
	if got := strings.Join(names, " "); got != w.stays {
		t.Errorf("left of the operator: %q, want %q", got, w.stays)
	}
	if w.stays != "" {
		s.kube.do(t, "delete", "crd", w.stays)
	}
}

// left is what there is in a namespace that Kubernetes does not put there itself, nor we.
func (s *suite) left(t *testing.T, namespace, kinds string) string {
	t.Helper()
	var out []string
	for line := range strings.Lines(s.kube.do(t, "get", kinds, "-n", namespace, "-o", "name")) {
		switch line = strings.TrimSpace(line); line {
		case "configmap/kube-root-ca.crt", "serviceaccount/default", "secret/example-tls":
		default:
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// pair is a certificate of *.e2e.example.test and who signs it. The Gateway of hack/cluster has one of *.example.test.
type pair struct {
	cert, key []byte
	config    *tls.Config // of a client
}

func newPair(t *testing.T) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "example.test"}, DNSNames: []string{"*.e2e.example.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p := pair{cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.cert)
	p.config = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return p
}

// secret is the pair as Kubernetes has them.
func (p pair) secret(name string) string {
	indent := func(b []byte) string {
		return string(bytes.ReplaceAll(bytes.TrimSpace(b), []byte("\n"), []byte("\n    ")))
	}
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n    %s\n  tls.key: |\n    %s\n", name, indent(p.cert), indent(p.key))
}

// stream is a MarketStream at name.e2e.example.test whose minutes last a second; more are lines of its spec, which win.
func stream(name, more string) string {
	return fmt.Sprintf(`apiVersion: marketstream.dev/v1alpha1
kind: MarketStream
metadata: {name: %s}
spec:
  symbols: [SPY, QQQ, AAPL]
  timeframes: [1m, 5m]
  shards: 1
  feed: {synthetic: {seed: 1, ticksPerSecond: 5, speed: "60"}}
  ingress: {host: %s.e2e.example.test, tlsSecretName: example-tls}
%s`, name, name, "  "+strings.ReplaceAll(strings.TrimSpace(more), "\n", "\n  ")+"\n")
}

// ingressIP is where the ingress controller listens, told by an Ingress of ours.
func (s *suite) ingressIP(t *testing.T) (ip string) {
	t.Helper()
	ns := "e2e-probe"
	s.kube.with(t, restricted(ns), "apply", "-f", "-")
	s.kube.apply(t, ns, `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: probe}
spec: {defaultBackend: {service: {name: nobody, port: {number: 80}}}}`)
	eventually(t, hangs, func() string {
		ip = s.kube.field(t.Context(), ns, "ingress/probe", "{.status.loadBalancer.ingress[0].ip}")
		if ip == "" {
			return "no ingress controller takes an Ingress up, or it names no address"
		}
		return ""
	})
	s.kube.do(t, "delete", "namespace", ns)
	return ip
}
