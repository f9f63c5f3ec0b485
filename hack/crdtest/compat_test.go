package crdtest

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// releasedFile is the CRD of the last release. A release copies the new one over it.
const releasedFile = "../../config/crd/released/v1alpha1.yaml"

// tightened are changes against the last release that are meant, and why. A release empties it.
var tightened = map[string]string{
	`v1alpha1.spec.backbone.storage.size: rule "quantity(string(self)).compareTo(quantity('1Gi')) >= 0" is new`: "with less than 1Gi a node never became ready",
}

func readCRD(t *testing.T, file string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(text, crd); err != nil {
		t.Fatal(err)
	}
	return crd
}

// TestCompatible: whatever the last release took, this one takes, and whoever reads finds what was there.
func TestCompatible(t *testing.T) {
	broken := compare(readCRD(t, releasedFile), readCRD(t, crdFile))
	for _, b := range broken {
		if why := tightened[b]; why == "" {
			t.Errorf("%s: objects of the last release may no longer be good; if that is meant, say why in tightened", b)
		}
	}
	for b := range tightened {
		if !slices.Contains(broken, b) {
			t.Errorf("tightened says %q, and it is not so", b)
		}
	}
}

// comparison gathers what a new CRD breaks.
type comparison struct{ broken []string }

func (c *comparison) say(path, format string, a ...any) {
	c.broken = append(c.broken, path+": "+fmt.Sprintf(format, a...))
}

func compare(old, now *apiextensionsv1.CustomResourceDefinition) []string {
	c := &comparison{}
	if old.Name != now.Name || old.Spec.Scope != now.Spec.Scope || old.Spec.Names.Kind != now.Spec.Names.Kind {
		c.say(old.Name, "is another resource now")
	}
	for _, n := range slices.Concat(old.Spec.Names.ShortNames, old.Spec.Names.Categories) {
		if !slices.Contains(slices.Concat(now.Spec.Names.ShortNames, now.Spec.Names.Categories), n) {
			c.say(old.Name, "name %s is removed", n)
		}
	}
	for _, v := range old.Spec.Versions {
		i := slices.IndexFunc(now.Spec.Versions, func(n apiextensionsv1.CustomResourceDefinitionVersion) bool { return n.Name == v.Name })
		if i < 0 || v.Served && !now.Spec.Versions[i].Served {
			c.say(v.Name, "version is removed")
			continue
		}
		n := now.Spec.Versions[i]
		if !reflect.DeepEqual(v.Subresources, n.Subresources) {
			c.say(v.Name, "subresources changed")
		}
		for _, col := range v.AdditionalPrinterColumns {
			if !slices.Contains(n.AdditionalPrinterColumns, col) {
				c.say(v.Name, "column %s is removed or changed", col.Name)
			}
		}
		if v.Schema != nil && n.Schema != nil {
			c.schema(v.Name, v.Schema.OpenAPIV3Schema, n.Schema.OpenAPIV3Schema)
		}
	}
	return c.broken
}

