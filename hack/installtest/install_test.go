package installtest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/marketstream/marketstream/hack/helmchart"
	"github.com/marketstream/marketstream/hack/kubetest"
	"github.com/marketstream/marketstream/hack/manifests"
	"github.com/marketstream/marketstream/hack/policytest"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// system is the operator's namespace.
const system = "marketstream-system"

// hangs is longer than anything here takes.
const hangs = 2 * time.Minute

var (
	plane *kubetest.Plane
	admin client.Client
)

func TestMain(m *testing.M) {
	os.Exit(kubetest.Run(m, kubetest.Options{}, func(p *kubetest.Plane) (err error) {
		plane = p
		ctrl.SetLogger(logr.Discard()) // of the client; what the API server says comes as errors
		if admin, err = client.New(p.Admin, client.Options{}); err != nil {
			return err
		}
		return installed(context.Background())
	}))
}

// installed applies dist/install.yaml, as its first line says, and waits until it holds.
func installed(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(manifests.Root(), "dist", "install.yaml"))
	if err != nil {
		return err
	}
	objects, err := manifests.Read(text)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if _, err := apply(ctx, o, "kubectl"); err != nil {
			return err
		}
	}
	// A CRD is served, and a policy is heard of, some moments later; this one is the last of them.
	bad := policytest.Object("{}", map[string]any{"marketstream.dev/paused": "yes"})
	return within(ctx, "the policies hold", func() error {
		o := &unstructured.Unstructured{Object: bad}
		o.SetNamespace("default")
		if err := admin.Create(ctx, o.DeepCopy(), client.DryRunAll); err == nil || !strings.Contains(err.Error(), "paused") {
			return fmt.Errorf("a bad object is answered with %v", err)
		}
		return nil
	})
}

// apply is a server-side apply without force: another manager that wants something else is a conflict.
func apply(ctx context.Context, o *unstructured.Unstructured, manager string) (*unstructured.Unstructured, error) {
	o = o.DeepCopy()
	if err := admin.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner(manager)); err != nil {
		return nil, fmt.Errorf("%s: %w", manifests.ID(o), err)
	}
	got := &unstructured.Unstructured{}
	got.SetGroupVersionKind(o.GroupVersionKind())
	return got, admin.Get(ctx, client.ObjectKeyFromObject(o), got)
}

