package kube

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Version is that of Kubernetes; modules/kubernetes/go.mod says the same, and etcd's.
const Version = "v1.37.2"

// Tests are the programs that tests of the operator need.
var Tests = []string{"etcd", "kube-apiserver", "kube-controller-manager"}

// Node are what a node of a real cluster needs besides.
var Node = []string{"kube-scheduler", "kubelet", "kube-proxy", "kubectl"}

// packages are the main packages of the programs, all of modules/kubernetes.
var packages = map[string]string{
	"etcd":                    "go.etcd.io/etcd/server/v3",
	"kube-apiserver":          "k8s.io/kubernetes/cmd/kube-apiserver",
	"kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
	"kube-scheduler":          "k8s.io/kubernetes/cmd/kube-scheduler",
	"kubelet":                 "k8s.io/kubernetes/cmd/kubelet",
	"kube-proxy":              "k8s.io/kubernetes/cmd/kube-proxy",
	"kubectl":                 "k8s.io/kubernetes/cmd/kubectl",
}

// known refuses a program that is not among the packages.
func known(programs []string) error {
	for _, p := range programs {
		if packages[p] == "" {
			return fmt.Errorf("program %q is not known: there are %s", p, strings.Join(slices.Sorted(maps.Keys(packages)), ", "))
		}
	}
	return nil
}

// ldflags gives the programs the version that they report; nothing here needs their symbols.
func ldflags() string {
	const v = "k8s.io/component-base/version"
	parts := strings.SplitN(strings.TrimPrefix(Version, "v"), ".", 3)
	return fmt.Sprintf("-s -w -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s -X %[1]s.gitTreeState=clean", v, Version, parts[0], parts[1])
}
