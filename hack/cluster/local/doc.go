// Package local is a Kubernetes cluster on this machine: every node, and the control plane, in a network namespace
// of its own, with the real programs. It needs Linux, root, Go and Debian's containerd; no registry and no container engine.
//
//	172.30.77.1    this machine: a bridge
//	172.30.77.10   msc-cp: etcd, kube-apiserver, kube-controller-manager, kube-scheduler
//	172.30.77.11…  msc-n1…: containerd, kubelet, kube-proxy; pods 10.86.1.0/24 and on
//	10.96.0.0/16   Services, of which 10.96.0.10 is DNS
//
// Up is a list of steps. Each looks at what is there first, so Up goes on where the last one stopped, and a
// cluster that runs is left as it is. Down undoes them from what is written down in the state directory: the ids of processes, the
// sandboxes that containerd knows, mounts, cgroups and namespaces of ours. Programs and images stay in the user's cache.
//
// Not as in a real cluster: NetworkPolicies are not enforced (nothing obtainable here does), volumes are directories
// that are made beforehand (Volumes of them a node) and cannot grow, etcd does not sync to disk.
package local
