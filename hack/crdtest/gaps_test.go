package crdtest

// gaps are the cases in which the CRD and Validate do not agree yet, and why. It should be empty.
var gaps = map[string]string{}
