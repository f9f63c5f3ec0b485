// Package kubetest is a Kubernetes for tests: a real etcd, kube-apiserver and kube-controller-manager, and a double
// for what is left of it, the scheduler and the kubelet.
//
//	func TestMain(m *testing.M) { os.Exit(kubetest.Run(m, kubetest.Options{CRDs: …}, func(p *kubetest.Plane) { plane = p })) }
//
//	func TestX(t *testing.T) {
//		ns := plane.Namespace(t)
//		…
//	}
//
// A Plane is started once for a test binary, in some ten seconds; tests share it, each with namespaces of its own.
// Requests are authorized by RBAC, owner references are enforced (OwnerReferencesPermissionEnforcement), service accounts
// get real tokens. The API server can be stopped and started again, or made to hang.
//
// Nodes plays scheduler and kubelets: it binds pods, mounts their volumes, opens their ports on loopback, probes
// them, ends them with grace, and says so in their status. What a pod answers is a Program's: Streamer is ours, with
// the real handler of /status over what its mounted ConfigMap says. Addresses are in 127.0.0.0/8 (all of which only Linux
// has), so that a client needs nothing to reach a pod. The price: the API server refuses loopback addresses in EndpointSlices,
// so Services have none; with NodesOptions.PodCIDR pods get addresses from there, that Nodes.Dial alone reaches.
//
// What is played is not tested: image pulls, DNS, NetworkPolicies, the scheduler's decisions. Those need a real cluster (hack/cluster).
//
// Every process is stopped by the id that we hold; on Linux the kernel ends them with the test binary, however that ends.
package kubetest
