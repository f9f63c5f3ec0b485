// Package manifests builds config/ as kustomize does, and reads what comes of it. Tests of roles
// and policies, dist/install.yaml and the Helm chart all begin here, so they speak of one source.
package manifests
