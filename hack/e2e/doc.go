// Package e2e installs the operator in a real cluster and uses it as its users do: kubectl, a browser behind an ingress
// with TLS, hundreds of clients, Prometheus. It runs with the build tag e2e:
//
//	make cluster-up ARGS=-prometheus && make e2e
//
// or, with KUBECONFIG set, in any cluster that has Traefik or another default IngressClass, a default StorageClass and,
// for one scenario, prometheus-operator. TestE2E installs by each of the three ways in turn, each time from nothing, in
// namespaces that enforce Pod Security `restricted`; what a scenario measured goes to the report that E2E_REPORT names.
//
// Nothing is played here: what a test waits for is what a user would see. A wait has a bound only against hanging.
package e2e
