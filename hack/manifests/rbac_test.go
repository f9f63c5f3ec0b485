package manifests

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// role is a Role or a ClusterRole.
type role struct {
	kind, namespace, name string
	rules                 []rbacv1.PolicyRule
}

func (r role) String() string { return strings.TrimSpace(r.kind + " " + r.name) }

func roles(t *testing.T, dir string) (out []role) {
	t.Helper()
	objects, err := Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if o.GetKind() == "Role" || o.GetKind() == "ClusterRole" {
			out = append(out, role{o.GetKind(), o.GetNamespace(), o.GetName(), rulesOf(t, o)})
		}
	}
	return out
}

func rulesOf(t *testing.T, o *unstructured.Unstructured) []rbacv1.PolicyRule {
	t.Helper()
	var r rbacv1.ClusterRole
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &r, true); err != nil {
		t.Fatal(o.GetName(), err)
	}
	return r.Rules
}

// flat is a line for each verb on each resource: "group/resource[names] verb".
func flat(rules []rbacv1.PolicyRule) (lines []string) {
	for _, r := range rules {
		for _, verb := range r.Verbs {
			for _, u := range r.NonResourceURLs {
				lines = append(lines, u+" "+verb)
			}
			for _, g := range r.APIGroups {
				for _, res := range r.Resources {
					lines = append(lines, fmt.Sprintf("%s/%s%s %s", g, res, names(r.ResourceNames), verb))
				}
			}
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

func names(n []string) string {
	if len(n) == 0 {
		return ""
	}
	return "[" + strings.Join(n, ",") + "]"
}

// onSecrets are the verbs of rules that reach Secrets, wildcards included.
func onSecrets(rules []rbacv1.PolicyRule) (verbs []string) {
	for _, r := range rules {
		group := slices.ContainsFunc(r.APIGroups, func(g string) bool { return g == "" || g == "*" })
		resource := slices.ContainsFunc(r.Resources, func(s string) bool {
			return s == "*" || s == "secrets" || strings.HasPrefix(s, "secrets/") || strings.HasPrefix(s, "*/")
		})
		if group && resource {
			verbs = append(verbs, r.Verbs...)
		}
	}
	return verbs
}

// TestSecretsAreOnlyMade: no role of any mode has a verb on Secrets but create, and the operator's has that.
func TestSecretsAreOnlyMade(t *testing.T) {
	for _, dir := range []string{Default, Namespaced, Prometheus} {
		made := 0
		for _, r := range roles(t, dir) {
			for _, v := range onSecrets(r.rules) {
				if v != "create" {
					t.Errorf("%s: %v may %s Secrets", dir, r, v)
				}
				made++
			}
			for _, rule := range r.rules {
				for _, list := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs, rule.NonResourceURLs} {
					if slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, "*") }) {
						t.Errorf("%s: %v has a wildcard: %v", dir, r, rule)
					}
				}
				for _, v := range rule.Verbs {
					if v == "escalate" || v == "bind" || v == "impersonate" {
						t.Errorf("%s: %v may %s", dir, r, v)
					}
				}
			}
		}
		if made != 1 {
			t.Errorf("%s: %d roles may make Secrets, want 1", dir, made)
		}
	}
}

// TestSecretsAreSeen: what the test above looks for is found where it is.
func TestSecretsAreSeen(t *testing.T) {
	for _, c := range []struct {
		group, resource string
		want            bool
	}{
		{"", "secrets", true}, {"", "*", true}, {"*", "secrets", true}, {"*", "*", true}, {"", "secrets/status", true},
		{"", "*/status", true}, {"apps", "*", false}, {"", "configmaps", false},
	} {
		got := onSecrets([]rbacv1.PolicyRule{{APIGroups: []string{c.group}, Resources: []string{c.resource}, Verbs: []string{"get"}}})
		if (len(got) > 0) != c.want {
			t.Errorf("%s/%s: %v", c.group, c.resource, got)
		}
	}
}

