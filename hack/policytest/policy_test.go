package policytest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/marketstream/marketstream/api/v1alpha1"
	"github.com/marketstream/marketstream/hack/manifests"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/cel/environment"
)

var resource = schema.GroupVersionResource{Group: "marketstream.dev", Version: "v1alpha1", Resource: "marketstreams"}

// policies are those of config/policy.
func policies(t *testing.T) map[string]*admissionv1.ValidatingAdmissionPolicy {
	t.Helper()
	objects, err := manifests.Build("policy")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*admissionv1.ValidatingAdmissionPolicy{}
	bound := map[string]bool{}
	for _, o := range objects {
		switch o.GetKind() {
		case "ValidatingAdmissionPolicy":
			p := &admissionv1.ValidatingAdmissionPolicy{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, p, true); err != nil {
				t.Fatal(err)
			}
			out[p.Name] = p
		case "ValidatingAdmissionPolicyBinding":
			var b admissionv1.ValidatingAdmissionPolicyBinding
			if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &b, true); err != nil {
				t.Fatal(err)
			}
			bound[b.Spec.PolicyName] = slices.Equal(b.Spec.ValidationActions, []admissionv1.ValidationAction{admissionv1.Deny}) && b.Spec.MatchResources == nil
		}
	}
	for name := range out {
		if !bound[name] {
			t.Errorf("policy %s is not bound everywhere, to deny", name)
		}
	}
	return out
}

// compile does what the API server does with a policy. An expression that does not compile fails the test.
func compile(t *testing.T, p *admissionv1.ValidatingAdmissionPolicy) validating.Validator {
	t.Helper()
	with := plugincel.OptionalVariableDeclarations{HasAuthorizer: true}
	c, err := plugincel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range p.Spec.Variables {
		if r := c.CompileAndStoreVariable(&validating.Variable{Name: v.Name, Expression: v.Expression}, with, environment.NewExpressions); r.Error != nil {
			t.Fatalf("%s: variable %s: %v", p.Name, v.Name, r.Error)
		}
	}
	var conditions, messages, matches []plugincel.ExpressionAccessor
	for _, v := range p.Spec.Validations {
		conditions = append(conditions, &validating.ValidationCondition{Expression: v.Expression, Message: v.Message, Reason: v.Reason})
		if v.MessageExpression == "" {
			messages = append(messages, nil)
			continue
		}
		messages = append(messages, &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression})
	}
	for i := range p.Spec.MatchConditions {
		matches = append(matches, (*matchconditions.MatchCondition)(&p.Spec.MatchConditions[i]))
	}
	compiled := func(e []plugincel.ExpressionAccessor, o plugincel.OptionalVariableDeclarations) plugincel.ConditionEvaluator {
		f := c.CompileCondition(e, o, environment.NewExpressions)
		for _, err := range f.CompilationErrors() {
			t.Fatalf("%s: %v", p.Name, err)
		}
		return f
	}
	var matcher matchconditions.Matcher
	if len(matches) > 0 {
		matcher = matchconditions.NewMatcher(compiled(matches, with), p.Spec.FailurePolicy, "policy", "validate", p.Name)
	}
	return validating.NewValidator(compiled(conditions, with), matcher, compiled(nil, with),
		compiled(messages, plugincel.OptionalVariableDeclarations{}), p.Spec.FailurePolicy, nil)
}

// may lets one user get some Secrets of one namespace, and counts what it is asked.
type may struct {
	get   []string
	asked int
}

func (m *may) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	m.asked++
	if a.GetUser().GetName() == "dev" && a.GetVerb() == "get" && a.GetResource() == "secrets" && a.GetAPIGroup() == "" &&
		a.GetSubresource() == "" && a.GetNamespace() == Namespace && slices.Contains(m.get, a.GetName()) {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// ask asks a policy, with a budget for CEL.
func ask(t *testing.T, v validating.Validator, c Case, m *may, budget int64) []validating.PolicyDecision {
	t.Helper()
	object := &unstructured.Unstructured{Object: c.New}
	var old runtime.Object
	operation := admission.Create
	if c.Old != nil {
		old, operation = &unstructured.Unstructured{Object: c.Old}, admission.Update
	}
	gvk := object.GroupVersionKind()
	versioned := &admission.VersionedAttributes{
		Attributes:         admission.NewAttributesRecord(object, old, gvk, Namespace, "demo", resource, "", operation, nil, false, &user.DefaultInfo{Name: "dev"}),
		VersionedOldObject: admission.NewLazyObject(old), VersionedObject: admission.NewLazyObject(object), VersionedKind: gvk,
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace}}
	return v.Validate(t.Context(), resource, versioned, nil, ns, budget, m).Decisions
}

