package crdtest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

const crdFile = "../../config/crd/bases/marketstream.dev_marketstreams.yaml"

// server is what the API server makes of the CRD.
type server struct {
	crd        *apiextensions.CustomResourceDefinition
	structural *schema.Structural
	schema     validation.SchemaValidator
	cel        *cel.Validator
}

func newServer(t testing.TB) *server {
	t.Helper()
	data, err := os.ReadFile(crdFile)
	if err != nil {
		t.Fatal(err)
	}
	var v1 apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(data, &v1); err != nil {
		t.Fatal(err)
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(&v1)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&v1.Spec)
	s := &server{crd: &apiextensions.CustomResourceDefinition{}}
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&v1, s.crd, nil); err != nil {
		t.Fatal(err)
	}
	internal := s.crd.Spec.Validation
	if internal == nil {
		internal = s.crd.Spec.Versions[0].Schema
	}
	if s.structural, err = schema.NewStructural(internal.OpenAPIV3Schema); err != nil {
		t.Fatal(err)
	}
	if s.schema, _, err = validation.NewSchemaValidator(internal.OpenAPIV3Schema); err != nil {
		t.Fatal(err)
	}
	s.cel = cel.NewValidator(s.structural, true, celconfig.PerCallLimit)
	return s
}

// refuse validates as a create (old is nil) or an update, in the API server's order. It
// returns what is wrong and what of the budget for CEL was not used.
func (s *server) refuse(obj, old map[string]any) (errs field.ErrorList, left int64) {
	left = celconfig.RuntimeCELCostBudget
	if old == nil {
		errs = validation.ValidateCustomResource(nil, obj, s.schema)
	} else {
		errs = validation.ValidateCustomResourceUpdate(nil, obj, old, s.schema)
	}
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, obj)...)
	if len(errs) > 0 {
		return errs, left // CEL runs on what the schema admits
	}
	var oldAny any
	if old != nil {
		oldAny = old
	}
	celErrs, left := s.cel.Validate(context.Background(), nil, s.structural, obj, oldAny, left)
	return celErrs, left
}

// TestCRDIsAccepted holds the CRD against what the API server demands of one: structural, rules
// that compile, and costs under their bounds.
func TestCRDIsAccepted(t *testing.T) {
	s := newServer(t)
	for _, err := range crdvalidation.ValidateCustomResourceDefinition(context.Background(), s.crd) {
		// Only the API server sets stored versions.
		if !strings.HasPrefix(err.Field, "status.") {
			t.Error(err)
		}
	}
}

// TestCostOfTwentyThousandSymbols: the largest object there may be stays under the budget.
func TestCostOfTwentyThousandSymbols(t *testing.T) {
	s := newServer(t)
	symbols := func(n int) []any {
		out := make([]any, n)
		for i := range out {
			out[i] = fmt.Sprintf("SYMBOL-%025d", i)
		}
		return out
	}
	cost := func(n int) int64 {
		obj := minimal()
		obj["spec"].(map[string]any)["symbols"] = symbols(n)
		errs, left := s.refuse(obj, nil)
		if len(errs) > 0 {
			t.Fatalf("%d symbols: %v", n, errs)
		}
		return celconfig.RuntimeCELCostBudget - left
	}
	small, large := cost(10_000), cost(20_000)
	t.Logf("CEL cost: %d symbols %d, %d symbols %d; one expression may cost %d, all %d",
		10_000, small, 20_000, large, celconfig.PerCallLimit, celconfig.RuntimeCELCostBudget)
	if large > 5*small/2 {
		t.Errorf("the cost grows faster than the number of symbols: %d, then %d", small, large)
	}
	obj := minimal()
	twice := symbols(20_000)
	twice[19_999] = strings.ToLower(twice[0].(string))
	obj["spec"].(map[string]any)["symbols"] = twice
	if errs, _ := s.refuse(obj, nil); len(errs) == 0 {
		t.Error("two symbols that differ only in case are admitted")
	} else {
		t.Log("a duplicate is refused with:", errs.ToAggregate())
	}
}
