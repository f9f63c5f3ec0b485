// Package operatortest runs the operator against a real API server, etcd and controller manager (hack/kubetest),
// as its own service account with the roles that are shipped. Pods are played by a double that answers /status by
// the real handler. What the operator asks of the API server is counted at its transport.
package operatortest