func within(ctx context.Context, what string, so func() error) error {
	deadline := time.After(hangs)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := so()
		if err == nil {
			return nil
		}
		select {
		case <-deadline:
			return fmt.Errorf("waited in vain until %s: %w", what, err)
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// TestThreeWays: what install.yaml made, kustomize and Helm apply too: no conflict, no other content, and nothing at
// all is changed when the same is applied once more.
func TestThreeWays(t *testing.T) {
	kustomized, err := manifests.Build(manifests.Default)
	if err != nil {
		t.Fatal(err)
	}
	chart, err := helmchart.Render(system, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range []struct {
		manager string
		objects []*unstructured.Unstructured
	}{{"kustomize", kustomized}, {"helm", chart}} {
		if len(way.objects) < 15 {
			t.Errorf("%s has only %d objects", way.manager, len(way.objects))
		}
		for _, o := range way.objects {
			if err := sameAgain(t, o, way.manager); err != nil {
				t.Errorf("%s: %v", way.manager, err)
			}
		}
	}
}

// sameAgain applies an object that is there twice, and reports what that changes.
func sameAgain(t *testing.T, o *unstructured.Unstructured, manager string) error {
	t.Helper()
	before := &unstructured.Unstructured{}
	before.SetGroupVersionKind(o.GroupVersionKind())
	if err := admin.Get(t.Context(), client.ObjectKeyFromObject(o), before); err != nil {
		return fmt.Errorf("install.yaml did not make %s: %w", manifests.ID(o), err)
	}
	first, err := apply(t.Context(), o, manager)
	if err != nil {
		return err
	}
	second, err := apply(t.Context(), o, manager)
	if err != nil {
		return err
	}
	if a, b := content(first, "resourceVersion"), content(second, "resourceVersion"); a != b {
		return fmt.Errorf("%s changes when it is applied again:\n%s\n%s", manifests.ID(o), a, b)
	}
	// Labels and annotations say by which way it came.
	if a, b := content(before, "resourceVersion", "labels", "annotations"), content(first, "resourceVersion", "labels", "annotations"); a != b {
		return fmt.Errorf("%s is another than install.yaml's:\n%s\n%s", manifests.ID(o), a, b)
	}
	return nil
}

// content is an object without what controllers write meanwhile, and without some of its metadata.
func content(u *unstructured.Unstructured, without ...string) string {
	u = u.DeepCopy()
	unstructured.RemoveNestedField(u.Object, "status")
	unstructured.RemoveNestedField(u.Object, "metadata", "annotations", "deployment.kubernetes.io/revision")
	for _, f := range append(without, "managedFields") {
		unstructured.RemoveNestedField(u.Object, "metadata", f)
	}
	text, err := json.Marshal(u.Object)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// TestNamespaced: the mode of one namespace installs as well, without a right in others.
func TestNamespaced(t *testing.T) {
	ctx := t.Context()
	objects, err := manifests.Build(manifests.Namespaced)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if err := admin.Apply(ctx, client.ApplyConfigurationFromUnstructured(o.DeepCopy()), client.FieldOwner("namespaced"), client.DryRunAll, client.ForceOwnership); err != nil {
			t.Errorf("%s: %v", manifests.ID(o), err)
		}
	}
}

// TestRestricted: the operator's pod is let into its namespace, which enforces the restricted standard.
func TestRestricted(t *testing.T) {
	ctx := t.Context()
	ns, err := plane.Client.CoreV1().Namespaces().Get(ctx, system, metav1.GetOptions{})
	if err != nil || ns.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
		t.Fatal(ns.Labels, err)
	}
	err = within(ctx, "the operator has a pod", func() error {
		pods, err := plane.Client.CoreV1().Pods(system).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=marketstream-operator"})
		if err != nil {
			return err
		}
		if len(pods.Items) == 0 {
			return fmt.Errorf("%d pods", len(pods.Items))
		}
		return nil
	})
	if err != nil {
		events, _ := plane.Client.CoreV1().Events(system).List(ctx, metav1.ListOptions{})
		for _, e := range events.Items {
			t.Log(e.Reason, e.Message)
		}
		t.Error(err)
	}
}

// TestPoliciesAreTypeChecked: the API server finds nothing to warn of in an expression.
func TestPoliciesAreTypeChecked(t *testing.T) {
	for _, name := range []string{policytest.Secrets, policytest.Shape} {
		var p *admissionv1.ValidatingAdmissionPolicy
		err := within(t.Context(), "the policy is looked at", func() (err error) {
			if p, err = plane.Client.AdmissionregistrationV1().ValidatingAdmissionPolicies().Get(t.Context(), name, metav1.GetOptions{}); err != nil {
				return err
			}
			if p.Status.ObservedGeneration != p.Generation || p.Status.TypeChecking == nil {
				return fmt.Errorf("%s: generation %d of %d is looked at", name, p.Status.ObservedGeneration, p.Generation)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
			continue
		}
		for _, w := range p.Status.TypeChecking.ExpressionWarnings {
			t.Errorf("%s: %s: %s", name, w.FieldRef, w.Warning)
		}
	}
}

// TestPolicyCases runs the table of the policies: a user with just the rights of the case asks.
func TestPolicyCases(t *testing.T) {
	ctx := t.Context()
	if _, err := plane.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: policytest.Namespace}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	users := map[string]client.Client{}
	refused := 0
	for i, c := range policytest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			rights := append([]string{}, c.MayGet...)
			if c.Policy == policytest.Shape {
				rights = []string{"*"} // those are about something else
			}
			slices.Sort(rights)
			key := strings.Join(rights, "-")
			if users[key] == nil {
				users[key] = user(t, fmt.Sprintf("dev-%d", len(users)), rights)
			}
			asked := &unstructured.Unstructured{Object: c.New}
			asked.SetName(fmt.Sprintf("case-%d", i))
			var err error
			if c.Old != nil {
				old := &unstructured.Unstructured{Object: c.Old}
				old.SetName(asked.GetName())
				if err := admin.Create(ctx, old); err != nil {
					t.Fatal("the object before: ", err)
				}
				asked.SetResourceVersion(old.GetResourceVersion())
				err = users[key].Update(ctx, asked)
			} else {
				err = users[key].Create(ctx, asked)
			}
			if c.Old != nil || err == nil {
				_ = admin.Delete(ctx, asked)
			}
			if !c.Refused {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refused++
			if err == nil {
				t.Fatal("admitted")
			}
			if c.Policy == policytest.Secrets && !apierrors.IsForbidden(err) {
				t.Errorf("the reason is %s", apierrors.ReasonForError(err))
			}
			for _, w := range append([]string{c.Policy, c.Rule}, c.Says...) {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q lacks %q", err, w)
				}
			}
		})
	}
	if refused < 50 {
		t.Errorf("only %d cases are refused", refused)
	}
}

// user is somebody who may edit streams and get some Secrets, in the table's namespace.
func user(t *testing.T, name string, secrets []string) client.Client {
	t.Helper()
	ctx := t.Context()
	rules := []rbacv1.PolicyRule{{APIGroups: []string{"marketstream.dev"}, Resources: []string{"marketstreams"}, Verbs: []string{"get", "create", "update"}}}
	if len(secrets) > 0 {
		rule := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}, ResourceNames: secrets}
		if secrets[0] == "*" {
			rule.ResourceNames = nil
		}
		rules = append(rules, rule)
	}
	meta := metav1.ObjectMeta{Name: name, Namespace: policytest.Namespace}
	if _, err := plane.Client.RbacV1().Roles(meta.Namespace).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: name}}}
	if _, err := plane.Client.RbacV1().RoleBindings(meta.Namespace).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	config := rest.CopyConfig(plane.Admin)
	config.Impersonate = rest.ImpersonationConfig{UserName: name}
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	// The authorizer hears of the role some moments later.
	probe := &unstructured.Unstructured{}
	probe.SetGroupVersionKind(schema.GroupVersionKind{Group: "marketstream.dev", Version: "v1alpha1", Kind: "MarketStream"})
	err = within(ctx, "the role holds", func() error {
		for _, s := range secrets {
			if s == "*" {
				s = "any"
			}
			if _, err := core.CoreV1().Secrets(policytest.Namespace).Get(ctx, s, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				return fmt.Errorf("secret %s: %w", s, err)
			}
		}
		if err := c.Get(ctx, client.ObjectKey{Namespace: policytest.Namespace, Name: "none"}, probe); !apierrors.IsNotFound(err) {
			return fmt.Errorf("streams: %w", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