func (c *comparison) schema(path string, old, now *apiextensionsv1.JSONSchemaProps) {
	for name, same := range map[string]bool{
		"type":             old.Type == now.Type,
		"format":           now.Format == "" || old.Format == now.Format,
		"pattern":          now.Pattern == "" || old.Pattern == now.Pattern,
		"default":          reflect.DeepEqual(old.Default, now.Default),
		"nullable":         !old.Nullable || now.Nullable,
		"int-or-string":    !old.XIntOrString || now.XIntOrString,
		"unknown fields":   !yes(old.XPreserveUnknownFields) || yes(now.XPreserveUnknownFields),
		"kind of list":     reflect.DeepEqual(old.XListType, now.XListType) && slices.Equal(old.XListMapKeys, now.XListMapKeys),
		"kind of map":      reflect.DeepEqual(old.XMapType, now.XMapType),
		"minimum":          !above(now.Minimum, old.Minimum),
		"maximum":          !below(now.Maximum, old.Maximum),
		"minLength":        !above(now.MinLength, old.MinLength),
		"maxLength":        !below(now.MaxLength, old.MaxLength),
		"minItems":         !above(now.MinItems, old.MinItems),
		"maxItems":         !below(now.MaxItems, old.MaxItems),
		"minProperties":    !above(now.MinProperties, old.MinProperties),
		"maxProperties":    !below(now.MaxProperties, old.MaxProperties),
		"exclusive bounds": (!now.ExclusiveMinimum || old.ExclusiveMinimum) && (!now.ExclusiveMaximum || old.ExclusiveMaximum),
		"uniqueItems":      !now.UniqueItems || old.UniqueItems,
		"multipleOf":       now.MultipleOf == nil || reflect.DeepEqual(old.MultipleOf, now.MultipleOf),
		"anyOf":            reflect.DeepEqual(old.AnyOf, now.AnyOf) && reflect.DeepEqual(old.AllOf, now.AllOf) && reflect.DeepEqual(old.OneOf, now.OneOf) && reflect.DeepEqual(old.Not, now.Not),
	} {
		if !same {
			c.say(path, "%s is tighter or another", name)
		}
	}
	if len(now.Enum) > 0 {
		values := func(e []apiextensionsv1.JSON) (out []string) {
			for _, v := range e {
				out = append(out, string(v.Raw))
			}
			return out
		}
		if len(old.Enum) == 0 {
			c.say(path, "an enum is new")
		}
		for _, v := range values(old.Enum) {
			if !slices.Contains(values(now.Enum), v) {
				c.say(path, "enum lacks %s", v)
			}
		}
	}
	for _, r := range now.Required {
		if !slices.Contains(old.Required, r) {
			c.say(path+"."+r, "is required now")
		}
	}
	for _, r := range now.XValidations {
		if !slices.ContainsFunc(old.XValidations, func(o apiextensionsv1.ValidationRule) bool { return o.Rule == r.Rule }) {
			c.say(path, "rule %q is new", r.Rule)
		}
	}
	for name, o := range old.Properties {
		n, ok := now.Properties[name]
		if !ok {
			c.say(path+"."+name, "is removed")
			continue
		}
		c.schema(path+"."+name, &o, &n)
	}
	if old.Items != nil && old.Items.Schema != nil {
		if now.Items == nil || now.Items.Schema == nil {
			c.say(path, "items are removed")
		} else {
			c.schema(path+"[]", old.Items.Schema, now.Items.Schema)
		}
	}
	if old.AdditionalProperties != nil && old.AdditionalProperties.Schema != nil {
		if now.AdditionalProperties == nil || now.AdditionalProperties.Schema == nil {
			c.say(path, "keys of one's own are removed")
		} else {
			c.schema(path+"{}", old.AdditionalProperties.Schema, now.AdditionalProperties.Schema)
		}
	}
}

func yes(b *bool) bool { return b != nil && *b }

type number interface{ ~int64 | ~float64 }

// above reports whether a lower bound is tighter than another; below, an upper one.
func above[N number](now, old *N) bool { return now != nil && (old == nil || *now > *old) }
func below[N number](now, old *N) bool { return now != nil && (old == nil || *now < *old) }

