// Package secrets says of the Secrets that a process needs whether they are there: each is a directory of files, as
// Kubernetes mounts it, which may come, change and go while the process runs. What is told of them, names, states and
// fingerprints, holds nothing of their contents.
package secrets
