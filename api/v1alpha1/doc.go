// Package v1alpha1 is the MarketStream object, the one thing that a user writes. The
// operator, the pods and `marketstream run` read the same document.
//
// The schema sets no defaults but shards: what an absent field means is resolved in one
// place, [MarketStream.Resolve]. [Decode] reads a document strictly, [Validate] checks
// what the schema and its rules check in a cluster, [CheckRunnable] says what one machine
// cannot do.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +kubebuilder:ac:output:package="applyconfiguration"
// +groupName=marketstream.dev
package v1alpha1
