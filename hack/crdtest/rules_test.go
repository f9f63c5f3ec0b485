package crdtest

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// celRule is one of the CRD's rules: where it stands, and what it says when it refuses.
type celRule struct{ path, message string }

// rulesOf gathers the rules of a schema, and which of them compare with what was there before.
func rulesOf(path string, s *apiextensionsv1.JSONSchemaProps, into map[celRule]bool) {
	for _, r := range s.XValidations {
		into[celRule{path, r.Message}] = strings.Contains(r.Rule, "oldSelf")
	}
	for name := range s.Properties {
		p := s.Properties[name]
		rulesOf(strings.TrimPrefix(path+"."+name, "."), &p, into)
	}
	if s.Items != nil && s.Items.Schema != nil {
		rulesOf(path+"[]", s.Items.Schema, into)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		rulesOf(path+"[]", s.AdditionalProperties.Schema, into)
	}
}

// reaches reports whether an object has something at a path, so that its rules are asked there.
func reaches(v any, path string) bool {
	if path == "" {
		return v != nil
	}
	step, rest, _ := strings.Cut(path, ".")
	name, item := strings.CutSuffix(step, "[]")
	m, _ := v.(map[string]any)
	v, ok := m[name]
	if !ok || !item {
		return ok && reaches(v, rest)
	}
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return reaches(e, rest) })
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), func(e any) bool { return reaches(e, rest) })
	}
	return false
}

var index = regexp.MustCompile(`\[[^\]]*\]`)

// TestEveryRuleHasCases: for each rule of the CRD there is a case that it alone refuses, in its words, and one that it
// is asked about and admits. Who writes a rule writes both.
func TestEveryRuleHasCases(t *testing.T) {
	s := newServer(t)
	rules := map[celRule]bool{}
	rulesOf("", readCRD(t, crdFile).Spec.Versions[0].Schema.OpenAPIV3Schema, rules)
	if len(rules) < 20 {
		t.Fatalf("%d rules: they are looked for in the wrong place", len(rules))
	}
	refused, admitted := map[celRule]bool{}, map[celRule]bool{}
	look := func(obj, old map[string]any) {
		errs, _ := s.refuse(obj, old)
		if len(errs) == 1 {
			field := index.ReplaceAllString(errs[0].Field, "[]")
			if field == "<nil>" {
				field = ""
			}
			for r := range rules {
				if field == r.path && strings.HasSuffix(errs[0].Detail, r.message) { // a key that stands twice is an error before it
					refused[r] = true
				}
			}
		}
		for r, compares := range rules {
			if len(errs) == 0 && reaches(obj, r.path) && (!compares || old != nil && reaches(old, r.path)) {
				admitted[r] = true
			}
		}
	}
	for _, c := range cases {
		look(with(t, c.set...), nil)
	}
	for _, u := range updates {
		look(with(t, u.path, u.to), with(t, u.path, u.from))
	}
	for r := range rules {
		if !refused[r] {
			t.Errorf("%s: no case is refused by %q alone", r.path, r.message)
		}
		if !admitted[r] {
			t.Errorf("%s: no case is admitted by %q", r.path, r.message)
		}
		if r.message == "" {
			t.Errorf("%s: a rule does not say what would be right", r.path)
		}
	}
}
