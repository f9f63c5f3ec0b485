package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of the objects in this package.
var GroupVersion = schema.GroupVersion{Group: "marketstream.dev", Version: "v1alpha1"}

// SchemeGroupVersion is GroupVersion under the name that generated code looks for.
var SchemeGroupVersion = GroupVersion

// Kind of the object.
const Kind = "MarketStream"

var (
	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)
	// AddToScheme adds the types of this package to a scheme.
	AddToScheme = schemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &MarketStream{}, &MarketStreamList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}

// Resource returns the qualified resource of a name.
func Resource(resource string) schema.GroupResource {
	return GroupVersion.WithResource(resource).GroupResource()
}