// TestComparisonCanFail: each kind of break is found, and what is wider is not one.
func TestComparisonCanFail(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(spec map[string]apiextensionsv1.JSONSchemaProps, crd *apiextensionsv1.CustomResourceDefinition)
		want   string // "": nothing is broken
	}{
		{"nothing", func(map[string]apiextensionsv1.JSONSchemaProps, *apiextensionsv1.CustomResourceDefinition) {}, ""},
		{"field removed", func(s map[string]apiextensionsv1.JSONSchemaProps, _ *apiextensionsv1.CustomResourceDefinition) {
			delete(s, "history")
		}, "spec.history: is removed"},
		{"type", edit("shards", func(p *apiextensionsv1.JSONSchemaProps) { p.Type = "string" }), "spec.shards: type"},
		{"default", edit("shards", func(p *apiextensionsv1.JSONSchemaProps) { p.Default = nil }), "spec.shards: default"},
		{"lower maximum", edit("shards", func(p *apiextensionsv1.JSONSchemaProps) { *p.Maximum = 10 }), "spec.shards: maximum"},
		{"higher maximum", edit("shards", func(p *apiextensionsv1.JSONSchemaProps) { *p.Maximum = 1000 }), ""},
		{"higher minimum", edit("shards", func(p *apiextensionsv1.JSONSchemaProps) { *p.Minimum = 1 }), "spec.shards: minimum"},
		{"fewer items", edit("symbols", func(p *apiextensionsv1.JSONSchemaProps) { *p.MaxItems = 10 }), "spec.symbols: maxItems"},
		{"shorter items", edit("symbols", func(p *apiextensionsv1.JSONSchemaProps) { *p.Items.Schema.MaxLength = 8 }), "spec.symbols[]: maxLength"},
		{"pattern", edit("symbols", func(p *apiextensionsv1.JSONSchemaProps) { p.Items.Schema.Pattern = "^[A-Z]+$" }), "spec.symbols[]: pattern"},
		{"no pattern", edit("symbols", func(p *apiextensionsv1.JSONSchemaProps) { p.Items.Schema.Pattern = "" }), ""},
		{"rule", edit("symbols", func(p *apiextensionsv1.JSONSchemaProps) {
			p.XValidations = append(p.XValidations, apiextensionsv1.ValidationRule{Rule: "self.size() > 1"})
		}), "spec.symbols: rule"},
		{"no rule", edit("symbols", func(p *apiextensionsv1.JSONSchemaProps) { p.XValidations = nil }), ""},
		{"enum", edit("timeframes", func(p *apiextensionsv1.JSONSchemaProps) { p.Items.Schema.Enum = p.Items.Schema.Enum[1:] }), "spec.timeframes[]: enum"},
		{"longer enum", edit("timeframes", func(p *apiextensionsv1.JSONSchemaProps) {
			p.Items.Schema.Enum = append(p.Items.Schema.Enum, apiextensionsv1.JSON{Raw: []byte(`"6h"`)})
		}), ""},
		{"kind of list", edit("timeframes", func(p *apiextensionsv1.JSONSchemaProps) { p.XListType = nil }), "spec.timeframes: kind of list"},
		{"required", edit("ingress", func(p *apiextensionsv1.JSONSchemaProps) { p.Required = append(p.Required, "className") }), "spec.ingress.className: is required"},
		{"new field", func(s map[string]apiextensionsv1.JSONSchemaProps, _ *apiextensionsv1.CustomResourceDefinition) {
			s["more"] = apiextensionsv1.JSONSchemaProps{Type: "string"}
		}, ""},
		{"values of a map", edit("service", func(p *apiextensionsv1.JSONSchemaProps) {
			a := p.Properties["annotations"]
			a.AdditionalProperties.Schema.Type = "integer"
		}), "spec.service.annotations{}: type"},
		{"version", func(_ map[string]apiextensionsv1.JSONSchemaProps, c *apiextensionsv1.CustomResourceDefinition) {
			c.Spec.Versions[0].Served = false
		}, "v1alpha1: version"},
		{"scale", func(_ map[string]apiextensionsv1.JSONSchemaProps, c *apiextensionsv1.CustomResourceDefinition) {
			c.Spec.Versions[0].Subresources.Scale = nil
		}, "v1alpha1: subresources"},
		{"column", func(_ map[string]apiextensionsv1.JSONSchemaProps, c *apiextensionsv1.CustomResourceDefinition) {
			c.Spec.Versions[0].AdditionalPrinterColumns = c.Spec.Versions[0].AdditionalPrinterColumns[1:]
		}, "v1alpha1: column"},
		{"short name", func(_ map[string]apiextensionsv1.JSONSchemaProps, c *apiextensionsv1.CustomResourceDefinition) {
			c.Spec.Names.ShortNames = nil
		}, "name ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := readCRD(t, crdFile)
			c.change(now.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].Properties, now)
			got := compare(readCRD(t, crdFile), now)
			if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// edit changes a field of spec.
func edit(field string, change func(*apiextensionsv1.JSONSchemaProps)) func(map[string]apiextensionsv1.JSONSchemaProps, *apiextensionsv1.CustomResourceDefinition) {
	return func(s map[string]apiextensionsv1.JSONSchemaProps, _ *apiextensionsv1.CustomResourceDefinition) {
		p := s[field]
		change(&p)
		s[field] = p
	}
}
