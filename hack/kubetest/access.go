package kubetest

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// ConfigForUser is that of a user with a certificate. Nobody has rights that no role gives.
func (p *Plane) ConfigForUser(name string, groups ...string) (*rest.Config, error) {
	user, err := p.env.AddUser(envtest.User{Name: name, Groups: groups}, &rest.Config{QPS: p.Admin.QPS, Burst: p.Admin.Burst})
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	return user.Config(), nil
}

// ConfigForServiceAccount is that of a service account, which must exist, with a real token of an hour.
func (p *Plane) ConfigForServiceAccount(ctx context.Context, namespace, name string) (*rest.Config, error) {
	hour := int64(time.Hour / time.Second)
	got, err := p.Client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &hour}}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("token of service account %s/%s: %w", namespace, name, err)
	}
	c := rest.AnonymousClientConfig(p.Admin)
	c.BearerToken = got.Status.Token
	return c, nil
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// Namespace makes a namespace for a test and has it deleted after. pairs are labels: "a=b".
func (p *Plane) Namespace(t testing.TB, pairs ...string) string {
	t.Helper()
	ctx := t.Context()
	name := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(t.Name()), "-"), "-")
	labels := map[string]string{}
	for _, pair := range pairs {
		k, v, _ := strings.Cut(pair, "=")
		labels[k] = v
	}
	ns, err := p.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: name[:min(len(name), 40)] + "-", Labels: labels},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// It goes while other tests run.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startWithin)
		defer cancel()
		_ = p.Client.CoreV1().Namespaces().Delete(ctx, ns.Name, metav1.DeleteOptions{})
	})
	// Before it has its service account, no pod can be made.
	err = wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, startWithin, true, func(ctx context.Context) (bool, error) {
		_, err := p.Client.CoreV1().ServiceAccounts(ns.Name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, nil
	})
	if err != nil {
		t.Fatalf("namespace %s has no service account: %v", ns.Name, err)
	}
	return ns.Name
}
