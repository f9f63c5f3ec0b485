// Package kube finds the programs of Kubernetes, or builds them from Go modules: Go is all that it needs.
//
// Assets looks, in this order, at
//
//  1. the directory that KUBEBUILDER_ASSETS names, if it has every program that is asked for;
//  2. the cache, marketstream/kube/<Version> in the user's cache directory: outside the tree, so that a clean
//     checkout finds what another one built;
//  3. the modules beside this file. A build takes minutes, and is done once: it tells how far it is, one process
//     builds at a time, and a program is in the cache whole or not at all.
//
// modules/kubernetes exists because k8s.io/kubernetes cannot be a plain dependency: it replaces its staging modules by
// folders that its archive lacks. As the main module, ours replaces them by the published ones. What is to be
// built is a `tool` there, so `go mod tidy` keeps the versions and the checksums as it does everywhere.
//
// Everything is built without cgo: the programs run wherever they are copied, in images FROM scratch too.
package kube