// operator is what the operator may do to streams, wherever its mode lets it; nothing else.
var operator = `
/configmaps create get list patch watch
/persistentvolumeclaims get list patch watch
/pods delete get list patch watch
/secrets create
/serviceaccounts create get list patch watch
/services create get list patch watch
apps/deployments create get list patch watch
apps/statefulsets create delete get list patch watch
events.k8s.io/events create patch
gateway.networking.k8s.io/httproutes create delete get list patch watch
marketstream.dev/marketstreams get list watch
marketstream.dev/marketstreams/finalizers update
marketstream.dev/marketstreams/status patch update
monitoring.coreos.com/prometheusrules create delete get list patch watch
monitoring.coreos.com/servicemonitors create delete get list patch watch
networking.k8s.io/ingresses create delete get list patch watch
networking.k8s.io/networkpolicies create delete get list patch watch
policy/poddisruptionbudgets create get list patch watch
`

// others are the roles of both modes besides it.
var others = map[string]string{
	"ClusterRole marketstream-operator-cluster": `
/namespaces[kube-system] get
authentication.k8s.io/tokenreviews create
authorization.k8s.io/subjectaccessreviews create
`,
	"Role marketstream-operator-leader": `
/events create patch
coordination.k8s.io/leases create
coordination.k8s.io/leases[marketstream-operator] get update
`,
	"ClusterRole marketstream-operator-metrics-reader": "/metrics get",
	"ClusterRole marketstream-view": `
marketstream.dev/marketstreams get list watch
marketstream.dev/marketstreams/scale get
marketstream.dev/marketstreams/status get
`,
	"ClusterRole marketstream-edit": `
marketstream.dev/marketstreams create delete deletecollection patch update
marketstream.dev/marketstreams/scale patch update
`,
}

// TestRolesAreNarrow: the roles of each mode, verb by verb.
func TestRolesAreNarrow(t *testing.T) {
	crds := "apiextensions.k8s.io/customresourcedefinitions list watch\n"
	for dir, own := range map[string]struct{ name, rules string }{
		Default:    {"ClusterRole marketstream-operator", operator + crds},
		Namespaced: {"Role marketstream-operator", operator},
	} {
		want := map[string]string{own.name: own.rules}
		for n, r := range others {
			want[n] = r
		}
		for _, r := range roles(t, dir) {
			w, ok := want[r.String()]
			if !ok {
				t.Errorf("%s: %v is not known here", dir, r)
			}
			delete(want, r.String())
			if got := strings.Join(flat(r.rules), "\n"); got != spelledOut(w) {
				t.Errorf("%s: %v may\n%s\nwant\n%s", dir, r, got, spelledOut(w))
			}
		}
		for n := range want {
			t.Errorf("%s: %s is missing", dir, n)
		}
	}
}

// spelledOut has a line for each verb.
func spelledOut(table string) string {
	var lines []string
	for _, l := range strings.Split(strings.TrimSpace(table), "\n") {
		f := strings.Fields(l)
		for _, verb := range f[1:] {
			lines = append(lines, f[0]+" "+verb)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestBindings: each role of the operator is bound to its ServiceAccount, and those of people to nobody.
func TestBindings(t *testing.T) {
	for dir, want := range map[string][]string{
		Default:    {"ClusterRoleBinding marketstream-operator", "ClusterRoleBinding marketstream-operator-cluster", "RoleBinding marketstream-operator-leader"},
		Namespaced: {"ClusterRoleBinding marketstream-operator-cluster", "RoleBinding marketstream-operator", "RoleBinding marketstream-operator-leader"},
	} {
		objects, err := Build(dir)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range objects {
			if o.GetKind() != "RoleBinding" && o.GetKind() != "ClusterRoleBinding" {
				continue
			}
			var b rbacv1.ClusterRoleBinding
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &b); err != nil {
				t.Fatal(err)
			}
			got = append(got, o.GetKind()+" "+b.Name)
			subject := rbacv1.Subject{Kind: "ServiceAccount", Name: "marketstream-operator", Namespace: "marketstream-system"}
			if len(b.Subjects) != 1 || b.Subjects[0] != subject {
				t.Errorf("%s: %s is for %v", dir, b.Name, b.Subjects)
			}
			if kind := strings.TrimSuffix(o.GetKind(), "Binding"); b.RoleRef.Kind != kind || b.RoleRef.Name != b.Name {
				t.Errorf("%s: %s gives %v", dir, b.Name, b.RoleRef)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: bindings %q, want %q", dir, got, want)
		}
	}
}