// decide returns what a policy refuses with; an expression that fails is an error of the test.
func decide(t *testing.T, v validating.Validator, c Case, m *may) (refusals []string) {
	t.Helper()
	for _, d := range ask(t, v, c, m, celconfig.RuntimeCELCostBudget) {
		if d.Evaluation == validating.EvalError {
			t.Errorf("not decided: %s", d.Message)
		}
		if d.Action != validating.ActionAdmit {
			refusals = append(refusals, d.Message)
		}
	}
	return refusals
}

// TestCases runs the table past the API server's code.
func TestCases(t *testing.T) {
	validators := map[string]validating.Validator{}
	for name, p := range policies(t) {
		validators[name] = compile(t, p)
	}
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) {
			for name, v := range validators {
				got := decide(t, v, c, &may{get: c.MayGet})
				if name != c.Policy {
					// A case is about one policy; the other admits it, or says no to a Secret that nobody need get here.
					if c.Policy == Secrets && len(got) > 0 {
						t.Errorf("%s: %q", name, got)
					}
					continue
				}
				switch {
				case !c.Refused:
					if len(got) > 0 {
						t.Errorf("refused: %q", got)
					}
				case len(got) != 1:
					t.Errorf("%d refusals, want 1: %q", len(got), got)
				default:
					for _, w := range append([]string{c.Rule}, c.Says...) {
						if !strings.Contains(got[0], w) {
							t.Errorf("%q lacks %q", got[0], w)
						}
					}
				}
			}
		})
	}
}

// TestEveryRuleHasCases: one that it refuses and one that it admits, for each validation of each policy.
func TestEveryRuleHasCases(t *testing.T) {
	refused, admitted := map[string]bool{}, map[string]bool{}
	for _, c := range Cases() {
		if c.Refused {
			refused[c.Rule] = true
		} else {
			admitted[c.Rule] = true
		}
	}
	for _, p := range policies(t) {
		for _, v := range p.Spec.Validations {
			rules := slices.DeleteFunc(slices.Collect(maps.Keys(refused)), func(r string) bool { return !strings.HasPrefix(v.Message, r) || !admitted[r] })
			if len(rules) == 0 {
				t.Errorf("%s: no cases for %q", p.Name, v.Message)
			}
		}
	}
}

// TestCasesAreGood: nothing but the policies refuses them.
func TestCasesAreGood(t *testing.T) {
	for _, c := range Cases() {
		for _, o := range []map[string]any{c.Old, c.New} {
			if o == nil {
				continue
			}
			text, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			m, err := v1alpha1.Decode(text)
			if err != nil {
				t.Errorf("%s: %v", c.Name, err)
				continue
			}
			if errs := v1alpha1.Validate(m); len(errs) > 0 {
				t.Errorf("%s: %v", c.Name, errs.ToAggregate())
			}
		}
	}
}

