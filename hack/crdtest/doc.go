// Package crdtest holds the CRD against api/v1alpha1: what its schema and CEL refuse, Validate
// refuses too, and what they admit it admits. It lives in the module of tools, so that the
// API server's code is no dependency of the product.
package crdtest