// TestChecksAreBounded: at most 2 in a validation and 28 in all; the object that names all Secrets
// there are has each checked once, within the budget.
func TestChecksAreBounded(t *testing.T) {
	p := policies(t)[Secrets]
	check := regexp.MustCompile(`\.check\(`)
	all := 0
	for _, v := range p.Spec.Validations {
		n := len(check.FindAllString(v.Expression, -1))
		if n > 2 {
			t.Errorf("%d checks in %s", n, v.Expression)
		}
		all += n
	}
	for _, v := range p.Spec.Variables {
		all += len(check.FindAllString(v.Expression, -1))
	}
	if all > 28 || all < 10 {
		t.Errorf("%d checks, want at most 28 and one for each reference", all)
	}
	long := strings.Repeat("s", 253)
	most := Object(fmt.Sprintf(`
feed: {polygon: {apiKeySecretRef: {name: a%[1]s, key: k}}}
access: {tlsSecretName: b%[1]s, auth: {pin: {secretRef: {name: c%[1]s, key: k}, sessionKeyRef: {name: d%[1]s, key: k}}}}
backbone: {tlsSecretName: e%[1]s, external: {url: 'nats://a', credentialsSecretRef: {name: f%[1]s, key: k}}}
ingress: {host: a, tlsSecretName: g%[1]s}
pod: {image: b, imagePullSecrets: [{name: h%[1]s}, {name: i%[1]s}]}
`, long[:252]), nil)
	var env []any
	for i := range 64 {
		env = append(env, map[string]any{"name": fmt.Sprint("A", i), "value": strings.Repeat("v", 4096)})
	}
	most["spec"].(map[string]any)["pod"].(map[string]any)["env"] = env
	v := compile(t, p)
	m := &may{}
	refused := decide(t, v, Case{New: most}, m)
	if m.asked != 9 || len(refused) != 9 {
		t.Errorf("asked %d times and refused %d, want 9 of both", m.asked, len(refused))
	}
	// The same, changed in its last variable alone: nothing else decides.
	old := (&unstructured.Unstructured{Object: most}).DeepCopy().Object
	env = slices.Clone(env)
	env[63] = map[string]any{"name": "A63", "value": "other"}
	most["spec"].(map[string]any)["pod"].(map[string]any)["env"] = env
	cost := costOf(t, v, Case{Old: old, New: most})
	t.Logf("CEL cost of the largest change: %d of %d", cost, int64(celconfig.RuntimeCELCostBudget))
	if cost > celconfig.RuntimeCELCostBudget/2 {
		t.Errorf("cost %d is more than half of the budget", cost)
	}
}

// TestLargeShape: the other policy reads no symbols, and holds its budget with every map full.
func TestLargeShape(t *testing.T) {
	full := func(n int) map[string]any {
		m := map[string]any{}
		for i := range n {
			m[fmt.Sprintf("example.com/%060d", i)] = strings.Repeat("v", 63)
		}
		return m
	}
	o := Object("{}", nil)
	spec := o["spec"].(map[string]any)
	symbols := make([]any, 20_000)
	for i := range symbols {
		symbols[i] = fmt.Sprintf("SYMBOL-%013d", i)
	}
	spec["symbols"] = symbols
	spec["pod"] = map[string]any{"labels": full(32), "annotations": full(32), "nodeSelector": full(32)}
	spec["monitoring"] = map[string]any{"labels": full(32)}
	spec["backbone"] = map[string]any{"nodeSelector": full(32)}
	spec["service"] = map[string]any{"annotations": full(100)}
	spec["ingress"] = map[string]any{"host": "a", "annotations": full(100)}
	c := Case{New: o}
	v := compile(t, policies(t)[Shape])
	if got := decide(t, v, c, &may{}); len(got) > 0 {
		t.Errorf("refused: %q", got)
	}
	cost := costOf(t, v, c)
	t.Logf("CEL cost with every map full: %d of %d", cost, int64(celconfig.RuntimeCELCostBudget))
	if cost > celconfig.RuntimeCELCostBudget/2 {
		t.Errorf("cost %d is more than half of the budget", cost)
	}
}

// costOf is the least budget with which a policy decides.
func costOf(t *testing.T, v validating.Validator, c Case) int64 {
	t.Helper()
	return int64(sort.Search(celconfig.RuntimeCELCostBudget, func(budget int) bool {
		return !slices.ContainsFunc(ask(t, v, c, &may{}, int64(budget)), func(d validating.PolicyDecision) bool { return d.Evaluation == validating.EvalError })
	}))
}

// TestGoingAway: what is being deleted is let go, though a policy made since would refuse it; but no
// Secret is handed over on the way.
func TestGoingAway(t *testing.T) {
	all := policies(t)
	bad := Object("pod: {labels: {marketstream.dev/a: b}}", nil)
	bad["metadata"].(map[string]any)["deletionTimestamp"] = "2026-01-01T00:00:00Z"
	if got := decide(t, compile(t, all[Shape]), Case{Old: bad, New: bad}, &may{}); len(got) > 0 {
		t.Errorf("refused: %q", got)
	}
	old := Object(fmt.Sprintf(polygon, ""), nil)
	handed := Object(fmt.Sprintf(polygon, endpoint), nil)
	handed["metadata"].(map[string]any)["deletionTimestamp"] = "2026-01-01T00:00:00Z"
	if got := decide(t, compile(t, all[Secrets]), Case{Old: old, New: handed}, &may{}); len(got) != 1 {
		t.Errorf("a key is handed over while its stream is deleted: %q", got)
	}
}
